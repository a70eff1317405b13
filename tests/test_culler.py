"""When a workspace ends by itself, and when to look again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.culler import FAILED_KEPT, WAIT, next_look, renewed, verdict, waited
from hub.model import POOL, Status, Workspace
from hub.observed import Observed
from hub.settings import KubernetesSettings
from hub.wire import replace
from tests.builders import NOW, SETTINGS, been, idle_notebook, make_workspace, notebook, saw, says, seconds

READY = been("Queued", "Starting", "Ready")
IDLE = saw(notebook(), notebook=idle_notebook())
KERNEL = saw(notebook(), notebook=idle_notebook(busy=True))
CLUSTER = saw(notebook(), notebook=idle_notebook(), clusters={"dask": says(busy=True)})
SILENT = saw(notebook(), notebook=None)
SILENT_CLUSTER = saw(notebook(), notebook=idle_notebook(), clusters={"dask": None})
FAILED_AT = been("Queued", "Starting", "Failed/NotebookCrashed")
JUST_BEFORE, HOUR = timedelta(seconds=3599), timedelta(hours=1)


@pytest.mark.parametrize(
    ("workspace", "seen", "after", "why"),
    [
        (make_workspace(status=READY), IDLE, JUST_BEFORE, ""),
        (make_workspace(status=READY), IDLE, HOUR, "idle"),
        (make_workspace(status=READY), SILENT_CLUSTER, HOUR, "idle"),
        (make_workspace(status=READY), KERNEL, HOUR, ""),
        (make_workspace(status=READY), CLUSTER, HOUR, ""),
        (make_workspace(status=READY), SILENT, HOUR, ""),
        (make_workspace(status=READY, touched=NOW + JUST_BEFORE), IDLE, HOUR, ""),
        (make_workspace(status=been("Ready", last_activity=NOW + JUST_BEFORE)), IDLE, HOUR, ""),
        (
            make_workspace(status=READY),
            saw(notebook(), notebook=idle_notebook(last_activity=NOW + seconds(1))),
            HOUR,
            "",
        ),
        (make_workspace(status=READY), KERNEL, 8 * HOUR - seconds(1), ""),
        (make_workspace(status=READY), KERNEL, 8 * HOUR, "time"),
        (make_workspace(status=READY), SILENT, 8 * HOUR, "time"),
        (make_workspace(deleting=True, status=READY), IDLE, 9 * HOUR, ""),
        (make_workspace(status=FAILED_AT), saw(), timedelta(minutes=2) + FAILED_KEPT - seconds(1), ""),
        (make_workspace(status=FAILED_AT), saw(), timedelta(minutes=2) + FAILED_KEPT, "time"),
        (make_workspace(status=Status(phase="Failed")), saw(), FAILED_KEPT - seconds(1), ""),
        (make_workspace(status=Status(phase="Failed")), saw(), FAILED_KEPT, "time"),
    ],
)
def test_the_verdict(workspace, seen, after, why):
    assert verdict(workspace, seen, NOW + after) == why


@pytest.mark.parametrize(
    ("after", "deadline", "look"),
    [
        (timedelta(0), None, 30),
        (timedelta(0), NOW + seconds(12), 12),
        (timedelta(0), NOW - seconds(12), 1),
        (8 * HOUR - seconds(5), None, 5),
        (8 * HOUR - seconds(5), NOW + 9 * HOUR, 5),
        (9 * HOUR, None, 1),
    ],
)
def test_the_next_look_is_in_time(after, deadline, look):
    workspace = make_workspace(status=Status(idle_deadline=deadline))
    assert next_look(workspace, NOW + after) == look


@pytest.mark.parametrize(
    ("policy", "status", "seen", "why"),
    [
        ("relaunch", READY, saw(notebook(), ending=True), ""),
        ("relaunch", READY, Observed(), ""),
        ("remove", READY, saw(notebook()), ""),
        ("remove", READY, saw(notebook(), ending=True), "lost"),
        ("remove", READY, Observed(), "lost"),
        ("remove", been("Queued", "Starting"), Observed(), ""),
        ("remove", been("Queued", "Starting"), saw(ending=True), "lost"),
    ],
)
def test_a_namespace_that_somebody_deleted_comes_back_unless_the_profile_says_no(policy, status, seen, why):
    settings = replace(SETTINGS, kubernetes=KubernetesSettings(namespace_lost=policy))
    assert verdict(make_workspace(status=status, settings=settings), seen, NOW) == why


def test_an_end_is_looked_at_often():
    assert next_look(make_workspace(deleting=True), NOW) == 5
    assert next_look(make_workspace(status=been("Ready", "Starting/NamespaceDeleted")), NOW) == 5


# The pool, and the line.


def member(**fields) -> Workspace:
    """What nobody owns yet."""
    made = make_workspace(owner="", **fields)
    return replace(made, metadata=replace(made.metadata, labels={POOL: "mark"}))


def test_the_clocks_of_what_nobody_owns_stand_still():
    failed = member(status=FAILED_AT)
    for workspace in (member(status=READY), failed):
        assert verdict(workspace, IDLE, NOW + 100 * HOUR) == ""
        assert next_look(workspace, NOW + 100 * HOUR) == 30
    lost = replace(SETTINGS, kubernetes=KubernetesSettings(namespace_lost="remove"))
    assert verdict(member(status=READY, settings=lost), Observed(), NOW) == "lost"
    taken = replace(member(status=READY), spec=replace(member().spec, owner="ada"))
    assert verdict(taken, IDLE, NOW + HOUR) == "idle"
    assert verdict(make_workspace(owner="", status=READY), IDLE, NOW + HOUR) == "idle", "written by hand"


def test_who_waited_in_line_has_all_of_their_time_before_them():
    late = NOW + WAIT
    assert waited(make_workspace(), late)
    assert not waited(make_workspace(), late - seconds(1))
    assert not waited(make_workspace(status=READY), late)
    assert not waited(make_workspace(deleting=True), late)
    begins = renewed(make_workspace(), late)
    assert (begins.spec.touched, begins.spec.expires) == (late, late + 8 * HOUR)
    assert not waited(begins, late), "once is enough"
