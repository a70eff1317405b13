"""What the controller works with, all that it can touch, and what it is told of the class.

Nothing here may do anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hub.archives.base import Archives
from hub.backends.base import Backend
from hub.probe import Probe
from hub.profiles import Profile
from hub.rules import Rules
from hub.store.base import RoomStore, Store


class Routes(Protocol):
    """What the controller needs of the proxy."""

    def begin(self) -> None:
        """Nothing is known yet of what workspaces want, whatever was known before."""

    async def put(self, name: str, wanted: dict[str, str]) -> None:
        """Make the routes of one workspace what they should be."""

    def tried(self) -> None:
        """Every workspace was looked at once, be it in vain: a proxy with these routes may serve people."""

    def complete(self) -> None:
        """Every workspace has been put once: routes that nobody wants may now be removed."""


@dataclass(frozen=True)
class Edges:
    """Everything with I/O.

    Args:
        store: where objects are.
        backend: what runs them.
        proxy: makes them reachable.
        probe: asks schedulers and notebooks; made by the caller with the queue's `add` as its `moved`.
    """

    store: Store
    backend: Backend
    proxy: Routes
    probe: Probe


@dataclass(frozen=True)
class House:
    """What is true of the class as a whole.

    Args:
        profiles: the menu, of which objects written by hand may name one.
        marks: profile to the fingerprint of what is launched now.
        rules: what the operator decided.
        room: what instructors ask for, and where they are told; None where there are none.
        archives: keep the homes of workspaces that end; None where nothing does.
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = Rules()
    room: RoomStore | None = None
    archives: Archives | None = None
