"""What people are told over a workspace's whole life, whatever happens in it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.model import Status
from hub.observed import Instance, Observed
from hub.status import ACTIVITY_STEP, MOST_HISTORY, busy, status
from hub.wire import replace
from tests.builders import (
    NOW,
    idle_notebook,
    make_workspace,
    notebook,
    saw,
    says,
    scheduler,
    seconds,
    worker,
)
from tests.test_status import QUEUED, STARTING, told

NOTEBOOKS = st.builds(
    notebook,
    ready=st.booleans(),
    terminating=st.booleans(),
    restarts=st.integers(min_value=0, max_value=4),
    message=st.sampled_from(["", "It ended."]),
    reason=st.sampled_from(["", "NodeLost"]),
)
OTHERS: st.SearchStrategy[Instance] = st.builds(scheduler, ready=st.booleans()) | st.builds(
    worker, st.integers(min_value=1, max_value=3), ready=st.booleans()
)
SAID = st.none() | st.builds(
    idle_notebook,
    busy=st.booleans(),
    last_activity=st.none()
    | st.integers(min_value=-100, max_value=9000).map(lambda moment: NOW + seconds(moment)),
)
SEEN = st.builds(
    lambda notebooks, others, **fields: saw(*notebooks, *others, **fields),
    st.lists(NOTEBOOKS, max_size=1),
    st.lists(OTHERS, max_size=3),
    reachable=st.booleans(),
    ending=st.booleans(),
    notebook=SAID,
    clusters=st.fixed_dictionaries({"dask": st.none() | st.builds(says, busy=st.booleans())}),
)
STEPS = st.tuples(st.integers(min_value=0, max_value=200), st.booleans(), SEEN)
FLAPPING = [(1, False, saw(STARTING)), (1, False, saw(notebook()))]


@given(
    st.lists(STEPS, max_size=12),
    st.integers(min_value=0, max_value=30),
    st.lists(STEPS, max_size=12),
    st.booleans(),
)
def test_a_whole_life(begin, flaps, end, deleted):
    workspace = make_workspace(status=QUEUED)
    now = NOW
    seen_reports = [workspace.status]
    for wait, touch, seen in [*begin, *FLAPPING * flaps, *end]:
        now += seconds(wait)
        if touch:
            workspace = replace(workspace, spec=replace(workspace.spec, touched=now))
        report = status(workspace, seen, {}, now)
        judge(workspace.status, report, seen, now)
        assert told(replace(workspace, status=report), seen, now) == report, "looking again changes nothing"
        workspace = replace(workspace, status=report)
        seen_reports.append(report)
    if deleted:
        gone = make_workspace(status=workspace.status, deleting=True)
        assert told(gone, saw(), now).phase == "Stopping"
    phases = [report.phase for report in seen_reports]
    assert "Failed" not in phases or "Ready" not in phases, "what was ready once does not fail"


def judge(before: Status, report: Status, seen: Observed, now: Any) -> None:
    assert 1 <= len(report.history) <= MOST_HISTORY
    assert report.history[0] == QUEUED.history[0], "the click is never forgotten"
    assert all(one.at <= other.at for one, other in pairwise(report.history))
    assert report.history[-1].phase == report.phase
    assert report.history[-1].reason == report.reason
    assert report.last_activity is not None
    assert report.last_activity <= now
    assert before.last_activity is None or report.last_activity >= before.last_activity
    assert report.idle_deadline == report.last_activity + timedelta(hours=1)
    if busy(seen):
        assert now - report.last_activity < ACTIVITY_STEP
    if report.phase == "Ready":
        assert seen.ready("notebook")
        assert seen.reachable
        assert not seen.ending
    if before.phase == "Failed":
        assert (report.phase, report.reason, report.message, report.log) == (
            "Failed",
            before.reason,
            before.message,
            before.log,
        )
    assert report.workers == sum(cluster.ready for cluster in report.clusters.values())
