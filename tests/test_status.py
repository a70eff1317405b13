"""What people are told: the phase and its words, each cluster's numbers, activity, history."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hub.clusters.base import ClusterState, WorkerState
from hub.model import ClusterStatus, HistoryEntry, QueuePlace, Status
from hub.observed import Observed
from hub.settings import Content
from hub.status import (
    MOST_HISTORY,
    MOST_RESTARTS,
    STUCK_AFTER,
    busy,
    last_activity,
    not_accepted,
    status,
    waiting,
)
from hub.wire import replace
from tests.builders import (
    NAME,
    NOW,
    been,
    dask,
    idle_notebook,
    make_workspace,
    notebook,
    saw,
    says,
    scheduler,
    seconds,
    worker,
)

QUEUED = been("Queued")
WAS_READY = been("Queued", "Starting/StartingNotebook", "Ready")
FAILED = been(
    "Queued", "Starting/StartingNotebook", "Failed/NotebookCrashed", message="It crashed.", log=("a", "b")
)
BEGUN = been("Queued", "Starting/StartingNotebook", message="Starting JupyterLab.")
STARTING = notebook(ready=False)
NO_IMAGE = notebook(ready=False, running=False, reason="ImageMissing", message="There is no image x.")
CRASHING = notebook(ready=False, restarts=MOST_RESTARTS, log=("last words",), message="It ended.")
LATE = NOW + seconds(301)
IN_TIME = NOW + seconds(300)


def told(
    workspace: Any = None, seen: Observed | None = None, at: Any = NOW, unavailable: Any = None
) -> Status:
    return status(workspace or make_workspace(status=QUEUED), seen or saw(), unavailable or {}, at)


# Phases.

PHASES = {
    "nothing is there yet": (QUEUED, saw(), NOW, "Starting/Preparing", "Making a place"),
    "the notebook starts": (QUEUED, saw(STARTING), NOW, "Starting/StartingNotebook", "Starting JupyterLab."),
    "it is up": (QUEUED, saw(notebook()), NOW, "Starting/OpeningRoute", "JupyterLab is up;"),
    "it answers at its address": (QUEUED, saw(notebook(), reachable=True), NOW, "Ready/", ""),
    "reachable alone is not enough": (
        QUEUED,
        saw(STARTING, reachable=True),
        NOW,
        "Starting/StartingNotebook",
        "Starting",
    ),
    "something is wrong with it": (
        QUEUED,
        saw(notebook(ready=False, restarts=1, message="It ended.", log=("why",))),
        NOW,
        "Starting/StartingNotebook",
        "It ended.",
    ),
    "it ended too often": (QUEUED, saw(CRASHING), NOW, "Failed/NotebookCrashed", "JupyterLab ended 3 times"),
    "it takes too long": (
        BEGUN,
        saw(STARTING),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not answer within 300",
    ),
    "nothing came for too long": (
        BEGUN,
        saw(),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not answer",
    ),
    "whoever made it has a clock that is far behind": (
        QUEUED,
        saw(STARTING),
        NOW + seconds(600),
        "Starting/StartingNotebook",
        "Starting JupyterLab.",
    ),
    "up but not reachable for too long": (
        BEGUN,
        saw(notebook()),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not",
    ),
    "slow, but in time": (
        QUEUED,
        saw(STARTING),
        IN_TIME,
        "Starting/StartingNotebook",
        "Starting JupyterLab.",
    ),
    "late, but it answers": (QUEUED, saw(notebook(), reachable=True), LATE, "Ready/", ""),
    "an ending notebook is none": (
        QUEUED,
        saw(notebook(terminating=True), reachable=True),
        NOW,
        "Starting/Preparing",
        "",
    ),
    "one that was ready came down": (
        WAS_READY,
        saw(STARTING),
        LATE,
        "Starting/RestartingNotebook",
        "The notebook ended",
    ),
    "one that was ready keeps crashing": (
        WAS_READY,
        saw(CRASHING),
        LATE,
        "Starting/RestartingNotebook",
        "The notebook",
    ),
    "one that was ready is gone": (
        WAS_READY,
        saw(),
        LATE,
        "Starting/RestartingNotebook",
        "The notebook is gone",
    ),
    "something with a name is wrong": (QUEUED, saw(NO_IMAGE), NOW, "Starting/ImageMissing", "There is no"),
    "something is wrong with one that was ready": (
        WAS_READY,
        saw(NO_IMAGE),
        LATE,
        "Starting/ImageMissing",
        "There is no image",
    ),
    "it answers, but its node is lost": (
        WAS_READY,
        saw(notebook(reason="NodeLost", message="Its machine is away."), reachable=True),
        LATE,
        "Starting/NodeLost",
        "Its machine is away.",
    ),
    "it is being ended because its node is lost": (
        WAS_READY,
        saw(notebook(ready=False, terminating=True, reason="NodeLost", message="Its machine is away.")),
        LATE,
        "Starting/NodeLost",
        "Its machine is away.",
    ),
    "another one is there already": (
        WAS_READY,
        saw(notebook(terminating=True, reason="NodeLost", message="Away."), notebook(), reachable=True),
        LATE,
        "Ready/",
        "",
    ),
    "it takes too long, and why is known": (
        BEGUN,
        saw(NO_IMAGE),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not answer within 300 seconds: There is no image x.",
    ),
    "it takes too long, and why was known": (
        been("Queued", "Starting/ImageMissing", message="There is no image x."),
        saw(),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not answer within 300 seconds: There is no image x.",
    ),
    "it takes too long, and all went well before": (
        been("Queued", "Starting/StartingNotebook", message="Starting JupyterLab."),
        saw(STARTING),
        LATE + seconds(60),
        "Failed/LaunchTimeout",
        "JupyterLab did not answer within 300 seconds. Try again.",
    ),
    "what was waited in line does not count": (
        been("Queued", "Starting/StartingNotebook", message="Starting JupyterLab."),
        saw(STARTING),
        IN_TIME + seconds(60),
        "Starting/StartingNotebook",
        "Starting JupyterLab.",
    ),
    "somebody waited in line for long": (
        been("Queued", queue=QueuePlace(position=1)),
        saw(STARTING),
        LATE,
        "Starting/StartingNotebook",
        "Starting JupyterLab.",
    ),
    "it ended too often, and why is known": (
        QUEUED,
        saw(notebook(ready=False, restarts=3, reason="OutOfMemory", message="It needs more memory.")),
        NOW,
        "Failed/NotebookCrashed",
        "JupyterLab ended 3 times while it was starting; its last lines are below. It needs more memory.",
    ),
    "its namespace was deleted": (
        WAS_READY,
        saw(notebook(), reachable=True, ending=True),
        LATE,
        "Starting/NamespaceDeleted",
        "Somebody deleted the workspace's namespace; it is made again as soon as that is done.",
    ),
    "one that was ready is not reachable": (
        WAS_READY,
        saw(notebook()),
        LATE,
        "Starting/OpeningRoute",
        "JupyterLab is up",
    ),
    "failed stays failed": (
        FAILED,
        saw(notebook(), reachable=True),
        LATE,
        "Failed/NotebookCrashed",
        "It crashed.",
    ),
}


@pytest.mark.parametrize(("before", "seen", "at", "phase", "message"), PHASES.values(), ids=PHASES)
def test_the_phase(before, seen, at, phase, message):
    now = told(make_workspace(status=before), seen, at)
    assert f"{now.phase}/{now.reason}" == phase
    assert now.message.startswith(message)
    assert bool(now.message) == (now.phase != "Ready")


def test_course_material_is_spoken_of_when_there_is_some():
    workspace = make_workspace(status=QUEUED, content=(Content(git="https://example.org/a.git"),))
    assert told(workspace, saw(STARTING)).message == "Fetching the course material and starting JupyterLab."


@pytest.mark.parametrize(
    ("before", "seen", "log"),
    [
        (QUEUED, saw(CRASHING), ("last words",)),
        (QUEUED, saw(notebook(ready=False, message="It ended.", log=("why",))), ("why",)),
        (
            WAS_READY,
            saw(notebook(ready=False, reason="CrashLoop", message="It ends.", log=("why",))),
            ("why",),
        ),
        (WAS_READY, saw(CRASHING), ("last words",)),
        (QUEUED, saw(STARTING), ()),
        (FAILED, saw(), ("a", "b")),
    ],
)
def test_the_last_lines_are_shown_while_something_is_wrong(before, seen, log):
    assert told(make_workspace(status=before), seen).log == log


@pytest.mark.parametrize(("notebooks", "log"), [((notebook(ready=False, log=("x",)),), ("x",)), ((), ())])
def test_a_launch_that_takes_too_long_keeps_the_last_lines(notebooks, log):
    begun = make_workspace(status=BEGUN)
    assert told(begun, saw(*notebooks), at=LATE + seconds(60)).log == log


def test_a_launch_whose_time_of_birth_is_not_known_does_not_take_too_long():
    assert told(make_workspace(status=QUEUED, created=None), saw(STARTING), LATE).phase == "Starting"


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("", "The programs are being ended."),
        ("time", "Its time is up: the programs are being ended."),
        ("idle", "It was not used for a while: the programs are being ended."),
        ("lost", "Somebody deleted its namespace: what is left is being removed."),
        ("other", "The programs are being ended."),
    ],
)
def test_stopping_says_why(why, message):
    now = told(make_workspace(deleting=True, stopped=why, status=WAS_READY), saw(notebook(), reachable=True))
    assert (now.phase, now.reason, now.message) == ("Stopping", why, message)


@pytest.mark.parametrize(
    ("waited", "stuck", "reason", "message"),
    [
        (STUCK_AFTER, "", "time", "ended."),
        (STUCK_AFTER - seconds(1), "A volume is in use.", "time", "ended."),
        (STUCK_AFTER, "A volume is in use.", "Stuck", "ended. A volume is in use."),
    ],
)
def test_an_end_that_takes_long_says_what_it_waits_for(waited, stuck, reason, message):
    ending = make_workspace(deleting=True, stopped="time", status=WAS_READY)
    now = told(ending, saw(stuck=stuck), NOW + waited)
    assert (now.phase, now.reason) == ("Stopping", reason)
    assert now.message == f"Its time is up: the programs are being {message}"


def test_a_namespace_that_somebody_deleted_and_that_does_not_go_says_why():
    seen = saw(ending=True, stuck="A volume is in use.")
    first = told(make_workspace(status=WAS_READY), seen)
    again = make_workspace(status=first)
    soon, late = (told(again, seen, NOW + STUCK_AFTER - seconds(left)) for left in (1, 0))
    assert soon.message == first.message
    assert late.message == f"{first.message} A volume is in use."
    assert late.history == first.history


def test_a_failed_launch_is_stopped_like_any_other():
    assert told(make_workspace(deleting=True, status=FAILED)).phase == "Stopping"


# Clusters.

QUOTA = {"reason": "QuotaExceeded", "message": "It is too much."}
THREE = (scheduler(), worker(1), worker(2), worker(3))


@pytest.mark.parametrize(
    ("seen", "ready", "pending", "occupied"),
    [
        (saw(), 0, 2, 0),
        (saw(*THREE, clusters={"dask": None}), 0, 2, 0),
        (saw(*THREE, clusters={"dask": says(dask(1))}), 1, 1, 0),
        (saw(*THREE, clusters={"dask": says(dask(1), dask(2, busy=True))}), 2, 0, 1),
        (saw(*THREE, clusters={"dask": says(dask(1), dask(2), dask(3))}), 3, 0, 0),
        (saw(*THREE, clusters={"dask": says(dask(1), dask(2), dask(3, draining=True, busy=True))}), 2, 0, 0),
        (saw(*THREE, clusters={"dask": says(dask(1), dask(1, busy=True), dask(7))}), 1, 1, 1),
        (saw(scheduler(), worker(1, terminating=True), clusters={"dask": says(dask(1))}), 0, 2, 0),
    ],
)
def test_a_clusters_numbers(seen, ready, pending, occupied):
    now = told(seen=seen)
    cluster = now.clusters["dask"]
    assert (cluster.workers, cluster.ready, cluster.pending, cluster.busy) == (2, ready, pending, occupied)
    assert now.workers == ready
    assert cluster.dashboard == f"/{NAME}_dask/status"
    assert cluster.message == ""


def test_workers_of_all_clusters_are_summed_up():
    seen = saw(
        *(scheduler(), worker(1), scheduler("spark"), worker(1, "spark")),
        clusters={
            "dask": says(dask(1)),
            "spark": ClusterState((WorkerState("spark-worker-1"),)),
        },
    )
    now = told(make_workspace(clusters={"spark": 1, "dask": 1}), seen)
    assert now.workers == 2
    assert list(now.clusters) == ["dask", "spark"]


@pytest.mark.parametrize(
    ("clusters", "workers", "replicas"),
    [
        ({}, 0, 0),
        ({"dask": 2, "spark": 1}, 3, 0),
        ({"dask": None, "spark": 1}, 3, 2),
        ({"dask": None, "spark": None}, 3, 1),
        ({"dask": None, "ipyparallel": None}, 2, 2),
    ],
)
def test_the_scale_is_that_of_the_clusters_that_follow_the_one_number(clusters, workers, replicas):
    seen = saw(
        *(scheduler(), worker(1), worker(2), scheduler("spark"), worker(1, "spark")),
        clusters={"dask": says(dask(1), dask(2)), "spark": says(WorkerState("spark-worker-1"))},
    )
    now = told(make_workspace(clusters=clusters), seen, unavailable={"ipyparallel": "It is not installed."})
    assert (now.workers, now.replicas) == (workers, replicas)
    assert now.selector == f"podium.hub/workspace={NAME},podium.hub/role=worker"


def test_a_framework_that_cannot_run_says_why():
    now = told(make_workspace(clusters={"spark": 1}), unavailable={"spark": "There is no Java."})
    assert now.clusters == {"spark": ClusterStatus(workers=1, message="There is no Java.")}


def test_a_failed_launch_has_no_clusters():
    assert told(make_workspace(status=FAILED), saw(*THREE)).clusters == {}


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ((scheduler(ready=False, restarts=2),), ""),
        ((scheduler(ready=True, restarts=3),), ""),
        ((scheduler(ready=False, restarts=3, terminating=True),), ""),
        ((scheduler(ready=False, restarts=3),), "The Dask program dask-scheduler ended 3 times."),
        (
            (scheduler(), worker(1), worker(2, ready=False, restarts=4, log=("a", "No memory."))),
            "The Dask program dask-worker-2 ended 4 times. Its last line: No memory.",
        ),
        ((scheduler("spark", ready=False, restarts=3),), ""),
        ((scheduler(), worker(1, ready=False, message="It ended.")), ""),
        (
            (scheduler(), worker(1, ready=False, **QUOTA), worker(2, running=False, **QUOTA)),
            "It is too much.",
        ),
        (
            (
                scheduler(ready=False, reason="CrashLoop", message="It keeps ending.", log=("a", "No port.")),
                *(worker(number, ready=False, **QUOTA) for number in (1, 2)),
            ),
            "It keeps ending. Its last line: No port. It is too much.",
        ),
    ],
)
def test_a_program_that_keeps_ending_is_told(instances, message):
    assert told(seen=saw(*instances)).clusters["dask"].message == message


def test_what_a_program_wrote_is_told_in_bounds():
    seen = saw(scheduler(ready=False, restarts=3, log=("x" * 5000,)))
    assert len(told(seen=seen).clusters["dask"].message) == 1000


# Addresses, warnings, time.


@pytest.mark.parametrize(
    ("seen", "endpoints"),
    [
        (saw(), {}),
        (saw(STARTING, scheduler(ready=False)), {}),
        (saw(notebook()), {"notebook": "http://127.0.0.1:4000"}),
        (saw(scheduler()), {"dask": "http://127.0.0.1:4001"}),
        (
            saw(notebook(), scheduler(), scheduler("spark")),
            {"notebook": "http://127.0.0.1:4000", "dask": "http://127.0.0.1:4001"},
        ),
        (saw(notebook(), scheduler(), addresses={}), {}),
        (saw(notebook(terminating=True)), {}),
    ],
)
def test_endpoints_are_those_that_answer(seen, endpoints):
    assert told(seen=seen).endpoints == endpoints


def test_warnings_are_the_notebooks_and_last_while_it_is_silent():
    warned = told(seen=saw(notebook(), notebook=idle_notebook(warnings=("No such repository.",))))
    assert warned.warnings == ("No such repository.",)
    assert told(make_workspace(status=warned), saw(notebook(), notebook=None)).warnings == warned.warnings
    assert told(make_workspace(status=warned), saw(notebook(), notebook=idle_notebook())).warnings == ()


def test_the_address_is_told_from_the_start():
    assert told().url == f"/{NAME}/"


BUSY = saw(notebook=idle_notebook(busy=True))


@pytest.mark.parametrize(
    ("seen", "is_busy"),
    [
        (saw(), False),
        (saw(notebook=idle_notebook()), False),
        (BUSY, True),
        (saw(clusters={"dask": None, "spark": says(busy=True)}), True),
        (saw(clusters={"dask": says(dask(1, busy=True))}), False),
    ],
)
def test_what_counts_as_busy(seen, is_busy):
    assert busy(seen) is is_busy


@pytest.mark.parametrize(
    ("touched", "before", "said", "seen", "after", "answer"),
    [
        (0, None, None, saw(), 100, 0),
        (5, 2, None, saw(), 100, 5),
        (2, 5, None, saw(), 100, 5),
        (0, 0, 7, None, 100, 7),
        (0, 50, 7, None, 100, 50),
        (500, None, None, saw(), 100, 100),
        (0, 0, None, BUSY, 29, 0),
        (0, 0, None, BUSY, 30, 30),
        (0, 20, None, BUSY, 49, 20),
    ],
)
def test_the_last_activity(touched, before, said, seen, after, answer):
    def at(moment: int | None) -> Any:
        return None if moment is None else NOW + seconds(moment)

    workspace = make_workspace(touched=at(touched), status=Status(last_activity=at(before)))
    seen = seen or saw(notebook=idle_notebook(last_activity=at(said)))
    assert last_activity(workspace, seen, NOW + seconds(after)) == at(answer)
    now = told(workspace, seen, NOW + seconds(after))
    assert (now.last_activity, now.idle_deadline) == (at(answer), at(answer + 3600))


def test_history_grows_only_when_phase_or_reason_do():
    first = told(at=NOW)
    same = told(make_workspace(status=first), at=NOW + seconds(1))
    assert same.history == first.history
    other = told(make_workspace(status=first), saw(STARTING), NOW + seconds(2))
    assert other.history == (
        *first.history,
        HistoryEntry(phase="Starting", reason="StartingNotebook", at=NOW + seconds(2)),
    )


@pytest.mark.parametrize("flaps_before", [0, 5, 20])
def test_a_long_history_keeps_the_click_and_that_it_was_ready_once(flaps_before):
    workspace = make_workspace(status=QUEUED)
    flapping = [saw(STARTING), saw(notebook())]
    steps = [*flapping * flaps_before, saw(notebook(), reachable=True), *flapping * 30]
    for moment, seen in enumerate(steps, start=1):
        workspace = replace(workspace, status=told(workspace, seen, NOW + seconds(moment)))
        history = workspace.status.history
        assert all(one.at < other.at for one, other in pairwise(history)), "in order, and nothing twice"
    assert len(history) == MOST_HISTORY
    assert history[0] == QUEUED.history[0]
    assert [entry.phase for entry in history].count("Ready") == 1
    assert [entry.reason for entry in history[-2:]] == ["RestartingNotebook", "OpeningRoute"]
    assert told(workspace, saw(STARTING), LATE).phase == "Starting", "so it does not fail like a launch"


@pytest.mark.parametrize(
    ("created", "touched", "clicked"),
    [
        (0, 0, 0),
        (0, 0.6, 0.6),
        (0, 1, 0),
        (0, 60, 0),
        (0, -1, 0),
        (None, 0, 2),
        (3, 3.5, 2),
    ],
)
def test_a_workspace_without_a_history_gets_one_that_begins_with_the_click(created, touched, clicked):
    workspace = make_workspace(
        status=Status(),
        created=None if created is None else NOW + seconds(created),
        touched=NOW + seconds(touched),
    )
    assert told(workspace, at=NOW + seconds(2)).history == (
        HistoryEntry(phase="Queued", at=NOW + seconds(clicked)),
        HistoryEntry(phase="Starting", reason="Preparing", at=NOW + seconds(2)),
    )


def test_an_object_that_is_not_accepted_says_why_and_when_it_came():
    why = "spec.profile: there is no profile 'big'."
    now = not_accepted(make_workspace(status=Status()), why, NOW + seconds(2))
    assert (now.phase, now.reason, now.message) == ("Failed", "NotAccepted", why)
    assert now.history == (
        HistoryEntry(phase="Queued", at=NOW),
        HistoryEntry(phase="Failed", reason="NotAccepted", at=NOW + seconds(2)),
    )
    again = not_accepted(make_workspace(status=now), "x" * 5000, NOW + seconds(3))
    assert again.history == now.history
    assert len(again.message) == 1000


def test_reports_can_be_compared():
    assert told() == told()
    assert told() != told(seen=saw(STARTING))


def test_an_observation_knows_its_parts():
    seen = saw(notebook(), worker(1, ready=False), worker(2, terminating=True))
    assert [instance.name for instance in seen.of("dask-worker")] == ["dask-worker-1", "dask-worker-2"]
    assert seen.ready("notebook")
    assert not seen.ready("dask-worker"), "one that ends is not ready"
    assert not Observed().ready("notebook")


def test_who_waits_in_line_is_told_of_their_place():
    place = QueuePlace(position=3, eta=NOW, message="All places are taken.")
    later = NOW + seconds(600)
    told = waiting(make_workspace(), place, later)
    assert (told.phase, told.reason, told.message, told.queue) == ("Queued", "", place.message, place)
    assert told.url == "/cluster-abc123/"
    assert told.history == (HistoryEntry(phase="Queued", at=NOW),), "from the click on"
    again = waiting(make_workspace(status=told), QueuePlace(position=2), later + seconds(60))
    assert (again.history, again.queue.position, again.message) == (told.history, 2, "")
    begins = status(make_workspace(status=told), saw(STARTING), {}, later)
    assert (begins.phase, begins.queue) == ("Starting", None)
