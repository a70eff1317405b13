"""Event streams: what is now, every change, the end, and how a stream that broke goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.model import Workspace
from hub.room import RoomStatus
from hub.store.base import Event, amend_status
from hub.store.files import FileStore
from hub.web import api
from hub.web.events import News, Notice, Said, Watcher
from hub.wire import replace
from tests.builders import NAME, make_workspace
from tests.memory_store import MemoryRoom
from tests.waiting import PATIENCE, until
from tests.web.serving import MINE, Web

ALIVE = "alive"
NOTHING = Notice("")
SILENCE = Said(None)


@dataclass
class Stream:
    """An event stream as a browser reads it."""

    response: aiohttp.ClientResponse
    retry: str = ""
    notices: list[str] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)

    async def next(self) -> tuple[str, str, Any]:
        """The next event's kind, id and object; notices and what is said to everybody are put aside."""
        block = (await asyncio.wait_for(self.response.content.readuntil(b"\n\n"), PATIENCE)).decode()
        fields = dict(line.split(": ", 1) for line in block.strip("\n").split("\n"))
        if "retry" in fields:
            self.retry = fields["retry"]
            assert (await self.next())[0] == ALIVE
            return await self.next()
        if fields["event"] == "notice":
            self.notices.append(json.loads(fields["data"]))
            return await self.next()
        if fields["event"] == "room":
            self.said.append(json.loads(fields["data"])["message"])
            return await self.next()
        assert set(fields) == {"event", "data"} | (
            {"id"} if fields["event"] in ("workspace", "gone") else set()
        )
        return fields["event"], fields.get("id", ""), json.loads(fields["data"])

    async def ended(self) -> bool:
        """Whether the server ended it, with nothing more to say."""
        return await self.response.content.read() == b""


@asynccontextmanager
async def stream(web: Web, seen: str = "") -> AsyncIterator[Stream]:
    """The event stream of a workspace, from where one left off."""
    headers = {**web.credentials("token"), **({"Last-Event-ID": seen} if seen else {})}
    async with web.browser.get(f"{web.url}/api/workspaces/{MINE}/events", headers=headers) as response:
        assert response.status == 200
        yield Stream(response)


def version(workspace: Workspace) -> str:
    return workspace.metadata.resource_version


class TestStream:
    async def test_begins_with_what_is(self, web: Web) -> None:
        made = await web.add()
        async with stream(web) as events:
            kind, number, value = await events.next()
        assert (kind, number) == ("workspace", version(made))
        assert value == (await web.ask("GET", f"/api/workspaces/{MINE}")).json
        assert events.retry == "1000"

    async def test_tells_of_every_change(self, web: Web) -> None:
        await web.add()
        async with stream(web) as events:
            await events.next()
            for message in ("one", "two", "three"):
                written = await web.report(message=message)
                kind, number, value = await events.next()
                assert (kind, number, value["status"]["message"]) == ("workspace", version(written), message)

    async def test_tells_of_a_change_that_a_person_made(self, web: Web) -> None:
        await web.add()
        async with stream(web) as events:
            await events.next()
            answer = await web.ask("PATCH", f"/api/workspaces/{MINE}", json={"spec": {"workers": 7}})
            assert (await events.next())[2] == answer.json

    async def test_tells_of_the_end_and_ends(self, web: Web) -> None:
        await web.add()
        async with stream(web) as events:
            await events.next()
            await web.ask("DELETE", f"/api/workspaces/{MINE}")
            assert (await events.next())[2]["metadata"]["deletionTimestamp"]
            await web.finish()
            kind, _, value = await events.next()
            assert (kind, value["metadata"]["name"]) == ("gone", MINE)
            assert await events.ended()
        assert web.followers == 0

    async def test_tells_nothing_of_others(self, web: Web) -> None:
        await web.add()
        await web.add("cluster-another")
        async with stream(web) as events:
            await events.next()
            await web.report("cluster-another", message="not for you")
            written = await web.report(message="for you")
            assert (await events.next())[1] == version(written)

    async def test_has_one_line_of_data_whatever_it_holds(self, web: Web) -> None:
        await web.add(message="a\nb\r\nevent: gone\n\ndata: {}\u2028\x85")
        async with stream(web) as events:
            assert (await events.next())[2]["status"]["message"].startswith("a\nb\r\nevent: gone")


class TestResume:
    async def test_what_was_seen_is_not_said_again(self, web: Web) -> None:
        made = await web.add()
        async with stream(web, seen=version(made)) as events:
            written = await web.report(message="news")
            assert (await events.next())[:2] == ("workspace", version(written))

    async def test_what_was_missed_is_said_at_once_and_once(self, web: Web) -> None:
        made = await web.add()
        for message in ("one", "two", "three"):
            missed = await web.report(message=message)
        async with stream(web, seen=version(made)) as events:
            _, number, value = await events.next()
            assert (number, value["status"]["message"]) == (version(missed), "three")
            written = await web.report(message="four")
            assert (await events.next())[1] == version(written)

    async def test_after_the_hub_started_again(self, web: Web, tmp_path: Path) -> None:
        """Versions only grow, so a number from an earlier life is never taken for the present."""
        made = await web.add()
        again = FileStore(tmp_path / "objects")
        present = await again.get(MINE)
        assert present
        assert version(present) == version(made)
        assert int(version(await again.update_status(present))) > int(version(made))

    async def test_the_name_is_another_workspaces_now(self, web: Web) -> None:
        made = await web.add()
        await web.store.delete(MINE)
        await web.finish()
        second = await web.add()
        async with stream(web, seen=version(made)) as events:
            assert (await events.next())[:2] == ("workspace", version(second))

    async def test_of_one_that_is_gone(self, web: Web) -> None:
        answer = await web.ask("GET", f"/api/workspaces/{MINE}/events", headers={"Last-Event-ID": "1"})
        assert answer.status == 404


class TestConnection:
    async def test_says_that_it_is_still_there(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "KEEP_ALIVE", 0.01)
        await web.add()
        async with stream(web) as events:
            assert (await events.next())[0] == "workspace"
            assert (await events.next())[0] == ALIVE
            assert (await events.next())[0] == ALIVE
            written = await web.report(message="news")
            while (event := await events.next())[0] == ALIVE:
                pass
            assert event[1] == version(written)

    async def test_says_so_also_while_the_room_changes_all_the_time(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api, "KEEP_ALIVE", 0.05)
        await web.add()

        async def busy() -> None:
            for queued in itertools.count():
                await amend_status(
                    web.site.room, lambda room, queued=queued: replace(room, status=RoomStatus(queued=queued))
                )
                await asyncio.sleep(0.01)

        async with stream(web) as events:
            changing = asyncio.create_task(busy())
            assert (await events.next())[0] == "workspace"
            assert (await events.next())[0] == ALIVE
            assert (await events.next())[0] == ALIVE
            changing.cancel()

    async def test_a_closed_one_leaves_nobody_behind(self, web: Web) -> None:
        await web.add()
        async with stream(web) as first, stream(web) as second:
            await first.next()
            await second.next()
            assert web.followers == 2
        await until("nobody follows", lambda: web.followers == 0)

    async def test_one_that_is_cut_leaves_nobody_behind(self, web: Web) -> None:
        await web.add()
        async with stream(web) as kept:
            await kept.next()
            async with stream(web) as cut:
                await cut.next()
                assert cut.response.connection
                assert cut.response.connection.transport
                cut.response.connection.transport.abort()
                await until("one follows", lambda: web.followers == 1)
            written = await web.report(message="still told")
            assert (await kept.next())[1] == version(written)

    async def test_many(self, web: Web) -> None:
        await web.add()

        async def follow(told: asyncio.Event) -> str:
            async with stream(web) as events:
                await events.next()
                told.set()
                return (await events.next())[1]

        began = [asyncio.Event() for _ in range(30)]
        tasks = [asyncio.create_task(follow(event)) for event in began]
        await asyncio.gather(*(event.wait() for event in began))
        written = await web.report(message="to all")
        assert await asyncio.gather(*tasks) == [version(written)] * 30
        await until("nobody follows", lambda: web.followers == 0)

    async def test_a_slow_one_gets_the_newest(self, web: Web) -> None:
        """A browser that reads nothing for a while misses what was in between, and costs no memory for it."""
        await web.add()
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port, limit=2**24)
        head = f"Host: localhost\r\nAuthorization: {web.credentials('token')['Authorization']}\r\n"
        writer.write(f"GET /api/workspaces/{MINE}/events HTTP/1.1\r\n{head}\r\n".encode())
        await reader.readuntil(b"event: workspace\n")
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        big = "x" * 1_000_000
        for number in range(40):
            written = await web.report(message=f"{number} {big}")
            await until("the watcher knows", web.told)
        transport.resume_reading()
        newest = f"id: {version(written)}\n".encode()
        told = 0
        while True:
            line = await asyncio.wait_for(reader.readline(), PATIENCE)
            told += line.startswith(b"id: ")
            if line == newest:
                break
        assert told < 40
        writer.close()


class TestWatcher:
    """The same without HTTP, where every step can be told apart."""

    @pytest.fixture
    async def watcher(self, tmp_path: Path) -> AsyncIterator[Watcher]:
        watcher = Watcher(FileStore(tmp_path), MemoryRoom())
        running = asyncio.create_task(watcher.run())
        yield watcher
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def write(self, watcher: Watcher, *messages: str) -> Workspace:
        """Write each message into the workspace, and let none of them be missed."""
        store = watcher._store
        present = await store.get(NAME) or await store.create(make_workspace())
        for message in messages:
            present = await store.update_status(
                Workspace(
                    metadata=present.metadata, spec=present.spec, status=type(present.status)(message=message)
                )
            )
        return present

    async def told(self, watcher: Watcher, written: Workspace) -> None:
        """Wait until the watcher has seen what was written."""
        await until(
            "the watcher knows",
            lambda: NAME in watcher.workspaces and version(watcher.workspaces[NAME]) == version(written),
        )

    async def test_the_newest_is_kept_for_who_is_slow(self, watcher: Watcher) -> None:
        await self.write(watcher, "first")
        async with aclosing(watcher.follow(NAME, "", PATIENCE)) as news:
            assert message(await anext(news)) == "first"
            assert await anext(news) == NOTHING
            assert await anext(news) == SILENCE
            for each in ("second", "third", "fourth"):
                await self.told(watcher, await self.write(watcher, each))
            assert message(await anext(news)) == "fourth"
            await self.write(watcher, "fifth")
            assert message(await anext(news)) == "fifth"

    async def test_what_was_just_written_is_not_told_twice(self, watcher: Watcher) -> None:
        await self.told(watcher, await self.write(watcher, "first"))
        written = await self.write(watcher, "second")  # which the watcher has yet to hear of
        async with aclosing(watcher.follow(NAME, "", 0.05)) as news:
            assert message(await anext(news)) == "second"
            assert await anext(news) == NOTHING
            assert await anext(news) == SILENCE
            await self.told(watcher, written)
            assert await anext(news) is None

    async def test_nor_is_what_the_browser_has_seen(self, watcher: Watcher) -> None:
        await self.told(watcher, await self.write(watcher, "first"))
        written = await self.write(watcher, "second")
        async with aclosing(watcher.follow(NAME, version(written), 0.05)) as news:
            assert await anext(news) == NOTHING
            assert await anext(news) == SILENCE
            assert await anext(news) is None
            await self.told(watcher, written)
            assert await anext(news) is None

    async def test_the_end_is_told_to_who_came_too_late(self, watcher: Watcher) -> None:
        """It was there when the handler looked and is gone when the stream begins; nobody waits for ever."""
        async with aclosing(watcher.follow(NAME, "", 0.05)) as news:
            assert await first(news) in (None, "gone")

    async def test_a_follower_that_leaves_is_forgotten(self, watcher: Watcher) -> None:
        await self.write(watcher, "first")
        async with aclosing(watcher.follow(NAME, "", PATIENCE)) as news:
            await anext(news)
            assert set(watcher._followers) == {NAME}
        assert watcher._followers == {}


async def first(news: AsyncGenerator[News]) -> str | None:
    """What a stream begins with: a kind, or None when it is over at once; a stream that only waits fails."""
    async for event in news:
        assert isinstance(event, Event)
        return "gone" if event.gone else "workspace"
    return None


def message(event: News) -> str:
    assert isinstance(event, Event)
    return event.workspace.status.message
