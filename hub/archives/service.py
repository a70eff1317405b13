"""The archive part: fetches home folders from notebooks, keeps them in a folder, and gives them back.

    PUT /archives/<key>            fetch it, unless it is there; answered when it is
    GET /archives/<key>?owner=…    the gzipped tar, for its owner alone

A file is there as a whole or not at all, however this process ends. People can make notebooks send whatever
they like, so what is fetched is counted and never looked into. Nothing here may know what a workspace is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec
import tornado.web
from tornado.iostream import StreamClosedError

from hub.archives.base import NotKept
from hub.archives.remote import PIECE, Order
from hub.ending import Kept

log = logging.getLogger("podium.archive")

AT_ONCE = 16
"""Homes that are fetched at the same time; the others wait."""
PACKED = 1.1
"""How much larger an archive may be than the files in it."""
HEADERS = 2**20
"""Bytes that names and the like may take beyond that."""
FETCH = aiohttp.ClientTimeout(total=280, connect=5)
"""Less than whoever ends a workspace waits for it."""
ROUND = 300.0
KEY = r"cluster-[a-z0-9]{6,8}-[0-9a-z-]{1,8}"


class _Note(msgspec.Struct, frozen=True):
    owner: str
    until: datetime
    bytes: int


@dataclass
class Shelf:
    """The folder.

    Args:
        directory: where archives are; nobody else writes there.
        session: for requests to notebooks.
        limit: bytes of files that one archive may hold.
        now: the clock.
    """

    directory: Path
    session: aiohttp.ClientSession
    limit: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def open(self) -> None:
        """Make the folder, and remove what an earlier process did not finish."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (*self.directory.glob("*.part"), *self.directory.glob("*.new")):
            path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Remove what was kept long enough, until cancelled."""
        while True:
            await asyncio.to_thread(self.prune)
            await asyncio.sleep(ROUND)

    def prune(self) -> None:
        """Remove what was kept long enough, and what has no note, as nobody can ask for it."""
        for path in self.directory.glob("*.json"):
            note = self.note(path.stem)
            if note is not None and note.until <= self.now():
                path.unlink(missing_ok=True)
        for path in self.directory.glob("*.tar.gz"):
            key = path.name.removesuffix(".tar.gz")
            if not self._file(key, ".json").exists() and not self._locks[key].locked():
                path.unlink(missing_ok=True)

    def note(self, key: str) -> _Note | None:
        """What is known of an archive; None when there is none."""
        try:
            return msgspec.json.decode(self._file(key, ".json").read_bytes(), type=_Note)
        except (OSError, msgspec.DecodeError):
            return None

    def file(self, key: str) -> BinaryIO:
        """An archive. Raises OSError when it is gone."""
        return self._file(key, ".tar.gz").open("rb")

    async def keep(self, key: str, order: Order) -> Kept:
        """Fetch a home folder, unless it is there. Raises NotKept."""
        async with self._locks[key], self._places:
            note = self.note(key)
            if note is None:
                note = await self._fetch(key, order)
        return Kept(bytes=note.bytes, until=note.until) if note.bytes else Kept()

    async def _fetch(self, key: str, order: Order) -> _Note:
        part = self._file(key, ".part")
        try:
            with part.open("wb") as file:
                size = await self._stream(order, file)
                if size:
                    await asyncio.to_thread(_settle, file)
            note = _Note(order.owner, order.until, size)
            if size:
                part.replace(self._file(key, ".tar.gz"))
                await asyncio.to_thread(self._write_note, key, note)
            return note
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotKept(f"Its notebook did not send its files: {error!r}"[:300]) from None
        except OSError as error:
            raise NotKept(f"The archive cannot keep its files: {error.strerror or error}") from None
        finally:
            part.unlink(missing_ok=True)

    async def _stream(self, order: Order, file: BinaryIO) -> int:
        """Write what a notebook sends; returns how many bytes. Nothing, if nobody has worked in it."""
        headers = {"Authorization": f"Bearer {order.token}"}
        async with self.session.get(
            order.source,
            params={"limit": str(self.limit)},
            headers=headers,
            timeout=FETCH,
            allow_redirects=False,
        ) as response:
            if response.status == HTTPStatus.NO_CONTENT:
                return 0
            if response.status != HTTPStatus.OK:
                raise NotKept(f"Its notebook refused to send its files ({response.status}).")
            size = 0
            async for piece in response.content.iter_chunked(PIECE):
                size += len(piece)
                if size > self.limit * PACKED + HEADERS:
                    raise NotKept("It sent more than an archive may hold.")
                await asyncio.to_thread(file.write, piece)
            return size

    def _write_note(self, key: str, note: _Note) -> None:
        """What makes an archive one that is there."""
        new = self._file(key, ".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(note))
            _settle(file)
        new.replace(self._file(key, ".json"))

    def _file(self, key: str, suffix: str) -> Path:
        return self.directory / f"{key}{suffix}"


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


class _Handler(tornado.web.RequestHandler):
    def initialize(self, shelf: Shelf, bears: Callable[[str], bool]) -> None:
        self._shelf, self._bears = shelf, bears

    def prepare(self) -> None:
        if not self._bears(self.request.headers.get("Authorization", "")):
            raise tornado.web.HTTPError(HTTPStatus.UNAUTHORIZED)

    async def put(self, key: str) -> None:
        try:
            order = msgspec.json.decode(self.request.body, type=Order)
        except msgspec.DecodeError:
            raise tornado.web.HTTPError(HTTPStatus.BAD_REQUEST) from None
        try:
            kept = await self._shelf.keep(key, order)
        except NotKept as error:
            log.warning("%s: %s", key, error)
            self.set_status(HTTPStatus.BAD_GATEWAY)
            self.finish(str(error))
            return
        self.finish(msgspec.json.encode(kept))

    async def get(self, key: str) -> None:
        note = self._shelf.note(key)
        if note is None or note.owner != self.get_query_argument("owner"):
            raise tornado.web.HTTPError(HTTPStatus.NOT_FOUND)
        self.set_header("Content-Type", "application/gzip")
        self.set_header("Content-Length", str(note.bytes))
        with contextlib.suppress(StreamClosedError), self._shelf.file(key) as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                self.write(piece)
                await self.flush()


def make_application(shelf: Shelf, bears: Callable[[str], bool]) -> tornado.web.Application:
    """The archive part's routes.

    Args:
        bears: whether an `Authorization` header is of web or the controller.
    """
    return tornado.web.Application(
        [(rf"/archives/({KEY})", _Handler, {"shelf": shelf, "bears": bears})], log_function=lambda _: None
    )
