"""What a Service does: connections to one port go to any of several programs that takes them.

Nothing here may know what is said on a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from hub.ports import HOST


async def spread(port: int, targets: Sequence[int]) -> asyncio.Server:
    """Listen on a port, and pass each connection on to one of the others, whichever takes it."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            for target in random.sample(targets, len(targets)):
                try:
                    there, back = await asyncio.open_connection(HOST, target)
                except OSError:
                    continue
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
                return

    return await asyncio.start_server(accept, HOST, port, backlog=1024)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(target):
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
