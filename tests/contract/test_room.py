"""What every store of the Room promises; tests/kubernetes/test_room_contract.py asks a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from hub.errors import Conflict
from hub.room import Message, PoolOrder, Room, RoomStatus
from hub.store.base import RoomStore, amend, amend_status
from hub.store.room_files import RoomFile
from hub.wire import replace
from tests.memory_store import MemoryRoom

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HELLO = Message(text="Open chapter two.", at=NOON, by="Ada")


def saying(text: str) -> Callable[[Room], Room]:
    """A change of what is said to everybody."""
    return lambda room: replace(room, spec=replace(room.spec, message=replace(HELLO, text=text)))


def queueing(number: int) -> Callable[[Room], Room]:
    """A change of the report."""
    return lambda room: replace(room, status=replace(room.status, queued=number))


@pytest.fixture(params=["memory", "file"])
def room(request, tmp_path) -> RoomStore:
    return MemoryRoom() if request.param == "memory" else RoomFile(tmp_path / "room.json")


async def test_a_room_that_nobody_wrote_has_the_defaults(room: RoomStore) -> None:
    found = await room.get()
    assert (found.spec.open, found.spec.message, found.status) == (True, None, RoomStatus())


async def test_what_was_written_is_there(room: RoomStore) -> None:
    written = await amend(room, saying("Hello"))
    again = await amend(
        room, lambda room: replace(room, spec=replace(room.spec, pool={"tea": PoolOrder(size=3)}))
    )
    assert written.spec.message == replace(HELLO, text="Hello") == again.spec.message
    assert (await room.get()).spec == again.spec
    assert again.spec.pool == {"tea": PoolOrder(size=3)}


async def test_who_read_it_before_somebody_wrote_it_is_refused(room: RoomStore) -> None:
    await amend(room, saying("One"))
    read = await room.get()
    await room.update(saying("Two")(read))
    with pytest.raises(Conflict):
        await room.update(saying("Three")(read))
    with pytest.raises(Conflict):
        await room.update_status(queueing(3)(read))
    assert (await room.get()).spec.message == replace(HELLO, text="Two")


async def test_spec_and_status_are_written_apart(room: RoomStore) -> None:
    read = await amend_status(room, queueing(2))
    assert read.status.queued == 2
    both = saying("Hello")(queueing(5)(read))
    written = await room.update(both)
    assert (written.status.queued, written.spec.message is None) == (2, False)
    reported = await room.update_status(queueing(7)(saying("Else")(written)))
    assert (reported.status.queued, reported.spec.message) == (7, replace(HELLO, text="Hello"))


async def test_everybody_who_amends_at_once_has_their_way(room: RoomStore) -> None:
    def one_more(room: Room) -> Room:
        return replace(room, spec=replace(room.spec, code=room.spec.code + 1))

    await asyncio.gather(*(amend(room, one_more) for _ in range(5)))
    assert (await room.get()).spec.code == 5


async def test_who_watches_hears_what_is_and_what_becomes_of_it(room: RoomStore) -> None:
    heard = room.watch()
    assert (await anext(heard)).spec.message is None
    waiting = asyncio.ensure_future(anext(heard))
    await amend(room, saying("Hello"))
    told = await waiting
    while told.spec.message is None:
        told = await anext(heard)
    assert told.spec.message == replace(HELLO, text="Hello")


async def test_a_file_outlives_the_hub(tmp_path) -> None:
    await amend(RoomFile(tmp_path / "room.json"), saying("Hello"))
    again = RoomFile(tmp_path / "room.json")
    assert (await again.get()).spec.message == replace(HELLO, text="Hello")
    assert (tmp_path / "room.json").stat().st_mode & 0o777 == 0o600
