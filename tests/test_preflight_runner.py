"""Preflight orders are answered: by real requests to a notebook, while a test plays the controller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hub.archives.base import NoArchives
from hub.errors import Unavailable
from hub.model import POOL, PREFLIGHT, ClusterStatus, Status, Workspace
from hub.preflight import judge
from hub.preflight.judge import TITLES
from hub.preflight.runner import Known, Preflight
from hub.preflight.steps import Class, Step
from hub.preflight.trial import OWNER, Trier
from hub.profiles import read_profiles
from hub.room import Check, PreflightOrder, PreflightReport
from hub.rules import Capacity, Prices, Rules
from hub.store.base import amend
from hub.wire import replace
from tests.builders import HUB_KEY, make_workspace
from tests.memory_store import MemoryRoom, MemoryStore
from tests.running import free_port
from tests.waiting import until

HOST = "127.0.0.1"
PROFILES = read_profiles({"course": {"clusters": {"dask": {}}, "workers": 2, "launch_timeout": 60}})
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
READY = Status(phase="Ready", clusters={"dask": ClusterStatus(workers=2, ready=2)})


class Nodes:
    """Surroundings that are as a test says."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[Class] = []

    def steps(self, course: Class) -> Sequence[Step]:
        """See `Surroundings`."""
        self.asked.append(course)

        async def look() -> list[Check]:
            if self.away:
                raise Unavailable("The cluster does not answer.")
            return [judge.check("nodes", "ok", "Enough.")]

        return [Step({name: TITLES[name] for name in ("nodes", "images")}, look)]


class Scene:
    """A hub of which nothing is real but what a preflight does.

    Args:
        url: of the notebooks.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.store = MemoryStore(lambda: datetime.now(UTC))
        self.room = MemoryRoom()
        self.nodes = Nodes()
        self.becomes = READY
        """What every workspace is reported to be."""
        self.launched: list[Workspace] = []
        self.status, self.upgrades = 200, True
        """What notebooks answer, and whether they take WebSockets."""
        self.known = Known(
            room=self.room,
            trier=Trier(self.store, session, HUB_KEY, (url,)),
            surroundings=self.nodes,
            profiles=PROFILES,
            rules=Rules(capacity=Capacity(workspaces=50), prices=Prices(currency="EUR", memory_gib_hour=1)),
            sign_in="class",
            archives=NoArchives(),
            issuer="",
            public_url=url,
        )
        self.told: list[PreflightReport] = []
        self._running: list[asyncio.Task[None]] = []

    def start(self, **changes: Any) -> None:
        """Let orders be answered from now on."""
        for name, value in changes.items():
            object.__setattr__(self.known, name, value)
        parts = (self._control(), self._listen(), Preflight(self.known, lambda: NINE).run())
        self._running += [asyncio.create_task(part) for part in parts]

    async def stop(self) -> None:
        """End all of it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def asks(self, profile: str = "course", seats: int = 30) -> PreflightOrder:
        """Place an order."""
        at = datetime.now(UTC)
        order = PreflightOrder(seats=seats, profile=profile, start=NINE, hours=2, at=at)
        await amend(self.room, lambda room: replace(room, spec=replace(room.spec, preflight=order)))
        return order

    async def hears(self, order: PreflightOrder) -> dict[str, Check]:
        """The whole answer to an order, by the names of the checks."""

        async def answered() -> PreflightReport | None:
            report = (await self.room.get()).status.preflight
            return report if report and report.at == order.at and not report.running else None

        report = await until("the order is answered", answered)
        assert report is not None
        return {check.name: check for check in report.checks}

    async def holds(self, count: int) -> None:
        """Have a pool."""
        for number in range(count):
            made = make_workspace(name=f"cluster-{number:06}", owner="", profile="course")
            made = replace(made, metadata=replace(made.metadata, labels={POOL: "mark"}))
            await self.store.update_status(replace(await self.store.create(made), status=READY))

    async def _listen(self) -> None:
        async for room in self.room.watch():
            report = room.status.preflight
            if report is not None and self.told[-1:] != [report]:
                self.told.append(report)

    async def _control(self) -> None:
        """Report what workspaces become, and let go what is to end."""
        async for event in self.store.watch():
            workspace = await self.store.get(event.workspace.name)
            if workspace is None:
                continue
            if workspace.deleting:
                await self.store.update(
                    replace(workspace, metadata=replace(workspace.metadata, finalizers=()))
                )
            elif workspace.status == Status():
                self.launched.append(workspace)
                await self.store.update_status(replace(workspace, status=self.becomes))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Nothing is answered before `start`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.Response(status=401)
        if not request.path.endswith("/subscribe"):
            return web.Response(status=made.status)
        if not made.upgrades:
            return web.Response(status=400)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/{name}/api", answer)
    app.router.add_get("/{name}/api/events/subscribe", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    async with aiohttp.ClientSession() as session:
        made = Scene(f"http://{HOST}:{runner.addresses[0][1]}", session)
        yield made
        await made.stop()
    await runner.cleanup()


class TestAnAnswer:
    async def test_comes_step_by_step(self, scene):
        scene.start()
        order = await scene.asks()
        found = await scene.hears(order)
        assert {name: check.state for name, check in found.items()} == {
            **{"sign-in": "ok", "capacity": "ok", "pool": "warning", "length": "ok"},
            **{
                "nodes": "ok",
                "images": "skipped",
                "archive": "warning",
                "address": "warning",
                "launch": "ok",
            },
        }
        assert "all 2 workers were ready" in found["launch"].message
        first, last = scene.told[0], scene.told[-1]
        assert {check.state for check in first.checks} == {"running"}
        assert [check.name for check in first.checks] == [name for name in TITLES if name in found]
        assert [report.running for report in scene.told] == [True] * (len(scene.told) - 1) + [False]
        assert (first.cost, last.cost) == ("240.00 EUR", "240.00 EUR")  # 30 seats of 4 GiB for two hours

    async def test_leaves_nothing(self, scene):
        scene.start()
        await scene.hears(await scene.asks())
        [tried] = scene.launched
        assert (tried.spec.owner, tried.metadata.labels) == (OWNER, {PREFLIGHT: "yes"})
        assert tried.spec.settings.archive_time == 0
        assert tried.spec.expires - datetime.now(UTC) < timedelta(minutes=20)
        assert scene.store.objects == {}

    async def test_counts_what_is_held_already(self, scene):
        await scene.holds(3)
        scene.start()
        await scene.hears(await scene.asks())
        assert [(course.seats, course.held, course.missing) for course in scene.nodes.asked] == [(30, 3, 27)]

    async def test_tells_what_could_not_be_looked_at(self, scene):
        scene.nodes.away = True
        scene.start()
        found = await scene.hears(await scene.asks())
        assert found["nodes"].state == found["images"].state == "warning"
        assert found["nodes"].message == "Could not be told: The cluster does not answer."

    async def test_to_a_profile_that_is_not_on_the_menu(self, scene):
        scene.start()
        found = await scene.hears(await scene.asks("tea"))
        assert (found["launch"].state, found["launch"].hint) == ("failed", "There are: course.")
        assert scene.launched == []

    async def test_heeds_the_number_of_the_room_page(self, scene):
        await amend(scene.room, lambda room: replace(room, spec=replace(room.spec, capacity=20)))
        scene.start()
        found = await scene.hears(await scene.asks())
        assert "20 of 30 people get in" in found["capacity"].message


class TestOrders:
    async def test_that_were_answered_are_not_answered_again(self, scene):
        scene.start()
        await scene.hears(await scene.asks())
        await scene.stop()
        scene.start()
        await scene.hears(await scene.asks())
        assert len(scene.launched) == 2

    async def test_that_nobody_was_left_to_answer_are_answered_anew(self, scene):
        scene.becomes = Status(phase="Starting", message="Starting JupyterLab.")
        scene.start()
        order = await scene.asks()
        await until("the launch is tried", lambda: scene.launched)
        await scene.stop()
        left = scene.launched[0]
        left = replace(left, metadata=replace(left.metadata, name="cluster-left00"))
        await scene.store.update_status(replace(await scene.store.create(left), status=READY))
        scene.becomes = READY
        scene.start()
        assert (await scene.hears(order))["launch"].state == "ok"
        assert len(scene.launched) == 2
        assert scene.store.objects == {}

    async def test_end_the_one_before(self, scene):
        scene.becomes = Status(phase="Starting", message="Starting JupyterLab.")
        scene.start()
        await scene.asks()

        def told() -> bool:
            return any(check.message == "Starting JupyterLab." for check in scene.told[-1].checks)

        await until("the launch tells what it waits for", lambda: scene.told and told())
        scene.becomes = READY
        second = await scene.asks(seats=10)
        found = await scene.hears(second)
        assert found["launch"].state == "ok"
        assert len(scene.launched) == 2
        assert scene.store.objects == {}

    async def test_go_on_after_a_room_that_was_away(self, scene, monkeypatch):
        monkeypatch.setattr("hub.preflight.runner.AGAIN", 0.01)
        refused = 0
        write = scene.room.update_status

        async def update_status(room: Any) -> Any:
            nonlocal refused
            refused += 1
            if refused <= 2:
                raise Unavailable("The cluster does not answer.")
            return await write(room)

        monkeypatch.setattr(scene.room, "update_status", update_status)
        scene.start()
        assert (await scene.hears(await scene.asks()))["launch"].state == "ok"


class TestATrial:
    async def answered(self, scene: Scene) -> Check:
        scene.start()
        found = await scene.hears(await scene.asks())
        assert scene.store.objects == {}
        return found["launch"]

    async def test_in_a_hub_that_is_full_costs_nobody_of_the_pool(self, scene):
        await scene.holds(50)
        before = dict(scene.store.objects)
        scene.start()
        found = await scene.hears(await scene.asks())
        assert found["launch"].state == "ok"
        assert found["launch"].message.startswith("A notebook of the pool answered at http://127.0.0.1:")
        assert (scene.launched, scene.store.objects) == ([], before)

    async def test_that_fails(self, scene):
        scene.becomes = Status(phase="Failed", message="JupyterLab ended.", log=("first", "No module"))
        check = await self.answered(scene)
        assert (check.state, check.message) == ("failed", "It failed: JupyterLab ended.")
        assert check.hint == "It wrote last: No module"

    async def test_that_takes_too_long(self, scene, monkeypatch):
        monkeypatch.setattr("hub.preflight.trial.MARGIN", -59.7)
        scene.becomes = Status(phase="Starting", message="No machine has room.")
        check = await self.answered(scene)
        assert (check.state, check.message.endswith("0 s. No machine has room.")) == ("failed", True)

    async def test_that_is_refused_for_good(self, scene, monkeypatch):
        """Which is told at once, however long a launch may take."""
        monkeypatch.setattr("hub.preflight.trial.STUCK", 0.1)
        scene.becomes = Status(phase="Starting", reason="ImageMissing", message="There is no image tea.")
        check = await self.answered(scene)
        assert (check.state, check.message) == ("failed", "There is no image tea.")

    async def test_whose_workers_do_not_come(self, scene, monkeypatch):
        monkeypatch.setattr("hub.preflight.trial.MARGIN", -59.7)
        scene.becomes = replace(READY, clusters={"dask": ClusterStatus(workers=2, ready=1)})
        check = await self.answered(scene)
        assert check.message.startswith("The notebook works, but not its clusters: ")
        assert check.message.endswith("1 of 2 workers are ready.")

    async def test_that_answers_something_else(self, scene, monkeypatch):
        monkeypatch.setattr("hub.preflight.trial.ANSWERING", 0.0)
        scene.status = 502
        check = await self.answered(scene)
        assert (check.state, "answers 502 in place of the notebook" in check.message) == ("failed", True)
        assert "Ingress" in check.hint

    async def test_without_websockets(self, scene):
        scene.upgrades = False
        check = await self.answered(scene)
        assert (check.state, "WebSockets do not pass" in check.message) == ("failed", True)

    async def test_that_nobody_reaches(self, scene):
        trier = scene.known.trier
        away = f"http://{HOST}:{free_port()}"
        object.__setattr__(trier, "ways", (away,))
        check = await self.answered(scene)
        assert (check.state, check.message.startswith(f"{away} does not answer")) == ("failed", True)

    async def test_where_the_public_address_is_out_of_reach(self, scene):
        trier = scene.known.trier
        away = f"http://{HOST}:{free_port()}"
        object.__setattr__(trier, "ways", (away, *trier.ways))
        object.__setattr__(scene.known, "public_url", away)
        check = await self.answered(scene)
        assert (check.state, f"From the hub {away} is out of reach" in check.message) == ("warning", True)
