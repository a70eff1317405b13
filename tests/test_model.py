"""The Workspace object: what fits, how a misfit is told, and merge patches."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import settings
from hub.errors import BadInput
from hub.model import Metadata, Spec, Workspace
from hub.settings import Resources
from hub.wire import convert, merge_patch, plain, plain_object, replace
from tests.builders import NOW, make_workspace

# RFC 7396, appendix A.
PATCHES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("target", "patch", "result"), PATCHES)
def test_a_merge_patch_does_what_the_rfc_says(target, patch, result):
    before = json.dumps([target, patch])
    assert merge_patch(target, patch) == result
    assert json.dumps([target, patch]) == before, "neither argument is changed"


@given(JSON, JSON)
def test_patching_again_changes_nothing(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(JSON)
def test_an_empty_patch_changes_no_object(target):
    assert merge_patch({"a": target}, {}) == {"a": target}


GOOD = [
    (settings.GitAddress, "https://example.org/a/b.git?x=1#y"),
    (settings.GitAddress, "file:///srv/a"),
    (settings.GitRef, ""),
    (settings.GitRef, "feature/x-1.0+2"),
    (settings.RelativePath, ""),
    (settings.RelativePath, "tutorial/part 1/"),
    (settings.RelativePath, "_a/b.c"),
    (settings.Word, "a"),
    (settings.Word, "work-shop1"),
    (settings.Quantity, "512Mi"),
    (settings.Count, 0),
    (settings.Count, 1000),
    (settings.Seconds, 60),
    (settings.ObjectName, "a.b-c.d1"),
    (settings.LabelKey, "example.org/My_key.1"),
    (settings.LabelKey, "pool"),
    (settings.LabelValue, ""),
    (settings.LabelValue, "A_b.c-1"),
    (settings.AbsolutePath, "/home/podium/data_1"),
    (settings.Cidr, "10.0.0.0/8"),
    (settings.Cidr, "fd00:ec2::254/128"),
    (settings.QuotaName, "count/jobs.batch"),
    (settings.Amount, "0"),
    (settings.Amount, "10Gi"),
]
BAD = [
    (settings.GitAddress, "--upload-pack=sh"),
    (settings.GitAddress, "ext::sh -c true"),
    (settings.GitAddress, "https://example.org/a b"),
    (settings.GitAddress, "https://example.org/\n"),
    (settings.GitAddress, "https://" + "a" * 2048),
    (settings.GitRef, "-x"),
    (settings.GitRef, "main\n"),
    (settings.RelativePath, "/etc"),
    (settings.RelativePath, "../x"),
    (settings.RelativePath, "a/../x"),
    (settings.RelativePath, "a//b"),
    (settings.RelativePath, "a\n"),
    (settings.RelativePath, "a\x00"),
    (settings.Word, ""),
    (settings.Word, "-a"),
    (settings.Word, "A"),
    (settings.Word, "a\n"),
    (settings.Word, "a" * 64),
    (settings.Quantity, "0Mi"),
    (settings.Quantity, "1G"),
    (settings.Quantity, "1Gi\n"),
    (settings.Count, -1),
    (settings.Count, 1001),
    (settings.Count, True),
    (settings.Count, "2"),
    (settings.Count, 2.5),
    (settings.Seconds, 59),
    (settings.Cores, 0),
    (settings.Cores, float("nan")),
    (settings.ObjectName, ""),
    (settings.ObjectName, "a..b"),
    (settings.ObjectName, "A"),
    (settings.ObjectName, "a\n"),
    (settings.LabelKey, "a/b/c"),
    (settings.LabelKey, "-a"),
    (settings.LabelKey, "a" * 64),
    (settings.LabelValue, "a b"),
    (settings.LabelValue, "a" * 64),
    (settings.AbsolutePath, "/"),
    (settings.AbsolutePath, "a/b"),
    (settings.AbsolutePath, "/a/../b"),
    (settings.AbsolutePath, "/a:b"),
    (settings.AbsolutePath, "/a//b"),
    (settings.Cidr, "10.0.0.0"),
    (settings.Cidr, "example.org/8"),
    (settings.QuotaName, "a b"),
    (settings.Amount, "-1"),
    (settings.Amount, "1 Gi"),
    (settings.Gpus, 17),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_what_fits_is_taken(kind, value):
    assert convert(value, kind) == value


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_what_does_not_fit_is_refused(kind, value):
    with pytest.raises(BadInput):
        convert(value, kind)


@pytest.mark.parametrize("name", ["cluster-678343", "cluster-abcdefgh"])
def test_names_that_fit(name):
    assert convert({"name": name}, Metadata).name == name


@pytest.mark.parametrize(
    "name", ["cluster-", "cluster-abcde", "cluster-abcdefghi", "cluster-ABCDEF", "x/../cluster-abcdef"]
)
def test_names_that_do_not_fit(name):
    with pytest.raises(BadInput, match=r"^name: expected str matching"):
        convert({"name": name}, Metadata)


def test_a_name_with_a_line_end_is_refused():
    with pytest.raises(BadInput):
        convert({"name": "cluster-abcdef\n"}, Metadata)


@pytest.mark.parametrize(
    "kind",
    [
        *(settings.RelativePath, settings.GitRef, settings.GitAddress, settings.Word, settings.Quantity),
        *(settings.ObjectName, settings.LabelKey, settings.LabelValue, settings.AbsolutePath),
        *(settings.Cidr, settings.QuotaName, settings.Amount),
    ],
)
@pytest.mark.parametrize("hostile", ["a" * 24, "a/" * 12, "a." * 12, "https://aaaaaaaaaaaaaaaa", "/a" * 12])
def test_no_pattern_takes_long_to_refuse(kind, hostile):
    # 24 letters are enough to show a pattern that backtracks, and few enough to let this test end.
    before = time.process_time()
    with pytest.raises(BadInput):
        convert(f"{hostile}\x00", kind)
    assert time.process_time() - before < 0.2


MISFITS = [
    ({"workers": -1}, "spec.workers: expected int >= 0"),
    ({"workers": "2"}, "spec.workers: expected int, got str"),
    ({"clusters": {"dask": {"workers": 1001}}}, "spec.clusters[...].workers: expected int <= 1000"),
    ({"clusters": {"tensorflow": {}}}, "spec.clusters: invalid enum value 'tensorflow'"),
    ({"content": [{"git": "x"}]}, "spec.content[0].git: expected str matching regex"),
    ({"color": "red"}, "spec: object contains unknown field color"),
    ({"expires": "soon"}, "spec.expires: invalid RFC3339 encoded datetime"),
]


@pytest.mark.parametrize(("changes", "message"), MISFITS)
def test_a_misfit_is_told_by_the_name_of_its_field(changes, message):
    body = plain_object(make_workspace())
    body["spec"] = {**body["spec"], **changes}
    with pytest.raises(BadInput) as refused:
        convert(body, Workspace)
    assert refused.value.message.startswith(message)


def test_a_misfit_can_be_told_with_its_place_in_front():
    with pytest.raises(BadInput, match=r"^profile workshop, workers: expected int"):
        convert({**plain_object(make_workspace().spec), "workers": "2"}, Spec, "profile workshop")


@pytest.mark.parametrize(
    ("message", "where", "told"),
    [
        ("Expected `int` >= 0 - at `$.spec.workers`", "", "spec.workers: expected int >= 0"),
        ("Expected `object`, got `str`", "", "expected object, got str"),
        ("Expected `object`, got `str`", "profile x", "profile x: expected object, got str"),
        (
            "Object contains unknown field `a - at `$.b` - at `$.spec`",
            "",
            "spec: object contains unknown field a - at $.b",
        ),
    ],
)
def test_messages_are_made_plain(message, where, told):
    assert plain(message, where) == told


@pytest.mark.parametrize(
    "body", [{"workers": 2, "x" * 10_000: 1}, {"clusters": {"x" * 10_000: {}}}, {"profile": "x" * 10_000}]
)
def test_a_message_never_repeats_a_long_string(body):
    with pytest.raises(BadInput) as refused:
        convert({**plain_object(make_workspace().spec), **body}, Spec)
    assert len(refused.value.message) <= 500


def test_workers_follow_the_single_parameter_unless_they_have_their_own():
    spec = make_workspace(workers=4, clusters={"dask": None, "spark": 0}).spec
    assert [spec.workers_of("dask"), spec.workers_of("spark")] == [4, 0]


@pytest.mark.parametrize(("memory", "mebibytes"), [("512Mi", 512), ("2Gi", 2048)])
def test_memory_in_mebibytes(memory, mebibytes):
    assert Resources(memory=memory).mebibytes == mebibytes


def test_the_wire_has_camel_case_and_round_trips():
    workspace = make_workspace(deleting=True)
    wire = plain_object(workspace)
    assert wire["apiVersion"] == "podium.hub/v1"
    assert wire["metadata"]["deletionTimestamp"] == "2026-03-01T12:00:00Z"
    assert convert(wire, Workspace) == workspace
    assert msgspec.json.decode(msgspec.json.encode(workspace), type=Workspace) == workspace


def test_a_workspace_knows_its_name_and_whether_it_is_to_go():
    assert make_workspace().name == "cluster-abc123"
    assert not make_workspace().deleting
    assert make_workspace(deleting=True).deleting


def test_a_copy_with_changes_leaves_the_original():
    one = Resources()
    assert replace(one, cpu=2.0).cpu == 2.0
    assert one.cpu == 1.0


def test_times_without_a_zone_can_be_told_from_those_with_one():
    assert convert("2026-03-01T12:00:00Z", datetime) == NOW
    assert convert("2026-03-01T12:00:00", datetime).tzinfo is None
