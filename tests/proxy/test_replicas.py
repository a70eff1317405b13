"""Several proxies are kept equal, each by itself, against the real configurable-http-proxy."""

from __future__ import annotations

import asyncio

from proxy import keeper
from proxy.routes import DEFAULT, SENTINEL
from tests.proxy.keeping import FIXED, WEB, A, B, C, clocks, equal, keeping, table
from tests.waiting import PATIENCE as SOON
from tests.waiting import until

MANY = {f"/cluster-{n:06}": f"http://10.1.{n // 250}.{n % 250}:8888" for n in range(5000)}


async def full(kept, session, *proxies):
    """Have A and B, everywhere."""
    await kept.keeper.put("cluster-aaaaaa", A)
    await kept.keeper.put("cluster-bbbbbb", B)
    kept.keeper.tried()
    for proxy in proxies:
        await equal(session, proxy, {**FIXED, **A, **B})


async def test_a_put_is_done_everywhere_when_it_returns(two_proxies, session):
    async with keeping(session, *two_proxies) as kept:
        await full(kept, session, *two_proxies)
        await kept.keeper.put("cluster-cccccc", C)
        for proxy in two_proxies:
            assert await table(session, proxy) == {**FIXED, **A, **B, **C}
        await kept.keeper.put("cluster-aaaaaa", {})
        for proxy in two_proxies:
            assert await table(session, proxy) == {**FIXED, **B, **C}
        assert kept.keeper.present == {proxy.api: 4 for proxy in two_proxies}


async def test_one_that_is_killed_is_filled_again_and_the_other_is_left_alone(two_proxies, session):
    one, other = two_proxies
    async with keeping(session, *two_proxies) as kept:
        await full(kept, session, *two_proxies)
        before = await clocks(session, other)
        kept.changes(one).clear()
        kept.changes(other).clear()
        one.kill()
        await until("it is known", lambda: kept.keeper.present == {one.api: 0, other.api: 4})
        await asyncio.to_thread(one.start)
        await equal(session, one, {**FIXED, **A, **B})
        assert await clocks(session, other) == before
        assert kept.changes(other) == []
        assert sorted(kept.changes(one)) == sorted(("add", path) for path in {**FIXED, **A, **B})
        assert kept.changes(one)[-1] == ("add", SENTINEL)
        # From now on it is waited for again.
        await until("it is known", lambda: kept.keeper.present == {one.api: 4, other.api: 4})
        client = kept.clients[one.api]
        may = client.held["/cluster-cccccc"] = asyncio.Event()
        put = asyncio.create_task(kept.keeper.put("cluster-cccccc", C))
        await until("it is on its way", lambda: client.holding)
        await equal(session, other, {**FIXED, **A, **B, **C})
        assert not put.done()
        may.set()
        await put
        assert await table(session, one) == {**FIXED, **A, **B, **C}


async def test_one_that_hangs_is_waited_for_once_and_put_right_later(two_proxies, session, monkeypatch):
    one, other = two_proxies
    async with keeping(session, *two_proxies) as kept:
        await full(kept, session, *two_proxies)
        one.freeze()
        try:
            monkeypatch.setattr(keeper, "PATIENCE", 0.1)
            await kept.keeper.put("cluster-cccccc", C)
            await equal(session, other, {**FIXED, **A, **B, **C})
            monkeypatch.setattr(keeper, "PATIENCE", 3600)
            async with asyncio.timeout(SOON):
                await kept.keeper.put("cluster-aaaaaa", {})
            assert await table(session, other) == {**FIXED, **B, **C}
        finally:
            one.thaw()
        await equal(session, one, {**FIXED, **B, **C})


async def test_a_new_one_has_every_route_before_anybody_is_sent_to_it(two_proxies, session):
    one, new = two_proxies
    async with keeping(session, one) as kept:
        await full(kept, session, one)
        client = kept.client(new.api, session)
        may = client.held["/cluster-aaaaaa"] = asyncio.Event()
        kept.keep(one, new)
        await until("it has begun", lambda: ("add", "/cluster-bbbbbb") in client.changes)
        # While it is being filled nobody waits for it, and what comes meanwhile is in before the sentinel.
        async with asyncio.timeout(SOON):
            await kept.keeper.put("cluster-cccccc", C)
        assert await table(session, one) == {**FIXED, **A, **B, **C}
        assert await table(session, new) == {DEFAULT: WEB, **B}
        may.set()
        await equal(session, new, {**FIXED, **A, **B, **C})
        assert client.changes[-1] == ("add", SENTINEL)
        assert len(client.changes) == 5


async def test_one_that_is_gone_is_forgotten(two_proxies, session):
    gone, one = two_proxies
    async with keeping(session, *two_proxies) as kept:
        await full(kept, session, *two_proxies)
        gone.freeze()
        try:
            put = asyncio.create_task(kept.keeper.put("cluster-cccccc", C))
            await equal(session, one, {**FIXED, **A, **B, **C})
            kept.keep(one)
            async with asyncio.timeout(SOON):  # who waits for it is told
                await put
        finally:
            gone.thaw()
        assert kept.keeper.present == {one.api: 5}
        await kept.keeper.put("cluster-bbbbbb", {})
        assert await table(session, one) == {**FIXED, **A, **C}
        assert (await table(session, gone) or {}).keys() >= {**FIXED, **A, **B}.keys()
        # It may come back, and what is right there is left as it is.
        kept.changes(gone).clear()
        kept.keep(one, gone)
        await equal(session, gone, {**FIXED, **A, **C})
        assert not {("add", path) for path in {**FIXED, **A}} & set(kept.changes(gone))


async def test_where_there_is_no_proxy_nobody_waits(own_proxy, session):
    async with keeping(session) as kept:
        await kept.keeper.put("cluster-aaaaaa", A)
        kept.keeper.tried()
        assert kept.keeper.present == {}
        kept.keep(own_proxy)
        await equal(session, own_proxy, {**FIXED, **A})


async def test_five_thousand_routes_are_put_once_each(two_proxies, session):
    one, other = two_proxies
    async with keeping(session) as kept:
        for path, target in MANY.items():
            await kept.keeper.put(path, {path: target})
        kept.keeper.tried()
        everything = {**FIXED, **MANY}.keys()
        kept.keep(other)
        await until("it is full", lambda: kept.keeper.present == {other.api: len(everything)}, 60)
        before = await clocks(session, other)
        assert before.keys() == everything
        kept.keep(one, other)
        await until("so is the other", lambda: kept.keeper.present.get(one.api) == len(everything), 60)
        assert (await clocks(session, one)).keys() == everything
        assert await clocks(session, other) == before
        assert len(kept.changes(one)) == len(everything)
        assert kept.changes(one)[-1] == ("add", SENTINEL)
