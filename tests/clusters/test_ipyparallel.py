"""What Podium says of IPyParallel, without any of it running."""

from __future__ import annotations

import json

import pytest

from hub.clusters.base import ClusterState, Context, Request, WorkerState
from hub.clusters.ipyparallel import CLIENT_FILE, IPYPARALLEL
from hub.keys import Keys
from hub.settings import Settings
from hub.workload import Workload, render
from tests.builders import NOW

CONTEXT = Context("cluster-abc123", Settings(), Keys(b"k" * 32, "cluster-abc123/1"), NOW)
SECRET = CONTEXT.keys.curve("ipyparallel").secret


def rendered(workload: Workload) -> Workload:
    """With every port as its number, and 127.0.0.2 as everybody's address."""
    ports = IPYPARALLEL.scheduler(CONTEXT).ports
    known = {"files": "/files", "instance": "ipyparallel-worker-3", "host": "127.0.0.2"}

    def lookup(reference: str) -> str:
        owner, _, name = reference.rpartition(".")
        assert owner in ("", "ipyparallel-scheduler")
        return known.get(name) or str(ports[name])

    return render(workload, lookup)


def files() -> tuple[dict[str, object], dict[str, object]]:
    """The connection files of client and engine, as the controller finds them."""
    scheduler = rendered(IPYPARALLEL.scheduler(CONTEXT))
    client, engine = (scheduler.files[f"ipyparallel/{name}.json"] for name in ("client", "engine"))
    return json.loads(client), json.loads(engine)


def test_client_and_engines_agree_with_the_controller_on_where_it_is_and_who_it_is() -> None:
    client, engine = files()
    for name in ("registration", "interface", "location", "key", "curve_serverkey", "pack", "unpack"):
        assert client[name] == engine[name]
    assert client["interface"] == "tcp://127.0.0.2"
    assert client["curve_serverkey"] == CONTEXT.keys.curve("ipyparallel").public


def test_every_port_is_a_number_of_its_own() -> None:
    client, engine = files()
    names = ("control", "mux", "task", "iopub", "broadcast")
    numbers = [client["registration"], client["notification"], engine["hb_ping"], engine["hb_pong"]]
    numbers += [client[name] for name in names]
    numbers += [engine[name] for name in names[:-1]] + list(engine["broadcast"])  # type: ignore[call-overload]
    assert all(isinstance(number, int) for number in numbers)
    ports = IPYPARALLEL.scheduler(CONTEXT).ports
    assert sorted(numbers) == sorted(set(ports.values()) - {ports["dashboard"]})  # type: ignore[type-var]


def test_a_bare_client_in_the_notebook_finds_the_same_file_that_the_controller_reads() -> None:
    part = IPYPARALLEL.notebook(CONTEXT)
    assert part.files == {CLIENT_FILE: IPYPARALLEL.scheduler(CONTEXT).files["ipyparallel/client.json"]}
    assert CLIENT_FILE == "home/.ipython/profile_default/security/ipcontroller-client.json"


def test_only_the_controller_has_its_secret_key_and_no_command_has_any_secret() -> None:
    scheduler, worker = IPYPARALLEL.scheduler(CONTEXT), IPYPARALLEL.worker(CONTEXT, 2)
    assert SECRET in scheduler.files.values()
    for text in (*worker.files.values(), *IPYPARALLEL.notebook(CONTEXT).files.values()):
        assert SECRET not in text
    token = IPYPARALLEL.headers(CONTEXT.keys)["Authorization"].removeprefix("Bearer ")
    for secret in (SECRET, CONTEXT.keys.curve("ipyparallel").public, token):
        assert secret not in " ".join((*scheduler.command, *worker.command, *worker.leave))


def test_workers_carry_their_names_and_resources() -> None:
    worker = rendered(IPYPARALLEL.worker(CONTEXT, 3))
    assert (worker.name, worker.role, worker.replicas) == ("ipyparallel-worker", "worker", 3)
    assert worker.command[3:7] == ("--instance", "ipyparallel-worker-3", "--host", "127.0.0.2")
    assert worker.resources == CONTEXT.settings.resources.worker


def test_the_state_is_asked_for_by_version_and_read() -> None:
    assert IPYPARALLEL.state_request(CONTEXT, "a-7") == Request("GET", "/podium/state?since=a-7")
    body = (
        b'{"version": "a-8", "busy": true, "workers": ['
        b'{"instance": "ipyparallel-worker-1", "busy": true, "draining": false, "drained": false},'
        b'{"instance": "ipyparallel-worker-2", "busy": false, "draining": true, "drained": true}]}'
    )
    one = WorkerState("ipyparallel-worker-1", busy=True)
    two = WorkerState("ipyparallel-worker-2", draining=True, drained=True)
    assert IPYPARALLEL.read_state(body) == ClusterState((one, two), busy=True, version="a-8")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"version": "1", "workers": [{"busy": true}]}']
)
def test_anything_else_is_no_state(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        IPYPARALLEL.read_state(body)


def test_a_drain_names_the_workers_and_none_is_no_request() -> None:
    assert IPYPARALLEL.drain_requests(CONTEXT, ()) == ()
    (request,) = IPYPARALLEL.drain_requests(CONTEXT, ("ipyparallel-worker-2",))
    assert request == Request("POST", "/podium/drain", json={"workers": ["ipyparallel-worker-2"]})
