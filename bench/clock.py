"""`python -m bench.clock FILE ARGS…`: `podium ARGS…`, the program itself, with a clock on its event loop.

Every 20 ms the loop is asked to do nothing; how late it does so is how long anybody else has waited for it.
Each lateness is written to the file as it happens, so a kill loses none. Nothing here may change what the
program does.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from pathlib import Path

PERIOD = 0.02
SAMPLE = struct.Struct("dd")


class Clock(asyncio.DefaultEventLoopPolicy):
    """Makes event loops that write down how late they are.

    Args:
        path: where to.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        self._tick(loop, loop.time())
        return loop

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        late = loop.time() - due
        os.write(self._file, SAMPLE.pack(time.monotonic(), late))
        following = loop.time() + PERIOD
        loop.call_at(following, self._tick, loop, following)


def lateness(path: Path, begin: float, end: float) -> list[float]:
    """Seconds by which the loop was late, of all samples between two times of the monotonic clock.

    A sample is late by what came before it, so the sample that ends a block belongs to it.
    """
    samples = SAMPLE.iter_unpack(path.read_bytes())
    return [late for at, late in samples if begin <= at <= end]


if __name__ == "__main__":
    from hub.app import main

    asyncio.set_event_loop_policy(Clock(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
