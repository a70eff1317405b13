"""One machine as a class's surroundings: what is looked at there. `places.py` says what it means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from hub.preflight import places
from hub.preflight.judge import TITLES
from hub.preflight.seats import pods
from hub.preflight.steps import Class, Step
from hub.room import Check

HOME = 200 * 2.0**20
"""Bytes that a home and its logs are taken to need."""


class MachineSurroundings:
    """This machine.

    Args:
        directory: where homes are.
        unavailable: frameworks that cannot run here.
    """

    def __init__(self, directory: Path, unavailable: Sequence[str]) -> None:
        self._directory = directory
        self._unavailable = unavailable

    def steps(self, course: Class) -> Sequence[Step]:
        """See `Surroundings`."""

        async def size() -> list[Check]:
            seat = pods(course.profile, self._unavailable)
            cores, memory = float(psutil.cpu_count() or 1), float(psutil.virtual_memory().available)
            return places.machine(course, seat, cores, memory)

        async def disk() -> list[Check]:
            return [places.disk(course, float(psutil.disk_usage(str(self._directory)).free), HOME)]

        return (
            Step({name: TITLES[name] for name in ("cpu", "memory")}, size),
            Step({"disk": TITLES["disk"]}, disk),
        )
