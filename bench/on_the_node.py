"""A class of a few people on the real node, with real notebooks: `make bench ARGS="class --node"`.

Nothing here may reach past the front door, but to look at the objects.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.attendees import Attendee, crowd
from bench.figures import waits
from bench.people import browsers
from bench.table import Table
from hub.tools import CHECKOUT
from tests.cluster.access import until
from tests.cluster.node import here
from tests.node.installed import Installed, installed

OUT = CHECKOUT / "artefacts" / "bench"
SECONDS = 10.0
MINUTES = 10.0


def main() -> int:
    """Measure with an empty pool and with a full one, print, write. Returns the exit code."""
    node = here()
    if node is None:
        print('podium: this is measured on the real node: make bench ARGS="class --node"', file=sys.stderr)
        return 2
    count = int(sys.argv[1]) if sys.argv[1:] else 10
    code = 0
    for pool in (0, count):
        config: dict[str, Any] = {"sign_in": "guest"}
        if pool:
            config["pool"] = {"workshop": {"size": pool}}
        with (
            tempfile.TemporaryDirectory() as folder,
            installed(node, Path(folder), f"class-{pool}", config=config) as release,
        ):
            table = Table(f"{count} people in {SECONDS:g} s on the real node, pool of {pool}")
            if pool:
                filled(release, pool, table)
            asyncio.run(attended(release, count, table))
        table.write(OUT / f"class-node-{pool}.json")
        print(f"{table.markdown()}\n")
        code |= bool(table.wrong)
    return code


def filled(release: Installed, pool: int, table: Table) -> None:
    """Wait until the pool is full."""
    began = time.monotonic()

    def full() -> bool:
        ready = [one for one in objects(release) if one.get("status", {}).get("phase") == "Ready"]
        return len(ready) >= pool

    until("the pool is full", full, 60 * MINUTES)
    table.add("seconds until the pool was full", time.monotonic() - began)


async def attended(release: Installed, count: int, table: Table) -> None:
    """Let everybody come, and say what they saw."""
    async with browsers() as session:
        people = [Attendee(session, release.url) for _ in range(count)]
        for person in people:
            await person.arrive()
        await crowd(people, SECONDS, "workshop")
    waits(table, people)
    if without := sum(not person.opened for person in people):
        table.wrong.append(f"{without} people never came into a notebook")
    owners = Counter(one["spec"].get("owner", "") for one in objects(release))
    if doubles := [owner for owner, found in owners.items() if owner and found > 1]:
        table.wrong.append(f"{len(doubles)} people have two workspaces")


def objects(release: Installed) -> list[Any]:
    """All workspaces of the release."""
    return list(release.node.get("workspaces", "-n", release.name)["items"])


if __name__ == "__main__":
    sys.exit(main())
