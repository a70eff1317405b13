"""`python -m bench [laptop] [routes] [release] [storm] [class] …`: what needs no root, or what is named."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from bench import classroom, laptop, netns, routes, storm
from bench.lesson import Lesson
from bench.report import Report
from bench.table import Table
from hub.tools import CHECKOUT, ToolError
from tests.cluster import binaries
from tests.cluster.access import ClusterError, until
from tests.cluster.control_plane import COMPONENTS

OUT = CHECKOUT / "artefacts" / "bench"
KINDS = ("laptop", "routes", "release", "storm", "class")
CROWDS = (100, 500)
"""People in a storm, where nobody says how many."""


def main() -> int:
    """The command line.

    Returns:
        Its exit code: 0 done, 1 it cannot be measured here or a class saw what is wrong, 130 interrupted.
    """
    parser = options()
    asked = parser.parse_args()
    what = asked.what or ["laptop", "routes", "storm"]
    if set(what) - set(KINDS):
        parser.error(f"there are {', '.join(KINDS)}")
    signal.signal(signal.SIGTERM, _stop)
    try:
        return inside(asked) if asked.inside else run(asked, what)
    except (ToolError, ClusterError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("podium: stopped.", file=sys.stderr)
        return 130


def options() -> argparse.ArgumentParser:
    """What may be said."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures. Slow is never an error; in a class, wrong is."
    )
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        help="of laptop, routes, storm, class and, as root on Linux, release; the first three if nothing is",
    )
    add("--people", type=int, nargs="+", default=[], help="how many: in a storm, in a class, at a laptop")
    add("--only", choices=("launches",), help="of a storm, leave out the rest")
    add("--node", action="store_true", help="a class on the real node, as root on Linux")
    add("--pool", type=int, default=0, help="of a class: workspaces that are held ready")
    add("--capacity", type=int, help="of a class: workspaces that there may be at once")
    add("--stay", type=float, help="of a class: seconds after which people leave; 3 with --capacity")
    add("--seconds", type=float, default=10.0, help="of a class: within which all click; 10 if not said")
    add("--kill", choices=("web", "controller", "proxy"), default="", help="of a class: while people click")
    add("--guests", action="store_true", help="of a class: nobody signs in")
    add("--inside", type=Path, help=argparse.SUPPRESS)
    return parser


def run(asked: argparse.Namespace, what: list[str]) -> int:
    """Measure what was named, one after the other; the first that fails is the last."""
    if "class" in what:
        people = [str(count) for count in asked.people]
        return on_the_node("bench.on_the_node", *people) if asked.node else outside(sys.argv[1:])
    if "laptop" in what:
        if asked.people:
            return sum(
                show_table(laptop.a_few(count, asked.pool), f"laptop-{count}") for count in asked.people
            )
        laptop.main()
    if "routes" in what:
        show(asyncio.run(routes.measure()), OUT / "routes")
    if "release" in what and (code := on_the_node("bench.release")):
        return code
    return outside(sys.argv[1:]) if "storm" in what else 0


def on_the_node(module: str, *arguments: str) -> int:
    """Run a module on a real node that is made for it. Returns its exit code."""
    python = (sys.executable, "-m")
    return subprocess.run([*python, "tests.cluster.node", "--", *python, module, *arguments]).returncode


def outside(arguments: list[str]) -> int:
    """Run a storm or a class in a network of its own, and remove what it leaves."""
    binaries.find(COMPONENTS)
    folder = Path(tempfile.mkdtemp(prefix="podium-bench-"))
    try:
        return netns.run([sys.executable, "-m", "bench", *arguments, "--inside", str(folder)])
    finally:
        # What was killed a moment ago may still be writing.
        until(f"{folder} is gone", lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists())


def inside(asked: argparse.Namespace) -> int:
    """Measure, print, write. Returns the exit code."""
    if "class" not in asked.what:
        people, more = asked.people or list(CROWDS), asked.only is None
        show(asyncio.run(storm.measure(asked.inside, people, more)), OUT)
        return 0
    code = 0
    for count in asked.people or [100]:
        lesson = Lesson(
            people=count,
            seconds=asked.seconds,
            pool=asked.pool,
            capacity=asked.capacity,
            stay=3.0 if asked.stay is None and asked.capacity is not None else asked.stay,
            kill=asked.kill,
            sign_in="guest" if asked.guests else "class",
        )
        table = asyncio.run(classroom.measure(asked.inside / str(count), lesson))
        code |= show_table(table, f"class-{count}-{asked.pool}{asked.kill}")
    return code


def show(report: Report, folder: Path) -> None:
    """Print it, and keep it."""
    report.write(folder)
    print(report.table())
    print(f"\nAll of it is in {folder}.")


def show_table(table: Table, name: str) -> int:
    """Print it, and keep it. Returns 1 when something was wrong."""
    table.write(OUT / f"{name}.json")
    print(f"{table.markdown()}\n")
    return 1 if table.wrong else 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
