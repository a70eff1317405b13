"""A launch that is tried: a workspace of nobody, used once the way that people use theirs, and removed again.

Nothing here may judge how it went beyond saying what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import aiohttp

from hub import admission, notebook
from hub.desired import context
from hub.errors import NotFound
from hub.model import PREFLIGHT, Workspace
from hub.pool import REFUSED
from hub.preflight.judge import Tried
from hub.profiles import Profile
from hub.store.base import Store
from hub.wire import replace as change

OWNER = "preflight"
ANSWER = aiohttp.ClientTimeout(total=10, connect=5)
ANSWERING = 10.0
"""Seconds in which an address that is new to what is before the proxy may begin to answer."""
AGAIN = 0.5
MARGIN = 30.0
"""Seconds beyond a profile's own limit for a launch."""
ENDING = 90.0
"""Seconds that the end may take."""
HOPELESS = (*REFUSED, "ImagePullFailed", "CannotStart")
STUCK = 10.0
"""Seconds for which a cluster may say what hardly passes by itself."""
SPARE = timedelta(minutes=15)
"""When it ends by itself, should nobody be left to end it."""
OUT_OF_REACH = (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError, TimeoutError)
"""What is raised where an address may be good, but not from here."""
CERTIFICATE = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)


@dataclass(frozen=True)
class Trier:
    """Tries launches.

    Args:
        store: where Workspace objects are.
        session: for requests.
        hub_key: the secret that all others are derived from.
        ways: the addresses that a notebook may be reached through, what people open first.
        unavailable: frameworks that cannot run here.
    """

    store: Store
    session: aiohttp.ClientSession
    hub_key: bytes
    ways: Sequence[str]
    unavailable: Collection[str] = ()

    async def attempt(self, profile: Profile, told: Callable[[str], None]) -> Tried:
        """Launch a workspace of a profile, use it, and remove it, whatever happens.

        Args:
            told: is told what is waited for.
        """
        await self.clear()
        made = await self.store.create(_workspace(profile, datetime.now(UTC)))
        try:
            tried = await self._use(made, profile, told)
        finally:
            await self._delete(made.name)
        told("It works; waiting for its end.")
        return replace(tried, left=not await self._gone(made.name))

    async def visit(self, workspace: Workspace) -> Tried:
        """Use a workspace that waits for somebody, without changing anything of it."""
        return replace(await self._ask(workspace), launched=False)

    async def clear(self) -> None:
        """Remove what an earlier attempt left, which nobody was there to remove."""
        for workspace in await self.store.list():
            if PREFLIGHT in workspace.metadata.labels and not workspace.deleting:
                await self._delete(workspace.name)

    async def _delete(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            await self.store.delete(name)

    async def _gone(self, name: str) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                if await self.store.get(name) is None:
                    return True
                async for event in self.store.watch():
                    if event.workspace.name == name and event.gone:
                        return True
        return False

    async def _use(self, made: Workspace, profile: Profile, told: Callable[[str], None]) -> Tried:
        began = asyncio.get_running_loop().time()
        workspace, problem = await self._until(made, _ready, profile.launch_timeout + MARGIN, told)
        if problem:
            return Tried(problem=problem, hint=_last(workspace))
        told("The notebook is ready; asking it.")
        tried = await self._ask(workspace)
        if tried.problem:
            return tried
        first = asyncio.get_running_loop().time() - began
        wanted = {name for name in profile.clusters if name not in self.unavailable}
        left = profile.launch_timeout + MARGIN - first
        workspace, problem = await self._until(made, lambda seen: _whole(seen, wanted), left, told)
        if problem:
            return replace(tried, problem=f"The notebook works, but not its clusters: {problem}")
        workers = sum(workspace.status.clusters[name].workers for name in wanted)
        return replace(tried, seconds=(first, asyncio.get_running_loop().time() - began), workers=workers)

    async def _until(
        self,
        made: Workspace,
        enough: Callable[[Workspace], bool],
        patience: float,
        told: Callable[[str], None],
    ) -> tuple[Workspace, str]:
        """Follow a workspace until it is as it should be. Returns it, and what went wrong, if anything."""
        seen, loop = made, asyncio.get_running_loop()
        last = loop.time() + patience
        try:
            async with asyncio.timeout_at(last) as limit:
                async for event in self.store.watch():
                    if event.workspace.name != made.name:
                        continue
                    seen, status = event.workspace, event.workspace.status
                    if event.gone or seen.deleting:
                        return seen, "Something else stopped it."
                    if status.phase == "Failed":
                        return seen, f"It failed: {status.message}"
                    if enough(seen):
                        return seen, ""
                    if status.reason not in HOPELESS:
                        limit.reschedule(last)
                    elif limit.when() == last:
                        limit.reschedule(min(last, loop.time() + STUCK))
                    told(waiting(seen))
        except TimeoutError:
            if seen.status.reason in HOPELESS:
                return seen, seen.status.message
        return seen, f"It was not there after {patience:.0f} s. {waiting(seen)}".strip()

    async def _ask(self, workspace: Workspace) -> Tried:
        """Ask the notebook as a browser does, by the first way that can be taken from here."""
        wrong: Tried | None = None
        for way in self.ways:
            try:
                tried = await self._by(way, workspace)
            except CERTIFICATE as error:
                return Tried(problem=f"{way} cannot be trusted: {error}", hint="See the public address.")
            except OUT_OF_REACH as error:
                wrong = Tried(
                    problem=f"{way} does not answer: {str(error) or 'it takes too long'}", hint=LOOK
                )
                continue
            except (aiohttp.ClientError, OSError) as error:
                return Tried(problem=f"{way} does not answer as it should: {error!r}", hint=LOOK)
            return tried
        assert wrong is not None
        return wrong

    async def _by(self, way: str, workspace: Workspace) -> Tried:
        address = f"{way.rstrip('/')}{notebook.base(workspace.name)}"
        headers = notebook.headers(context(workspace, self.hub_key).keys)
        status = await self._status(f"{address}api", headers)
        if status != 200:
            return Tried(problem=f"{way} answers {status} in place of the notebook.", hint=LOOK, way=way)
        try:
            events = f"{address}api/events/subscribe"
            async with self.session.ws_connect(events, headers=headers, timeout=SOCKET):
                return Tried(way=way)
        except aiohttp.WSServerHandshakeError as error:
            problem = f"WebSockets do not pass {way}: the answer is {error.status}. Notebooks need them."
            return Tried(problem=problem, hint=WEBSOCKETS, way=way)

    async def _status(self, url: str, headers: Mapping[str, str]) -> int:
        """The status of an answer; of one that is not good, the last."""
        end = asyncio.get_running_loop().time() + ANSWERING
        while True:
            async with self.session.get(
                url, headers=headers, timeout=ANSWER, allow_redirects=False
            ) as answer:
                if answer.status == 200 or asyncio.get_running_loop().time() > end:
                    return answer.status
            await asyncio.sleep(AGAIN)


SOCKET = aiohttp.ClientWSTimeout(ws_close=5.0)
LOOK = "Look at DNS, and at the Ingress, Gateway or load balancer that leads to the proxies' Service."
WEBSOCKETS = "Let what is before the proxies pass WebSockets, for an hour at least; helm/README.md says how."


def _workspace(profile: Profile, now: datetime) -> Workspace:
    """A workspace of nobody."""
    letters = "".join(secrets.choice(admission.LETTERS) for _ in range(8))
    body = {"spec": {"profile": profile.name}}
    made = admission.launch(body, {profile.name: profile}, OWNER, f"cluster-{letters}", now)
    settings = change(made.spec.settings, archive_time=0)
    expires = now + timedelta(seconds=profile.launch_timeout) + SPARE
    return change(
        made,
        metadata=change(made.metadata, labels={PREFLIGHT: "yes"}),
        spec=change(made.spec, settings=settings, expires=expires),
    )


def _ready(workspace: Workspace) -> bool:
    return workspace.status.phase == "Ready"


def _whole(workspace: Workspace, wanted: Collection[str]) -> bool:
    """Whether all workers of the clusters are there that are wanted."""
    present = workspace.status.clusters
    return all(name in present and present[name].ready == present[name].workers for name in wanted)


def waiting(workspace: Workspace) -> str:
    """What a launch waits for, for people."""
    status = workspace.status
    if status.queue is not None:
        return status.queue.message or f"It waits in line, at place {status.queue.position}."
    if status.message or not status.clusters:
        return status.message
    ready = sum(cluster.ready for cluster in status.clusters.values())
    return f"{ready} of {sum(cluster.workers for cluster in status.clusters.values())} workers are ready."


def _last(workspace: Workspace) -> str:
    """The last line that a failing program wrote, if there is one."""
    return f"It wrote last: {workspace.status.log[-1]}" if workspace.status.log else ""
