"""Course material: what goes where, and that nothing of it can keep a notebook waiting."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
from podium_workspace import content

from tests.workspace.conftest import Site


def folders(*addresses: str) -> list[str]:
    """The folders that repositories get."""
    return [item.folder for item in content.items(json.dumps([{"git": git} for git in addresses]))]


@pytest.mark.parametrize(
    ("git", "folder"),
    [
        ("https://example.org/people/course.git", "course"),
        ("https://example.org/people/course/", "course"),
        ("https://example.org/course?x=y#z", "course"),
        ("ssh://git@example.org:22/a/b.c-d_e", "b.c-d_e"),
        ("https://example.org", "content"),
        ("https://example.org/", "content"),
        ("https://example.org/.git", "content"),
        ("https://example.org/..", "content"),
        ("https://example.org/-rf", "content"),
        ("https://example.org/.ssh", "content"),
        ("https://example.org/a%2F..%2Fb", "content"),
    ],
)
def test_a_repositorys_folder_is_named_after_it_and_never_leads_elsewhere(git: str, folder: str) -> None:
    assert folders(git) == [folder]


def test_two_repositories_of_one_name_have_folders_of_their_own() -> None:
    assert folders("https://a.example/x", "https://b.example/x", "https://c.example/x") == ["x", "x-2", "x-3"]


def test_one_repository_named_twice_is_one_folder() -> None:
    assert folders("https://a.example/x", "https://a.example/x") == ["x", "x"]


def test_the_first_path_that_is_there_is_where_jupyterlab_opens(tmp_path: Path) -> None:
    entries = [
        {"git": "https://a.example/one", "path": "missing"},
        {"git": "https://a.example/two", "path": "week 1/"},
        {"git": "https://a.example/three", "path": "x"},
    ]
    items = content.items(json.dumps(entries))
    assert content.landing(items, tmp_path) == "/lab"
    (tmp_path / "two" / "week 1").mkdir(parents=True)
    assert content.landing(items, tmp_path) == "/lab/tree/two/week%201"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "fatal: repository 'https://a.example/x/' not found\n",
            "repository 'https://a.example/x/' not found.",
        ),
        (
            "fatal: could not read Username for 'https://a.example': terminal prompts disabled",
            "it does not exist, or is not public.",
        ),
        ("git@a: Permission denied (publickey).\nfatal: No.", "it does not exist, or is not public."),
        (
            "fatal: unable to access 'https://me:secret@a.example/': no",
            "unable to access 'https://a.example/': no.",
        ),
        ("", "git gave no reason."),
        ("x" * 1000, "x" * 300 + "."),
    ],
)
def test_what_git_said_is_told_in_a_sentence_without_passwords(said: str, sentence: str) -> None:
    assert content.plain(said) == sentence


def test_an_address_is_shown_without_its_password() -> None:
    assert content.shown("https://me:secret@a.example/x") == "https://a.example/x"


@pytest.mark.slow
async def test_a_repository_that_never_answers_is_given_up_with_all_that_git_started(site: Site) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    entries = [{"git": f"git://127.0.0.1:{port}/a/course"}, {"git": f"git://127.0.0.1:{port}/b/other"}]
    inside = site.inside()
    said = await inside.run(
        "import pathlib; from podium_workspace import content\n"
        "content.LIMIT = 3.0\n"
        f"items = content.items({json.dumps(json.dumps(entries))})\n"
        "content.Fetching(items, pathlib.Path.cwd()).warnings()"
    )
    assert said == [
        f"Course material from git://127.0.0.1:{port}/{path} was not fetched within 3 seconds."
        for path in ("a/course", "b/other")
    ]
    assert not (site.home / "course").exists()
    running = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in running if f"127.0.0.1:{port}" in line]
    server.close()
    await server.wait_closed()
