"""What the API server itself tells of a class: who got in, in which order, and how many at once.

It looks at objects alone, in the order of one watch, so that a slow machine makes nothing look wrong that is
right. Nothing here may write to the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from msgspec import Struct

from hub.kube.api import Api
from hub.kube.informer import Informer
from hub.kube.objects import Named

JUST_NOW = 3.0
"""Seconds for which the controller may not have heard of somebody."""
NEVER = datetime.min.replace(tzinfo=UTC)
IN_USE = ("Starting", "Ready", "Stopping")


class _Metadata(Named, frozen=True, kw_only=True, rename="camel"):
    creation_timestamp: datetime
    deletion_timestamp: str | None = None


class _Spec(Struct, frozen=True, kw_only=True, rename="camel"):
    owner: str = ""
    touched: datetime = NEVER
    queued_at: datetime | None = None


class _Status(Struct, frozen=True):
    phase: str = ""


class _Workspace(Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def holds(self) -> bool:
        """Whether it takes room."""
        return self.status.phase in IN_USE

    @property
    def waits(self) -> bool:
        """Whether somebody waits for it in line."""
        return bool(self.spec.owner) and not self.holds and self.metadata.deletion_timestamp is None

    def turn(self, touched: datetime) -> tuple[datetime, datetime]:
        """Its order in the line.

        Args:
            touched: when it was launched, by the clock of who launched it.
        """
        return self.spec.queued_at or self.metadata.creation_timestamp, touched


class Onlooker:
    """Follows all workspaces of a release.

    Args:
        api: the server, as the administrator.
        namespace: the release's.
        capacity: how many may be in use at once; None for any number.
        at_once: how many may be starting at once.
    """

    def __init__(self, api: Api, namespace: str, capacity: int | None, at_once: int) -> None:
        self.most = 0
        """How many were in use at once, at most."""
        self.longest_line = 0
        self.overtaken: list[str] = []
        """Who got in although somebody had waited for longer and there was room for one alone."""
        self._capacity = capacity
        self._at_once = at_once
        self._came: dict[str, tuple[float, datetime]] = {}
        path = f"/apis/podium.hub/v1/namespaces/{namespace}/workspaces"
        self._informer = Informer(api, path, _Workspace, "", self._told)

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[Onlooker]:
        """Look while the context lasts."""
        task = asyncio.create_task(self._informer.run())
        try:
            await self._informer.synced.wait()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def workspaces(self) -> Counter[str]:
        """Owner to how many workspaces are theirs now, those that are ending left out; "" for the pool."""
        live = [one for one in self._informer.objects.values() if one.metadata.deletion_timestamp is None]
        return Counter(one.spec.owner for one in live)

    @property
    def ready(self) -> int:
        """How many are Ready."""
        return sum(one.status.phase == "Ready" for one in self._informer.objects.values())

    def _told(self, before: _Workspace | None, now: _Workspace | None) -> None:
        if now is None:
            return
        self._came.setdefault(now.metadata.uid, (time.monotonic(), now.spec.touched))
        everybody = self._informer.objects.values()
        self.most = max(self.most, sum(one.holds for one in everybody))
        self.longest_line = max(self.longest_line, sum(one.waits for one in everybody))
        if before is not None and before.waits and now.holds:
            self._entered(now)

    def _entered(self, entered: _Workspace) -> None:
        """Look whether somebody who waited for longer should have got in."""
        everybody = self._informer.objects.values()
        known, turn = time.monotonic() - JUST_NOW, entered.turn(self._came[entered.metadata.uid][1])
        ahead = []
        for one in everybody:
            since, touched = self._came[one.metadata.uid]
            if one.waits and one.turn(touched) < turn and since < known:
                ahead.append(one.metadata.name)
        if not ahead:
            return
        # Who has their turn in the same moment may be told of in any order.
        in_use = sum(one.holds for one in everybody) + len(ahead)
        starting = sum(one.status.phase == "Starting" for one in everybody) + len(ahead)
        if in_use > (self._capacity or in_use) or starting > self._at_once:
            self.overtaken.append(f"{entered.metadata.name} got in before {', '.join(ahead[:5])}")
