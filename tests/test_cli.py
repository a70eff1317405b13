"""The commands of `podium` against a real web tier, with a controller that does as the test says."""

from __future__ import annotations

import html
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from hub.cli import cli
from hub.model import ClusterStatus
from hub.ports import HOST
from hub.state import State
from hub.web.auth import derive
from tests.waiting import until
from tests.web.serving import MINE, Elsewhere, Web, serving_elsewhere

Story = Callable[[Web, str], Coroutine[Any, Any, None]]
"""What the controller does about a workspace."""


@dataclass
class Podium:
    """`podium` on a machine where a hub runs."""

    hub: Elsewhere
    state: State
    env: dict[str, str | None]

    def __call__(self, *arguments: str, **env: str | None) -> Result:
        """Run a command that leads to this hub by its environment."""
        return CliRunner(env=self.env | env).invoke(cli, arguments, prog_name="podium")

    def add(self, name: str = MINE, **fields: Any) -> None:
        """A workspace that is there already."""
        self.hub.run(self.hub.web.add(name, **fields))

    def get(self, name: str = MINE) -> Any:
        """A workspace as the API shows it."""
        answer = self.hub.run(self.hub.web.ask("GET", f"/api/workspaces/{name}", headers=self.token))
        return answer.json

    @property
    def token(self) -> dict[str, str]:
        """The header that lets one in."""
        return {"Authorization": f"Bearer {self.state.token()}"}

    def with_controller(self, story: Story, *arguments: str) -> Result:
        """Run a command while the controller does its part on the workspace that comes up, or is there."""

        async def control() -> None:
            web = self.hub.web
            (workspace,) = await until("there is a workspace", web.everything)
            await story(web, workspace.name)

        with self.hub.beside(control()):
            return self(*arguments)


@pytest.fixture
def podium(tmp_path: Path) -> Iterator[Podium]:
    """A machine with one hub, of which only its port is known."""
    state = State(tmp_path / "state")
    state.directory.mkdir()
    secrets = {"token": state.token(), "code": derive(state.key(), "sign-in")[:16], "hub_key": state.key()}
    with serving_elsewhere(tmp_path, **secrets) as hub:
        # Where `--port` looks for it.
        (tmp_path / "podium").mkdir()
        (tmp_path / "podium" / str(hub.web.port)).symlink_to(state.directory)
        env = {name: None for name in ("PODIUM_URL", "PODIUM_API_TOKEN", "_PODIUM_COMPLETE")}
        yield Podium(hub, state, {**env, "PORT": str(hub.web.port), "XDG_DATA_HOME": str(tmp_path)})


def said(result: Result, code: int = 0) -> str:
    """What was printed, after a look at the exit code; a traceback is none that people should see."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def complaint(result: Result, code: int) -> str:
    """What was said of why it did not work, in a line or two."""
    assert said(result, code) == ""
    assert len(result.stderr.splitlines()) <= 4
    return result.stderr


async def becomes_ready(web: Web, name: str) -> None:
    """Each step is told before the next one comes."""
    for message in ("Making folders and keys.", "Starting the notebook.", "Starting the notebook."):
        await web.heard()
        await web.report(name, phase="Starting", message=message)
    await web.heard()
    await web.report(name, phase="Ready", message="")


async def fails(web: Web, name: str) -> None:
    await web.heard()
    await web.report(name, phase="Failed", message="The notebook ended.", log=("one", "two: no memory"))


class TestLaunch:
    def test_says_each_step_once(self, podium: Podium) -> None:
        result = podium.with_controller(becomes_ready, "launch")
        (workspace,) = podium.hub.run(podium.hub.web.everything())
        assert result.stderr.splitlines() == [
            *("Waiting to be started.", "Making folders and keys.", "Starting the notebook.")
        ]
        address = f"http://127.0.0.1:{podium.hub.web.port}/workspaces/{workspace.name}/open"
        assert said(result) == f"{workspace.name} is ready: {address}\n"
        assert workspace.spec.profile == "workshop"  # the first of the menu

    def test_as_json_prints_the_object_alone(self, podium: Podium) -> None:
        result = podium.with_controller(becomes_ready, "launch", "--profile", "notebook", "--json")
        made = json.loads(said(result))
        assert (made["spec"]["profile"], made["status"]["phase"]) == ("notebook", "Ready")
        assert result.stderr == ""

    def test_without_waiting(self, podium: Podium) -> None:
        text = said(podium("launch", "--no-wait"))
        (workspace,) = podium.hub.run(podium.hub.web.everything())
        assert text == f"{workspace.name} is on its way: {podium.hub.web.url}/workspaces/{workspace.name}\n"

    def test_a_second_time_finds_the_first(self, podium: Podium) -> None:
        first = json.loads(said(podium("launch", "--no-wait", "--json")))
        assert json.loads(said(podium("launch", "--no-wait", "--json"))) == first

    def test_of_what_is_ready_already_says_so_at_once(self, podium: Podium) -> None:
        name = json.loads(said(podium("launch", "--no-wait", "--json")))["metadata"]["name"]
        podium.hub.run(podium.hub.web.report(name, phase="Ready"))
        result = podium("launch")
        assert said(result).startswith(f"{name} is ready")
        assert result.stderr == ""

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_that_fails_says_why_with_the_last_lines(self, podium: Podium, options: list[str]) -> None:
        result = podium.with_controller(fails, "launch", *options)
        assert result.exit_code == 1
        assert result.stderr.endswith("The notebook ended.\none\ntwo: no memory\n")
        assert "is ready" not in result.stdout
        if options:
            assert json.loads(result.stdout)["status"]["phase"] == "Failed"

    def test_that_somebody_stops_meanwhile(self, podium: Podium) -> None:
        async def stopped(web: Web, name: str) -> None:
            await web.heard()
            await web.store.delete(name)
            await web.finish(name)

        result = podium.with_controller(stopped, "launch")
        assert result.exit_code == 4
        assert result.stderr.splitlines()[-1].endswith("was stopped.")

    def test_while_the_hub_goes_away(self, podium: Podium) -> None:
        async def cut(web: Web, name: str) -> None:
            await web.heard()
            await web.cut()

        result = podium.with_controller(cut, "launch")
        assert result.exit_code == 3
        assert "podium: " in result.stderr

    def test_of_what_is_not_on_the_menu(self, podium: Podium) -> None:
        text = complaint(podium("launch", "--profile", "lunch"), 4)
        assert (
            text == "podium: spec.profile: there is no profile 'lunch'.\nChoose one of: workshop, notebook.\n"
        )


class TestList:
    def test_none(self, podium: Podium) -> None:
        assert said(podium("list")).split() == ["NAME", "PROFILE", "PHASE", "WORKERS", "ENDS", "IN"]
        assert json.loads(said(podium("list", "--json"))) == []

    def test_a_line_for_each(self, podium: Podium) -> None:
        ends = {"expires": datetime.now(UTC) + timedelta(hours=2, minutes=5, seconds=1)}
        podium.add(spec=ends)
        podium.add("cluster-other0", phase="Starting", clusters={}, spec={"expires": datetime.now(UTC)})
        clusters = {"dask": ClusterStatus(workers=4, ready=3), "spark": ClusterStatus(workers=1, ready=1)}
        podium.hub.run(podium.hub.web.report(clusters=clusters))
        _, first, second = said(podium("list")).splitlines()
        assert first.split() == [MINE, "workshop", "Ready", "dask=3/4", "spark=1/1", "2", "h", "5", "min"]
        assert second.split() == ["cluster-other0", "workshop", "Starting", "-", "0", "min"]

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        assert json.loads(said(podium("list", "--json"))) == [podium.get()]


class TestScale:
    def test_to_a_number(self, podium: Podium) -> None:
        podium.add()
        assert said(podium("scale", MINE, "dask", "5")) == f"{MINE}: dask is going to 5 workers.\n"
        assert podium.get()["spec"]["clusters"]["dask"] == {"workers": 5}

    def test_adds_what_is_not_there(self, podium: Podium) -> None:
        podium.add(clusters={})
        changed = json.loads(said(podium("scale", MINE, "ipyparallel", "1", "--json")))
        assert changed["spec"]["clusters"] == {"ipyparallel": {"workers": 1}}
        assert podium.get() == changed

    def test_beyond_the_limit(self, podium: Podium) -> None:
        podium.add()
        before = podium.get()
        text = complaint(podium("scale", MINE, "dask", "9"), 4)
        assert text.startswith("podium: spec.clusters.dask.workers: 9 is more than 8.\n")
        assert podium.get() == before

    @pytest.mark.parametrize(
        "arguments",
        [
            *([MINE, "dask"], [MINE], [], [MINE, "dask", "x"], [MINE, "dask", "1001"], [MINE, "dask", "2.5"]),
            *(
                [MINE, "ray", "2"],
                [MINE, "Dask", "2"],
                [MINE, "dask", "2", "3"],
                [MINE, "dask", "2", "--force"],
            ),
        ],
    )
    def test_wrong_usage(self, podium: Podium, arguments: list[str]) -> None:
        podium.add()
        before = podium.get()
        assert "Usage: podium scale" in podium("scale", *arguments).stderr
        said(podium("scale", *arguments), 2)
        assert podium.get() == before

    @pytest.mark.parametrize(
        "name",
        ["cluster-nowhere", "a b", "", "../profiles", "a\nb", "é", "%2e%2e", "x" * 5000, "a?b#c", "\udcff"],
    )
    def test_a_workspace_that_is_not_there(self, podium: Podium, name: str) -> None:
        result = podium("scale", name, "dask", "2")
        assert complaint(result, 4).startswith("podium: There is no ")


class TestExtend:
    def test_the_only_one(self, podium: Podium) -> None:
        podium.add(spec={"expires": datetime.now(UTC) + timedelta(minutes=1)})
        assert said(podium("extend")) == f"{MINE} ends in 8 h 0 min.\n"
        left = datetime.fromisoformat(podium.get()["spec"]["expires"]) - datetime.now(UTC)
        assert timedelta(hours=7, minutes=59) < left <= timedelta(hours=8)

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        assert json.loads(said(podium("extend", MINE, "--json"))) == podium.get()

    def test_which_of_none(self, podium: Podium) -> None:
        assert "There is no workspace. Launch one first." in complaint(podium("extend"), 2)

    def test_which_of_two(self, podium: Podium) -> None:
        podium.add()
        podium.add("cluster-other0")
        text = complaint(podium("extend"), 2)
        assert f"There are 2 workspaces. Name one: {MINE}, cluster-other0" in text

    def test_one_that_is_stopping(self, podium: Podium) -> None:
        podium.add()
        podium.hub.run(podium.hub.web.store.delete(MINE))
        text = complaint(podium("extend", MINE), 4)
        assert text == "podium: The workspace is being stopped.\nLaunch a new one.\n"


async def goes(web: Web, name: str) -> None:
    """What is being stopped goes, once somebody waits for that."""
    await until("it is being stopped", lambda: web.followers)
    await web.finish(name)


class TestStop:
    def test_waits_until_it_is_gone(self, podium: Podium) -> None:
        podium.add()
        assert said(podium.with_controller(goes, "stop", MINE)) == f"{MINE} is gone.\n"
        assert podium.hub.run(podium.hub.web.everything()) == []

    def test_without_waiting(self, podium: Podium) -> None:
        podium.add()
        assert said(podium("stop", "--no-wait")) == f"{MINE} is being stopped.\n"
        assert podium.get()["metadata"]["deletionTimestamp"]

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        stopped = json.loads(said(podium.with_controller(goes, "stop", "--json")))
        assert stopped["metadata"]["deletionTimestamp"]

    def test_what_is_gone_at_once(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the request to stop it and the look at what becomes of it, it has gone already."""
        podium.add()
        delete, web = podium.hub.web.store.delete, podium.hub.web

        async def delete_and_finish(name: str) -> None:
            await delete(name)
            await web.finish(name)

        monkeypatch.setattr(podium.hub.web.store, "delete", delete_and_finish)
        assert said(podium("stop", MINE)) == f"{MINE} is gone.\n"

    def test_what_is_not_there(self, podium: Podium) -> None:
        assert complaint(podium("stop", MINE), 4).startswith(f"podium: There is no workspace {MINE}.\n")

    def test_while_the_hub_goes_away(self, podium: Podium) -> None:
        async def cut(web: Web, name: str) -> None:
            await until("somebody follows", lambda: web.followers)
            await web.cut()

        podium.add()
        text = complaint(podium.with_controller(cut, "stop", MINE), 3)
        assert "is gone" not in text


class TestProfiles:
    def test_as_a_table(self, podium: Podium) -> None:
        head, first, second = said(podium("profiles")).splitlines()
        assert head.split() == ["NAME", "STARTS", "MAY", "RUN", "WORKERS", "DESCRIPTION"]
        assert first.split() == ["workshop", "dask,ipyparallel", "dask,ipyparallel,spark", "0-8"]
        assert second.split() == ["notebook", "-", "dask", "0-4"]

    def test_as_json(self, podium: Podium) -> None:
        items = json.loads(said(podium("profiles", "--json")))
        assert [item["name"] for item in items] == ["workshop", "notebook"]


class TestOpen:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The addresses that a browser was started with."""
        addresses: list[str] = []
        monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
        return addresses

    def form(self, address: str) -> tuple[str, dict[str, str]]:
        """Where the form in the file is posted to, and with what."""
        parts = urlsplit(address)
        assert parts.scheme == "file"
        path = Path(unquote(parts.path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        assert 'method="post"' in text
        action = re.search(r'action="([^"]*)"', text)
        assert action
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
        return html.unescape(action[1]), {name: html.unescape(value) for name, value in fields}

    @pytest.mark.parametrize(("arguments", "leads"), [([], "/"), ([MINE], f"/workspaces/{MINE}/open")])
    def test_signs_in_by_a_form_in_a_file(
        self, podium: Podium, opened: list[str], arguments: list[str], leads: str
    ) -> None:
        podium.add()
        result = podium("open", *arguments)
        assert said(result) == ""
        (address,) = opened
        code = derive(podium.state.key(), "sign-in")[:16]
        assert code not in address + result.output
        action, fields = self.form(address)
        assert action == f"{podium.hub.web.url}/sign-in"
        assert fields == {"code": code, "next": leads}
        # What the browser then does.
        posting = podium.hub.web.ask(
            "POST", urlsplit(action).path, "nobody", headers={"Origin": "null"}, xsrf=None, data=fields
        )
        answer = podium.hub.run(posting)
        assert (answer.status, answer.location) == (303, leads)
        assert answer.cookie("podium-session")

    def test_a_file_that_others_could_read_is_not_written_into(
        self, podium: Podium, opened: list[str]
    ) -> None:
        page = podium.state.directory / "open.html"
        page.write_text("old")
        page.chmod(0o666)
        said(podium("open"))
        self.form(opened[0])

    def test_without_a_browser(self, podium: Podium, opened: list[str]) -> None:
        text = said(podium("open", "--no-browser"))
        assert opened == []
        assert re.fullmatch(r"Open file://\S+open\.html in a browser\.\n", text)

    def test_where_there_is_none(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(webbrowser, "open", lambda address: False)
        assert "Open file://" in said(podium("open"))

    def test_writes_nothing_for_a_name_that_is_hostile(self, podium: Podium, opened: list[str]) -> None:
        name = '"><script>alert(1)</script>'
        podium("open", name)
        for address in opened:
            assert "<script>" not in Path(unquote(urlsplit(address).path)).read_text()


class TestWhichHub:
    def test_by_port(self, podium: Podium) -> None:
        podium.add()
        result = podium("--port", str(podium.hub.web.port), "list", PORT="1")
        assert MINE in said(result)

    def test_by_address_and_token(self, podium: Podium, tmp_path: Path) -> None:
        podium.add()
        token = podium.state.token()
        elsewhere = {"PORT": "1", "XDG_DATA_HOME": str(tmp_path / "none"), "PODIUM_API_TOKEN": token}
        assert MINE in said(podium("list", **elsewhere, PODIUM_URL=podium.hub.web.url))
        assert MINE in said(podium("--url", podium.hub.web.url + "/", "list", **elsewhere))

    def test_by_state_directory(self, podium: Podium, tmp_path: Path) -> None:
        podium.add()
        elsewhere = {"XDG_DATA_HOME": str(tmp_path / "none")}
        assert MINE in said(podium("--state", str(podium.state.directory), "list", **elsewhere))

    def test_a_token_that_is_given_goes_first(self, podium: Podium) -> None:
        text = complaint(podium("list", PODIUM_API_TOKEN="another-token-0123456789"), 4)
        assert text.startswith("podium: Nobody is signed in.")

    def test_no_proxy_for_the_internet_comes_between(self, podium: Podium) -> None:
        proxies = {
            name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy")
        }
        said(podium("list", **proxies, no_proxy=""))

    def test_where_none_has_run(self, podium: Podium, tmp_path: Path) -> None:
        text = complaint(podium("list", XDG_DATA_HOME=str(tmp_path / "none")), 3)
        assert text.startswith("podium: There is no token in ")
        assert "--port" in text

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "http://127.0.0.1:1",
                "127.0.0.1:8000",
                "localhost",
                "ftp://127.0.0.1/",
                "file:///etc/",
                "http://[",
            ),
            *("http://127.0.0.1:x", "http://a b/", "", "http://"),
        ],
    )
    def test_where_none_answers(self, podium: Podium, url: str) -> None:
        for command in (["list"], ["launch"], ["stop", MINE], ["profiles"], ["open"]):
            text = complaint(
                podium("--url", url, *command, PORT="1", XDG_DATA_HOME=None, PODIUM_API_TOKEN="x" * 20), 3
            )
            assert text.startswith("podium: No hub answers at ")

    @pytest.mark.parametrize("token", ["two\nlines-0123456789", "grün-0123456789abc", "\r\nX-Evil: 1"])
    def test_a_token_that_is_none(self, podium: Podium, token: str) -> None:
        result = podium("list", PODIUM_API_TOKEN=token)
        assert said(result, result.exit_code) == ""
        assert result.exit_code in (3, 4)
        assert result.stderr.startswith("podium: ")

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>another program", 3),
            (b"HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>", 4),
            (b"HTTP/1.0 500 Oh\r\n\r\n", 4),
            (b"SSH-2.0-OpenSSH_9.6\r\n", 3),
            (b"", 3),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", 3),
        ],
    )
    def test_another_program_at_the_port(self, podium: Podium, answer: bytes, code: int) -> None:
        class Other(http.server.BaseHTTPRequestHandler):
            def handle(self) -> None:
                self.rfile.readline()
                self.wfile.write(answer)

        with http.server.HTTPServer((HOST, 0), Other) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                result = podium("--url", f"http://{HOST}:{server.server_port}", "profiles")
            finally:
                server.shutdown()
                thread.join()
        assert complaint(result, code).startswith("podium: ")


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_scripts(self, podium: Podium, shell: str) -> None:
        script = said(podium("completion", shell))
        assert "_PODIUM_COMPLETE" in script
        assert f"{shell}_complete" in script
        if program := shutil.which(shell):
            subprocess.run([program, "-n"], input=script, text=True, check=True, capture_output=True)

    def test_of_another_shell(self, podium: Podium) -> None:
        said(podium("completion", "tcsh"), 2)

    def complete(self, podium: Podium, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
        """What a shell would offer for the last word."""
        for name, value in podium.env.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        complete = BashComplete(cli, {}, "podium", "_PODIUM_COMPLETE")
        return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]

    @pytest.mark.parametrize("command", ["stop", "extend", "open", "scale"])
    def test_names(self, podium: Podium, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        podium.add()
        podium.add("cluster-other0")
        assert self.complete(podium, monkeypatch, command, "cluster-m") == [MINE]
        assert self.complete(podium, monkeypatch, command, "") == [MINE, "cluster-other0"]

    def test_names_of_the_hub_that_is_meant(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        podium.add()
        port = str(podium.hub.web.port)
        podium.env["PORT"] = "1"
        assert self.complete(podium, monkeypatch, "stop", "") == []
        assert self.complete(podium, monkeypatch, "--port", port, "stop", "") == [MINE]

    def test_commands_and_frameworks(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.complete(podium, monkeypatch, "la") == ["launch"]
        assert self.complete(podium, monkeypatch, "scale", MINE, "s") == ["spark"]


class TestProgram:
    """The real program, as a process."""

    def run(self, podium: Podium, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in (podium.env | env).items() if value is not None}
        return subprocess.run(
            [sys.executable, "-m", "hub", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), **own},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_a_command(self, podium: Podium) -> None:
        podium.add()
        done = self.run(podium, "list", http_proxy="http://127.0.0.1:1")
        assert (done.returncode, done.stderr) == (0, "")
        assert MINE in done.stdout

    def test_completion_as_a_shell_asks_for_it(self, podium: Podium) -> None:
        podium.add()
        asked = {"_PODIUM_COMPLETE": "bash_complete", "COMP_WORDS": "podium stop cl", "COMP_CWORD": "2"}
        assert self.run(podium, **asked).stdout == f"plain,{MINE}\n"

    def test_what_is_no_command(self, podium: Podium) -> None:
        done = self.run(podium, "lsit", "--port", "1")
        assert done.returncode == 2
        assert "lsit" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_help_names_the_exit_codes(self, podium: Podium) -> None:
        text = said(podium("--help"))
        for word in ("launch", "list", "open", "scale", "extend", "stop", "profiles", "completion"):
            assert word in text
        assert "3 no hub answers" in re.sub(r"\s+", " ", text)

    def test_version(self, podium: Podium) -> None:
        assert re.search(r"\d+\.\d+", said(podium("--version")))
