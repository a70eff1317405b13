"""What the notebook's description says, without running it; `tests/workspace/test_notebook.py` runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from hub import notebook
from hub.clusters.base import Context, NotebookPart, Request
from hub.keys import Keys
from hub.notebook import NotebookState
from hub.settings import Content, Resources, RoleResources, Settings
from hub.workload import render

HERE = Context(
    name="cluster-abc123",
    settings=Settings(resources=RoleResources(notebook=Resources(cpu=3, memory="7Gi"))),
    keys=Keys(b"k" * 32, "cluster-abc123/1"),
    created=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_it_listens_where_it_is_told() -> None:
    made = render(notebook.notebook(HERE, [], ()), lambda reference: f"<{reference}>")
    assert (made.name, made.role, made.cluster, made.replicas) == ("notebook", "notebook", "", 1)
    for option, value in (
        ("--name", "cluster-abc123"),
        ("--home", "<home>"),
        ("--files", "<files>"),
        ("--host", "<host>"),
        ("--port", "<notebook.http>"),
    ):
        assert made.command[made.command.index(option) + 1] == value
    assert made.ports == {"http": 8888}
    assert made.resources == Resources(cpu=3, memory="7Gi")


def test_it_is_ready_when_its_own_api_answers_which_needs_no_credentials() -> None:
    probe = notebook.notebook(HERE, [], ()).probe
    assert probe is not None
    assert (probe.port, probe.path) == ("http", "/cluster-abc123/api")


def test_it_holds_what_every_framework_puts_into_it() -> None:
    parts = [
        NotebookPart(env={"A": "1"}, files={"a": "one"}),
        NotebookPart(env={"B": "@{host}"}, files={"home/b": "two"}),
    ]
    made = notebook.notebook(HERE, parts, ())
    assert made.env == {"A": "1", "B": "@{host}"}
    assert made.files["a"] == "one"
    assert made.files["home/b"] == "two"


def test_its_secret_is_in_a_file_and_nowhere_else() -> None:
    made = notebook.notebook(HERE, [], ())
    secret = notebook.token(HERE.keys)
    assert [path for path, text in made.files.items() if secret in text] == ["notebook/token"]
    assert not any(secret in shown for shown in (*made.command, *made.env.values()))
    assert notebook.headers(HERE.keys) == {"Authorization": f"Bearer {secret}"}


def test_content_is_passed_on_whole_and_in_order() -> None:
    content = (
        Content(git="https://example.org/course.git", ref="main", path="tutorial"),
        Content(git="https://example.org/data"),
    )
    written = json.loads(notebook.notebook(HERE, [], content).files["notebook/content.json"])
    assert written == [
        {"git": "https://example.org/course.git", "ref": "main", "path": "tutorial"},
        {"git": "https://example.org/data", "ref": "", "path": ""},
    ]


def test_jupyterlab_is_told_to_ask_for_no_news_and_no_updates() -> None:
    settings = json.loads(notebook.notebook(HERE, [], ()).files["lab/overrides.json"])
    assert settings["@jupyterlab/apputils-extension:notification"] == {
        "checkForUpdates": False,
        "fetchNews": "false",
    }


def test_the_state_is_asked_for_with_the_version_that_is_known() -> None:
    assert notebook.state_request(HERE, "b2-3") == Request("GET", "/cluster-abc123/podium/state?since=b2-3")


def test_the_state_is_read_as_the_notebook_writes_it() -> None:
    body = json.dumps(
        {
            "version": "b2-4",
            "busy": True,
            "lastActivity": "2026-03-01T12:00:00.250000+00:00",
            "warnings": ["Course material from x could not be fetched: no."],
        }
    ).encode()
    assert notebook.read_state(body) == NotebookState(
        busy=True,
        last_activity=datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(milliseconds=250),
        warnings=("Course material from x could not be fetched: no.",),
        version="b2-4",
    )


def test_a_notebook_in_which_nothing_happened_yet_has_no_last_activity() -> None:
    body = b'{"version": "b2-0", "busy": false, "lastActivity": null, "warnings": []}'
    assert notebook.read_state(body) == NotebookState(version="b2-0")


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"version": "1", "busy": "no"}'])
def test_what_is_no_state_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - only the type is promised
        notebook.read_state(body)
