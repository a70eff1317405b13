"""What people may ask for: launches and changes that are taken, and refusals that name the field."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.admission import MOST_ENDING, adopt, change, check, complete, launch, names, workspace_name
from hub.errors import BadInput, Conflict, Forbidden
from hub.model import FINALIZER, ClusterSpec, Status, Workspace
from hub.profiles import read_profiles
from hub.settings import Content
from hub.wire import convert, plain_object, replace
from tests.builders import HUB_KEY, NAME, NOW, SETTINGS, been, cluster_specs, make_workspace

PROFILES = read_profiles(
    {
        "workshop": {
            "clusters": {"dask": {}, "ipyparallel": {"workers": 1}},
            "workers": 3,
            "wall_time": 7200,
            "content": [{"git": "https://example.org/a.git"}],
        },
        "plain": {"frameworks": ["dask"], "max_workers": 4},
    }
)
LATER = NOW + timedelta(minutes=5)


def launched(**spec: Any) -> Workspace:
    return launch({"spec": {"profile": "workshop", **spec}}, PROFILES, "ada", NAME, NOW)


# Names.


def test_the_same_person_always_meets_the_same_name():
    assert workspace_name(HUB_KEY, "ada", 0) == workspace_name(HUB_KEY, "ada", 0)


def test_another_person_attempt_or_hub_has_another_name():
    names = {
        workspace_name(HUB_KEY, "ada", 0),
        workspace_name(HUB_KEY, "ada", 1),
        workspace_name(HUB_KEY, "bob", 0),
        workspace_name(b"j" * 32, "ada", 0),
    }
    assert len(names) == 4


@given(st.text(), st.integers(min_value=0, max_value=10))
def test_every_name_fits(owner, attempt):
    assert re.fullmatch(r"cluster-[a-z0-9]{8}", workspace_name(HUB_KEY, owner, attempt))


# Launches.


def test_a_launch_takes_everything_from_its_profile():
    workspace = launched()
    assert workspace.metadata.name == NAME
    assert workspace.metadata.finalizers == (FINALIZER,)
    spec = workspace.spec
    assert (spec.owner, spec.profile, spec.workers) == ("ada", "workshop", 3)
    assert spec.clusters == cluster_specs({"dask": None, "ipyparallel": 1})
    assert spec.content == (Content(git="https://example.org/a.git"),)
    assert spec.expires == NOW + timedelta(hours=2)
    assert spec.touched == NOW
    assert spec.settings == PROFILES["workshop"].settings


def test_a_launch_reports_nothing_for_that_is_the_controllers():
    assert launched().status == Status()


def test_a_launch_may_choose_for_itself():
    spec = launched(workers=1, clusters={"spark": {"workers": 2}}, content=[]).spec
    assert (spec.workers, spec.clusters, spec.content) == (1, cluster_specs({"spark": 2}), ())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"profile": "workshop", "workers": 9}, "spec.workers: 9 is more than 8."),
        ({"profile": "workshop", "workers": -1}, "spec.workers: expected int >= 0"),
        ({"profile": "workshop", "workers": None}, "spec.workers: expected int, got null"),
        (
            {"profile": "workshop", "clusters": {"dask": {"workers": 9}}},
            "spec.clusters.dask.workers: 9 is more than 8.",
        ),
        ({"profile": "plain", "clusters": {"spark": {}}}, "spec.clusters.spark: not in the profile plain."),
        ({"profile": "workshop", "clusters": {"ray": {}}}, "spec.clusters: invalid enum value 'ray'"),
        ({"profile": "workshop", "owner": "bob"}, "spec: object contains unknown field owner"),
        ({"profile": "nothing"}, "spec.profile: there is no profile 'nothing'."),
        ({"profile": "x" * 64}, "spec.profile: expected str of length <= 63"),
        ({"profile": 3}, "spec.profile: expected str, got int"),
        ({}, "spec: object missing required field profile"),
        ({"profile": "workshop", "content": [{"git": "x"}]}, "spec.content[0].git: expected str matching"),
        (
            {"profile": "workshop", "content": [{"git": "https://a"}] * 9},
            "spec.content: expected array of length <= 8",
        ),
    ],
)
def test_a_launch_that_does_not_fit_is_refused_by_field(spec, message):
    with pytest.raises(BadInput) as refused:
        launch({"spec": spec}, PROFILES, "ada", NAME, NOW)
    assert refused.value.message.startswith(message)


def test_an_unknown_profile_is_answered_with_those_that_exist():
    with pytest.raises(BadInput) as refused:
        launch({"spec": {"profile": "nothing"}}, PROFILES, "ada", NAME, NOW)
    assert refused.value.hint == "Choose one of: workshop, plain."


@pytest.mark.parametrize(
    "body", [None, 3, "spec", [], {}, {"spec": None}, {"spec": {"profile": "plain"}, "status": {}}]
)
def test_a_body_of_another_shape_is_refused(body):
    with pytest.raises(BadInput):
        launch(body, PROFILES, "ada", NAME, NOW)


# Changes.


@pytest.mark.parametrize(
    ("patch", "workers", "clusters"),
    [
        ({"workers": 4}, 4, {"dask": None}),
        ({"clusters": {"dask": {"workers": 5}}}, 2, {"dask": 5}),
        ({"clusters": {"spark": {}}}, 2, {"dask": None, "spark": None}),
        ({"clusters": {"spark": {"workers": 1}, "dask": None}}, 2, {"spark": 1}),
        ({"clusters": {"dask": {"workers": None}}}, 2, {"dask": None}),
        ({}, 2, {"dask": None}),
    ],
)
def test_a_change_is_a_merge_patch(patch, workers, clusters):
    changed = change(make_workspace(), {"spec": patch}, LATER)
    assert changed.spec.workers == workers
    assert changed.spec.clusters == cluster_specs(clusters)


def test_a_change_counts_as_activity_and_leaves_the_rest():
    before = make_workspace()
    after = change(before, {"spec": {"workers": 4}}, LATER)
    assert after.spec.touched == LATER
    assert (after.metadata, after.status) == (before.metadata, before.status)
    assert (after.spec.owner, after.spec.expires, after.spec.settings) == (
        before.spec.owner,
        before.spec.expires,
        before.spec.settings,
    )


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (LATER + timedelta(hours=1), LATER + timedelta(hours=1)),
        (LATER + timedelta(hours=8), LATER + timedelta(hours=8)),
        (LATER + timedelta(days=900), LATER + timedelta(hours=8)),
        (NOW + timedelta(hours=8), NOW + timedelta(hours=8)),
    ],
)
def test_an_extension_goes_as_far_as_the_profile_allows(asked, given):
    changed = change(make_workspace(), {"spec": {"expires": asked.isoformat()}}, LATER)
    assert changed.spec.expires == given


def test_an_end_in_the_past_that_is_there_already_is_no_obstacle():
    late = NOW + timedelta(hours=9)
    assert change(make_workspace(), {"spec": {"workers": 1}}, late).spec.expires < late


# Hands, restarts, places in line: moments that say "now", and who may say so.

EARLIER, LATEST = NOW - timedelta(hours=1), LATER + timedelta(hours=1)


@pytest.mark.parametrize("said", [EARLIER, LATER, LATEST])
def test_a_raised_hand_is_up_since_our_clock_says_so(said):
    assert (
        change(make_workspace(), {"spec": {"helpWanted": said.isoformat()}}, LATER).spec.help_wanted == LATER
    )


def test_a_hand_that_is_up_stays_up_since_then_and_comes_down():
    up = make_workspace(help_wanted=NOW)
    assert change(up, {"spec": {"helpWanted": LATER.isoformat()}}, LATER).spec.help_wanted == NOW
    assert change(up, {"spec": {"workers": 3}}, LATER).spec.help_wanted == NOW
    assert change(up, {"spec": {"helpWanted": None}}, LATER).spec.help_wanted is None


def test_a_hand_may_be_raised_when_the_launch_failed():
    failed = make_workspace(status=Status(phase="Failed"))
    assert change(failed, {"spec": {"helpWanted": LATER.isoformat()}}, LATER).spec.help_wanted == LATER


def test_a_restart_is_from_now_on_and_only_when_it_is_asked_for():
    restarted = change(make_workspace(), {"spec": {"restartedAt": EARLIER.isoformat()}}, LATER)
    assert restarted.spec.restarted_at == LATER
    assert change(restarted, {"spec": {"workers": 3}}, LATEST).spec.restarted_at == LATER
    assert change(restarted, {"spec": {"restartedAt": None}}, LATEST).spec.restarted_at == LATER


def test_an_instructor_moves_somebody_up_in_line_and_back():
    waiting = make_workspace()
    moved = change(waiting, {"spec": {"queuedAt": EARLIER.isoformat()}}, LATER, instructs=True)
    assert (moved.spec.queued_at, moved.spec.touched) == (EARLIER, NOW)
    assert change(moved, {"spec": {"queuedAt": None}}, LATER, instructs=True).spec.queued_at is None
    assert change(moved, {"spec": {"workers": 3}}, LATER).spec.queued_at == EARLIER


def test_nobody_waits_from_a_moment_that_is_yet_to_come():
    moved = change(make_workspace(), {"spec": {"queuedAt": LATEST.isoformat()}}, LATER, instructs=True)
    assert moved.spec.queued_at == LATER


def test_nobody_moves_themselves_up():
    with pytest.raises(BadInput) as refused:
        change(make_workspace(), {"spec": {"queuedAt": EARLIER.isoformat()}}, LATER)
    assert refused.value.message == "spec.queuedAt: cannot be changed."


def test_an_instructor_who_lowers_a_hand_is_no_sign_of_its_owner():
    up = make_workspace(help_wanted=NOW)
    assert change(up, {"spec": {"helpWanted": None}}, LATER, instructs=True).spec.touched == NOW
    assert change(up, {"spec": {"helpWanted": None}}, LATER).spec.touched == LATER
    assert change(up, {"spec": {"workers": 3}}, LATER, instructs=True).spec.touched == LATER
    assert change(up, {"spec": {}}, LATER, instructs=True).spec.touched == LATER


def test_an_end_that_is_fixed_is_put_off_by_instructors_alone():
    fixed = make_workspace(settings=replace(SETTINGS, extendable=False))
    later = {"spec": {"expires": (LATER + timedelta(hours=8)).isoformat()}}
    with pytest.raises(Forbidden) as refused:
        change(fixed, later, LATER)
    assert refused.value.message == "The end of this workspace is fixed."
    assert change(fixed, {"spec": {"workers": 3}}, LATER).spec.workers == 3
    assert change(fixed, later, LATER, instructs=True).spec.expires == LATER + timedelta(hours=8)


@pytest.mark.parametrize("name", ["helpWanted", "restartedAt", "queuedAt", "expires"])
def test_a_moment_without_a_zone_is_refused(name):
    with pytest.raises(BadInput) as refused:
        change(make_workspace(), {"spec": {name: "2026-03-01T12:10:00"}}, LATER, instructs=True)
    assert refused.value.message == f"spec.{name}: a time zone is needed."


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (None, "The body must be a JSON object."),
        ([], "The body must be a JSON object."),
        ({}, "spec: expected an object."),
        ({"spec": None}, "spec: expected an object."),
        ({"spec": {}, "metadata": {}}, "metadata: only spec can be changed."),
        ({"status": {"phase": "Ready"}}, "status: only spec can be changed."),
        ({"spec": {"owner": "bob"}}, "spec.owner: cannot be changed."),
        ({"spec": {"settings": {}}}, "spec.settings: cannot be changed."),
        ({"spec": {"workers": None}}, "spec: object missing required field workers"),
        ({"spec": {"clusters": None}}, "spec: object missing required field clusters"),
        ({"spec": {"workers": 9}}, "spec.workers: 9 is more than 8."),
        ({"spec": {"workers": 10**30}}, "spec.workers: "),
        ({"spec": {"clusters": {"dask": {"workers": -1}}}}, "spec.clusters[...].workers: expected int >= 0"),
        (
            {"spec": {"clusters": {"dask": {"color": 1}}}},
            "spec.clusters[...]: object contains unknown field color",
        ),
        ({"spec": {"clusters": {"dask": 3}}}, "spec.clusters[...]: expected object, got int"),
        ({"spec": {"clusters": {"ray": {}}}}, "spec.clusters: invalid enum value 'ray'"),
        ({"spec": {"expires": "2026-03-01T14:00:00"}}, "spec.expires: a time zone is needed."),
        ({"spec": {"expires": "2026-03-01T12:00:00Z"}}, "spec.expires: is in the past."),
        ({"spec": {"expires": "soon"}}, "spec.expires: invalid RFC3339 encoded datetime"),
        ({"x" * 5000: 1}, "xxx"),
        ({"spec": {"x" * 5000: 1}}, "spec.xxx"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_by_field(patch, message):
    with pytest.raises(BadInput) as refused:
        change(make_workspace(), patch, LATER)
    assert refused.value.message.startswith(message)
    assert len(refused.value.message) < 500


def test_a_framework_that_the_profile_has_not_is_refused():
    only_dask = make_workspace(settings=PROFILES["plain"].settings)
    with pytest.raises(BadInput, match=r"^spec.clusters.spark: not in the profile workshop\.$"):
        change(only_dask, {"spec": {"clusters": {"spark": {}}}}, LATER)


@pytest.mark.parametrize(
    ("workspace", "message"),
    [
        (make_workspace(deleting=True), "The workspace is being stopped."),
        (
            make_workspace(status=been("Queued", "Failed/LaunchTimeout")),
            "The launch of this workspace failed.",
        ),
    ],
)
def test_what_is_ending_or_failed_cannot_be_changed(workspace, message):
    with pytest.raises(Conflict) as refused:
        change(workspace, {"spec": {"workers": 1}}, LATER)
    assert refused.value.message == message


def test_nonsense_is_bad_input_even_for_what_is_ending():
    with pytest.raises(BadInput):
        change(make_workspace(deleting=True), {"spec": 3}, LATER)


# Whatever is sent: near misses, which are often good, and anything at all.

ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just([])
TIMES = st.builds(
    "{}{}".format,
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(datetime.isoformat),
    st.sampled_from(["Z", "+23:59", "-23:59", ""]),
)
EDGES = st.sampled_from(["2026-03-01T12:05:01Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
NEAR = {
    "workers": st.integers(min_value=-1, max_value=9),
    "clusters": st.dictionaries(
        st.sampled_from(["dask", "spark", "ipyparallel"]),
        st.none()
        | st.fixed_dictionaries({}, optional={"workers": st.none() | st.integers(min_value=0, max_value=9)}),
    ),
    "expires": TIMES | EDGES,
}
FAR = {
    "workers": ODD,
    "clusters": ODD
    | st.dictionaries(st.sampled_from(["dask", "ray"]), ODD | st.fixed_dictionaries({"workers": ODD})),
    "expires": ODD | TIMES,
    "owner": ODD,
}


def specs(
    fields: dict[str, st.SearchStrategy[Any]], **required: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"spec": st.fixed_dictionaries(required, optional=fields)})


@pytest.mark.parametrize(
    "bodies", [specs(NEAR), specs(FAR), ODD | st.fixed_dictionaries({"spec": ODD, "x": ODD})]
)
def test_no_patch_raises_anything_but_a_refusal_and_every_result_is_good(bodies):
    @given(bodies)
    def whatever(patch: Any) -> None:
        try:
            changed = change(make_workspace(), patch, LATER)
        except BadInput as error:
            json.dumps(error.body())
        else:
            check(changed.spec)
            assert LATER < changed.spec.expires <= LATER + timedelta(hours=8)
            assert convert(plain_object(changed), Workspace) == changed, "it can be stored and read again"

    whatever()


@pytest.mark.parametrize("fields", [NEAR, FAR])
def test_no_launch_raises_anything_but_a_refusal_and_every_result_is_good(fields):
    chosen = {name: strategy for name, strategy in fields.items() if name != "expires"}

    @given(specs(chosen, profile=st.sampled_from(["workshop", "plain"])) | ODD)
    def whatever(body: Any) -> None:
        try:
            workspace = launch(body, PROFILES, "ada", NAME, NOW)
        except BadInput:
            return
        check(workspace.spec)
        assert convert(plain_object(workspace), Workspace) == workspace

    whatever()


@given(
    st.integers(min_value=0, max_value=1000),
    st.dictionaries(st.sampled_from(["dask", "spark"]), st.none() | st.integers(min_value=0, max_value=1000)),
)
def test_check_knows_the_limit(workers, clusters):
    spec = make_workspace(workers=workers, clusters=clusters).spec
    too_many = workers > 8 or any(own is not None and own > 8 for own in clusters.values())
    with pytest.raises(BadInput, match="is more than 8") if too_many else contextlib.nullcontext():
        check(spec)


def test_a_cluster_without_a_number_of_its_own_is_asked_for_by_an_empty_object():
    assert launched(clusters={"dask": {}}).spec.clusters == {"dask": ClusterSpec()}


# Objects that are written by hand.


def by_hand(**spec: Any) -> Workspace:
    whole = complete(PROFILES, {"profile": "workshop", **spec}, NOW)
    return convert({"metadata": {"name": NAME}, "spec": whole}, Workspace)


def test_what_a_hand_written_object_leaves_out_comes_from_its_profile():
    made, launched_one = by_hand(owner="ada"), launched()
    assert made.spec == launched_one.spec


def test_what_it_says_is_kept():
    made = by_hand(workers=1, clusters={"spark": {}}, content=[], expires=NOW + timedelta(minutes=5))
    assert (made.spec.workers, made.spec.clusters, made.spec.content) == (
        1,
        cluster_specs({"spark": None}),
        (),
    )
    assert made.spec.expires == NOW + timedelta(minutes=5)


def test_what_is_whole_is_left_as_it_is():
    whole = plain_object(launched().spec)
    assert complete({}, whole, LATER) == whole


def test_what_is_acceptable_is_looked_after():
    made = replace(by_hand(), metadata=replace(by_hand().metadata, finalizers=("a/b",)))
    assert adopt(made, PROFILES).metadata.finalizers == ("a/b", FINALIZER)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"profile": "nowhere"}, "spec.profile: there is no profile 'nowhere'."),
        ({"workers": 9}, "spec.workers: 9 is more than 8."),
    ],
)
def test_what_is_not_acceptable_says_why(spec: dict[str, Any], message: str):
    with pytest.raises(BadInput) as refused:
        adopt(by_hand(**spec), PROFILES)
    assert refused.value.message == message


def test_the_names_that_a_person_may_have_are_nobody_elses():
    hers, his = names(HUB_KEY, "ada"), names(HUB_KEY, "ben")
    assert {workspace_name(HUB_KEY, "ada", attempt) for attempt in (0, 1, MOST_ENDING - 1)} <= hers
    assert len(hers) == MOST_ENDING
    assert hers.isdisjoint(his)
