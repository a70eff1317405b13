"""How one program is kept running, and what is said of it when it does not run."""

from __future__ import annotations

import pytest
from aiohttp import web

from hub.backends import supervisor
from hub.backends.supervisor import answers, last_lines
from hub.ports import HOST
from tests.builders import NAME
from tests.contract.benches import workers
from tests.contract.test_backend import seen, settle
from tests.contract.test_local import script
from tests.waiting import until


async def test_a_program_that_cannot_even_be_started_says_why(local):
    await local.backend.apply(NAME, [workers(1)])
    await settle(local, {"dask-worker-1"})
    (local.site(NAME) / "home").rmdir()
    local.kill(NAME, "dask-worker-1")

    async def told() -> bool:
        return "cannot be started" in (await seen(local))["dask-worker-1"].message

    await until("it is told", told)
    (local.site(NAME) / "home").mkdir()
    await settle(local, {"dask-worker-1"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 3", "ended with exit code 3 "),
        ("kill -9 $$", "ended with SIGKILL "),
        ("kill -50 $$", "ended with "),
    ],
)
async def test_how_a_program_ended_is_said(local, text, words):
    await local.backend.apply(NAME, [script(text, probe=None)])

    async def told() -> str:
        notebook = (await seen(local))["notebook"]
        return notebook.message

    assert words in await until("it is told", told)


async def test_a_program_that_ran_well_is_started_again_soon_and_one_that_does_not_ever_later(
    local, monkeypatch, caplog
):
    def pauses() -> list[float]:
        return [record.args[-1] for record in caplog.records if "starting it again" in record.msg]

    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.06)
    await local.backend.apply(NAME, [script("exit 1")])
    await until("it ended often", lambda: len(pauses()) >= 4)
    assert pauses()[:4] == [0.02, 0.04, 0.06, 0.06]
    monkeypatch.setattr(supervisor, "STEADY", -1.0)
    before = len(pauses())
    await until("it ended again", lambda: len(pauses()) >= before + 2)
    assert pauses()[-1] == 0.01


async def test_a_log_that_grew_too_long_is_emptied_at_the_next_start(local, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 100)
    await local.backend.apply(NAME, [workers(1)])
    before = await settle(local, {"dask-worker-1"})
    log = local.site(NAME) / "logs" / "dask-worker-1.log"
    log.write_text("x" * 101)
    local.kill(NAME, "dask-worker-1")
    await until(
        "it runs again", lambda: local.running(NAME).get("dask-worker-1") not in (None, *before.values())
    )
    assert log.read_text() == ""


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (None, ()),
        (b"", ()),
        (b"one\n\n  \ntwo", ("one", "two")),
        (b"\x1b[31mred\x1b[0m\xff\n", ("[31mred[0m\ufffd",)),
        (b"x" * 1000, ("x" * 400,)),
        (b"".join(b"%d\n" % n for n in range(100)), tuple(str(n) for n in range(80, 100))),
        (b"first\n" + b"y" * 9000 + b"\nlast\n", ("y" * 400, "last")),
    ],
)
def test_the_last_lines_of_a_log(tmp_path, content, lines):
    log = tmp_path / "log"
    if content is not None:
        log.write_bytes(content)
    assert last_lines(log) == lines


@pytest.mark.parametrize(
    ("status", "answer"), [(200, True), (302, True), (404, True), (499, True), (500, False), (503, False)]
)
async def test_an_answer_below_500_is_one(status, answer):
    async def serve(request):
        return web.Response(status=status, headers={"Location": f"http://{HOST}:1/"})

    application = web.Application()
    application.router.add_get("/x", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    assert await answers(f"{site.name}/x") is answer
    assert await answers(site.name.removeprefix("http://")), "a connection alone may do"
    await runner.cleanup()


async def test_no_answer(local):
    port = local.ports.take()
    assert not await answers(f"http://{HOST}:{port}/")
    assert not await answers(f"{HOST}:{port}")
