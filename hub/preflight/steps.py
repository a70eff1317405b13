"""What a preflight consists of, wherever the hub stands. Nothing here may look at anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from hub.profiles import Profile
from hub.room import Check


@dataclass(frozen=True)
class Class:
    """What is asked for.

    Args:
        profile: what everybody launches.
        seats: how many people come.
        held: how many workspaces of the profile are there already, and wait for somebody.
        start: when they come.
        hours: how long they stay.
    """

    profile: Profile
    seats: int
    start: datetime
    hours: float
    held: int = 0

    @property
    def end(self) -> datetime:
        """When they leave."""
        return self.start + timedelta(hours=self.hours)

    @property
    def missing(self) -> int:
        """How many workspaces are still to be started."""
        return max(0, self.seats - self.held)


@dataclass(frozen=True)
class Step:
    """Something to look at, of which one or several checks come.

    Args:
        titles: the name of each check and what people call it.
        look: makes them; what it raises is told of all of them.
    """

    titles: Mapping[str, str]
    look: Callable[[], Awaitable[Sequence[Check]]]


class Surroundings(Protocol):
    """Where a hub stands, as far as a class depends on it."""

    def steps(self, course: Class) -> Sequence[Step]:
        """What there is to look at."""
