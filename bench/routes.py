"""How soon a proxy that lost its routes has all of them again, beside proxies that lost none.

The floor is a bare script that puts the same routes into the same proxy, as many at once, and does nothing
else. Everything runs on this machine, the keeper in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import aiohttp
import psutil

from bench.report import Report
from hub.ports import HOST, Ports
from proxy.chp import ProxyClient
from proxy.keeper import RouteKeeper
from proxy.replica import AT_ONCE
from proxy.routes import DEFAULT, SENTINEL
from tests.proxy.real import TOKEN, RealProxy, real_proxy
from tests.running import memory
from tests.waiting import until

COUNTS = 500, 5000
REPLICAS = 1, 2, 3
TIMES = 3
MOST_SECONDS = 2.0
MIB = 2**20
WEB = "http://127.0.0.1:9"


async def measure() -> Report:
    """Fill, kill, fill again."""
    report = Report()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for count in COUNTS:
            routes = {f"/cluster-{n:06}": f"http://10.1.{n // 250}.{n % 250}:8888" for n in range(count)}
            floor = await bare(session, routes)
            report.add(f"{count} routes: bare script, s", floor)
            for replicas in REPLICAS:
                took = await refill(session, routes, replicas)
                what = f"{count} routes, one of {replicas} empty"
                report.add(f"{what}: the sentinel is back, s", took.seconds, MOST_SECONDS)
                report.add(f"{what}: times the bare script", took.seconds / floor)
                report.add(f"{what}: processor time of keeper, s", took.keeper)
                report.add(f"{what}: processor time of proxy, s", took.proxy)
                report.add(f"{what}: memory of that proxy, MiB", took.memory / MIB)
    return report


@dataclass(frozen=True)
class Took:
    """What it took to fill one proxy.

    Args:
        seconds: from its first answer until it has every route.
        keeper, proxy: seconds of processor time.
        memory: bytes that the proxy has for itself.
    """

    seconds: float
    keeper: float
    proxy: float
    memory: int


async def bare(session: aiohttp.ClientSession, routes: Mapping[str, str]) -> float:
    """Seconds in which a bare script puts all routes into an empty proxy."""
    seconds = []
    for _ in range(TIMES):
        with proxy() as one:
            began = time.monotonic()
            await put_all(session, one.api, {DEFAULT: WEB, **routes, SENTINEL: WEB})
            seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


async def put_all(session: aiohttp.ClientSession, api: str, routes: Mapping[str, str]) -> None:
    """The bare script."""
    headers = {"Authorization": f"token {TOKEN}"}
    work = iter(routes.items())

    async def some() -> None:
        for path, target in work:
            url = f"{api}/api/routes{path}"
            async with session.post(url, headers=headers, json={"target": target}) as response:
                response.raise_for_status()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def refill(session: aiohttp.ClientSession, routes: Mapping[str, str], replicas: int) -> Took:
    """What it takes to fill one of some proxies again, which is killed and started; the middle of several."""
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(proxy()) for _ in range(replicas)]
        async with keeping(session, routes, proxies):
            for one in proxies:
                await full(session, one, len(routes))
            tries = [await once(session, proxies[0], len(routes)) for _ in range(TIMES)]
    return sorted(tries, key=lambda took: took.seconds)[TIMES // 2]


async def once(session: aiohttp.ClientSession, victim: RealProxy, count: int) -> Took:
    """Kill a proxy, start it, and wait until it is full."""
    victim.kill()
    starting = asyncio.create_task(asyncio.to_thread(victim.start))
    await until("it answers", lambda: answers(victim))
    assert victim.process is not None
    pid = victim.process.pid
    keeper, busy, began = time.process_time(), processor(pid), time.monotonic()
    await full(session, victim, count)
    seconds = time.monotonic() - began
    took = Took(seconds, time.process_time() - keeper, processor(pid) - busy, memory([pid]))
    await starting
    return took


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@contextlib.asynccontextmanager
async def keeping(
    session: aiohttp.ClientSession, routes: Mapping[str, str], proxies: list[RealProxy]
) -> AsyncIterator[None]:
    """A keeper of these proxies, to whom every workspace has spoken."""
    keeper = RouteKeeper(lambda address: ProxyClient(session, address, TOKEN), WEB)
    for path, target in routes.items():
        await keeper.put(path, {path: target})
    keeper.tried()
    keeper.complete()
    keeper.set_replicas([one.api for one in proxies])
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def full(session: aiohttp.ClientSession, one: RealProxy, count: int) -> None:
    """Wait for the sentinel, before which every route has to be there."""
    client = ProxyClient(session, one.api, TOKEN)
    await until("the sentinel is back", lambda: client.has(SENTINEL), patience=60)
    assert len(await client.routes()) == count + 2


async def answers(one: RealProxy) -> bool:
    """Whether a proxy takes connections."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, one.api_port)
        writer.close()
        return True
    return False


@contextlib.contextmanager
def proxy() -> Iterator[RealProxy]:
    """One with the metrics that the chart asks for, which cost it time."""
    with contextlib.closing(Ports()) as ports:
        options = "--metrics-ip", HOST, "--metrics-port", str(ports.take())
        with real_proxy(*options) as one:
            yield one
