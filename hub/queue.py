"""Who may begin now, and who waits in line, where, and for how long: a pure function of what there is.

First come, first served: nobody overtakes anybody, and whoever was let in is never asked to leave. What was
started ahead of time for nobody gives way to people. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.model import FINALIZER, QueuePlace, Spec, Workspace
from hub.room import Ended, RoomSpec
from hub.rules import Capacity, Rules
from hub.settings import mebibytes
from hub.wire import replace

SHORT = 60.0
"""Seconds after which a launch no longer counts as one of those under way: it waits for something that is
no sooner there for letting others wait, such as a machine that is being added."""
BUSY = 5.0
"""Seconds after a click in which the pool holds back."""
SOON = 15.0
"""Seconds that an end takes, about."""
FAR = timedelta(hours=1)
"""How far ahead an end by time says something: most people leave before theirs."""
RECENT = timedelta(minutes=30)
"""How far back people who left tell how soon others will."""
LAST = 32
"""How many launches say how long one takes."""
OFTEN = 4.0
"""Seconds between two words to who is next; who is far behind hears less often, for in a long line most of
what is written would be places, and who waits would wait for that, too."""
FIRST_WORD = 2.0
"""Seconds before people are told that they wait for others to start, which most do for less."""


@dataclass(frozen=True)
class Need:
    """What a workspace takes, or what is free of it.

    Args:
        workspaces: how many.
        cpu: in cores.
        memory: in MiB.
    """

    workspaces: float = 1
    cpu: float = 0.0
    memory: float = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.workspaces + other.workspaces, self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Need) -> Need:
        return Need(self.workspaces - other.workspaces, self.cpu - other.cpu, self.memory - other.memory)

    def holds(self, other: Need) -> bool:
        """Whether so much is there."""
        # Sums of cores are not exact.
        enough = self.workspaces >= other.workspaces and self.memory >= other.memory
        return enough and self.cpu >= other.cpu - 1e-6


@dataclass(frozen=True)
class Line:
    """Who may begin, and who waits.

    Args:
        enter: names that may begin now, in their order.
        places: the place of everybody who waits on; what waits for nobody has none.
        paced: those of them who wait only for others to have started.
        leave: names of what nobody owns and that should go, so that people can come in.
        free: what is there beyond those who are in and those who wait.
        pace: how many more may begin now, of what nobody owns.
    """

    enter: tuple[str, ...]
    places: Mapping[str, QueuePlace]
    paced: frozenset[str]
    leave: tuple[str, ...]
    free: Need
    pace: int


@dataclass(frozen=True)
class Pace:
    """How fast things go, by what went before.

    Args:
        launch: seconds that a launch takes; None while nobody knows.
        leaving: how many people leave in a second; 0 while nobody knows.
    """

    launch: float | None = None
    leaving: float = 0.0


def need(spec: Spec) -> Need:
    """What is set aside for a workspace's pods."""
    resources = spec.settings.resources
    roles = [(resources.notebook, 1)]
    for name in spec.clusters:
        roles += [(resources.scheduler, 1), (resources.worker, spec.workers_of(name))]
    asked = [(role.requested, count) for role, count in roles]
    cpu = sum(cores * count for (cores, _), count in asked)
    return Need(1, cpu, sum(mebibytes(memory) * count for (_, memory), count in asked))


def capacity(rules: Rules, room: RoomSpec) -> Capacity:
    """What may be in use at once, by the configuration and, above it, the room page."""
    own = rules.capacity
    return own if room.capacity is None else replace(own, workspaces=room.capacity)


def line(
    workspaces: Iterable[Workspace],
    begun: Mapping[str, datetime],
    limits: Capacity,
    at_once: int,
    now: datetime,
    pace: Pace = Pace(),
) -> Line:
    """Say who may begin now, and what to tell those who wait.

    Args:
        workspaces: all there are.
        begun: names that were let in, though no report says so yet, and when.
        limits: how much may be in use at once.
        at_once: how many may be starting at the same time.
        now: the time, with a zone.
        pace: how fast things go.
    """
    crowd = _Crowd(limits, now)
    for workspace in workspaces:
        crowd.take(workspace, begun)
    return crowd.served(at_once, pace)


def waits(workspace: Workspace) -> bool:
    """Whether a workspace that nobody let in waits for that; one written by hand must first be accepted."""
    accepted = FINALIZER in workspace.metadata.finalizers
    return workspace.status.phase == "Queued" and not workspace.deleting and accepted


class _Crowd:
    """Everybody, while it is found out who may begin."""

    def __init__(self, limits: Capacity, now: datetime) -> None:
        self._now = now
        # Nobody counts what is not limited.
        self._counted = limits.cpu is not None or limits.memory is not None
        self._all = Need(
            math.inf if limits.workspaces is None else limits.workspaces,
            math.inf if limits.cpu is None else limits.cpu,
            math.inf if limits.memory is None else mebibytes(limits.memory),
        )
        self._free, self._going = self._all, Need(0)
        self._starting = self._members_starting = 0
        self._busy = False
        self._waiting: list[Workspace] = []
        self._idle: list[Workspace] = []
        self._ends: list[datetime] = []

    def take(self, workspace: Workspace, begun: Mapping[str, datetime]) -> None:
        """Take one into account."""
        phase, name, now = workspace.status.phase, workspace.metadata.name, self._now
        if phase == "Failed" and not workspace.deleting:
            return  # it was given up, and what ran of it is ended at once
        if phase == "Queued" and name not in begun:
            if waits(workspace):
                self._waiting.append(workspace)
            return
        taken = self._need(workspace)
        self._free -= taken
        if workspace.deleting:
            self._going += taken
            self._ends.append(now + timedelta(seconds=SOON))
            return
        if workspace.pooled:
            self._idle.append(workspace)
        else:
            self._ends.append(workspace.spec.expires)
        self._busy = self._busy or _clicked(workspace, now)
        if phase != "Ready" and _starts(workspace, begun.get(name), now):
            self._starting += 1
            self._members_starting += workspace.pooled

    def served(self, at_once: int, pace: Pace) -> Line:
        """Say who may begin."""
        order = sorted(self._waiting, key=_turn)
        enter: list[str] = []
        paced: list[Workspace] = []
        stuck: list[tuple[Workspace, Need]] = []
        places: dict[str, QueuePlace] = {}
        for workspace in order:
            taken = self._need(workspace)
            room = not stuck and self._free.holds(taken)
            if workspace.pooled:
                if room and not paced and self._members(at_once) > 0:
                    self._begin(workspace, taken, enter)
            elif not self._all.holds(taken):
                places[workspace.name] = QueuePlace(position=len(paced) + len(stuck) + 1, message=NEVER)
            elif not room:
                stuck.append((workspace, taken))
            elif self._starting < at_once:
                self._begin(workspace, taken, enter)
            else:
                self._free -= taken
                paced.append(workspace)
        places |= self._soon(paced, at_once, pace) | self._later(len(paced), stuck, pace)
        return Line(
            enter=tuple(enter),
            places=places,
            paced=frozenset(workspace.name for workspace in paced),
            leave=self._leave(stuck),
            free=Need(0) if stuck else self._free,
            pace=0 if stuck or paced else max(0, self._members(at_once)),
        )

    def _begin(self, workspace: Workspace, taken: Need, enter: list[str]) -> None:
        self._free -= taken
        self._starting += 1
        self._members_starting += workspace.pooled
        enter.append(workspace.name)

    def _members(self, at_once: int) -> int:
        """How many more of the pool may begin: people come first, and while they click it all but rests."""
        left = at_once - self._starting
        return min(left, max(1, at_once // 16) - self._members_starting) if self._busy else left

    def _need(self, workspace: Workspace) -> Need:
        return need(workspace.spec) if self._counted else ONE

    def _leave(self, stuck: Sequence[tuple[Workspace, Need]]) -> tuple[str, ...]:
        """What has to go for those who wait for room, beyond what goes already."""
        free, idle = self._free + self._going, sorted(self._idle, key=_worth)
        leave = 0
        for _, taken in stuck:
            more = leave
            while more < len(idle) and not free.holds(taken):
                free += self._need(idle[more])
                more += 1
            if not free.holds(taken):
                break  # nothing is given up for somebody who could not come in even then
            free -= taken
            leave = more
        return tuple(member.name for member in idle[:leave])

    def _soon(self, paced: Sequence[Workspace], at_once: int, pace: Pace) -> dict[str, QueuePlace]:
        """Places of those who wait only for others to have started."""
        places = {}
        for before, workspace in enumerate(paced):
            lasts = None if pace.launch is None else pace.launch * (2 + before // at_once)
            eta = None if lasts is None else self._now + timedelta(seconds=lasts)
            places[workspace.name] = QueuePlace(position=before + 1, eta=eta, message=_told(MANY, before))
        return places

    def _later(
        self, ahead: int, stuck: Sequence[tuple[Workspace, Need]], pace: Pace
    ) -> dict[str, QueuePlace]:
        """Places of those who wait for somebody to leave."""
        ends = sorted([*self._ends, *(self._now + timedelta(seconds=SOON) for _ in self._idle)])
        places = {}
        for turn, (workspace, _) in enumerate(stuck):
            times = [end for end in ends[turn : turn + 1] if end - self._now < FAR]
            if pace.leaving:
                times.append(self._now + timedelta(seconds=(turn + 1) / pace.leaving))
            eta = max(self._now, min(times)) + timedelta(seconds=pace.launch or 0) if times else None
            before = ahead + turn
            places[workspace.name] = QueuePlace(position=before + 1, eta=eta, message=_told(FULL, before))
        return places


ONE = Need(1)
NEVER = "This takes more than there is for all together; choose a smaller profile, or ask the instructor."
FULL = "All places are taken"
MANY = "Many are starting at this moment"


def _told(why: str, before: int) -> str:
    """A place in one sentence."""
    if not before:
        return f"{why}; you are next, and enter by yourself."
    who = "1 person is" if before == 1 else f"{before} people are"
    return f"{why}; {who} before you, and you enter by yourself when it is your turn."


def _turn(workspace: Workspace) -> tuple[bool, datetime, datetime, str]:
    """By what those who wait are served: what nobody owns yet comes last."""
    since = workspace.spec.queued_at or workspace.metadata.creation_timestamp or workspace.spec.touched
    return workspace.pooled, since, workspace.spec.touched, workspace.name


def _worth(workspace: Workspace) -> tuple[bool, float, str]:
    """By what members of the pool are given up: what is not ready first, and the newest before the oldest."""
    made = workspace.metadata.creation_timestamp or workspace.spec.touched
    return workspace.status.phase == "Ready", -made.timestamp(), workspace.name


def _starts(workspace: Workspace, let_in: datetime | None, now: datetime) -> bool:
    """Whether this is a launch that has just begun."""
    since = let_in
    for entry in workspace.status.history:
        if entry.phase == "Ready":
            return False
        if entry.phase == "Starting" and since is None:
            since = entry.at
    return since is None or abs((now - since).total_seconds()) < SHORT


def _clicked(workspace: Workspace, now: datetime) -> bool:
    """Whether a person came a moment ago."""
    at = workspace.spec.claimed_at or (None if workspace.pooled else workspace.metadata.creation_timestamp)
    return at is not None and abs((now - at).total_seconds()) < BUSY


def seen_pace(workspaces: Iterable[Workspace], ended: Sequence[Ended], now: datetime) -> Pace:
    """How fast things went lately.

    Args:
        workspaces: all there are; their histories say how long launches took.
        ended: those that are gone, the newest last.
        now: the time, with a zone.
    """
    launches = sorted((lasted for w in workspaces if (lasted := _launch(w)) is not None), reverse=True)[:LAST]
    lasts = sorted(seconds for _, seconds in launches)
    left = [gone.ended for gone in ended if gone.owner and now - gone.ended < RECENT]
    leaving = len(left) / max(1.0, (now - min(left)).total_seconds()) if len(left) > 2 else 0.0
    return Pace(lasts[len(lasts) // 2] if lasts else None, leaving)


def _launch(workspace: Workspace) -> tuple[datetime, float] | None:
    """When a workspace became ready, and after how many seconds of starting."""
    began = None
    for entry in workspace.status.history:
        if entry.phase == "Starting" and began is None:
            began = entry.at
        if entry.phase == "Ready":
            since = began or entry.at
            return entry.at, max(0.0, (entry.at - since).total_seconds())
    return None


def due(place: QueuePlace, told: QueuePlace | None, waited: float, paced: bool) -> bool:
    """Whether somebody is to be told of their place; each word costs everybody who listens.

    Args:
        place: the place now.
        told: what they were told last; None for nothing yet.
        waited: seconds since that, or since they wait.
        paced: whether they wait only for others to have started.
    """
    if told is None:
        return waited >= FIRST_WORD or not paced
    if (place.position, place.message) == (told.position, told.message) and not _moved(place, told):
        return False
    return waited >= max(OFTEN, place.position / 2)


def _moved(place: QueuePlace, told: QueuePlace) -> bool:
    """Whether an estimate turned out to be quite another."""
    if place.eta is None or told.eta is None:
        return place.eta is not told.eta
    return abs((place.eta - told.eta).total_seconds()) >= 30
