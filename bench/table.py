"""Figures of a class as a Markdown table, and what was wrong. Nothing here may measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.report import share


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        what: it tells of, with its unit.
        values: one, or as many as there are columns.
    """

    what: str
    values: tuple[float | str, ...]


@dataclass
class Table:
    """What was measured of one class.

    Args:
        title: what was measured.
        wrong: what may never be, however slow the machine; it makes the measurement fail.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def spread(self, what: str, seconds: Sequence[float]) -> None:
        """Add the median, the 95th percentile and the longest."""
        ordered = sorted(seconds)
        self.rows.append(Row(what, (share(ordered, 0.5), share(ordered, 0.95), share(ordered, 1.0))))

    def ratio(self, what: str, of: Sequence[float], to: Sequence[float]) -> None:
        """Add how many times each of these one is the other."""
        one, other = sorted(of), sorted(to)
        parts = (0.5, 0.95, 1.0)
        self.rows.append(Row(what, tuple(share(one, part) / share(other, part) for part in parts)))

    def add(self, what: str, value: float | str) -> None:
        """Add a line of one value."""
        self.rows.append(Row(what, (value,)))

    def markdown(self) -> str:
        """The table, and what was wrong below it."""
        lines = [f"| {self.title} | median | p95 | max |", "| --- | --- | --- | --- |"]
        for row in self.rows:
            cells = [cell if isinstance(cell, str) else f"{cell:.2f}" for cell in row.values]
            lines.append(f"| {row.what} | {' | '.join([*cells, '', ''][:3])} |")
        verdict = [f"- WRONG: {one}" for one in self.wrong] or ["Nothing was wrong."]
        return "\n".join([*lines, "", *verdict])

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2))
