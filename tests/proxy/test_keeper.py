"""One proxy is kept equal to what the workspaces want, against the real configurable-http-proxy."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from proxy import replica
from proxy.keeper import RouteKeeper
from proxy.routes import DEFAULT, SENTINEL
from tests.proxy.keeping import FIXED, WEB, A, B, C, Keeping, Recorder, equal, keeping, table
from tests.proxy.real import TOKEN
from tests.waiting import PATIENCE as SOON
from tests.waiting import until

MOVED = {"/cluster-aaaaaa": "http://127.0.0.1:3"}


@pytest.fixture
async def kept(client, shared_proxy, session):
    """A keeper of the shared proxy, which is empty."""
    async with keeping(session, shared_proxy) as kept:
        yield kept


# What is wanted.


async def test_every_workspace_has_its_routes_and_they_follow_it(kept, shared_proxy, session):
    keeper = kept.keeper
    keeper.tried()
    await keeper.put("cluster-aaaaaa", A)
    await keeper.put("cluster-bbbbbb", B)
    await equal(session, shared_proxy, {**FIXED, **A, **B})
    await keeper.put("cluster-aaaaaa", MOVED)
    await equal(session, shared_proxy, {**FIXED, **B, **MOVED})
    await keeper.put("cluster-aaaaaa", {})
    await equal(session, shared_proxy, {**FIXED, **B})
    await keeper.put("cluster-aaaaaa", {})
    assert keeper.wanted == {**FIXED, **B}
    await until("it is known", lambda: keeper.present == {shared_proxy.api: 3})


async def test_a_put_is_done_when_it_returns(kept, shared_proxy, session):
    await kept.keeper.put("cluster-aaaaaa", A)
    assert await table(session, shared_proxy) == {DEFAULT: WEB, **A}
    await kept.keeper.put("cluster-aaaaaa", MOVED)
    assert await table(session, shared_proxy) == {DEFAULT: WEB, **MOVED}
    await kept.keeper.put("cluster-aaaaaa", {})
    assert await table(session, shared_proxy) == {DEFAULT: WEB}


async def test_the_sentinel_waits_until_every_workspace_had_its_turn_and_comes_last(
    client, shared_proxy, session, monkeypatch
):
    monkeypatch.setattr(replica, "CHECK_SECONDS", 3600)
    async with keeping(session, shared_proxy) as kept:
        recorder = kept.clients[shared_proxy.api]
        await kept.keeper.put("cluster-aaaaaa", A)
        assert SENTINEL not in kept.keeper.wanted
        may = recorder.held["/cluster-bbbbbb"] = asyncio.Event()
        put = asyncio.create_task(kept.keeper.put("cluster-bbbbbb", B))
        await until("it is on its way", lambda: recorder.holding)
        kept.keeper.tried()
        assert SENTINEL in kept.keeper.wanted
        assert await table(session, shared_proxy) == {DEFAULT: WEB, **A}
        may.set()
        await put
        await equal(session, shared_proxy, {**FIXED, **A, **B})
        assert recorder.changes[-2:] == [("add", "/cluster-bbbbbb"), ("add", SENTINEL)]


async def test_the_sentinel_comes_as_soon_as_it_may(client, shared_proxy, session, monkeypatch):
    monkeypatch.setattr(replica, "CHECK_SECONDS", 3600)
    async with keeping(session, shared_proxy) as kept:
        await kept.keeper.put("cluster-aaaaaa", A)
        kept.keeper.tried()
        await equal(session, shared_proxy, {**FIXED, **A})


async def test_what_is_right_is_never_put_again(client, shared_proxy, session):
    for path, target in {**FIXED, **A, **B}.items():
        await client.add(path, target)
    # A hub that starts again knows nothing and finds a full proxy.
    async with keeping(session, shared_proxy) as kept:
        await kept.keeper.put("cluster-aaaaaa", A)
        await kept.keeper.put("cluster-bbbbbb", {"/cluster-bbbbbb": "http://127.0.0.1:4"})
        await kept.keeper.put("cluster-bbbbbb", {"/cluster-bbbbbb": "http://127.0.0.1:4"})
        kept.keeper.tried()
        kept.keeper.complete()
        await equal(session, shared_proxy, {**FIXED, **A, "/cluster-bbbbbb": "http://127.0.0.1:4"})
    assert kept.changes(shared_proxy) == [("add", "/cluster-bbbbbb")]


async def test_what_nobody_spoke_of_stays_until_every_workspace_did(client, shared_proxy, session):
    stale = {"/cluster-dddddd": "http://127.0.0.1:7"}
    for path, target in {**FIXED, **A, **stale}.items():
        await client.add(path, target)
    async with keeping(session, shared_proxy) as kept:
        await kept.keeper.put("cluster-bbbbbb", B)
        kept.keeper.tried()
        await kept.keeper.put("cluster-bbbbbb", {})
        assert await table(session, shared_proxy) == {**FIXED, **A, **stale}
        await kept.keeper.put("cluster-aaaaaa", A)
        kept.keeper.complete()
        await equal(session, shared_proxy, {**FIXED, **A})
    assert ("add", SENTINEL) not in kept.changes(shared_proxy)


@pytest.mark.parametrize("asked", ["has", "routes"])
async def test_who_wants_a_look_gets_one_even_while_the_proxy_is_asked(
    client, shared_proxy, session, monkeypatch, asked
):
    monkeypatch.setattr(replica, "CHECK_SECONDS", 0.1)
    async with keeping(session, shared_proxy) as kept:
        kept.keeper.tried()
        await kept.keeper.put("cluster-aaaaaa", A)
        await equal(session, shared_proxy, {**FIXED, **A})
        recorder = kept.clients[shared_proxy.api]
        may = asyncio.Event()
        ask, answered = getattr(recorder, asked), []

        async def hold(*arguments: str) -> object:
            answer = await ask(*arguments)
            answered.append(answer)
            await may.wait()
            return answer

        monkeypatch.setattr(recorder, asked, hold)
        if asked == "routes":
            kept.keeper.restarted()
        await until("it has answered", lambda: answered)
        await client.add("/cluster-dddddd", "http://127.0.0.1:7")
        kept.keeper.complete()
        may.set()
        await equal(session, shared_proxy, {**FIXED, **A})


async def test_whoever_begins_again_takes_nothing_away_and_wants_nothing(kept, shared_proxy, session):
    keeper = kept.keeper
    for name, wanted in (("cluster-aaaaaa", A), ("cluster-bbbbbb", B)):
        await keeper.put(name, wanted)
    keeper.tried()
    keeper.complete()
    await equal(session, shared_proxy, {**FIXED, **A, **B})
    # Another one acted meanwhile, and the workspace of B is over.
    keeper.begin()
    await keeper.put("cluster-aaaaaa", A)
    await keeper.put("cluster-cccccc", C)
    assert await table(session, shared_proxy) == {**FIXED, **A, **B, **C}
    keeper.tried()
    keeper.complete()
    await equal(session, shared_proxy, {**FIXED, **A, **C})


# What may happen to a proxy.


async def test_one_that_lost_everything_gets_it_back(own_proxy, session):
    async with keeping(session, own_proxy) as kept:
        kept.keeper.tried()
        await kept.keeper.put("cluster-aaaaaa", A)
        await kept.keeper.put("cluster-bbbbbb", B)
        own_proxy.kill()
        await kept.keeper.put("cluster-bbbbbb", {})  # said while it is away
        await kept.keeper.put("cluster-cccccc", C)
        await until("it is known to be away", lambda: kept.keeper.present == {own_proxy.api: 0})
        await asyncio.to_thread(own_proxy.start)
        await equal(session, own_proxy, {**FIXED, **A, **C})
        assert kept.changes(own_proxy)[-1] == ("add", SENTINEL)


async def test_nobody_waits_for_one_that_is_away_and_its_absence_is_told_once(own_proxy, session, caplog):
    caplog.set_level("INFO", "podium.proxy")
    async with keeping(session, own_proxy) as kept:
        await kept.keeper.put("cluster-aaaaaa", A)
        own_proxy.kill()
        async with asyncio.timeout(SOON):
            await kept.keeper.put("cluster-bbbbbb", B)
            await kept.keeper.put("cluster-cccccc", C)
        await asyncio.to_thread(own_proxy.start)
        await equal(session, own_proxy, {DEFAULT: WEB, **A, **B, **C})
        await until("it is told", lambda: len(caplog.records) > 1)
    gone, back = [record.message for record in caplog.records]
    assert gone.startswith(f"the proxy at {own_proxy.api} does not answer")
    assert back == f"the proxy at {own_proxy.api} has its 4 routes"


async def test_one_that_was_emptied_without_a_word_gets_everything_back(kept, client, shared_proxy, session):
    kept.keeper.tried()
    await kept.keeper.put("cluster-aaaaaa", A)
    await equal(session, shared_proxy, {**FIXED, **A})
    for path in ("/cluster-aaaaaa", DEFAULT, SENTINEL):
        await client.remove(path)
    await equal(session, shared_proxy, {**FIXED, **A})
    assert kept.changes(shared_proxy)[-1] == ("add", SENTINEL)


async def test_one_that_was_started_again_is_asked_at_once(kept, client, shared_proxy, session, monkeypatch):
    monkeypatch.setattr(replica, "CHECK_SECONDS", 3600)
    await kept.keeper.put("cluster-aaaaaa", A)
    await client.remove("/cluster-aaaaaa")
    kept.keeper.restarted()
    await equal(session, shared_proxy, {DEFAULT: WEB, **A})


async def test_single_routes_that_others_change_are_put_right_in_time(
    client, shared_proxy, session, monkeypatch
):
    monkeypatch.setattr(replica, "LOOK_SECONDS", 0)
    async with keeping(session, shared_proxy) as kept:
        kept.keeper.tried()
        kept.keeper.complete()
        await kept.keeper.put("cluster-aaaaaa", A)
        await equal(session, shared_proxy, {**FIXED, **A})
        await client.add("/cluster-bbbbbb", "http://127.0.0.1:2")
        await client.remove("/cluster-aaaaaa")
        await equal(session, shared_proxy, {**FIXED, **A})


async def test_one_that_closed_a_connection_just_then_is_asked_again_before_a_put_returns(
    client, shared_proxy, session
):
    class Unlucky(Recorder):
        async def add(self, path: str, target: str) -> None:
            if not self.changes:
                self.changes.append(("lost", path))
                raise aiohttp.ServerDisconnectedError
            await super().add(path, target)

    keeper = RouteKeeper(lambda address: Unlucky(session, address, TOKEN), WEB)
    keeper.set_replicas([shared_proxy.api])
    await client.add(DEFAULT, WEB)
    task = asyncio.create_task(keeper.run())
    await until("it is known", lambda: keeper.present == {shared_proxy.api: 1})
    await keeper.put("cluster-aaaaaa", A)
    assert await table(session, shared_proxy) == {DEFAULT: WEB, **A}
    task.cancel()


async def test_a_mistake_of_ours_is_told_and_does_not_end_it(client, shared_proxy, session, caplog):
    class Mistaken(Recorder):
        async def routes(self) -> dict[str, str]:
            self.changes.append(("asked", DEFAULT))
            if len(self.changes) < 3:
                raise KeyError("of a mistake")
            return await super().routes()

    keeper = RouteKeeper(lambda address: Mistaken(session, address, TOKEN), WEB)
    keeper.set_replicas([shared_proxy.api])
    task = asyncio.create_task(keeper.run())
    await keeper.put("cluster-aaaaaa", A)
    await equal(session, shared_proxy, {DEFAULT: WEB, **A})
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert shared_proxy.api in said.message
    assert said.exc_info is not None
    task.cancel()


@pytest.mark.parametrize("moment", range(6))
async def test_it_stops_when_told_to_even_if_it_is_woken_at_that_moment(
    client, shared_proxy, session, monkeypatch, moment
):
    monkeypatch.setattr(replica, "CHECK_SECONDS", 3600)
    kept = Keeping(session)
    kept.keep(shared_proxy)
    task = asyncio.create_task(kept.keeper.run())
    await kept.keeper.put("cluster-aaaaaa", A)
    for _ in range(10):
        await asyncio.sleep(0)
    kept.keeper.complete()
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    task.cancel()
    assert done
