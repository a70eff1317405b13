"""A class that arrives: people who click within some seconds and wait where they are told to.

Unlike `people.py`, whose people try nothing twice, these do what somebody in a classroom does who sees an
error: they click again. Nothing here may know how the hub works inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import msgspec
from msgspec import Struct

from bench.people import Person, Refused

AGAIN = 1.0
"""Seconds after which somebody who saw an error clicks again, and a page whose stream ended opens another."""
SILENCE = 30.0
"""Seconds without a word after which a page takes a stream for dead, until it is told how often one comes."""
PATIENCE = 600.0
"""Seconds after which somebody is taken to never get in."""


class _Place(Struct, frozen=True):
    position: int = 0
    eta: datetime | None = None


class _Cluster(Struct, frozen=True):
    ready: int = 0


class _Status(Struct, frozen=True):
    phase: str = ""
    message: str = ""
    queue: _Place | None = None
    clusters: dict[str, _Cluster] = {}


class _Metadata(Struct, frozen=True):
    name: str


class _Seen(Struct, frozen=True):
    metadata: _Metadata
    status: _Status = _Status()


@dataclass
class Attendee(Person):
    """Somebody in the classroom.

    Args:
        whole: when every worker was there too, by the monotonic clock.
        clicks: how often the button was used.
        names: of the workspaces that any click was answered with.
        places: what the page said of the line: when, the position, and the seconds that it should still take.
        whole_at: how many Dask workers make it whole.
    """

    whole: float = 0.0
    clicks: int = 0
    names: set[str] = field(default_factory=set)
    places: list[tuple[float, int, float | None]] = field(default_factory=list)
    whole_at: int = 2
    _ready: bool = False

    async def attend(self, at: float, profile: str, stay: float | None) -> None:
        """Come, click, work, and leave.

        Args:
            at: when to click, by the monotonic clock.
            stay: seconds after which the workspace is stopped; None for never.
        """
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        self.clicked = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self.opened:
                    await self._until(lambda: self._click(profile))
                    with contextlib.suppress(_Gone):
                        await self._until(self._get_in)
                        self.opened = time.monotonic()
                await self._until(self._until_whole)
                self.whole = time.monotonic()
                if stay is not None:
                    await asyncio.sleep(stay)
                    await self._request("DELETE", f"/api/workspaces/{self.name}")

    async def _until(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try until it succeeds; what went wrong is among the refusals."""
        while True:
            try:
                return await attempt()
            except Refused:
                pass
            except (aiohttp.ClientError, OSError) as error:
                self.refusals.append(repr(error))
            await asyncio.sleep(AGAIN)

    async def _click(self, profile: str) -> None:
        self.clicks += 1
        answer = await self._request("POST", "/api/workspaces", {"spec": {"profile": profile}})
        self.accepted = self.accepted or time.monotonic()
        seen = msgspec.json.decode(answer, type=_Seen)
        self.name, self._ready = seen.metadata.name, seen.status.phase == "Ready"
        self.names.add(self.name)

    async def _get_in(self) -> None:
        """Come as far as the notebook's answer; raises _Gone where somebody has to click again."""
        if not self._ready:
            async with contextlib.aclosing(self._seen()) as news:
                async for seen in news:
                    if seen.status.phase == "Ready":
                        break
        await self._request("GET", f"/workspaces/{self.name}/open")
        await self._request("GET", f"/{self.name}/api")

    async def _until_whole(self) -> None:
        async with contextlib.aclosing(self._seen()) as news:
            async for seen in news:
                if seen.status.clusters.get("dask", _Cluster()).ready >= self.whole_at:
                    return

    async def _seen(self) -> AsyncGenerator[_Seen]:
        """The workspace as its page sees it, without end; raises _Gone when there is none any more."""
        endless = aiohttp.ClientTimeout(total=None)
        url = f"{self.url}/api/workspaces/{self.name}/events"
        kind, silence = b"", SILENCE
        async with self.session.get(url, headers=self._headers(), timeout=endless) as response:
            if response.status != 200:
                await self._refused("GET", "…/events", response)
            while line := await _line(response, silence):
                if line.startswith(b"event: "):
                    kind = line[7:].strip()
                if kind == b"alive" and line.startswith(b"data: "):
                    silence = 3 * float(line[6:])
                if not line.startswith(b'data: {"apiVersion"'):
                    continue
                seen = msgspec.json.decode(line[6:], type=_Seen)
                if kind == b"gone" or seen.status.phase == "Failed":
                    self.refusals.append(f"{kind.decode()}: {seen.status.message}")
                    raise _Gone
                self._note(seen.status.queue)
                yield seen
        raise aiohttp.ClientPayloadError("the stream ended")

    def _note(self, place: _Place | None) -> None:
        if place is not None:
            left = (place.eta - datetime.now(UTC)).total_seconds() if place.eta else None
            if not self.places or self.places[-1][1] != place.position:
                self.places.append((time.monotonic(), place.position, left))


class _Gone(Exception):
    """There is no workspace any more."""


async def _line(response: aiohttp.ClientResponse, silence: float) -> bytes:
    """The next line of a stream, empty at its end; raises an error of the connection when none comes."""
    try:
        async with asyncio.timeout(silence):
            return await response.content.readline()
    except TimeoutError:
        raise aiohttp.ServerTimeoutError(f"nothing was heard for {silence:g} s") from None


async def crowd(
    people: Sequence[Attendee], seconds: float, profile: str, stay: float | None = None
) -> tuple[float, float]:
    """Let everybody attend, one after the other within some seconds.

    Returns:
        When the first clicked and when the last was done, by the monotonic clock.
    """
    begin = time.monotonic() + 0.1
    pause = seconds / len(people)
    await asyncio.gather(
        *(person.attend(begin + number * pause, profile, stay) for number, person in enumerate(people))
    )
    return begin, time.monotonic()
