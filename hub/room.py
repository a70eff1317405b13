"""The Room: what is true of a class as a whole, and of none of its workspaces.

A hub has one, named `room`; it is kept beside the Workspace objects, in the same way. `spec` is what
instructors asked for, `status` what the controller last saw. It holds no secrets: join codes are derived from
the hub's key and a number. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from hub.model import DisplayName, Metadata
from hub.settings import Count, Word
from hub.wire import END, Wire

NAME = "room"
MOST_ENDED = 1000
CheckState = Literal["running", "ok", "warning", "failed", "skipped"]


class Message(Wire, frozen=True, kw_only=True):
    """What an instructor says to everybody."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    at: datetime
    by: DisplayName = ""


class PoolOrder(Wire, frozen=True, kw_only=True):
    """How many workspaces of a profile to hold ready, in place of what the configuration says."""

    size: Count
    until: datetime | None = None
    """None for as long as nobody says otherwise."""


class PreflightOrder(Wire, frozen=True, kw_only=True):
    """A question: is all there for this class?"""

    seats: Annotated[int, Meta(ge=1, le=10_000)]
    profile: Word
    start: datetime
    hours: Annotated[float, Meta(gt=0, le=24)] = 1.0
    at: datetime
    """When it was asked, which tells one question from another."""


class RoomSpec(Wire, frozen=True, kw_only=True):
    """What instructors asked for."""

    code: Annotated[int, Meta(ge=0)] = 0
    """Counts up with each new join code; the code itself is derived from it."""
    open: bool = True
    """Whether newcomers may join."""
    message: Message | None = None
    pool: Annotated[dict[Word, PoolOrder], Meta(max_length=64)] = {}
    capacity: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """Workspaces at once, in place of what the configuration says."""
    preflight: PreflightOrder | None = None


class PoolStatus(Wire, frozen=True, kw_only=True):
    """What there is of what should be held ready of one profile."""

    wanted: int = 0
    ready: int = 0
    starting: int = 0
    message: str = ""
    """Why it does not fill; empty when all is well."""


class Check(Wire, frozen=True, kw_only=True):
    """One answer of a preflight."""

    name: str
    title: str
    state: CheckState
    message: str = ""
    hint: str = ""
    """What to do; empty when there is nothing."""


class PreflightReport(Wire, frozen=True, kw_only=True):
    """The answers to a preflight order, as far as they are known."""

    at: datetime
    """The order's."""
    running: bool
    checks: tuple[Check, ...] = ()
    cost: str = ""


class ArchiveNote(Wire, frozen=True, kw_only=True):
    """A home folder that can be downloaded."""

    bytes: int
    until: datetime


class Ended(Wire, frozen=True, kw_only=True):
    """A workspace that is gone."""

    name: str
    uid: str
    owner: str
    display_name: str = ""
    profile: str
    launched: datetime
    ended: datetime
    why: str = ""
    """`time`, `idle`, `lost`, or empty where somebody stopped it."""
    core_seconds: float = 0.0
    gib_seconds: float = 0.0
    gpu_seconds: float = 0.0
    archive: ArchiveNote | None = None
    archive_message: str = ""
    """Why there is no archive; empty where there is one, or none was to be."""


class RoomStatus(Wire, frozen=True, kw_only=True):
    """What the controller last saw."""

    queued: int = 0
    pool: dict[str, PoolStatus] = {}
    preflight: PreflightReport | None = None
    ended: tuple[Ended, ...] = ()
    """The newest last; the oldest are forgotten beyond `MOST_ENDED`."""
    left: tuple[str, ...] = ()
    """What still runs of workspaces that nobody wants any more."""


class RoomMetadata(Metadata, frozen=True, kw_only=True):
    """As a workspace's, for an object of another name."""

    name: Annotated[str, Meta(pattern=f"^{NAME}" + END)] = NAME


class Room(Wire, frozen=True, kw_only=True):
    """A class as a whole."""

    api_version: Literal["podium.hub/v1"] = "podium.hub/v1"
    kind: Literal["Room"] = "Room"
    metadata: RoomMetadata = field(default_factory=RoomMetadata)
    spec: RoomSpec = field(default_factory=RoomSpec)
    status: RoomStatus = field(default_factory=RoomStatus)
