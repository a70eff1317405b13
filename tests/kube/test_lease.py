"""Who leads, when: taking, renewing, losing and giving back a lease, by a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from hub.kube import lease as module
from hub.kube.api import Api
from hub.kube.lease import Lease
from tests.kube.server import Asked, Server
from tests.waiting import until

LEASES = "/apis/coordination.k8s.io/v1/namespaces/podium/leases"
DURATION, PATIENCE, PERIOD = 15.0, 10.0, 0.01
"""The last in real seconds, the others on the clock."""


class Clock:
    """Stands still until it is moved."""

    time = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.time


class Keeper:
    """Keeps one lease as an API server does, with its versions.

    Args:
        server: where it is asked for.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.lease: dict[str, Any] | None = None
        self.writes = 0
        self.refuses = 0
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None

    @property
    def spec(self) -> dict[str, Any]:
        """What the lease says."""
        assert self.lease is not None
        found: dict[str, Any] = self.lease["spec"]
        return found

    @property
    def holder(self) -> str:
        """Who has it; empty when nobody has."""
        return self.spec["holderIdentity"] if self.lease else ""

    def write(self, spec: dict[str, Any]) -> None:
        """Keep this."""
        self.writes += 1
        self.lease = {"metadata": {"name": "tea", "resourceVersion": str(self.writes)}, "spec": spec}

    def hold(self, holder: str, **more: Any) -> None:
        """Somebody whom the test plays writes the lease."""
        time = f"2026-03-01T12:00:00.{self.writes:06d}Z"
        self.write({"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": time, **more})

    async def serve(self) -> None:
        """Answer until cancelled."""
        while True:
            self._answer(await self._server.asked())

    def _answer(self, asked: Asked) -> None:
        self.asked += 1
        if self.refuses:
            asked.refuse(self.refuses, "Why", "because")
        elif asked.line == f"GET {LEASES}/tea":
            asked.answer(self.lease) if self.lease else asked.refuse(404, "NotFound")
        elif asked.line == f"POST {LEASES}":
            if self.lease:
                asked.refuse(409, "AlreadyExists")
            else:
                assert asked.body["metadata"] == {"name": "tea"}
                self.write(asked.body["spec"])
                asked.answer(self.lease)
        else:
            assert asked.line == f"PUT {LEASES}/tea"
            self.meanwhile()
            assert self.lease is not None
            if asked.body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                asked.refuse(409, "Conflict")
            else:
                self.write(asked.body["spec"])
                asked.answer(self.lease)


class Contender:
    """Somebody who wants to lead.

    Args:
        api: the server.
        name: its identity.
    """

    def __init__(self, api: Api, name: str) -> None:
        lease = Lease(api, "podium", "tea", name, DURATION, PATIENCE, PERIOD)
        self.acts = 0
        self.acting = False
        self.may_end = asyncio.Event()
        self.fails: Exception | None = None
        self.task = asyncio.create_task(lease.lead(self._act))

    async def _act(self) -> None:
        self.acts += 1
        self.acting = True
        try:
            await self.may_end.wait()
            if self.fails:
                raise self.fails
        finally:
            self.acting = False

    async def leads(self) -> None:
        """Wait until it acts."""
        await until("it leads", lambda: self.acting)

    async def rests(self) -> None:
        """Wait until it acts no longer."""
        await until("it does not lead", lambda: not self.acting)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What leases go by."""
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest_asyncio.fixture
async def keeper(server: Server, api: Api) -> AsyncIterator[Keeper]:
    """An API server that keeps the lease."""
    keeper = Keeper(server)
    serving = asyncio.create_task(keeper.serve())
    yield keeper
    if serving.done():
        serving.result()
    serving.cancel()


@pytest_asyncio.fixture
async def contender(clock: Clock, keeper: Keeper, api: Api) -> AsyncIterator[Callable[[str], Contender]]:
    """Starts contenders; in the end they stop."""
    started: list[Contender] = []

    def start(name: str) -> Contender:
        started.append(Contender(api, name))
        return started[-1]

    yield start
    for one in started:
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await one.task


async def looks(keeper: Keeper, times: int = 3) -> None:
    """Wait until the lease was asked for so many times more."""
    enough = keeper.asked + times
    await until("they look", lambda: keeper.asked >= enough)


class TestTaking:
    async def test_one_that_nobody_made(self, keeper, contender):
        one = contender("one")
        await one.leads()
        assert keeper.holder == "one"
        assert keeper.spec["leaseDurationSeconds"] == 15
        assert keeper.spec["leaseTransitions"] == 0
        assert keeper.spec["acquireTime"] <= keeper.spec["renewTime"]

    async def test_one_that_was_given_back(self, keeper, contender):
        keeper.hold("", leaseTransitions=4)
        await contender("one").leads()
        assert (keeper.holder, keeper.spec["leaseTransitions"]) == ("one", 5)

    async def test_our_own_from_before(self, keeper, contender):
        keeper.hold("one", leaseTransitions=4, acquireTime="2026-03-01T11:00:00.000000Z")
        await contender("one").leads()
        assert keeper.spec["leaseTransitions"] == 4
        assert keeper.spec["acquireTime"] == "2026-03-01T11:00:00.000000Z"

    async def test_that_of_another_only_after_its_time(self, clock, keeper, contender):
        keeper.hold("other")
        one = contender("one")
        await looks(keeper)
        clock.time += DURATION - 0.1
        await looks(keeper)
        assert (one.acts, keeper.holder) == (0, "other")
        clock.time += 0.2
        await one.leads()
        assert keeper.holder == "one"

    async def test_none_that_is_renewed_however_wrong_its_clock(self, clock, keeper, contender):
        keeper.hold("other", renewTime="1999-01-01T00:00:00.000000Z")
        one = contender("one")
        await looks(keeper)
        for year in range(3):
            clock.time += DURATION - 1
            keeper.hold("other", renewTime=f"199{year}-01-01T00:00:00.000000Z")
            await looks(keeper)
        assert one.acts == 0

    async def test_none_when_another_is_faster(self, clock, keeper, contender):
        keeper.hold("other")
        one = contender("one")
        await looks(keeper)
        keeper.meanwhile = lambda: keeper.hold("faster") if keeper.holder == "other" else None
        clock.time += DURATION + 1
        await until("somebody was faster", lambda: keeper.holder == "faster")
        await looks(keeper)
        assert (one.acts, keeper.holder) == (0, "faster")

    async def test_none_while_nothing_is_known(self, keeper, contender):
        keeper.refuses = 500
        one = contender("one")
        await looks(keeper)
        assert one.acts == 0
        keeper.refuses = 0
        await one.leads()

    async def test_by_one_of_many(self, keeper, contender):
        many = [contender(f"one-{number}") for number in range(5)]
        await until("somebody leads", lambda: any(one.acting for one in many))
        await looks(keeper, 20)
        assert [one.acts for one in many].count(1) == 1
        assert sum(one.acts for one in many) == 1


class TestHolding:
    async def test_renews(self, clock, keeper, contender):
        one = contender("one")
        await one.leads()
        for _ in range(5):
            before = keeper.spec["renewTime"]
            clock.time += PATIENCE - 1
            await looks(keeper, 6)  # a look and a write each, the first of which may have begun before
            assert keeper.spec["renewTime"] > before
        assert (one.acts, one.acting, keeper.spec["leaseTransitions"]) == (1, True, 0)

    async def test_goes_on_through_short_trouble(self, clock, keeper, contender):
        one = contender("one")
        await one.leads()
        keeper.refuses = 503
        clock.time += PATIENCE - 1
        await looks(keeper)
        keeper.refuses = 0
        await looks(keeper)
        clock.time += PATIENCE - 1
        await looks(keeper)
        assert (one.acts, one.acting) == (1, True)

    async def test_stops_acting_before_another_may_begin(self, clock, keeper, contender):
        one = contender("one")
        await one.leads()
        keeper.refuses = 503
        await looks(keeper)
        clock.time += PATIENCE
        await one.rests()
        assert PATIENCE < DURATION

    async def test_stops_when_nothing_answers_at_all(self, server, keeper, clock, api):
        """With a patience that passes by itself: a request that hangs is not waited for."""
        lease = Lease(api, "podium", "tea", "one", DURATION, 0.2, PERIOD)
        stopped = asyncio.Event()

        async def act() -> None:
            keeper._answer = lambda asked: None  # type: ignore[method-assign]
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        leading = asyncio.create_task(lease.lead(act))
        ahead = asyncio.create_task(_run(clock))
        await until("it acts no longer", stopped.is_set)
        for task in (leading, ahead):
            task.cancel()
        await asyncio.gather(leading, ahead, return_exceptions=True)

    async def test_leads_again_when_the_trouble_is_over(self, clock, keeper, contender):
        one = contender("one")
        await one.leads()
        keeper.refuses = 503
        await looks(keeper)
        clock.time += PATIENCE
        await one.rests()
        keeper.refuses = 0
        await one.leads()
        assert one.acts == 2

    async def test_stops_at_once_when_another_has_it(self, keeper, contender):
        one = contender("one")
        await one.leads()
        keeper.hold("other")
        await one.rests()
        await looks(keeper)
        assert (one.acts, keeper.holder) == (1, "other")


async def _run(clock: Clock) -> None:
    """Let the clock go by itself."""
    while True:
        await asyncio.sleep(0.01)
        clock.time += 0.01


class TestGivingBack:
    async def test_when_the_work_is_done(self, keeper, contender):
        one, two = contender("one"), contender("two")
        await until("somebody leads", lambda: one.acting or two.acting)
        first, second = (one, two) if one.acting else (two, one)
        first.may_end.set()
        await first.task
        await second.leads()  # though the clock stood still
        assert keeper.spec["leaseTransitions"] == 1

    async def test_when_the_work_fails(self, keeper, contender):
        one = contender("one")
        await one.leads()
        one.fails = RuntimeError("no more tea")
        one.may_end.set()
        with pytest.raises(RuntimeError, match="no more tea"):
            await one.task
        assert keeper.holder == ""

    async def test_when_it_is_told_to_stop(self, keeper, contender):
        one = contender("one")
        await one.leads()
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.task
        assert (one.acting, keeper.holder) == (False, "")

    async def test_not_when_another_has_it(self, keeper, contender):
        one = contender("one")
        await one.leads()
        keeper.hold("other")
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task
        assert keeper.holder == "other"

    async def test_not_waiting_for_a_server_that_does_not_answer(self, keeper, contender, monkeypatch):
        monkeypatch.setattr(module, "FAREWELL", 0.1)
        one = contender("one")
        await one.leads()
        keeper._answer = lambda asked: None  # type: ignore[method-assign]
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task
        assert one.task.done()
