"""What keeps home folders: on the disk of one machine, and a part of its own that fetches them over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import tornado.httpserver
import tornado.netutil
from aiohttp import web

from hub.archives.base import Archives, NoArchives, NotKept
from hub.archives.local import LocalArchives
from hub.archives.remote import RemoteArchives
from hub.archives.service import Shelf, make_application
from hub.ending import Home, Kept
from hub.ground.local import WORKSPACE_CODE
from hub.ports import HOST
from tests.builders import NAME, NOW
from tests.waiting import until

KEY = f"{NAME}-1234abcd"
HOME = Home(NAME, KEY, "ada", NOW + timedelta(days=7))
PACKER = (sys.executable, "-P", "-m", "podium_workspace.archive")
TOKEN = "t" * 40


async def whole(archives: Archives, owner: str = "ada", key: str = KEY) -> bytes | None:
    """An archive, read to its end."""
    async with archives.read(key, owner) as pieces:
        return None if pieces is None else b"".join([piece async for piece in pieces])


# On one machine.


@pytest.fixture
def local(tmp_path: Path) -> LocalArchives:
    """The archives of a hub's state directory."""
    return LocalArchives(tmp_path, PACKER, {"PYTHONPATH": str(WORKSPACE_CODE)})


def moved(state: Path, stamp: str = "20260301T120000") -> Path:
    """A home as the backend moves it away."""
    home = state / "kept" / f"{NAME}-{stamp}"
    home.mkdir(parents=True)
    (home / "work.txt").write_text("a day's work")
    return home


def unpacked(body: bytes | None, path: Path) -> Path:
    """An archive, unpacked."""
    assert body is not None
    (path / "archive.tar.gz").write_bytes(body)
    with tarfile.open(path / "archive.tar.gz") as tar:
        tar.extractall(path / "unpacked", filter="data")
    return path / "unpacked"


async def test_a_home_is_its_owners_and_nobody_elses(local, tmp_path):
    moved(tmp_path)
    assert await local.keep(HOME) == Kept(bytes=12, until=HOME.until)
    assert (unpacked(await whole(local), tmp_path) / "work.txt").read_text() == "a day's work"
    assert await whole(local, "eve") is None
    assert await whole(local, key=f"{NAME}-00000000") is None
    assert (tmp_path / "archives").stat().st_mode & 0o077 == 0


async def test_keeping_it_again_changes_nothing(local, tmp_path):
    moved(tmp_path)
    kept = await local.keep(HOME)
    assert await local.keep(replace(HOME, until=NOW + timedelta(days=30))) == kept
    assert await whole(local) is not None


async def test_where_nobody_worked_there_is_nothing(local):
    assert await local.keep(HOME) == Kept()
    assert await whole(local) is None


async def test_who_is_killed_before_the_home_has_its_place_does_it_again(local, tmp_path):
    home = moved(tmp_path)
    await local.keep(HOME)
    (tmp_path / "archives" / KEY / "home").rename(home)
    assert (await local.keep(HOME)).bytes == 12


async def test_of_two_lives_of_a_name_each_has_its_own(local, tmp_path):
    first = moved(tmp_path)
    (first / "work.txt").write_text("first")
    await local.keep(HOME)
    moved(tmp_path, "20260301T130000")
    await local.keep(replace(HOME, key=f"{NAME}-later"))
    assert (unpacked(await whole(local), tmp_path) / "work.txt").read_text() == "first"


async def test_it_goes_when_its_time_is_over(local, tmp_path):
    moved(tmp_path)
    await local.keep(HOME)
    await local.prune(NOW)
    assert await whole(local) is not None
    assert HOME.until is not None
    await local.prune(HOME.until)
    assert await whole(local) is None
    assert list((tmp_path / "archives").iterdir()) == []


async def test_what_is_not_to_be_kept_goes_at_once(local, tmp_path):
    home = moved(tmp_path)
    assert await local.keep(replace(HOME, until=None)) == Kept()
    assert not home.exists()


async def test_a_download_that_is_left_ends_its_packer(local, tmp_path):
    home = moved(tmp_path)
    (home / "large").write_bytes(os.urandom(8 * 2**20))
    await local.keep(HOME)
    async with local.read(KEY, "ada") as pieces:
        assert pieces is not None
        await anext(pieces)
    async with local.read(KEY, "ada") as pieces:
        assert pieces is not None
        shutil.rmtree(tmp_path / "archives" / KEY)  # as when its time is over just then
        with contextlib.suppress(OSError):
            async for _ in pieces:
                pass


async def test_a_packer_that_fails_gives_no_whole_archive(tmp_path):
    archives = LocalArchives(tmp_path, ("false",), {})
    moved(tmp_path)
    await archives.keep(HOME)
    with pytest.raises(OSError, match="could not be packed"):
        await whole(archives)


async def test_where_nothing_is_kept_nothing_is_there():
    archives = NoArchives()
    assert await archives.keep(HOME) == Kept()
    assert await whole(archives) is None
    await archives.prune(NOW)


# A part of its own.


class Notebook:
    """What a home is fetched from; `send` is what it does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.send: Callable[[web.StreamResponse], Awaitable[None]] = self.little
        self.status = 200
        self.url = ""

    async def little(self, response: web.StreamResponse) -> None:
        """Send something short."""
        await response.write(b"packed")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer `podium/archive`."""
        self.asked.append({**request.query, "Authorization": request.headers["Authorization"]})
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        if self.status == 200:
            await self.send(response)
        return response


class Part:
    """The archive part with a client of it."""

    def __init__(self, directory: Path, session: aiohttp.ClientSession) -> None:
        self.directory = directory
        self.now = NOW
        self.shelf = Shelf(directory, session, 10_000, lambda: self.now)
        self.shelf.open()
        application = make_application(self.shelf, lambda given: given == f"Bearer {TOKEN}")
        self._server = tornado.httpserver.HTTPServer(application)
        sockets = tornado.netutil.bind_sockets(0, HOST)
        self._server.add_sockets(sockets)
        self.address = f"http://{HOST}:{sockets[0].getsockname()[1]}"
        self.client = RemoteArchives(session, self.address, TOKEN)

    async def close(self) -> None:
        """End it."""
        self._server.stop()
        await self._server.close_all_connections()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
async def notebook() -> AsyncIterator[Notebook]:
    notebook = Notebook()
    application = web.Application()
    application.router.add_get("/lab/podium/archive", notebook.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    notebook.url = f"http://{HOST}:{runner.addresses[0][1]}/lab/"
    yield notebook
    await runner.cleanup()


@pytest.fixture
async def part(tmp_path: Path, session: aiohttp.ClientSession) -> AsyncIterator[Part]:
    part = Part(tmp_path / "archives", session)
    yield part
    await part.close()


async def test_a_home_is_fetched_once_and_given_back_to_its_owner(part, notebook):
    kept = await part.client.keep(HOME, notebook.url, "secret")
    assert kept == Kept(bytes=6, until=HOME.until)
    assert await part.client.keep(HOME, notebook.url, "secret") == kept
    assert notebook.asked == [{"limit": "10000", "Authorization": "Bearer secret"}]
    assert await whole(part.client) == b"packed"
    assert await whole(part.client, "eve") is None
    assert await whole(part.client, key=f"{NAME}-00000000") is None


async def test_two_who_ask_at_once_have_it_fetched_once(part, notebook):
    both = await asyncio.gather(*(part.client.keep(HOME, notebook.url, "secret") for _ in range(2)))
    assert both[0] == both[1]
    assert len(notebook.asked) == 1


async def test_a_home_in_which_nobody_worked_is_nothing(part, notebook):
    notebook.status = 204
    assert await part.client.keep(HOME, notebook.url, "secret") == Kept()
    assert list(part.directory.iterdir()) == []


async def test_what_is_not_to_be_kept_is_not_fetched(part, notebook):
    assert await part.client.keep(replace(HOME, until=None), notebook.url, "secret") == Kept()
    assert notebook.asked == []


async def test_half_of_what_a_notebook_sends_is_nothing(part, notebook):
    async def break_off(response: web.StreamResponse) -> None:
        await response.write(b"pack")
        assert response._req.transport is not None
        response._req.transport.abort()

    notebook.send = break_off
    with pytest.raises(NotKept, match="did not send"):
        await part.client.keep(HOME, notebook.url, "secret")
    assert list(part.directory.iterdir()) == []
    notebook.send = notebook.little
    assert (await part.client.keep(HOME, notebook.url, "secret")).bytes == 6


async def test_a_notebook_that_never_stops_sending_is_stopped(part, notebook):
    async def endless(response: web.StreamResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(2**16))

    notebook.send = endless
    with pytest.raises(NotKept, match="more than an archive may hold"):
        await part.client.keep(HOME, notebook.url, "secret")
    assert list(part.directory.iterdir()) == []


async def test_a_notebook_that_refuses_is_told(part, notebook):
    notebook.status = 403
    with pytest.raises(NotKept, match=r"refused .* \(403\)"):
        await part.client.keep(HOME, notebook.url, "secret")


async def test_a_disk_that_takes_nothing_is_told(part, notebook):
    shutil.rmtree(part.directory)
    with pytest.raises(NotKept, match="cannot keep its files: No such file"):
        await part.client.keep(HOME, notebook.url, "secret")


async def test_a_part_that_was_killed_in_the_middle_has_nothing_by_halves(part, notebook, session):
    await part.client.keep(HOME, notebook.url, "secret")
    other = f"{NAME}-11111111"
    (part.directory / f"{other}.part").write_bytes(b"pack")
    (part.directory / f"{other}.tar.gz").write_bytes(b"packed")
    again = Part(part.directory, session)
    assert await whole(again.client, key=other) is None
    assert (await again.client.keep(replace(HOME, key=other), notebook.url, "secret")).bytes == 6
    assert await whole(again.client) == b"packed"
    assert not list(part.directory.glob("*.part"))
    await again.close()


async def test_what_was_kept_long_enough_goes(part, notebook):
    await part.client.keep(HOME, notebook.url, "secret")
    (part.directory / f"{NAME}-11111111.tar.gz").write_bytes(b"nobody's")
    part.shelf.prune()
    assert [path.name for path in part.directory.glob("*.tar.gz")] == [f"{KEY}.tar.gz"]
    assert HOME.until is not None
    part.now = HOME.until
    part.shelf.prune()
    assert list(part.directory.iterdir()) == []
    assert await whole(part.client) is None


async def test_it_is_cleaned_up_from_the_start(part, notebook):
    await part.client.keep(HOME, notebook.url, "secret")
    part.now = datetime.max.replace(tzinfo=NOW.tzinfo)
    cleaning = asyncio.create_task(part.shelf.run())
    await until("it is gone", lambda: not list(part.directory.iterdir()))
    cleaning.cancel()


async def test_only_the_hub_may_ask(part, session):
    for method, query in (("GET", "?owner=ada"), ("PUT", "")):
        for headers in ({}, {"Authorization": "Bearer other"}):
            url = f"{part.address}/archives/{KEY}{query}"
            async with session.request(method, url, headers=headers) as response:
                assert response.status == 401


async def test_what_is_no_order_and_no_key_is_refused(part, session):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with session.put(f"{part.address}/archives/{KEY}", data=b"{}", headers=headers) as response:
        assert response.status == 400
    for key in ("..%2fetc", "x", f"{NAME}-1/..", f"{NAME}-123456789"):
        async with session.put(f"{part.address}/archives/{key}", data=b"{}", headers=headers) as response:
            assert response.status == 404


async def test_a_part_that_is_away_is_told(session, notebook):
    archives = RemoteArchives(session, f"http://{HOST}:9", TOKEN)
    with pytest.raises(NotKept, match="does not answer"):
        await archives.keep(HOME, notebook.url, "secret")
    with pytest.raises(aiohttp.ClientError):
        await whole(archives)
