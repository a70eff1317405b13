"""Kubernetes Events on Workspaces, so that `kubectl describe workspace` tells the story.

They are for people who look on: nothing waits for them, one that cannot be written is left out, and of one
workspace that never rests only so many are told. Nothing here may decide what is worth telling.
Source: client-go's `tools/record`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hub.happenings import Happening, happenings
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.model import Workspace

log = logging.getLogger("podium.events")

COMPONENT = "podium-controller"
MOST_WAITING = 2000
"""Events that wait while the API server is slow; 500 launches at once make three each."""
BURST, EVERY = 20.0, 60.0
"""How many of one workspace are written at once, and the seconds after which it may have another."""
MOST_KNOWN = 5000
"""Workspaces of which it is known how many they had."""
MOST_LETTERS = 1024
"""Of a message. Source: the API's validation of Events."""


class Recorder:
    """Writes Events, one after the other.

    Args:
        api: the server.
        namespace: of the Workspace objects, and of their Events.
        now, clock: the time of day, and seconds that never go back.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._now = now
        self._clock = clock
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._last = 0

    def reported(self, before: Workspace, after: Workspace) -> None:
        """Tell what happened between two reports."""
        for happening in happenings(before.status, after.status):
            if self._waiting.full() or not self._may(after.metadata.uid):
                log.debug("%s: left out: %s", after.name, happening.message)
                continue
            level = logging.INFO if happening.well else logging.WARNING
            log.log(level, "%s: %s: %s", after.name, happening.reason, happening.message)
            self._waiting.put_nowait(self._event(after, happening))

    async def run(self) -> None:
        """Write them, until cancelled."""
        path = f"/api/v1/namespaces/{self._namespace}/events"
        while True:
            event = await self._waiting.get()
            try:
                await self._api.call("POST", path, event)
            except (ApiError, *NOT_ANSWERING) as error:
                log.info("an event on %s is left out: %r", event["involvedObject"]["name"], error)

    def _may(self, uid: str) -> bool:
        """Whether another one may be told of a workspace (a token bucket)."""
        now = self._clock()
        left, at = self._left.pop(uid, (BURST, now))
        left = min(BURST, left + (now - at) / EVERY)
        may = left >= 1
        self._left[uid] = (left - may, now)
        if len(self._left) > MOST_KNOWN:
            self._left.popitem(last=False)
        return may

    def _event(self, workspace: Workspace, happening: Happening) -> dict[str, Any]:
        metadata, at = workspace.metadata, self._now()
        now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        # Of one second, kubectl shows them in the order of their names.
        self._last = max(self._last + 1, round(at.timestamp() * 1e6))
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name}.{self._last:x}", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": workspace.api_version,
                "kind": workspace.kind,
                "namespace": self._namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": "Normal" if happening.well else "Warning",
            "reason": happening.reason,
            "message": happening.message[:MOST_LETTERS],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
