"""What every ground brings: a store, a backend, what runs beside them, and what to say at the end.

Nothing here may know of web, the proxy or the controller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from hub.archives.base import Archives
from hub.backends.base import Backend
from hub.happenings import Reported
from hub.preflight.steps import Surroundings
from hub.store.base import RoomStore, Store


class FollowProxies(Protocol):
    """Follows the proxies that a Service stands for."""

    def __call__(self, service: str, told: Callable[[Collection[str]], None]) -> Awaitable[None]:
        """Tell the addresses of their APIs whenever these change, until cancelled."""


class Ground(Protocol):
    """What a hub stands on.

    Args:
        kept: a sentence on what becomes of files after a stop.
        own_port: whether a port of this machine is listened on by this account alone; None where pods have
            addresses of their own.
    """

    kept: str
    own_port: Callable[[int], bool] | None

    @property
    def proxies(self) -> FollowProxies | None:
        """Finds several proxies; None where there is but one."""

    @property
    def reported(self) -> Reported | None:
        """Who wants to hear of reports, besides the monitoring."""

    @property
    def store(self) -> Store:
        """Where Workspace objects are."""

    @property
    def room(self) -> RoomStore:
        """Where the Room is."""

    @property
    def backend(self) -> Backend:
        """What runs them."""

    @property
    def surroundings(self) -> Surroundings:
        """What of it a class depends on."""

    @property
    def archives(self) -> Archives:
        """What keeps the homes of workspaces that end, where no part of its own does."""

    async def start(self) -> None:
        """Whatever comes before everything else."""

    def follows(self, backend: bool = True) -> list[Callable[[], Awaitable[None]]]:
        """What has to run, until cancelled, so that the store and the backend know what there is.

        Args:
            backend: whether the backend is used at all.
        """

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run the controller, when it is this one's turn to act."""

    async def close(self, told: bool) -> str:
        """Let go of everything. Returns what to say of it.

        Args:
            told: whether somebody asked for the end; else what runs for people is left alone.
        """
