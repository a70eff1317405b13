"""The one loop while everything goes wrong: each of its calls in turn, then anything in any order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.wire import replace as change
from tests.builders import NAME, NOW
from tests.faults import Faults
from tests.simulation import OTHER, Simulation, simulation
from tests.virtual import VirtualLoop, simulate

# Everything goes wrong once: each call to the outside in turn.


async def ready(s: Simulation) -> None:
    """Somebody works with two workers."""
    await s.launch(dask=2, ipyparallel=1)
    await s.settle()


async def launched(s: Simulation) -> None:
    await s.launch(dask=2, ipyparallel=1)
    await s.settle()


async def scaled(s: Simulation) -> None:
    await s.ask(clusters={"dask": 1, "ipyparallel": 3})
    await s.settle()


async def exchanged(s: Simulation) -> None:
    await s.ask(clusters={"dask": 0, "spark": 1})
    await s.settle()


async def deleted(s: Simulation) -> None:
    await s.store.delete(NAME)
    await s.settle()


async def expired(s: Simulation) -> None:
    await s.ask(expires=s.now() + timedelta(seconds=5))
    await s.until("it is gone", lambda: NAME not in s.objects)
    await s.settle()


SCENARIOS = {
    "launch": (None, launched),
    "scale": (ready, scaled),
    "exchange": (ready, exchanged),
    "deletion": (ready, deleted),
    "expiry": (ready, expired),
}
WAYS = {
    "an error": {},
    "an error, though it was done": {"late": True},
    "a kill": {"deadly": True},
    "a kill, though it was done": {"late": True, "deadly": True},
}


def play(scenario: str, faults: Faults) -> tuple[object, list[tuple[str, str]]]:
    """Play a scenario in which the second part goes wrong; returns what came of it, and what was started."""
    before, act = SCENARIOS[scenario]

    async def main() -> Any:
        async with simulation(faults=Faults()) as s:
            if before:
                await before(s)
            s.faults.begin, s.faults.done = faults.begin, faults.done
            s.faults.deadly, s.faults.hit = faults.deadly, faults.hit
            await act(s)
            return without_times(s.snapshot()), sorted(s.world.started)

    return simulate(main())


def without_times(snapshot: Any) -> Any:
    objects, *others = snapshot
    epoch = {"expires": NOW, "touched": NOW}
    return {name: (change(spec, **epoch), *more) for name, (spec, *more) in objects.items()}, *others


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_call_goes_wrong_in_turn_and_all_ends_the_same(scenario, way, caplog):
    caplog.set_level(logging.CRITICAL)
    undisturbed = Faults()
    wanted, started = play(scenario, undisturbed)
    hits = 0
    for at, call in enumerate(undisturbed.calls, start=1):
        faults = Faults(at=at, **way)
        came, did = play(scenario, faults)
        assert came == wanted, f"call {at}, {call}"
        assert did == started, f"call {at}, {call}: something was started twice, or never"
        hits += faults.hit.is_set()
    assert hits > 20, "there were calls to go wrong"


# Anything happens, in any order.


class Anything(RuleBasedStateMachine):
    """A hub, two names, and everything that people, programs and the machine may do to them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.s = self.runner.run(self._begin())

    async def _begin(self) -> Simulation:
        s = Simulation()
        s.start()
        return s

    def do(self, action: Awaitable[object]) -> None:
        self.runner.run(action)  # type: ignore[arg-type]

    def teardown(self) -> None:
        try:
            self.do(self._end())
        finally:
            self.runner.close()

    async def _end(self) -> None:
        """In the end all is well: whatever was asked for is so."""
        self.s.faults.always = False
        self.s.silent = False
        self.s.work()
        for name in list(self.s.objects):
            await self.s.until(f"{name} settles", lambda name=name: self.s.settled(name))
        await self.s.until(
            "nothing else is there", lambda: self.s.world.places.keys() <= self.s.objects.keys()
        )
        await self.s.stop()
        assert self.s.lost == []

    def there(self) -> list[str]:
        return [name for name, workspace in self.s.objects.items() if not workspace.deleting]

    @rule(
        name=st.sampled_from([NAME, OTHER]), dask=st.integers(0, 3), ipyparallel=st.none() | st.integers(0, 2)
    )
    def launch(self, name: str, dask: int, ipyparallel: int | None) -> None:
        if name not in self.s.objects:
            self.do(self.s.launch(name, dask=dask, ipyparallel=ipyparallel))

    @precondition(there)
    @rule(clusters=st.dictionaries(st.sampled_from(["dask", "ipyparallel", "spark"]), st.integers(0, 4)))
    def scale(self, clusters: dict[str, int]) -> None:
        self.do(self.s.ask(self.there()[0], clusters=clusters))

    @precondition(there)
    @rule()
    def delete(self) -> None:
        self.do(self.s.store.delete(self.there()[-1]))

    @precondition(there)
    @rule()
    def delete_behind_its_back(self) -> None:
        del self.s.objects[self.there()[-1]]

    @rule(numbers=st.sets(st.integers(1, 4)), framework=st.sampled_from(["dask", "ipyparallel"]))
    def work(self, numbers: set[int], framework: str) -> None:
        self.do(self._work(*(f"{framework}-worker-{number}" for number in numbers)))

    async def _work(self, *instances: str) -> None:
        self.s.work(*instances)

    @rule(data=st.data())
    def kill_a_program(self, data: st.DataObject) -> None:
        programs = [(name, key) for name, place in self.s.world.places.items() for key in place.programs]
        if programs:
            name, key = data.draw(st.sampled_from(programs))
            self.do(self._kill(key, name))

    async def _kill(self, instance: str, name: str) -> None:
        self.s.kill(instance, name)

    @rule()
    def restart_the_hub(self) -> None:
        self.do(self.s.restart())

    @rule(always=st.booleans())
    def fail(self, always: bool) -> None:
        self.s.faults.always = always

    @rule(silent=st.booleans())
    def fall_silent(self, silent: bool) -> None:
        self.s.silent = silent

    @rule(seconds=st.sampled_from([0.1, 1, 10]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @invariant()
    def no_worker_is_lost(self) -> None:
        assert self.s.lost == []


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=100, stateful_step_count=25)
