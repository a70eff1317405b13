"""What a worker runs before it is ended, against a scheduler that says what the test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from podium_workspace import leave

ME = "dask-worker-3"
TOKEN = "t" * 40


def worker(name: str = ME, *, draining: bool = False, drained: bool = False) -> dict[str, Any]:
    """A worker as its scheduler knows it."""
    return {"instance": name, "busy": True, "draining": draining, "drained": drained}


class Scheduler(ThreadingHTTPServer):
    """Answers each question for the state with the next in a list, for ever with the last.

    Args:
        answers: workers; or a status; or None for a connection that ends without an answer.
    """

    def __init__(self, *answers: list[dict[str, Any]] | int | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.heard: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Scheduler

    def do_GET(self) -> None:
        """The state."""
        self.note("")
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, list):
            number = len(self.server.heard)
            self.answer(200, json.dumps({"version": f"v{number}", "busy": True, "workers": answer}).encode())
        elif answer is not None:
            self.answer(answer, b"no")

    def do_POST(self) -> None:
        """A drain."""
        self.note(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(202, b"")

    def note(self, body: str) -> None:
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        self.server.heard.append(f"{self.command} {self.path} {body}".strip())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave, "PAUSE", 0.0)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Run the program against a scheduler; gives its exit code, and all that it says."""
    started: list[Scheduler] = []

    def run(scheduler: Scheduler, seconds: float = 60) -> tuple[int, str]:
        started.append(scheduler)
        threading.Thread(target=scheduler.serve_forever, args=(0.01,)).start()
        token = tmp_path / "token"
        token.write_text(TOKEN + "\n")
        address = f"http://127.0.0.1:{scheduler.server_port}/prefix"
        code = leave.main(
            [
                *("--instance", ME, "--scheduler", address),
                *("--token", str(token), "--seconds", str(seconds)),
            ]
        )
        said = capsys.readouterr()
        return code, said.out + said.err

    yield run
    for scheduler in started:
        scheduler.shutdown()
        scheduler.server_close()


def test_it_asks_to_be_drained_and_waits_for_each_news_until_it_is(run):
    scheduler = Scheduler([worker()], [worker(draining=True)], [worker(draining=True, drained=True)])
    assert run(scheduler) == (0, f"{ME} may end: it is drained\n")
    assert scheduler.heard == [
        "GET /prefix/podium/state?since=",
        f'POST /prefix/podium/drain {{"workers": ["{ME}"]}}',
        "GET /prefix/podium/state?since=v1",
        "GET /prefix/podium/state?since=v3",
    ]


def test_one_that_was_not_taken_is_asked_for_again(run):
    scheduler = Scheduler([worker()], [worker()], [worker(draining=True, drained=True)])
    assert run(scheduler)[0] == 0
    assert [line.partition(" ")[0] for line in scheduler.heard] == ["GET", "POST", "GET", "POST", "GET"]


def test_what_the_hub_drained_already_asks_for_nothing(run):
    scheduler = Scheduler([worker("dask-worker-1"), worker(draining=True, drained=True)])
    assert run(scheduler)[0] == 0
    assert scheduler.heard == ["GET /prefix/podium/state?since="]


def test_one_that_nobody_knows_may_end(run):
    scheduler = Scheduler([worker("dask-worker-1")])
    assert run(scheduler) == (0, f"{ME} may end: the scheduler does not know it\n")


@pytest.mark.parametrize("trouble", [503, None, 401])
def test_a_scheduler_that_gives_no_good_answer_is_asked_again(run, trouble):
    code, said = run(Scheduler(trouble, trouble, [worker(draining=True, drained=True)]))
    assert code == 0
    assert said.count("the scheduler does not answer") == 2


def test_time_is_bounded(run):
    code, said = run(Scheduler([worker(draining=True)]), seconds=0.2)
    assert (code, said) == (1, f"{ME} was not drained within 0 seconds\n")


def test_a_scheduler_that_refuses_connections_is_not_waited_for():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(leave.Away):
            leave.Scheduler(f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN, 0).worker(ME, "")


def test_a_name_that_cannot_be_found_is_away_only_after_a_while(monkeypatch):
    def lookup(*arguments: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    scheduler = leave.Scheduler("http://dask-scheduler:8787", TOKEN, 0)
    with pytest.raises(socket.gaierror):
        scheduler.worker(ME, "")
    monkeypatch.setattr(leave, "AWAY_SECONDS", -1.0)
    with pytest.raises(leave.Away):
        scheduler.worker(ME, "")
