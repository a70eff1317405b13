"""How a workspace ends without anybody losing work: whether its home is still to be kept, and what is told
of it when it is gone. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from hub.cost import of_workspace
from hub.model import Workspace
from hub.observed import Observed
from hub.room import MOST_ENDED, ArchiveNote, Ended, Room
from hub.status import WHY_STOPPED
from hub.wire import replace

ARCHIVED = "podium.hub/archived"
"""The annotation of a workspace whose home was dealt with: what became of it, as JSON."""
LOST = "Its notebook ended before its files could be kept."


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a home folder.

    Args:
        bytes: of the archive; 0 where there was nothing to keep.
        until: how long it is kept.
        message: why it could not be kept; empty if all went well.
    """

    bytes: int = 0
    until: datetime | None = None
    message: str = ""


@dataclass(frozen=True)
class Home:
    """A home folder to be kept.

    Args:
        name: the workspace's.
        key: tells its archive from those of other lives of the name.
        owner: who may have it.
        until: when it may go; None for at once.
    """

    name: str
    key: str
    owner: str
    until: datetime | None


def key(name: str, uid: str) -> str:
    """What an archive is called."""
    return f"{name}-{uid[:8]}"


def home(workspace: Workspace, now: datetime) -> Home:
    """The home folder of a workspace that ends."""
    seconds = workspace.spec.settings.archive_time
    until = now + timedelta(seconds=seconds) if seconds else None
    return Home(workspace.name, key(workspace.name, workspace.metadata.uid), workspace.spec.owner, until)


def opened(workspace: Workspace) -> bool:
    """Whether somebody can have worked in it."""
    was_ready = any(entry.phase == "Ready" for entry in workspace.status.history)
    return was_ready and bool(workspace.spec.owner)


def dealt_with(workspace: Workspace) -> Kept | None:
    """What became of its home; None while nothing did. What somebody else wrote there is no answer."""
    text = workspace.metadata.annotations.get(ARCHIVED)
    try:
        return None if text is None else msgspec.json.decode(text, type=Kept)
    except msgspec.DecodeError:
        return None


def noted(workspace: Workspace, kept: Kept) -> Workspace:
    """The workspace with a note of what became of its home."""
    annotations = {**workspace.metadata.annotations, ARCHIVED: msgspec.json.encode(kept).decode()}
    return replace(workspace, metadata=replace(workspace.metadata, annotations=annotations))


def waits(workspace: Workspace, seen: Observed) -> bool:
    """Whether the notebook has to stay until its home is kept.

    A notebook that is gone stays so, unless its home is somewhere else: a new one would have an empty home.
    """
    settings = workspace.spec.settings
    if not workspace.deleting or seen.ending or not seen.exists:
        return False
    if not opened(workspace) or not settings.archive_time or dealt_with(workspace) is not None:
        return False
    there = any(not instance.terminating and instance.running for instance in seen.of("notebook"))
    return there or settings.kubernetes.home is not None


def ended(workspace: Workspace, kept: Kept, now: datetime) -> Ended:
    """What is remembered of a workspace that is gone."""
    metadata, spec, used = workspace.metadata, workspace.spec, of_workspace(workspace, now)
    return Ended(
        name=workspace.name,
        uid=metadata.uid,
        owner=spec.owner,
        display_name=spec.display_name,
        profile=spec.profile,
        launched=spec.claimed_at or metadata.creation_timestamp or spec.touched,
        ended=now,
        why=metadata.annotations.get(WHY_STOPPED, ""),
        core_seconds=round(used.cores, 3),
        gib_seconds=round(used.gib, 3),
        gpu_seconds=round(used.gpus, 3),
        archive=ArchiveNote(bytes=kept.bytes, until=kept.until) if kept.bytes and kept.until else None,
        archive_message=kept.message,
    )


def remembered(room: Room, news: Sequence[Ended]) -> Room:
    """The Room with more workspaces that are gone, each once, the oldest forgotten."""
    uids = {one.uid for one in room.status.ended}
    fresh = [one for one in news if one.uid not in uids]
    if not fresh:
        return room
    return replace(room, status=replace(room.status, ended=(*room.status.ended, *fresh)[-MOST_ENDED:]))


def left_behind(room: Room, names: Iterable[str]) -> Room:
    """The Room with the names of what still runs though nobody wants it."""
    left = tuple(sorted(names))
    return room if left == room.status.left else replace(room, status=replace(room.status, left=left))


def archives_of(room: Room, owner: str, now: datetime) -> list[Ended]:
    """The workspaces of a person whose homes can still be downloaded, the newest first."""
    there = (one for one in room.status.ended if one.owner == owner and one.archive is not None)
    return [one for one in there if one.archive is not None and one.archive.until > now][::-1]


def link(one: Ended) -> str:
    """Where its owner finds the archive of a workspace."""
    return f"/archives/{key(one.name, one.uid)}.tar.gz"


def restart_due(workspace: Workspace, restarted: str) -> bool:
    """Whether the notebook is still the one from before somebody asked for another.

    Args:
        restarted: the last such request that the notebook knows of, as it was told it.
    """
    wanted = workspace.spec.restarted_at
    return wanted is not None and wanted.isoformat() != restarted
