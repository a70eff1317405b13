"""Figures for people: a table with targets and verdicts, JSON, and a plot. Nothing here may measure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

SIZE = 760, 420
EDGE = 50
COLOURS = {"Podium": "#1f5fbf", "bare script": "#8a8a8a"}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        what: with its unit.
        value: what was measured.
        most: the target, which it may not be above; None for what has none.
    """

    what: str
    value: float
    most: float | None = None

    @property
    def verdict(self) -> str:
        """In a word."""
        return "" if self.most is None else "reached" if self.value <= self.most else "MISSED"


@dataclass
class Storm:
    """Many launches at once.

    Args:
        who: launched them.
        count: how many there were.
        ready: the seconds after which each was Ready, sorted.
        late: how late the loops of web and controller were, in seconds, sample by sample.
        asked: requests to the API server, by verb and resource.
        seconds: processor time of each program.
        accepted: the seconds that each click waited for its answer, sorted.
        refusals: what anybody was shown as an error.
    """

    who: str
    count: int
    ready: Sequence[float]
    late: Mapping[str, Sequence[float]]
    asked: Mapping[str, int]
    seconds: Mapping[str, float]
    accepted: Sequence[float] = ()
    refusals: Sequence[str] = ()

    @property
    def busy(self) -> float:
        """Seconds of processor time of all programs together."""
        return sum(value for name, value in self.seconds.items() if name not in ("idle", "everything"))

    @property
    def others(self) -> float:
        """The share of the machine that something else used meanwhile, which makes all times longer."""
        everything = self.seconds["everything"]
        return (everything - self.seconds["idle"] - self.busy) / everything

    @property
    def took(self) -> float:
        """Seconds until the last was Ready; without end, if one never was."""
        return self.ready[-1] if len(self.ready) == self.count else float("inf")


@dataclass
class Report:
    """All that was measured."""

    figures: list[Figure] = field(default_factory=list)
    storms: list[Storm] = field(default_factory=list)

    def add(self, what: str, value: float, most: float | None = None) -> None:
        """Add a line."""
        self.figures.append(Figure(what, value, most))

    def compare(self, floor: Storm, storm: Storm) -> None:
        """Add a storm, and what it is beside its floor."""
        self.storms += [floor, storm]
        at = f"{storm.count} at once"
        self.add(f"{at}: all Ready, bare script, s", floor.took)
        self.add(f"{at}: all Ready, s", storm.took)
        self.add(f"{at}: all Ready, times the bare script", storm.took / floor.took, 1.2)
        self.add(f"{at}: processor time, times the bare script", storm.busy / floor.busy)
        for who, one in (("bare script", floor), ("Podium", storm)):
            self.add(f"{at}: other programs of this machine, {who}, %", 100 * one.others)
        self.add(f"{at}: first Ready, bare script, s", floor.ready[0])
        self.add(f"{at}: first Ready, s", share(storm.ready, 0), 3)
        self.add(f"{at}: half of them Ready, s", share(storm.ready, 0.5))
        self.add(f"{at}: click answered, p99, s", share(storm.accepted, 0.99))
        self.add(
            f"{at}: errors shown, or never Ready", len(storm.refusals) + storm.count - len(storm.ready), 0
        )
        for part, late in storm.late.items():
            self.add(f"{at}: event loop of {part}, p99, s", share(sorted(late), 0.99), 0.1)
            self.add(f"{at}: event loop of {part}, longest, s", max(late), 0.5)
        self.add(f"{at}: API requests each, bare script", sum(floor.asked.values()) / floor.count)
        self.add(f"{at}: API requests each", sum(storm.asked.values()) / storm.count, 42)

    def table(self) -> str:
        """The table, to be read in a terminal."""
        lines = [f"{'':56}{'measured':>10}{'at most':>10}"]
        for figure in self.figures:
            most = "" if figure.most is None else f"{figure.most:g}"
            lines.append(f"{figure.what:56}{figure.value:10.2f}{most:>10}  {figure.verdict}".rstrip())
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write JSON and the plot into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {
            "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in self.figures],
            "storms": [asdict(storm) | {"late": spread(storm.late)} for storm in self.storms],
        }
        (folder / "storm.json").write_text(json.dumps(told, indent=2))
        (folder / "storm.svg").write_text(self.plot())

    def plot(self) -> str:
        """How many are Ready, over time, as SVG."""
        width, height = SIZE
        longest = max((storm.ready[-1] for storm in self.storms if storm.ready), default=1.0)
        most = max((storm.count for storm in self.storms), default=1)
        scale = (width - 2 * EDGE) / longest, (height - 2 * EDGE) / most
        drawn = []
        for storm in self.storms:
            points = [
                (EDGE + at * scale[0], height - EDGE - n * scale[1]) for n, at in enumerate(storm.ready, 1)
            ]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(EDGE, height - EDGE), *points])
            colour = COLOURS.get(storm.who, "#333")
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            if points:
                x, y = points[-1]
                label = f"{storm.who}, {storm.count}: {storm.ready[-1]:.1f} s"
                drawn.append(
                    f'<text x="{x - 6:.1f}" y="{y - 6:.1f}" text-anchor="end" fill="{colour}">{label}</text>'
                )
        axes = f"M{EDGE},{EDGE} V{height - EDGE} H{width - EDGE}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%" fill="#fff"/>\n'
            f'<path d="{axes}" fill="none" stroke="#333"/>\n'
            f'<text x="{width - EDGE}" y="{height - EDGE + 20}" text-anchor="end">seconds after the click'
            f"</text>\n"
            f'<text x="{EDGE}" y="{EDGE - 12}">workspaces Ready, of {most} at most</text>\n'
            + "\n".join(drawn)
            + "\n</svg>\n"
        )


def share(values: Sequence[float], part: float) -> float:
    """The value that a part of sorted values is not above; without end, if there are none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("inf")


def spread(late: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Samples by a few numbers."""
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: {key: share(sorted(of), at) for key, at in parts.items()} for name, of in late.items()}
