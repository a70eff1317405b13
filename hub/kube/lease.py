"""Leader election by a Lease: of several controllers one acts, and another takes over when it is gone.

The one that holds the Lease renews it; the others watch the clock on their own wall, never the time that is
written in it, so clocks may differ. Nothing here may know what a leader does.
Source: client-go's `tools/leaderelection`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from hub.kube.api import NOT_ANSWERING, Api, ApiError

log = logging.getLogger("podium.lease")

DURATION = 15.0
"""Seconds after which a Lease that is not renewed may be taken."""
PATIENCE = 10.0
"""Seconds without a renewal after which the holder stops acting, well before another may begin."""
PERIOD = 2.0
FAREWELL = 2.0
"""Seconds that giving a Lease back may take."""


class Lease:
    """The right to act, shared among all who know its name.

    Args:
        api: the server.
        namespace, name: of the Lease object.
        identity: tells us from the others.
        duration, patience, period: seconds, as the constants above.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        duration: float = DURATION,
        patience: float = PATIENCE,
        period: float = PERIOD,
    ) -> None:
        self._api = api
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._duration, self._patience, self._period = duration, patience, period
        self._seen: tuple[object, float] = (None, 0.0)

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        """Wait until the Lease is ours, act for as long as it is, and wait again when it is lost.

        Returns when `act` does, and raises what it raises; the Lease is given back then, so that another
        need not wait.
        """
        while True:
            await self._acquire()
            log.info("%s leads", self._identity)
            acting = asyncio.ensure_future(act())
            renewing = asyncio.ensure_future(self._renew())
            try:
                await asyncio.wait([acting, renewing], return_when=asyncio.FIRST_COMPLETED)
                if acting.done():
                    return acting.result()
                log.warning("%s leads no longer: the lease could not be renewed", self._identity)
            finally:
                for task in (acting, renewing):
                    task.cancel()
                await asyncio.gather(acting, renewing, return_exceptions=True)
                await self._give_back()

    async def _acquire(self) -> None:
        ours = await self._attempt()
        while not ours:
            await asyncio.sleep(self._period)
            ours = await self._attempt()

    async def _renew(self) -> None:
        """Renew until that has failed for too long."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < self._patience:
            await asyncio.sleep(self._period)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience - (time.monotonic() - renewed)):
                    if await self._attempt():
                        renewed = time.monotonic()
                    elif self._seen[0] is not None and not self._ours(self._seen[0]):
                        return  # somebody else has it

    async def _attempt(self) -> bool:
        """Take the Lease or renew it. Returns whether it is ours now; False also when that is not known."""
        try:
            lease = await self._read()
            if lease is None:
                await self._api.call("POST", self._collection, self._object({}, None))
                return True
            spec = lease.get("spec") or {}
            record = (spec.get("holderIdentity"), spec.get("renewTime"))
            if record != self._seen[0]:
                self._seen = (record, time.monotonic())
            taken = bool(record[0]) and record[0] != self._identity
            if taken and time.monotonic() - self._seen[1] < float(spec.get("leaseDurationSeconds") or 0):
                return False
            await self._api.call("PUT", f"{self._collection}/{self._name}", self._object(lease, record[0]))
            self._seen = (None, 0.0)
            return True
        except ApiError as error:
            if error.status != 409:  # another one was faster
                log.warning("the lease %s: %s", self._name, error)
        except NOT_ANSWERING as error:
            log.warning("the lease %s: no answer: %r", self._name, error)
        return False

    async def _read(self) -> dict[str, Any] | None:
        try:
            lease = await self._api.call("GET", f"{self._collection}/{self._name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        assert isinstance(lease, dict)
        return lease

    def _object(self, lease: dict[str, Any], holder: object) -> dict[str, Any]:
        """The Lease as it is to be written; with the version that was read, so that two cannot both win."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = lease.get("spec") or {}
        spec = {**before, "holderIdentity": self._identity, "renewTime": now}
        spec["leaseDurationSeconds"] = max(1, round(self._duration))
        if holder != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(before.get("leaseTransitions") or 0) + bool(lease)
        metadata = lease.get("metadata") or {"name": self._name}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _ours(self, record: object) -> bool:
        return isinstance(record, tuple) and record[0] in (self._identity, None, "")

    async def _give_back(self) -> None:
        """Let another one lead at once, if the Lease is still ours."""
        with contextlib.suppress(ApiError, *NOT_ANSWERING):
            async with asyncio.timeout(FAREWELL):
                lease = await self._read()
                if lease and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    lease["spec"]["holderIdentity"] = ""
                    await self._api.call("PUT", f"{self._collection}/{self._name}", lease)
