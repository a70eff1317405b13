"""What there is of one kind in the cluster, kept up to date by a list and a watch.

The watch goes on from where it was after a lost connection or a silence, and begins anew with a list when
the server no longer knows that place. Objects are decoded into small types that name the few fields that
are wanted; the rest is skipped unread. Nothing here may write to the cluster.
Source: Kubernetes API concepts, "Efficient detection of changes"; client-go's `tools/cache`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from hub.kube.api import JSON, METADATA_LIST, METADATA_ONLY, NOT_ANSWERING, Api, ApiError
from hub.kube.objects import Named

log = logging.getLogger("podium.kube")

PAGE = "500"
LIFE = "290"
"""Seconds after which the server ends a watch; another one goes on from there."""
SILENCE = 90.0
"""Seconds; the server sends a bookmark every minute, so a connection without one is dead."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
OPENING = 15.0
"""Seconds that the server may take to begin a watch."""
LOST_AFTER = 2
"""Failures in a row after which the server is taken to be away; one is what a cut connection looks like."""
AT_A_TIME = 100
"""Events after which others on the loop get a turn."""


class Thing(Protocol):
    """Whatever a cluster keeps."""

    @property
    def metadata(self) -> Named:
        """What it is called."""


T = TypeVar("T", bound=Thing)


class _Place(Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(Struct):
    metadata: _Place
    items: list[msgspec.Raw] | None = None  # which the server may write as null when there is none


class _Event(Struct):
    type: str
    object: msgspec.Raw


class _Mark(Struct):
    metadata: _Place


class _Failure(Struct):
    code: int = 0
    message: str = ""


class Contact:
    """Whether a server answers, as far as is known."""

    def __init__(self) -> None:
        self.lost = False
        self._failures = 0
        self._turn = asyncio.Event()

    def answered(self) -> None:
        """Note that the server did what it was asked for."""
        self._failures = 0
        self._set(lost=False)

    def failed(self) -> None:
        """Note that it did not."""
        self._failures += 1
        self._set(lost=self.lost or self._failures >= LOST_AFTER)

    async def turned(self) -> None:
        """Wait until `lost` is another than now."""
        await self._turn.wait()

    def _set(self, lost: bool) -> None:
        if lost != self.lost:
            self.lost = lost
            self._turn.set()
            self._turn = asyncio.Event()


class Informer(Generic[T]):
    """Everything of one kind that has the wanted labels.

    Args:
        api: the server.
        path: of the collection, such as `/api/v1/pods`.
        kind: the type to decode into.
        labels: a label selector; empty for everything.
        told: called with what an object was and what it is, None standing for "not there".
        metadata_only: whether the server is to send metadata alone.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        kind: type[T],
        labels: str,
        told: Callable[[T | None, T | None], None],
        metadata_only: bool = False,
    ) -> None:
        self.objects: dict[tuple[str, str], T] = {}
        self.synced = asyncio.Event()
        self.contact = Contact()
        self._watched: asyncio.Timeout | None = None
        self._api = api
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._query: Mapping[str, str] = {"labelSelector": labels} if labels else {}
        self._told = told
        self._accept = METADATA_ONLY if metadata_only else JSON
        self._accept_list = METADATA_LIST if metadata_only else JSON
        self._version = ""

    def get(self, namespace: str, name: str) -> T | None:
        """One object, or None when there is none."""
        return self.objects.get((namespace, name))

    def note(self, thing: T) -> None:
        """Take what the server answered to a write, unless the watch has told of it, or of more, already."""
        if _version(thing) > int(self._version or 0):
            self._put(thing)

    def doubt(self) -> None:
        """Ask anew, because somebody else had no answer; a watch alone would not notice for long."""
        if self._watched is not None:
            self._watched.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Follow the server until cancelled; what cannot be had is asked for again, later."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiError as error:
                if error.status == 410:
                    self._version = ""
                else:
                    log.warning("%s cannot be watched: %s", self._path, error)
                if error.status >= 500:
                    self.contact.failed()
            except msgspec.DecodeError as error:
                log.warning("%s: an answer cannot be read: %s", self._path, error)
                self._version = ""
            except NOT_ANSWERING as error:
                self.contact.failed()
                log.info("the watch of %s was interrupted: %r", self._path, error)
            if time.monotonic() - began >= LONGEST_PAUSE:
                pause = FIRST_PAUSE  # what lasted for a while was well
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _list(self) -> None:
        """Take everything that is there now for what is there, and tell what differs."""
        found: dict[tuple[str, str], T] = {}
        query = {**self._query, "limit": PAGE}
        while True:
            page = msgspec.json.decode(
                await self._api.fetch("GET", self._path, query=query, accept=self._accept_list), type=_Page
            )
            for raw in page.items or ():
                thing = self._decoder.decode(raw)
                found[_key(thing)] = thing
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        version = page.metadata.resource_version
        for key in self.objects.keys() - found.keys():
            # What was made after the moment of the list was not in it.
            if _version(self.objects[key]) <= int(version):
                self._told(self.objects.pop(key), None)
        for thing in found.values():
            self._put(thing)
        self._version = version
        self.contact.answered()
        self.synced.set()

    async def _watch(self) -> None:
        query = {
            **self._query,
            **{"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": LIFE},
            "resourceVersion": self._version,
        }
        count = 0
        async with (
            asyncio.timeout(OPENING) as patience,
            self._api.stream(self._path, query, self._accept, SILENCE) as content,
        ):
            patience.reschedule(None)
            self._watched = patience
            self.contact.answered()
            try:
                async for line in _lines(content):
                    self._take(msgspec.json.decode(line, type=_Event))
                    count += 1
                    if count % AT_A_TIME == 0:
                        await asyncio.sleep(0)
            finally:
                self._watched = None

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            failure = msgspec.json.decode(event.object, type=_Failure)
            raise ApiError(failure.code, "", failure.message)
        if event.type == "BOOKMARK":
            self._version = msgspec.json.decode(event.object, type=_Mark).metadata.resource_version
            return
        thing = self._decoder.decode(event.object)
        if event.type != "DELETED":
            self._put(thing)
        elif (present := self.get(*_key(thing))) is None or _version(present) <= _version(thing):
            # Else it was made again, and the answer to that is known already.
            self.objects.pop(_key(thing), None)
            self._told(thing, None)
        self._version = thing.metadata.resource_version

    def _put(self, thing: T) -> None:
        before = self.objects.get(_key(thing))
        if before is None or _version(before) < _version(thing):
            self.objects[_key(thing)] = thing
            self._told(before, thing)


def _key(thing: Thing) -> tuple[str, str]:
    return thing.metadata.namespace, thing.metadata.name


def _version(thing: Thing) -> int:
    return int(thing.metadata.resource_version)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, however long; a last one without an end is not complete, and left out."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
