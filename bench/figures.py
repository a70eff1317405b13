"""What a class saw, in figures; and what of it is wrong. Nothing here may measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.attendees import Attendee
from bench.lesson import Lesson
from bench.onlooker import Onlooker
from bench.table import Table


@dataclass(frozen=True)
class Floor:
    """What a bare script needs for the same clicks.

    Args:
        waited: seconds from each click until all its pods were Ready.
        took: seconds from the first click to the last such moment.
        busy: seconds of processor time of all programs.
        shares: the same, program by program.
        asked: requests to the API server.
    """

    waited: Sequence[float]
    took: float
    busy: float
    shares: str
    asked: int


def waits(table: Table, people: Sequence[Attendee]) -> None:
    """How long people waited for what."""
    answered = [person.accepted - person.clicked for person in people if person.accepted]
    opened = [person.opened - person.clicked for person in people if person.opened]
    whole = [person.whole - person.clicked for person in people if person.whole]
    table.spread("click to its answer, s", answered)
    table.spread("click to a notebook that answers, s", opened)
    table.spread("click to all workers there, s", whole)
    table.add("clicks that had to be repeated", sum(person.clicks - 1 for person in people if person.clicks))
    table.add("streams and answers that broke off or failed", sum(len(person.refusals) for person in people))
    for seconds in (1, 2):
        table.add(
            f"in their notebook within {seconds} s, of {len(people)}", sum(one <= seconds for one in opened)
        )


def against(
    table: Table, people: Sequence[Attendee], under: Floor, took: float, busy: float, asked: int
) -> None:
    """The same beside the bare script."""
    whole = [person.whole - person.clicked for person in people if person.whole]
    table.spread("bare script: click to all pods Ready, s", under.waited)
    table.ratio("click to all workers there, times the bare script", whole, under.waited)
    table.add("first click to the last one whole, s", took)
    table.add("bare script: the same, s", under.took)
    table.add("the same, times the bare script", took / under.took)
    table.add("bare script: processor time, s", under.shares)
    table.add("processor time, times the bare script", busy / under.busy)
    table.add("bare script: requests to the API server, each", under.asked / len(people))


def line(table: Table, people: Sequence[Attendee], onlooker: Onlooker) -> None:
    """What those saw who had to wait in line."""
    waited = [person for person in people if person.places and person.opened]
    table.add("people who waited in line", len(waited))
    table.add("longest line", onlooker.longest_line)
    table.add("in use at once, at most", onlooker.most)
    told = [
        (person.opened - at, left) for person in waited for at, _, left in person.places if left is not None
    ]
    table.add("of what they were told, with an estimate, %", 100 * len(told) / max(1, places(waited)))
    table.spread("time that was left when they were told, s", [real for real, _ in told])
    table.spread("estimates wrong by, s", [abs(real - left) for real, left in told])
    table.add(
        "estimates wrong by less than 5 s or a third, %",
        100 * sum(abs(real - left) <= max(5.0, real / 3) for real, left in told) / max(1, len(told)),
    )
    seen = [[position for _, position, _ in person.places] for person in waited]
    back = sum(any(b > a for a, b in pairwise(of)) for of in seen)
    table.add("people who saw their position go back", back)


def places(waited: Sequence[Attendee]) -> int:
    """How often people were told of their place."""
    return sum(len(person.places) for person in waited)


def judge(table: Table, people: Sequence[Attendee], onlooker: Onlooker, lesson: Lesson) -> None:
    """Say what is wrong, however slow the machine is."""
    without = [person for person in people if not person.opened]
    if without:
        last = [person.refusals[-1] for person in without if person.refusals]
        table.wrong.append(f"{len(without)} people never came into a notebook: {last[:3]}")
    if some := [person for person in people if len(person.names) > 1]:
        table.wrong.append(f"{len(some)} people were given more than one workspace: {some[0].names}")
    names = [name for person in people for name in person.names]
    if len(names) != len(set(names)):
        table.wrong.append("two people were given the same workspace")
    if doubles := [owner for owner, count in onlooker.workspaces.items() if owner and count > 1]:
        table.wrong.append(f"{len(doubles)} people have two workspaces")
    if lesson.stay is None and (lost := lesson.people - len([o for o in onlooker.workspaces if o])):
        table.wrong.append(f"{lost} people have no workspace in the end")
    if lesson.capacity is not None and onlooker.most > lesson.capacity:
        table.wrong.append(f"{onlooker.most} were in use at once, where there is room for {lesson.capacity}")
    table.wrong += onlooker.overtaken
