"""What happened between two reports: how launches end, and the story that is told of a workspace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.happenings import happenings, launch
from hub.model import ClusterStatus, HistoryEntry, Status
from hub.wire import replace as change
from tests.builders import NOW


def report(*steps, clusters=None, message=""):
    """A report after these steps, each `phase/reason@seconds`; the message is that of the last."""
    history = []
    for step in steps:
        what, _, seconds = step.partition("@")
        phase, _, reason = what.partition("/")
        history.append(HistoryEntry(phase=phase, reason=reason, at=NOW + timedelta(seconds=float(seconds))))
    if not history:
        return Status()
    last = history[-1]
    told = {name: ClusterStatus(**fields) for name, fields in (clusters or {}).items()}
    return Status(
        phase=last.phase, reason=last.reason, message=message, clusters=told, history=tuple(history)
    )


QUEUED = "Queued@0"
PREPARING = "Starting/Preparing@0.5"
STARTING = "Starting/StartingNotebook@2"
READY = "Ready@12"
STOPPING = "Stopping@20"


class TestHowALaunchEnds:
    @pytest.mark.parametrize(
        ("before", "after", "outcome", "seconds"),
        [
            ([QUEUED, PREPARING, STARTING], [READY], "ready", 12),
            ([QUEUED], [READY], "ready", 12),
            ([QUEUED, PREPARING], ["Failed/LaunchTimeout@300"], "failed", 300),
            ([], [QUEUED, "Failed/NotAccepted@1"], "failed", 1),
            ([QUEUED, PREPARING], [STOPPING], "stopped", 20),
            ([], [QUEUED, STOPPING], "stopped", 20),
        ],
    )
    def test_it_ends(self, before, after, outcome, seconds):
        ended = launch(report(*before), report(*before, *after))
        assert (ended.outcome, ended.seconds) == (outcome, seconds)
        assert sum(ended.phases.values()) == pytest.approx(seconds)

    def test_the_seconds_of_each_phase(self):
        before = report(QUEUED, PREPARING, STARTING)
        ended = launch(before, report(QUEUED, PREPARING, STARTING, READY))
        assert ended.phases == {"Queued": 0.5, "Starting": 11.5}

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([], [QUEUED]),
            ([QUEUED], [PREPARING]),
            ([QUEUED, PREPARING], [STARTING]),
            ([QUEUED, READY], []),
            ([QUEUED, READY], ["Starting/RestartingNotebook@30"]),
            ([QUEUED, READY, "Starting/RestartingNotebook@30"], ["Ready@40"]),
            ([QUEUED, READY], [STOPPING]),
            ([QUEUED, READY, "Starting/RestartingNotebook@30"], ["Stopping@40"]),
            ([QUEUED, "Failed/LaunchTimeout@300"], ["Stopping@400"]),
            ([QUEUED, STOPPING], ["Stopping/Stuck@30"]),
        ],
    )
    def test_it_does_not_end_or_has_ended_before(self, before, after):
        assert launch(report(*before), report(*before, *after)) is None

    def test_clocks_that_differ_make_no_negative_seconds(self):
        before = report("Queued@5")
        assert launch(before, report("Queued@5", "Starting/Preparing@3", "Ready@10")).seconds == 7


def told(before, after):
    """What is told, as words."""
    return [
        (h.reason, h.message) if h.well else (h.reason, h.message, "!") for h in happenings(before, after)
    ]


def course(before, *after, message=""):
    """What is told of the way through the phases."""
    return told(report(*before), report(*before, *after, message=message))


class TestTheWayThroughThePhases:
    def test_a_launch(self):
        clusters = {"dask": {"workers": 2, "pending": 2}, "spark": {"workers": 1, "pending": 1}}
        after = report(QUEUED, PREPARING, clusters=clusters)
        said = "Starting a notebook, Dask with 2 workers, Spark with 1 workers."
        assert told(Status(), after) == [("Launching", said)]

    def test_nothing_of_steps_that_go_well(self):
        assert course([], QUEUED) == []
        assert course([QUEUED, PREPARING], STARTING) == []
        assert course([QUEUED, PREPARING, STARTING], "Starting/OpeningRoute@11") == []

    def test_ready_and_ready_again(self):
        assert course([QUEUED, STARTING], READY) == [("Ready", "The notebook answered after 12 s.")]
        before = [QUEUED, READY, "Starting/RestartingNotebook@30"]
        assert course(before, "Ready@40") == [("Ready", "The notebook answers again.")]

    @pytest.mark.parametrize("reason", ["ImagePull", "Unschedulable", "QuotaExceeded", "RestartingNotebook"])
    def test_what_is_wrong(self, reason):
        said = "A sentence on it."
        assert course([QUEUED, STARTING], f"Starting/{reason}@5", message=said) == [(reason, said, "!")]

    def test_a_first_report_that_is_bad(self):
        after = report(QUEUED, "Starting/QuotaExceeded@1", message="No room.")
        launching = ("Launching", "Starting a notebook.")
        assert told(Status(), after) == [launching, ("QuotaExceeded", "No room.", "!")]

    def test_it_failed(self):
        assert course([QUEUED, STARTING], "Failed/LaunchTimeout@300", message="Why.") == [
            ("Failed", "Why.", "!")
        ]

    def test_why_it_stops(self):
        said = "The programs are being ended."
        assert course([QUEUED, READY], STOPPING, message=said) == [
            ("Stopping", f"Somebody stopped it. {said}")
        ]
        idle = "It was not used for a while."
        assert course([QUEUED, READY], "Stopping/idle@20", message=idle) == [("Stopping", idle)]

    def test_it_cannot_stop(self):
        stuck = course([QUEUED, READY, STOPPING], "Stopping/Stuck@30", message="A finalizer.")
        assert stuck == [("Stuck", "A finalizer.", "!")]
        assert course([QUEUED, READY, STOPPING, "Stopping/Stuck@30"], "Stopping@40") == []

    def test_the_same_report_tells_nothing(self):
        for steps in ([QUEUED], [QUEUED, READY], [QUEUED, STOPPING], [QUEUED, "Starting/QuotaExceeded@1"]):
            assert told(report(*steps), change(report(*steps), message="in other words")) == []


def cluster(before, after, steps=(QUEUED, READY)):
    """What is told of a Dask cluster that was one thing and is another; None stands for none."""
    reports = [
        report(*steps, clusters={"dask": fields} if fields is not None else {}) for fields in (before, after)
    ]
    return told(*reports)


TWO = {"workers": 2, "ready": 2}
PENDING = {"workers": 6, "ready": 2, "pending": 4}
TROUBLE = {**PENDING, "message": "No machine has room."}


class TestClusters:
    def test_scaling(self):
        assert cluster(TWO, PENDING) == [("Scaling", "Dask: from 2 to 6 workers.")]
        assert cluster(PENDING, {**PENDING, "ready": 4, "pending": 2}) == []
        six = {"workers": 6, "ready": 6}
        assert cluster(PENDING, six) == [("WorkersReady", "Dask: all 6 workers are ready.")]
        ready = ("WorkersReady", "Dask: all 6 workers are ready.")
        assert cluster(TWO, six) == [("Scaling", "Dask: from 2 to 6 workers."), ready], "in no time"
        assert cluster(six, TWO) == [("Scaling", "Dask: from 6 to 2 workers.")]
        assert cluster(TWO, {"workers": 0}) == [("Scaling", "Dask: from 2 to 0 workers.")]

    def test_trouble_is_told_once_and_so_is_its_end(self):
        said = "Dask: 2 of 6 workers are ready. No machine has room."
        assert cluster(PENDING, TROUBLE) == [("WorkersPending", said, "!")]
        assert cluster(TROUBLE, {**TROUBLE, "ready": 3, "pending": 3, "message": "In other words."}) == []
        assert cluster(TROUBLE, PENDING) == []
        assert cluster(TROUBLE, {"workers": 6, "ready": 6}) == [
            ("WorkersReady", "Dask: all 6 workers are ready.")
        ]

    def test_trouble_without_a_worker_that_is_missing(self):
        [told] = cluster(TWO, {**TWO, "message": "The scheduler crashed."})
        assert told == ("ClusterTrouble", "Dask: 2 of 2 workers are ready. The scheduler crashed.", "!")

    def test_added_and_removed(self):
        new = {"workers": 2, "pending": 2}
        assert cluster(None, new) == [("ClusterAdded", "Dask with 2 workers is added.")]
        assert cluster(TWO, None) == [("ClusterRemoved", "Dask is removed.")]

    def test_of_a_launch_the_workers_alone_are_told(self):
        new = {"workers": 2, "pending": 2}
        assert cluster(None, new, (QUEUED,)) == []
        before, after = report(QUEUED), report(QUEUED, READY, clusters={"dask": TWO})
        assert [reason for reason, _ in told(before, after)] == ["Launching", "Ready", "WorkersReady"]

    @pytest.mark.parametrize("end", [STOPPING, "Failed/LaunchTimeout@300"])
    def test_nothing_of_the_clusters_of_what_ends(self, end):
        before = report(QUEUED, PREPARING, clusters={"dask": PENDING})
        assert len(told(before, report(QUEUED, PREPARING, end, message="Why."))) == 1
