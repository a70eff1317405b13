"""The archives as the archive part keeps them, asked over HTTP: `service.py` answers.

Nothing here may touch a disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import msgspec

from hub.archives.base import NotKept
from hub.ending import Home, Kept

PIECE = 2**18
KEEPING = aiohttp.ClientTimeout(total=None, connect=5, sock_read=330)
"""A home is fetched before this is answered; whoever asks has a limit of their own."""
READING = aiohttp.ClientTimeout(total=None, connect=5, sock_read=60)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the archive part.

    Args:
        owner: who may have the archive.
        until: how long it is kept.
        source: where the home is to be fetched.
        token: what is asked for there.
    """

    owner: str
    until: datetime
    source: str
    token: str


class RemoteArchives:
    """The archive part.

    Args:
        session: for all requests; it must leave bodies as they are.
        address: such as `http://podium-archive:8081`.
        token: what it asks for.
    """

    running = True

    def __init__(self, session: aiohttp.ClientSession, address: str, token: str) -> None:
        self._session = session
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def keep(self, home: Home, notebook: str = "", token: str = "") -> Kept:
        if home.until is None:
            return Kept()
        order = Order(home.owner, home.until, f"{notebook}podium/archive", token)
        try:
            async with self._session.put(
                f"{self._address}/archives/{home.key}",
                data=msgspec.json.encode(order),
                headers=self._headers,
                timeout=KEEPING,
            ) as response:
                body = await response.read()
                if response.status != 200:
                    raise NotKept(body.decode(errors="replace").strip()[:300])
                return msgspec.json.decode(body, type=Kept)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise NotKept(f"The archive does not answer: {error!r}"[:300]) from None

    @asynccontextmanager
    async def read(self, key: str, owner: str) -> AsyncIterator[AsyncIterator[bytes] | None]:
        url = f"{self._address}/archives/{key}"
        async with self._session.get(
            url, params={"owner": owner}, headers=self._headers, timeout=READING
        ) as response:
            if response.status == 404:
                yield None
                return
            response.raise_for_status()
            yield response.content.iter_chunked(PIECE)

    async def prune(self, now: datetime) -> None:
        return None  # the part does this by itself
