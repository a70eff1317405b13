"""What is started ahead of time, and who gets it: pure functions of what there is.

A member of the pool is a workspace that nobody owns yet. One person's clicks meet at one member, wherever
they arrive; different people's go apart. Nothing here may do I/O, read the clock or know chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from hub.model import FINALIZER, POOL, Metadata, Spec, Workspace
from hub.profiles import Profile
from hub.room import PoolOrder, PoolStatus
from hub.rules import Hours, PoolRule
from hub.status import STEPS
from hub.wire import replace

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REFUSED = ("QuotaExceeded", "NotAllowed", "Refused", "NamespaceTaken", "ImageForbidden", "ImageMissing")
"""What a cluster says for good, while nobody changes anything there."""
PATIENCE = timedelta(seconds=20)
"""How long a member may be refused, or one that was ready away, until another takes its place."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
AT_A_TIME = 8
"""How many go in one step."""


def fingerprint(profile: Profile, image: str) -> str:
    """What tells members of this pool from those that were made from other values; fits a label.

    Args:
        image: what runs where the profile names no image.
    """
    values = msgspec.json.encode([replace(profile, title="-", description=""), profile.image or image])
    return hashlib.sha256(values).hexdigest()[:16]


def size(rule: PoolRule | None, order: PoolOrder | None, now: datetime) -> int:
    """How many members there should be.

    Args:
        rule: what the configuration says.
        order: what an instructor says, which goes before it.
        now: the time, with a zone.
    """
    if order is not None and (order.until is None or now < order.until):
        return order.size
    if rule is None:
        return 0
    local = now.astimezone(ZoneInfo(rule.timezone))
    sizes = [hours.size for hours in rule.schedule if _within(hours, local)]
    return max(sizes, default=rule.size)


def _within(hours: Hours, local: datetime) -> bool:
    time, today, yesterday = f"{local:%H:%M}", DAYS[local.weekday()], DAYS[local.weekday() - 1]
    if hours.start < hours.end:
        return today in hours.days and hours.start <= time < hours.end
    return (today in hours.days and time >= hours.start) or (yesterday in hours.days and time < hours.end)


def member(profile: Profile, mark: str, name: str, now: datetime) -> Workspace:
    """A new member of the pool.

    Args:
        mark: its fingerprint.
        name: the new workspace's name.
        now: the time, with a zone.
    """
    spec = Spec(
        profile=profile.name,
        workers=profile.workers,
        clusters=profile.clusters,
        content=profile.content,
        expires=now + timedelta(seconds=profile.wall_time),
        touched=now,
        settings=profile.settings,
    )
    return Workspace(metadata=Metadata(name=name, labels={POOL: mark}, finalizers=(FINALIZER,)), spec=spec)


def sound(workspace: Workspace, mark: str) -> bool:
    """Whether a member may be given to somebody: it is ready, or on its way with nothing wrong."""
    if not workspace.pooled or workspace.deleting or workspace.metadata.labels[POOL] != mark:
        return False
    status = workspace.status
    if status.phase == "Ready":
        return True
    was_ready = any(entry.phase == "Ready" for entry in status.history)
    return status.phase == "Starting" and status.reason in STEPS and not was_ready


def choice(workspaces: Iterable[Workspace], mark: str, wanted: Workspace) -> list[Workspace]:
    """The members that somebody may get, the best first.

    Members that are alike come in an order of this person's own, so that all clicks of one person go to the
    same member, and those of a hundred people to a hundred. Source: Thaler and Ravishankar, "Using name-based
    mappings to increase hit rates" (rendezvous hashing).

    Args:
        workspaces: all there are.
        mark: the fingerprint of what is launched now.
        wanted: what the person would have launched.
    """
    owner, profile = wanted.spec.owner.encode(), wanted.spec.profile
    found = [w for w in workspaces if w.pooled and w.spec.profile == profile and sound(w, mark)]

    def rank(workspace: Workspace) -> tuple[int, bytes]:
        status = workspace.status
        whole = all(told.ready == told.workers for told in status.clusters.values())
        worse = 0 if status.phase == "Ready" and whole else 1 if status.phase == "Ready" else 2
        return worse, hashlib.blake2b(workspace.name.encode(), key=owner[:64], digest_size=8).digest()

    return sorted((w for w in found if w.spec.content == wanted.spec.content), key=rank)


def claimed(found: Workspace, wanted: Workspace) -> Workspace:
    """A member as the workspace of the person who gets it; its clocks begin now.

    Args:
        found: the member.
        wanted: what the person would have launched.
    """
    asked = wanted.spec
    spec = replace(
        found.spec,
        owner=asked.owner,
        display_name=asked.display_name,
        workers=asked.workers,
        clusters=asked.clusters,
        expires=asked.expires,
        touched=asked.touched,
        claimed_at=asked.touched,
    )
    return replace(found, spec=spec)


def twice(workspaces: Iterable[Workspace]) -> dict[str, list[Workspace]]:
    """Whoever has more than one workspace, and those they have; what failed or ends does not count.

    It is a matter of moments, unless whoever served one of their clicks was killed in the middle of it.
    """
    first: dict[str, Workspace] = {}
    found: dict[str, list[Workspace]] = {}
    for workspace in workspaces:
        owner = workspace.spec.owner
        if not owner or workspace.deleting or workspace.status.phase == "Failed":
            continue
        if owner in first:
            found.setdefault(owner, [first[owner]]).append(workspace)
        else:
            first[owner] = workspace
    return found


@dataclass(frozen=True)
class Setback:
    """What went wrong with a pool lately.

    Args:
        failures: how often in a row.
        at: when it last did.
        why: in a sentence for people.
    """

    failures: int = 0
    at: datetime | None = None
    why: str = ""

    @property
    def until(self) -> datetime | None:
        """When it is tried again: each failure doubles the pause."""
        if self.at is None:
            return None
        pause = FIRST_PAUSE * int(2 ** min(self.failures - 1, 10))
        return self.at + min(pause, LONGEST_PAUSE)


@dataclass(frozen=True)
class Plan:
    """What to do for one pool now.

    Args:
        make: how many new members to start.
        remove: names of those to end.
        status: what to tell of it.
        setback: what went wrong, to be given back the next time.
    """

    make: int
    remove: tuple[str, ...]
    status: PoolStatus
    setback: Setback


def plan(
    members: Sequence[Workspace],
    wanted: int,
    mark: str,
    room: int,
    now: datetime,
    setback: Setback = Setback(),
) -> Plan:
    """What to do for one pool now.

    Args:
        members: all that nobody owns yet, of one profile.
        wanted: how many there should be.
        mark: the fingerprint of what is launched now.
        room: how many more may begin now.
        now: the time, with a zone.
        setback: what the last plan said.
    """
    present = [m for m in members if not m.deleting]
    fresh = [m for m in present if m.metadata.labels.get(POOL) == mark]
    outdated = [m for m in present if m.metadata.labels.get(POOL) != mark]
    bad = {m.name: why for m in fresh if (why := wrong(m, now))}
    good = sorted((m for m in fresh if m.name not in bad), key=_worth)
    setback = _after(setback, good, bad, now)
    surplus = good[wanted:]
    remove = [*bad, *(m.name for m in (*surplus, *outdated))][:AT_A_TIME]
    missing = min(wanted - len(good), room)
    if setback.until is not None:
        # One at a time tries whether it goes again.
        tries = any(m.status.phase != "Ready" for m in good)
        missing = 0 if now < setback.until or tries else min(1, missing)
    ready = sum(m.status.phase == "Ready" for m in good[:wanted])
    told = setback.why or next(filter(None, map(_trouble, good)), "")
    if not told and wanted > len(good) and room <= 0:
        told = "People come first: it fills as soon as there is room."
    starting = min(wanted, len(good)) - ready
    status = PoolStatus(wanted=wanted, ready=ready, starting=starting, message=told)
    return Plan(max(0, missing), tuple(remove), status, setback)


def wrong(workspace: Workspace, now: datetime) -> str:
    """Why a member should be replaced, in a sentence; empty when it may stay."""
    status = workspace.status
    if status.phase == "Failed":
        return status.message or "A workspace could not be started."
    if status.phase == "Ready" or not status.history:
        return ""
    since = now - status.history[-1].at
    if any(entry.phase == "Ready" for entry in status.history):
        return (status.message or "A workspace that was ready is away.") if since >= PATIENCE else ""
    if status.reason in REFUSED and since >= PATIENCE:
        return status.message
    return ""


def _after(setback: Setback, good: Sequence[Workspace], bad: dict[str, str], now: datetime) -> Setback:
    """What is known of failures after this look; several at once are one."""
    if bad:
        if setback.until is not None and now < setback.until:
            return setback  # those began before the last failure was known
        return Setback(setback.failures + 1, now, next(iter(bad.values())))
    at = setback.at
    if at is not None and any(
        entry.phase == "Ready" and entry.at > at for m in good for entry in m.status.history
    ):
        return Setback()
    return setback


def _trouble(workspace: Workspace) -> str:
    """What a member waits for that it should not have to, in a sentence; empty for nothing."""
    status = workspace.status
    if status.phase == "Starting" and status.reason not in STEPS:
        return status.message
    return next((told.message for told in status.clusters.values() if told.pending and told.message), "")


def _worth(workspace: Workspace) -> tuple[bool, bool, str]:
    """Which members are kept when there are too many: those that are ready, then those on their way."""
    phase = workspace.status.phase
    return phase != "Ready", phase == "Queued", workspace.name
