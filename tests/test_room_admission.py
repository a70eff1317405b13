"""What instructors may ask of the room, and refusals that name the field."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.errors import BadInput, Forbidden
from hub.room import Message, PoolOrder, PreflightOrder, Room, RoomSpec
from hub.room_admission import change_room
from tests.builders import NOW

PROFILES = ("workshop", "plain")
SOON = NOW + timedelta(hours=2)
BREAK = Message(text="Break.", at=NOW, by="Grace")


def changed(room: Room | None = None, operates: bool = False, **spec: Any) -> RoomSpec:
    asked = {"spec": spec}
    return change_room(room or Room(), asked, PROFILES, NOW, by="Grace", operates=operates).spec


def room(**spec: Any) -> Room:
    return Room(spec=RoomSpec(**spec))


def test_a_message_has_its_time_and_who_says_it():
    assert changed(message={"text": "Break."}).message == BREAK


def test_a_message_is_taken_back():
    assert changed(room(message=BREAK), message=None).message is None


def test_a_name_that_is_too_long_for_a_message_is_cut():
    asked = {"spec": {"message": {"text": "x"}}}
    message = change_room(Room(), asked, PROFILES, NOW, by="x" * 100).spec.message
    assert message is not None
    assert message.by == "x" * 64


def test_a_new_code_is_another_number():
    assert changed(room(code=4), code="new").code == 5


def test_the_room_is_closed_and_nothing_else_is_changed():
    assert changed(room(code=4, message=BREAK), open=False) == RoomSpec(code=4, message=BREAK, open=False)


def test_a_pool_is_held_for_a_while_or_for_good_or_as_configured():
    held = room(pool={"plain": PoolOrder(size=3)})
    assert changed(held, pool={"workshop": {"size": 40, "until": SOON.isoformat()}}).pool == {
        "plain": PoolOrder(size=3),
        "workshop": PoolOrder(size=40, until=SOON),
    }
    assert changed(held, pool={"plain": {"size": 5}}).pool == {"plain": PoolOrder(size=5)}
    assert changed(held, pool={"plain": None}).pool == {}
    assert changed(held, pool={"nothing": None}).pool == held.spec.pool


def test_capacity_is_the_operators():
    assert changed(operates=True, capacity=100).capacity == 100
    assert changed(room(capacity=100), operates=True, capacity=None).capacity is None
    with pytest.raises(Forbidden) as refused:
        changed(capacity=100)
    assert refused.value.message == "spec.capacity: only an operator may change it."


def test_a_preflight_is_asked_for_now_and_called_off():
    asked = {"seats": 30, "profile": "workshop", "start": SOON.isoformat()}
    order = PreflightOrder(seats=30, profile="workshop", start=SOON, hours=1.0, at=NOW)
    assert changed(preflight=asked).preflight == order
    assert changed(room(preflight=order), preflight=None).preflight is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"message": {"text": ""}}, "spec.message.text: expected str of length >= 1"),
        ({"message": {"text": "x" * 501}}, "spec.message.text: expected str of length <= 500"),
        ({"message": {"text": "x", "by": "Eve"}}, "spec.message: object contains unknown field by"),
        ({"code": 7}, "spec.code: expected str, got int"),
        ({"open": None}, "spec.open: expected bool, got null"),
        ({"pool": {"nothing": {"size": 1}}}, "spec.pool.nothing: there is no profile 'nothing'."),
        ({"pool": {"plain": {"size": -1}}}, "spec.pool[...].size: expected int >= 0"),
        (
            {"pool": {"plain": {"size": 1, "until": NOW.isoformat()}}},
            "spec.pool.plain.until: must be within the next 30 days.",
        ),
        (
            {"pool": {"plain": {"size": 1, "until": (NOW + timedelta(days=31)).isoformat()}}},
            "spec.pool.plain.until: must be within the next 30 days.",
        ),
        (
            {"pool": {"plain": {"size": 1, "until": "2026-03-01T13:00:00"}}},
            "spec.pool.plain.until: a time zone is needed.",
        ),
        (
            {"preflight": {"seats": 3, "profile": "nothing", "start": SOON.isoformat()}},
            "spec.preflight.profile: there is no profile 'nothing'.",
        ),
        (
            {"preflight": {"seats": 3, "profile": "plain", "start": "2026-03-01T13:00:00"}},
            "spec.preflight.start: a time zone is needed.",
        ),
        ({"owner": "x"}, "spec: object contains unknown field owner"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(spec, message):
    with pytest.raises(BadInput) as refused:
        changed(**spec)
    assert refused.value.message == message


@pytest.mark.parametrize("body", [None, [], {}, {"spec": None}, {"spec": {}, "status": {}}])
def test_a_body_of_another_shape_is_refused(body):
    with pytest.raises(BadInput):
        change_room(Room(), body, PROFILES, NOW, by="Grace")
