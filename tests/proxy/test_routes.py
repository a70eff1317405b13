"""Which routes there should be, and what to change to get there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routes import DEFAULT, SENTINEL, Changes, Table, routes
from tests.builders import NAME, make_workspace, notebook, saw, scheduler


@pytest.mark.parametrize(
    ("deleting", "seen", "wanted"),
    [
        (False, saw(), {}),
        (False, saw(notebook()), {f"/{NAME}": "http://127.0.0.1:4000"}),
        (False, saw(notebook(), scheduler()), {f"/{NAME}": "http://127.0.0.1:4000"}),
        (False, saw(notebook(ready=False)), {}),
        (False, saw(notebook(terminating=True)), {}),
        (False, saw(notebook(), addresses={}), {}),
        (True, saw(notebook()), {}),
    ],
)
def test_a_notebook_is_reachable_once_it_is_ready(deleting, seen, wanted):
    assert routes(make_workspace(deleting=deleting), seen) == wanted


WEB = "http://web"
A, B = {"/a": "http://a"}, {"/b": "http://b"}
EVERYTHING = [DEFAULT, SENTINEL, "/a", "/b", "/c", "/d"]


@pytest.fixture
def table():
    """Of two workspaces, of which not all is known yet."""
    table = Table(WEB)
    table.put("a", A)
    table.put("b", B)
    return table


def test_a_table_begins_with_the_way_to_web():
    assert Table(WEB).wanted == {DEFAULT: WEB}


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        (A, set()),
        ({"/a": "http://c"}, {"/a"}),
        ({**A, "/c": "http://c"}, {"/c"}),
        ({"/c": "http://c"}, {"/a", "/c"}),
        ({}, {"/a"}),
    ],
)
def test_what_a_workspace_wants_takes_the_place_of_what_it_wanted(table, wanted, paths):
    assert table.put("a", wanted) == paths
    assert table.wanted == {DEFAULT: WEB, **wanted, **B}


def test_the_sentinel_is_wanted_once_every_workspace_had_its_turn(table):
    assert SENTINEL not in table.changes({}, EVERYTHING).add
    table.tried()
    assert table.changes({}, EVERYTHING).add == {DEFAULT: WEB, SENTINEL: WEB, **A, **B}
    assert table.changes({SENTINEL: WEB}, [SENTINEL]) == Changes({}, ())


def test_what_nobody_spoke_of_stays_until_all_did(table):
    present = {SENTINEL: WEB, "/c": "http://c"}
    assert table.changes(present, EVERYTHING).remove == ()
    table.tried()
    assert table.changes(present, EVERYTHING).remove == ()
    table.complete()
    assert table.changes(present, EVERYTHING).remove == ("/c",)


def test_what_its_workspace_gave_up_goes_at_once(table):
    table.put("a", {})
    assert table.changes({**A, **B}, EVERYTHING) == Changes({DEFAULT: WEB}, ("/a",))
    table.put("a", A)
    assert table.changes({**A, **B}, EVERYTHING).remove == ()


def test_only_the_paths_that_are_named_are_changed(table):
    assert table.changes({"/a": "http://c", "/c": "http://c"}, ["/a", "/c"]) == Changes(A, ())


def test_whoever_begins_again_knows_nothing(table):
    table.put("a", {})
    table.tried()
    table.complete()
    table.begin()
    assert table.wanted == {DEFAULT: WEB}
    assert table.changes({**A, **B, SENTINEL: WEB}, EVERYTHING) == Changes({DEFAULT: WEB}, ())


NAMES = st.sampled_from(["a", "b", "c"])
TARGETS = st.sampled_from(["http://1", "http://2", "http://3"])
# A path belongs to one workspace, as `/cluster-ab12cd34` does.
WANTED = {name: st.dictionaries(st.sampled_from([f"/{name}", f"/{name}2"]), TARGETS) for name in "abc"}
PUTS = st.lists(NAMES.flatmap(lambda name: st.tuples(st.just(name), WANTED[name])), max_size=12)
PATHS = [DEFAULT, SENTINEL, "/stale", *(f"/{name}{more}" for name in "abc" for more in ("", "2"))]
PRESENT = st.dictionaries(st.sampled_from(PATHS), TARGETS)


def applied(present, changes):
    """What there is afterwards."""
    return {path: to for path, to in {**present, **changes.add}.items() if path not in changes.remove}


@given(PUTS, PRESENT, st.booleans(), st.booleans())
def test_whatever_was_there_becomes_what_is_wanted(puts, present, tried, complete):
    table, last = Table(WEB), {}
    for name, wanted in puts:
        table.put(name, wanted)
        last[name] = wanted
    if tried or complete:
        table.tried()
    if complete:
        table.complete()
    wanted = {path: target for routes in last.values() for path, target in routes.items()}
    sentinel = {SENTINEL: WEB} if tried or complete else {}
    assert table.wanted == {DEFAULT: WEB, **wanted, **sentinel}

    changes = table.changes(present, PATHS)
    after = applied(present, changes)
    assert table.wanted.items() <= after.items()
    assert all(present.get(path) != target for path, target in changes.add.items()), "what is right is left"
    assert table.changes(after, PATHS) == Changes({}, ())
    spoken = {path for _, wanted in puts for path in wanted}
    stale = after.keys() - table.wanted.keys()
    assert stale == (set() if complete else present.keys() - table.wanted.keys() - spoken)


@given(PUTS, PRESENT)
def test_the_paths_that_a_put_names_are_all_that_it_takes(puts, present):
    table, there = Table(WEB), dict(present)
    table.complete()
    there = applied(there, table.changes(there, PATHS))
    for name, wanted in puts:
        there = applied(there, table.changes(there, table.put(name, wanted)))
        assert there == table.wanted
