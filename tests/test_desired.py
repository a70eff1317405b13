"""What should run, and what the notebook is told: from specs alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from hub import notebook
from hub.clusters import CLUSTERS
from hub.clusters.base import NotebookPart, Request
from hub.desired import BEGINNING, context, desired
from hub.notebook import NotebookState
from hub.settings import FRAMEWORKS, Content, Settings
from hub.workload import LEAVE, REFERENCE, Probe, Workload
from tests.builders import HUB_KEY, NAME, NOW, SETTINGS, been, make_workspace

ALL = {"dask": None, "ipyparallel": 1, "spark": 0}


def names(workloads: list[Workload]) -> list[tuple[str, int]]:
    return [(workload.name, workload.replicas) for workload in workloads]


@pytest.mark.parametrize(
    ("clusters", "unavailable", "wanted"),
    [
        ({}, (), [("notebook", 1)]),
        ({"dask": None}, (), [("notebook", 1), ("dask-scheduler", 1), ("dask-worker", 2)]),
        ({"dask": 5}, (), [("notebook", 1), ("dask-scheduler", 1), ("dask-worker", 5)]),
        ({"dask": 0}, (), [("notebook", 1), ("dask-scheduler", 1), ("dask-worker", 0)]),
        ({"dask": 1, "spark": 1}, ("spark",), [("notebook", 1), ("dask-scheduler", 1), ("dask-worker", 1)]),
        (
            {"spark": 0, "ipyparallel": 1, "dask": None},
            (),
            [
                ("notebook", 1),
                *[("dask-scheduler", 1), ("dask-worker", 2)],
                *[("ipyparallel-scheduler", 1), ("ipyparallel-worker", 1)],
                *[("spark-scheduler", 1), ("spark-worker", 0)],
            ],
        ),
    ],
)
def test_what_runs_follows_the_spec(clusters, unavailable, wanted):
    assert names(desired(make_workspace(clusters=clusters), HUB_KEY, unavailable)) == wanted


@pytest.mark.parametrize(
    "workspace",
    [
        make_workspace(deleting=True),
        make_workspace(status=been("Queued", "Starting", "Failed/NotebookCrashed")),
    ],
)
def test_what_is_ending_or_failed_wants_nothing(workspace):
    assert desired(workspace, HUB_KEY) == []


def test_the_same_spec_gives_the_same_workloads():
    one, other = (
        desired(make_workspace(clusters=ALL), HUB_KEY),
        desired(make_workspace(clusters=ALL), HUB_KEY),
    )
    assert one == other


def test_a_second_life_of_a_name_has_other_secrets():
    first = make_workspace()
    second = make_workspace()
    second = type(second)(metadata=type(second.metadata)(name=NAME, uid="2"), spec=second.spec)
    token = [desired(workspace, HUB_KEY)[0].files["notebook/token"] for workspace in (first, second)]
    assert token[0] != token[1]


def test_the_notebook_is_set_up_for_clusters_that_may_be_added_later():
    without, with_all = (desired(make_workspace(clusters=c), HUB_KEY)[0] for c in ({}, ALL))
    assert without == with_all, "adding a cluster needs no restart of the notebook"
    for name in FRAMEWORKS:
        part = CLUSTERS[name].notebook(context(make_workspace(), HUB_KEY))
        assert part.files.items() <= without.files.items()
        assert part.env.items() <= without.env.items()


def test_the_notebook_is_not_set_up_for_what_cannot_be_added():
    no_spark = desired(make_workspace(), HUB_KEY, {"spark"})[0]
    only_dask = desired(make_workspace(settings=Settings(frameworks=("dask",))), HUB_KEY)[0]
    assert not [path for path in no_spark.files if path.startswith("spark/")]
    assert not [path for path in only_dask.files if path.startswith(("spark/", "home/.ipython"))]


def test_every_reference_is_to_something_that_there_is():
    workloads = desired(make_workspace(clusters=ALL), HUB_KEY)
    known = {"home", "scratch", "files", "instance", "host"} | {
        f"{workload.name}.host" for workload in workloads
    }
    known |= {f"{workload.name}.{port}" for workload in workloads for port in workload.ports}
    for workload in workloads:
        texts = [*workload.command, *workload.leave, *workload.env.values(), *workload.files.values()]
        assert {reference for text in texts for reference in REFERENCE.findall(text)} <= known
        assert workload.probe is None or workload.probe.port in workload.ports


def test_all_instances_of_a_workload_can_share_its_files_which_stay_below_their_folder():
    for workload in desired(make_workspace(clusters=ALL), HUB_KEY):
        for path, text in workload.files.items():
            assert not {"instance", "host"} & set(REFERENCE.findall(text)), path
            assert not path.startswith(("/", "~", ".")), path
            assert ".." not in path, path


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_only_workers_ask_to_leave_with_the_token_that_the_hub_has_too(name):
    workloads = {w.name: w for w in desired(make_workspace(clusters={name: 1}), HUB_KEY)}
    worker = workloads.pop(f"{name}-worker")
    assert not any(workload.leave for workload in workloads.values())
    options = dict(pairwise(worker.leave))
    here = context(make_workspace(), HUB_KEY)
    path = options["--token"].removeprefix("@{files}/")
    assert CLUSTERS[name].headers(here.keys) == {"Authorization": f"Bearer {worker.files[path]}"}
    dashboard = CLUSTERS[name].dashboard
    at = f"http://@{{{dashboard.workload}.host}}:@{{{dashboard.workload}.{dashboard.port}}}"
    assert f"{options['--scheduler']}/podium/drain".startswith(at)
    (request,) = CLUSTERS[name].drain_requests(here, ("x",))
    assert f"{options['--scheduler']}/podium/drain" == at + request.path
    assert options["--instance"] == "@{instance}"
    assert 0 < float(options["--seconds"]) <= LEAVE


def test_no_secret_is_in_a_command_or_in_the_environment():
    workspace = make_workspace(clusters=ALL)
    keys = context(workspace, HUB_KEY).keys
    secrets = [keys.token(purpose) for purpose in ("notebook", *FRAMEWORKS)] + [
        keys.curve("ipyparallel").secret
    ]
    for workload in desired(workspace, HUB_KEY):
        visible = " ".join([*workload.command, *workload.leave, *workload.env.values()])
        assert not [secret for secret in secrets if secret in visible]


def test_the_context_is_the_workspaces():
    here = context(make_workspace(), HUB_KEY)
    assert (here.name, here.settings, here.created) == (NAME, SETTINGS, NOW)
    assert context(make_workspace(created=None), HUB_KEY).created == BEGINNING


# The notebook itself.


def test_the_notebook_workload():
    here = context(make_workspace(), HUB_KEY)
    content = (Content(git="https://example.org/a.git", ref="main"),)
    part = NotebookPart(env={"A": "1"}, files={"home/b": "2"})
    workload = notebook.notebook(here, [part], content)
    assert (workload.name, workload.role, workload.cluster, workload.replicas) == (
        "notebook",
        "notebook",
        "",
        1,
    )
    assert workload.env["A"] == "1"
    assert workload.files["home/b"] == "2"
    assert workload.files["notebook/token"] == here.keys.token("notebook")
    assert json.loads(workload.files["notebook/content.json"]) == [
        {"git": "https://example.org/a.git", "ref": "main", "path": ""}
    ]
    assert workload.resources == SETTINGS.resources.notebook
    assert workload.probe == Probe("http", f"/{NAME}/api")


def test_how_the_notebook_is_asked():
    here = context(make_workspace(), HUB_KEY)
    assert notebook.state_request(here, "v7") == Request("GET", f"/{NAME}/podium/state?since=v7")
    assert notebook.headers(here.keys) == {"Authorization": f"Bearer {notebook.token(here.keys)}"}
    assert notebook.base(NAME) == f"/{NAME}/"


def test_what_the_notebook_answers():
    body = (
        b'{"version": "3", "busy": true, "lastActivity": "2026-03-01T12:00:00Z",'
        b' "warnings": ["No such repository."]}'
    )
    assert notebook.read_state(body) == NotebookState(
        busy=True,
        last_activity=datetime(2026, 3, 1, 12, tzinfo=UTC),
        warnings=("No such repository.",),
        version="3",
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"version": 3}', b"\xff"])
def test_what_is_no_answer(body):
    with pytest.raises(ValueError, match=r"."):
        notebook.read_state(body)
