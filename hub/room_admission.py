"""What instructors may ask of the room as a whole: checks before anything is written.

Every refusal names the field. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from hub.errors import BadInput, Forbidden
from hub.room import Message, PoolOrder, PreflightOrder, Room
from hub.settings import Count, Word
from hub.wire import Wire, convert, replace

LONGEST_POOL = timedelta(days=30)


class Said(Wire, frozen=True, kw_only=True):
    """A message to everybody."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]


class PoolAsked(Wire, frozen=True, kw_only=True):
    """How many workspaces of a profile to hold ready, and until when."""

    size: Count
    until: datetime | None = None


class Question(Wire, frozen=True, kw_only=True):
    """Is all there for this class?"""

    seats: Annotated[int, Meta(ge=1, le=10_000)]
    profile: Word
    start: datetime
    hours: Annotated[float, Meta(gt=0, le=24)] = 1.0


class RoomChanges(Wire, frozen=True, kw_only=True):
    """What of the room may be changed; what is left out stays, and null takes it away."""

    code: Literal["new"] | UnsetType = UNSET
    """A new join code, with which the old one is void."""
    open: bool | UnsetType = UNSET
    message: Said | UnsetType | None = UNSET
    pool: Annotated[dict[Word, PoolAsked | None], Meta(max_length=64)] | UnsetType = UNSET
    capacity: Annotated[int, Meta(ge=0, le=100000)] | UnsetType | None = UNSET
    preflight: Question | UnsetType | None = UNSET


class RoomPatch(Wire, frozen=True, kw_only=True):
    """The body of a change of the room."""

    spec: RoomChanges


def change_room(
    room: Room,
    patch: object,
    profiles: Container[str],
    now: datetime,
    *,
    by: str,
    operates: bool = False,
) -> Room:
    """The room after an instructor's change.

    Args:
        patch: JSON, such as `{"spec": {"open": false}}`.
        profiles: what is on the menu.
        by: what people call the instructor.
        operates: whether they may also change what the hub costs.

    Raises:
        BadInput: naming the field that does not fit.
        Forbidden: for what is the operator's to decide.
    """
    asked = convert(patch, RoomPatch).spec
    spec = room.spec
    if asked.code is not UNSET:
        spec = replace(spec, code=spec.code + 1)
    if asked.open is not UNSET:
        spec = replace(spec, open=asked.open)
    if asked.message is not UNSET:
        said = asked.message and Message(text=asked.message.text, at=now, by=by[:64])
        spec = replace(spec, message=said)
    if asked.capacity is not UNSET:
        if not operates:
            raise Forbidden("spec.capacity: only an operator may change it.")
        spec = replace(spec, capacity=asked.capacity)
    if asked.pool is not UNSET:
        spec = replace(spec, pool=_pools(spec.pool, asked.pool, profiles, now))
    if asked.preflight is not UNSET:
        order = asked.preflight and _order(asked.preflight, profiles, now)
        spec = replace(spec, preflight=order)
    return replace(room, spec=spec)


def _pools(
    present: Mapping[str, PoolOrder],
    asked: Mapping[str, PoolAsked | None],
    profiles: Container[str],
    now: datetime,
) -> dict[str, PoolOrder]:
    pools = dict(present)
    for name, pool in asked.items():
        where = f"spec.pool.{name}"
        if pool is None:
            pools.pop(name, None)
            continue
        _known(where, name, profiles)
        until = None if pool.until is None else _zoned(f"{where}.until", pool.until)
        if until is not None and not now < until < now + LONGEST_POOL:
            raise BadInput(f"{where}.until: must be within the next {LONGEST_POOL.days} days.")
        pools[name] = PoolOrder(size=pool.size, until=until)
    return pools


def _order(asked: Question, profiles: Container[str], now: datetime) -> PreflightOrder:
    _known("spec.preflight.profile", asked.profile, profiles)
    start = _zoned("spec.preflight.start", asked.start)
    return PreflightOrder(seats=asked.seats, profile=asked.profile, start=start, hours=asked.hours, at=now)


def _known(where: str, name: str, profiles: Container[str]) -> None:
    if name not in profiles:
        raise BadInput(f"{where}: there is no profile {name!r}.")


def _zoned(where: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise BadInput(f"{where}: a time zone is needed.", "For example 2026-12-01T17:00:00Z.")
    return moment
