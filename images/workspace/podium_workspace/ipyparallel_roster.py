"""Which engines there are and what each has to do: the ground on which an engine is called idle.

A message counts as work from when it passes the controller until its reply passes back, however it was sent:
straight to an engine, to whichever is free, or to many at once. Nothing here may do I/O.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass
class Engine:
    """An engine that has registered.

    Args:
        uuid: `<instance>_<nonce>`, another one each time its process starts.
        number: what clients call it.
        host: the address of its instance.
        since: when it registered, in seconds since 1970.
        queue: messages that have not been answered, running or waiting.
        done: messages answered.
        leaving: it was idle when it was asked to go, and gets nothing new.
        settled: it is leaving, and nobody can still have something on the way to it.
    """

    uuid: str
    number: int
    host: str
    since: float
    queue: int = 0
    done: int = 0
    leaving: bool = False
    settled: bool = False

    @property
    def instance(self) -> str:
        """The name of the instance that it runs in."""
        return self.uuid.partition("_")[0]

    @property
    def drained(self) -> bool:
        """Whether its process may be ended."""
        return self.settled and not self.queue


class Roster:
    """All engines, by their uuid; those that are leaving too, until their process has ended."""

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}

    def joined(self, engine: Engine) -> Engine | None:
        """An engine has registered.

        Returns:
            The engine that ran in the same instance before it and so has ended; it is no longer listed.
        """
        earlier = next((one for one in self.engines.values() if one.instance == engine.instance), None)
        if earlier is not None:
            del self.engines[earlier.uuid]
        self.engines[engine.uuid] = engine
        return earlier

    def left(self, number: int) -> None:
        """The process of an engine has ended."""
        self.engines = {uuid: engine for uuid, engine in self.engines.items() if engine.number != number}

    def sent(self, uuid: str) -> None:
        """A message is on its way to an engine."""
        if engine := self.engines.get(uuid):
            engine.queue += 1

    def answered(self, uuid: str) -> None:
        """A reply of an engine has passed."""
        if engine := self.engines.get(uuid):
            engine.queue = max(0, engine.queue - 1)
            engine.done += 1

    def idle(self, instances: Collection[str]) -> list[Engine]:
        """Those of the named instances that have nothing to do, and are not leaving already."""
        engines = self.engines.values()
        return [one for one in engines if one.instance in instances and not (one.queue or one.leaving)]

    def state(self, waiting: int) -> dict[str, Any]:
        """What the hub wants to know.

        Args:
            waiting: the number of tasks for which no engine has been found yet.
        """
        return {
            "busy": waiting > 0 or any(engine.queue for engine in self.engines.values()),
            "workers": [
                {
                    "instance": engine.instance,
                    "busy": engine.queue > 0,
                    "draining": engine.leaving,
                    "drained": engine.drained,
                }
                for engine in self.engines.values()
            ],
        }

    def view(self, waiting: int) -> dict[str, Any]:
        """What people want to see; the argument is that of `state`."""
        return {
            "waiting": waiting,
            "engines": [
                {
                    "number": engine.number,
                    "instance": engine.instance,
                    "host": engine.host,
                    "state": "leaving" if engine.leaving else "busy" if engine.queue else "idle",
                    "queue": engine.queue,
                    "done": engine.done,
                    "since": round(engine.since),
                }
                for engine in self.engines.values()
            ],
        }
