"""The Grafana dashboard as a file; tests/kubernetes/test_dashboard.py has a hub answer its queries."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from tests.dashboard import asked, board, panels, parse, queries

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def test_it_can_be_imported_anywhere():
    variables = {each["name"]: each for each in board()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["namespace"]["datasource"] == SOURCE
    assert not board().get("id"), "an id is the server's to give"
    for panel in panels():
        assert panel["datasource"] == SOURCE
        assert all(target["datasource"] == SOURCE for target in panel["targets"])


def test_panels_have_a_place_of_their_own_and_say_what_they_show():
    everything = board()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    for panel in panels():
        assert panel["description"].endswith((".", "why."))
        assert panel["fieldConfig"]["defaults"]["unit"]
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


@pytest.mark.parametrize("query", queries())
def test_a_query_can_be_read_and_asks_for_the_chosen_namespace(query):
    read = list(asked(parse(query)))
    assert read
    for name, labels in read:
        assert "namespace" in labels, name


def test_a_query_that_is_wrong_is_noticed():
    with pytest.raises(ValueError, match="parenthesis"):
        parse("sum(podium_leader")
    [(name, labels)] = asked(parse('sum by (pod) (rate(podium_x{colour="red"}[$__rate_interval]))'))
    assert (name, labels) == ("podium_x", {"colour", "pod"})


def test_legends_name_labels_that_are_left_by_the_query():
    for panel in panels():
        for target in panel["targets"]:
            left = set().union(*(labels for _, labels in asked(parse(target["expr"]))))
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left
