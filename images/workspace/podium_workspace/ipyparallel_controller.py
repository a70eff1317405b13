"""IPyParallel's controller in one process, its parts made to tell a `Roster` what passes through them.

One process, because then the moment in which an engine is found idle is the moment in which it gets nothing
more; and because nothing is left over when it is killed. What is used here of IPyParallel beyond its settings
is that of the version in `requirements.lock`. Nothing here may serve HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Any

from ipyparallel.controller import app
from ipyparallel.controller.broadcast_scheduler import BroadcastScheduler
from ipyparallel.controller.hub import Hub
from ipyparallel.controller.task_scheduler import TaskScheduler

from podium_workspace.held import Held
from podium_workspace.ipyparallel_roster import Engine, Roster

SETTLE = 0.5
"""Seconds after which nothing can be on its way any more to an engine that every client was told is gone."""


class WatchedTasks(TaskScheduler):
    """Gives each task to an engine that is free, and can be told to pass one over."""

    def start(self) -> None:
        """Let the controller know it, which makes it too deep inside to ask for it."""
        super().start()
        Controller.instance().tasks = self

    def add_job(self, idx: int) -> None:
        """A task was sent to an engine."""
        Controller.instance().sent(self.targets[idx].decode())
        super().add_job(idx)

    def finish_job(self, idx: int) -> None:
        """An engine has answered."""
        Controller.instance().answered(self.targets[idx].decode())
        super().finish_job(idx)

    def _unregister_engine(self, uid: bytes) -> None:
        # An engine that is passed over is unregistered again when the hub says that it has gone.
        if uid in self.targets:
            super()._unregister_engine(uid)

    pass_over = _unregister_engine


class WatchedBroadcasts(BroadcastScheduler):
    """Sends a message to many engines at once; the hub sees none of it."""

    def send_to_targets(self, msg: Any, original_msg_id: Any, targets: list[str], *rest: Any) -> None:
        """A message goes to each of the engines."""
        for target in targets:
            Controller.instance().sent(target)
        super().send_to_targets(msg, original_msg_id, targets, *rest)

    def dispatch_result(self, raw_msg: list[Any]) -> None:
        """One of them has answered."""
        Controller.instance().answered(bytes(raw_msg[0]).decode())
        super().dispatch_result(raw_msg)


class WatchedHub(Hub):
    """Knows the engines, and sees a copy of each message that a client sends straight to one of them."""

    def __init__(self, **settings: Any) -> None:
        self.hosts: dict[str, str] = {}
        super().__init__(**settings)

    def register_engine(self, reg: Any, msg: Any) -> None:
        """An engine asks to be registered, and says in each message's `username` where it is."""
        self.hosts[msg["content"].get("uuid")] = msg["header"]["username"]
        super().register_engine(reg, msg)

    def finish_registration(self, heart: bytes) -> None:
        """An engine's heart beats, so it is there; whatever ran in its instance before is not."""
        super().finish_registration(heart)
        uuid, number = heart.decode(), self.by_ident.get(heart)
        if number is not None:
            engine = Engine(uuid, number, self.hosts.pop(uuid, ""), time.time())
            earlier = Controller.instance().joined(engine)
            if earlier is not None:
                self.see_off(earlier)

    def unregister_engine(self, ident: Any, msg: Any) -> None:
        """An engine's process has ended: itself said so, or its nanny, or its heart does not beat.

        A nanny says only the engine's number. After a new start of the controller that number may be another
        engine's, so whoever says so has to be of the same session as the engine.
        """
        number = msg["content"].get("id")
        if "header" in msg and msg["header"]["session"] != self.uuid(number):
            return
        super().unregister_engine(ident, msg)
        Controller.instance().left(number)

    def handle_stopped_heart(self, heart: bytes) -> None:
        """The same, for one that is unregistered because it is leaving."""
        super().handle_stopped_heart(heart)
        engine = Controller.instance().roster.engines.get(heart.decode())
        if engine is not None:
            Controller.instance().left(engine.number)

    def uuid(self, number: int) -> str:
        """Whose number it is, whether registered, about to be, or leaving; empty for nobody's."""
        everybody = (*self.incoming_registrations.values(), *self.engines.values())
        uuids = {engine.id: engine.uuid for engine in everybody}
        leaving = {engine.number: engine.uuid for engine in Controller.instance().roster.engines.values()}
        return str((leaving | uuids).get(number, ""))

    def see_off(self, engine: Engine) -> None:
        """Tell clients and schedulers that an engine is gone, whether or not its process has ended."""
        super().unregister_engine(None, {"content": {"id": engine.number}})

    def dispatch_monitor_traffic(self, msg: list[bytes]) -> None:
        """Read on the envelope whom a message is for, or from."""
        super().dispatch_monitor_traffic(msg)
        match msg:
            case [b"in", engine, *_]:
                Controller.instance().sent(engine.decode())
            case [b"out", _, engine, *_]:
                Controller.instance().answered(engine.decode())
            case _:
                Controller.instance().touch()


class HeartMonitorThread(threading.Thread):
    """The heart's monitor, which IPyParallel runs in a process that would outlive a killed controller."""

    def terminate(self) -> None:
        """Ends with the process."""


class Controller(app.IPController):
    """The controller of a workspace; there is one in a process."""

    tasks: WatchedTasks
    hub: WatchedHub

    host = "127.0.0.1"
    """The address to listen on; others may know it by another name, which is in the connection files."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.roster = Roster()
        self.state = Held(lambda: self.roster.state(len(self.tasks.queue_map)))
        self.view = Held(lambda: self.roster.view(len(self.tasks.queue_map)))

    def load_config_from_json(self) -> None:
        """Read the connection files, whose address is for those who connect, and listen on our own."""
        super().load_config_from_json()
        for info in (self.engine_info, self.client_info):
            info["interface"] = f"tcp://{self.host}"

    def get_python_scheduler_args(self, name: str, kind: type, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Put our schedulers in the place of IPyParallel's."""
        kind = {TaskScheduler: WatchedTasks, BroadcastScheduler: WatchedBroadcasts}[kind]
        settings: dict[str, Any] = super().get_python_scheduler_args(name, kind, *args, **kwargs)
        return settings

    def joined(self, engine: Engine) -> Engine | None:
        """See `Roster.joined`."""
        earlier = self.roster.joined(engine)
        self.touch()
        return earlier

    def left(self, number: int) -> None:
        """See `Roster.left`."""
        self.roster.left(number)
        self.touch()

    def sent(self, uuid: str) -> None:
        """See `Roster.sent`."""
        self.roster.sent(uuid)
        self.touch()

    def answered(self, uuid: str) -> None:
        """See `Roster.answered`."""
        self.roster.answered(uuid)
        self.touch()

    def touch(self) -> None:
        """What is shown may be another."""
        self.state.touch()
        self.view.touch()

    def drain(self, instances: Collection[str]) -> None:
        """Let those of the named instances go that are idle; the busy ones stay as they are.

        Between finding an engine idle and passing it over nothing else runs, so no task gets lost in between.
        A client may be sending it something directly at this moment: what arrives is still done and answered,
        and only when that is over, and the time has passed in which more may come, is the engine drained.
        """
        self.hub.monitor.flush()
        for engine in self.roster.idle(instances):
            self.log.info("Drain %s", engine.instance)
            engine.leaving = True
            self.tasks.pass_over(engine.uuid.encode())
            self.hub.see_off(engine)
            self.loop.call_later(SETTLE, self._settled, engine)
        self.touch()

    def _settled(self, engine: Engine) -> None:
        engine.settled = True
        self.touch()


# The controller makes both by these names and has no setting for them.
app.Hub = WatchedHub
app.Process = HeartMonitorThread
