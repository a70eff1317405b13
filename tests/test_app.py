"""The program's life on one machine: what it says when it cannot start, and how it starts and ends."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hub import tools
from hub.processes import find
from hub.state import State
from tests.running import RunningHub, free_port, running_hub

CHECKOUT = Path(__file__).parent.parent
CHP = CHECKOUT / "proxy" / "node_modules" / "configurable-http-proxy"
INSTALLED = tools.workspace_python().exists() and CHP.exists()
needs_programs = pytest.mark.skipif(not INSTALLED, reason="the programs of workspaces are not installed")


def start(state: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start a hub that is expected not to come up."""
    inherited = {name: value for name, value in os.environ.items() if name != "PODIUM_API_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "hub", f"--state={state}", *arguments],
        cwd=state.parent,
        env={**inherited, "PYTHONPATH": str(CHECKOUT), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], state: Path) -> str:
    """The plain sentences of a hub that did not start, and of which nothing is left."""
    assert done.returncode not in (0, None)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "Podium is ready" not in said
    left = find(State(state).hub)
    for found in left:
        os.kill(found.pid, signal.SIGKILL)
    assert left == []
    return said


class TestDoesNotStart:
    def test_beside_another_hub_with_the_same_state(self, tmp_path: Path) -> None:
        state = State(tmp_path / "state")
        state.open()
        said = refused(start(state.directory, f"--port={free_port()}"), state.directory)
        assert f"podium: Another podium is running with the state in {state.directory}." in said
        assert "make run PORT=8001" in said

    @needs_programs
    @pytest.mark.parametrize("token", ["", "short", "two words of a token", "grün-0123456789abcdef"])
    def test_with_a_token_that_cannot_be_one(self, tmp_path: Path, token: str) -> None:
        done = start(tmp_path / "state", f"--port={free_port()}", PODIUM_API_TOKEN=token)
        said = refused(done, tmp_path / "state")
        assert "podium: PODIUM_API_TOKEN is not usable as a token.\nGive at least 16 letters" in said
        assert not token or token not in said

    @needs_programs
    def test_at_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            said = refused(start(tmp_path / "state", f"--port={port}"), tmp_path / "state")
        assert f"podium: Port {port} cannot be used" in said
        assert f"PORT={port + 1}" in said

    def test_with_an_object_that_cannot_be_read(self, tmp_path: Path) -> None:
        objects = tmp_path / "state" / "objects"
        objects.mkdir(parents=True)
        (objects / "cluster-abc123.json").write_text("{}")
        said = refused(start(tmp_path / "state", f"--port={free_port()}"), tmp_path / "state")
        assert "cluster-abc123.json cannot be read as a Workspace" in said

    @pytest.mark.parametrize("argument", ["--ip=0.0.0.0", "--prot=1", "--port=x", "--config=none.py"])
    def test_with_settings_that_cannot_be_used(self, tmp_path: Path, argument: str) -> None:
        said = refused(start(tmp_path / "state", argument), tmp_path / "state")
        assert argument.strip("-").partition("=")[0] in said
        assert not (tmp_path / "state").exists()

    def test_where_there_can_be_no_state(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        said = refused(start(tmp_path / "file", f"--port={free_port()}"), tmp_path / "file")
        assert f"podium: The state directory {tmp_path / 'file'} cannot be used" in said
        assert "--state" in said

    @needs_programs
    def test_without_the_programs_of_workspaces(self, tmp_path: Path) -> None:
        missing = {"PODIUM_WORKSPACE_PYTHON": str(tmp_path / "none")}
        said = refused(start(tmp_path / "state", f"--port={free_port()}", **missing), tmp_path / "state")
        assert "make run" in said


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the configuration of the checkout."""
    with running_hub(tmp_path_factory.mktemp("app")) as hub:
        yield hub


@needs_programs
class TestStarts:
    def get(self, hub: RunningHub, path: str, **headers: str) -> http.client.HTTPResponse:
        """Ask at the public address, without following anything."""
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response

    def test_says_where_it_is_and_how_to_get_in(self, hub: RunningHub) -> None:
        said = hub.log.read_text()
        assert f"Podium is ready:  {hub.url}/" in said
        assert re.search(r"the page ask for a code, it is  ([a-z2-7]{4} ){3}[a-z2-7]{4}\n", said)
        assert hub.state.token() not in said

    def test_keeps_its_state_to_itself(self, hub: RunningHub) -> None:
        state = hub.state.directory
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        secret = ["key", "token", "lock"]
        assert {name: stat.S_IMODE((state / name).stat().st_mode) for name in secret} == dict.fromkeys(
            secret, 0o600
        )
        assert stat.S_IMODE((state / "objects").stat().st_mode) == 0o700

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
    def test_knows_the_person_who_started_it(self, hub: RunningHub) -> None:
        """Through the real proxy, and with no password at all."""
        answer = self.get(hub, "/")
        assert answer.status == 200
        assert "podium-session=" in str(answer.headers)

    def test_is_reached_by_no_other_name(self, hub: RunningHub) -> None:
        assert self.get(hub, "/", Host=f"evil.com:{hub.port}").status == 403

    def test_is_on_the_loopback_address_alone(self, hub: RunningHub) -> None:
        assert hub._process
        pids = [hub._process.pid, *(found.pid for found in hub.processes())]
        listening = [
            connection.laddr.ip
            for pid in pids
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(listening) >= 3  # web, the proxy, and the proxy's own API
        assert set(listening) == {"127.0.0.1"}

    def test_a_second_one_is_sent_away_and_the_first_goes_on(self, hub: RunningHub) -> None:
        done = start(hub.state.directory, f"--port={free_port()}")
        assert done.returncode != 0
        assert "Another podium is running" in done.stderr
        assert self.get(hub, "/healthz").status == 200


@needs_programs
def test_ends_everything_that_it_started_and_says_so(tmp_path: Path) -> None:
    with running_hub(tmp_path) as hub:
        (proxy,) = hub.processes()
        assert hub.interrupt() == 0
        assert hub.processes() == []
        assert not Path(f"/proc/{proxy.pid}").exists() or sys.platform != "linux"
        said = hub.log.read_text()
    assert "Stopping …" in said
    assert "Stopped 1 process" in said
    assert "Traceback" not in said
