"""Log lines: for people or for programs, with what they are about, and never long."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub import logs, tools
from tests.running import running_hub


def line(formatter: logging.Formatter, message: str = "hello %s", *args: object, **fields: object) -> str:
    """One line, as the handler would write it."""
    exception = fields.pop("exc_info", None)
    record = logging.LogRecord("podium.test", logging.WARNING, "test.py", 1, message, args, exception)
    record.__dict__.update(fields)
    assert logs.about(record)
    return formatter.format(record)


def about(workspace: str, request: str) -> contextvars.Context:
    """What runs within this is about these."""
    context = contextvars.copy_context()
    context.run(logs.WORKSPACE.set, workspace)
    context.run(logs.REQUEST.set, request)
    return context


def failure() -> tuple[object, ...]:
    """An exception that was caught."""
    try:
        raise ValueError("first line\nsecond line")
    except ValueError:
        return sys.exc_info()


class TestJson:
    def test_a_line(self) -> None:
        told = json.loads(line(logs.JsonLines(), "hello %s", "world"))
        at = datetime.fromisoformat(told.pop("time"))
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
        assert told == {"level": "WARNING", "logger": "podium.test", "message": "hello world"}

    def test_what_it_is_about(self) -> None:
        told = json.loads(about("cluster-abc123", "r-1").run(line, logs.JsonLines(), "hello"))
        assert (told["workspace"], told["request"]) == ("cluster-abc123", "r-1")

    def test_who_says_what_it_is_about_is_believed(self) -> None:
        told = json.loads(about("", "r-1").run(line, logs.JsonLines(), "hello", request="r-2"))
        assert told["request"] == "r-2"
        assert "workspace" not in told

    def test_an_exception_is_one_field_of_one_line(self) -> None:
        written = line(logs.JsonLines(), "it failed", exc_info=failure())
        assert "\n" not in written
        told = json.loads(written)
        assert told["message"] == "it failed"
        assert told["exception"].startswith("Traceback")
        assert told["exception"].endswith("ValueError: first line\nsecond line")

    @pytest.mark.parametrize(
        "text", ['a "quote"\n{"level": "ERROR"}', "half a character \ud800", "Grüße \u2028"]
    )
    def test_no_message_breaks_out_of_its_line(self, text: str) -> None:
        written = line(logs.JsonLines(), "%s", text)
        assert written.isascii()
        assert written.isprintable()
        assert json.loads(written)["message"] == text

    def test_further_fields(self) -> None:
        told = json.loads(line(logs.JsonLines(), "hello", status=200, ms=1.5))
        assert (told["status"], told["ms"]) == (200, 1.5)


class TestLength:
    @pytest.mark.parametrize("formatter", [logs.JsonLines(), logs.ConsoleLines(logs.CONSOLE)])
    def test_what_is_sent_makes_no_line_long(self, formatter: logging.Formatter) -> None:
        sent = "x" * 10**6
        written = line(formatter, "%s is what was sent", sent, path=sent)
        assert len(written) < 3 * logs.MOST_LETTERS
        assert "is what was sent" in written, "the end is kept"

    def test_what_is_short_stays_as_it_is(self) -> None:
        text = "x" * logs.MOST_LETTERS
        assert logs.bounded(text) == text


class TestRequestIds:
    @pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
    def test_one_that_can_be_used_is(self, given: str) -> None:
        assert logs.request_id(given) == given

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\n", "a,b", "ä", "<script>", "a/b"])
    def test_another_is_made_else(self, given: str) -> None:
        made = logs.request_id(given)
        assert made != given
        assert logs.REQUEST_ID.fullmatch(made)
        assert logs.request_id(given) != made


PROGRAM = """
import logging, sys
from hub import logs
logs.start(sys.argv[1], sys.argv[2])
logs.WORKSPACE.set("cluster-abc123")
logging.getLogger("podium.test").info("it is said")
logging.getLogger("podium.test").debug("too much")
"""


class TestStart:
    def written(self, *settings: str) -> str:
        """What a program writes to stderr."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *settings], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == ""
        return done.stderr

    def test_for_programs(self) -> None:
        told = json.loads(self.written("INFO", "json"))
        assert (told["message"], told["workspace"]) == ("it is said", "cluster-abc123")

    def test_for_people(self) -> None:
        assert self.written("INFO", "console").rstrip("\n").endswith(" I podium.test: it is said")

    def test_what_is_less_important_is_left_out(self) -> None:
        assert self.written("WARNING", "json") == ""


INSTALLED = tools.workspace_python().exists() and (tools.CHECKOUT / "proxy" / "node_modules").exists()


@pytest.mark.skipif(not INSTALLED, reason="the programs of workspaces are not installed")
def test_a_hub_writes_what_a_program_reads(tmp_path: Path) -> None:
    config = (
        "c = get_config()\n"
        "c.Podium.log_lines, c.Podium.log_level = 'json', 'DEBUG'\n"
        "c.Podium.profiles = {'class': {}}\n"
    )
    with running_hub(tmp_path, config) as hub:
        asked = urllib.request.Request(f"{hub.url}/api/profiles", headers={logs.REQUEST_HEADER: "my-id"})
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(asked, timeout=20)

        def told() -> list[dict[str, object]] | None:
            lines = [json.loads(text) for text in hub.log.read_text().splitlines() if text.startswith("{")]
            return [each for each in lines if each.get("request") == "my-id"] or None

        [access] = hub.wait("the request is logged", told)
    assert (access["logger"], access["path"], access["status"]) == ("podium.access", "/api/profiles", 401)
