"""What a class is like that is measured. Nothing here may measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """What is measured.

    Args:
        people: how many come.
        seconds: within which they all click.
        pool: how many workspaces are held ready.
        capacity: how many there may be at once; None for any number.
        stay: seconds after which people leave, who make room for others; None for never.
        kill: which program is killed while people click; empty for none.
        sign_in: how people sign in: `class` or `guest`.
    """

    people: int
    seconds: float = 10.0
    pool: int = 0
    capacity: int | None = None
    stay: float | None = None
    kill: str = ""
    sign_in: str = "class"

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        parts = [f"{self.people} people in {self.seconds:g} s", f"pool of {self.pool}"]
        if self.capacity is not None:
            parts.append(f"room for {self.capacity}, stay of {self.stay or 0:g} s")
        return ", ".join([*parts, *([f"{self.kill} killed"] if self.kill else [])])

    @property
    def settings(self) -> dict[str, object]:
        """Of Podium."""
        capacity = {} if self.capacity is None else {"capacity": {"workspaces": self.capacity}}
        pool = {"pool": {"class": {"size": self.pool}}} if self.pool else {}
        return {**capacity, **pool, "sign_in": self.sign_in}
