"""`python -m bench [laptop] [routes] [release] [storm] …`: all that needs no root, or what is named."""

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

from bench import laptop, netns, routes, storm
from bench.report import Report
from hub.tools import CHECKOUT, ToolError
from tests.cluster import binaries
from tests.cluster.access import ClusterError, until
from tests.cluster.control_plane import COMPONENTS

OUT = CHECKOUT / "artefacts" / "bench"
KINDS = ("laptop", "routes", "release", "storm")


def main() -> int:
    """The command line. Returns its exit code: 0 done, 1 it cannot be measured here, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures, and asserts nothing.")
    parser.add_argument(
        "what",
        nargs="*",
        help="of laptop, routes, storm and, as root on Linux, release; the first three if nothing is named",
    )
    parser.add_argument(
        "--people", type=int, nargs="+", default=[100, 500], help="who launch at once, in a storm"
    )
    parser.add_argument("--only", choices=("launches",), help="of a storm, leave out the rest")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        if asked.inside:
            return inside(asked.inside, asked.people, asked.only is None)
        what = asked.what or ["laptop", "routes", "storm"]
        if set(what) - set(KINDS):
            parser.error(f"there are {', '.join(KINDS)}")
        if "laptop" in what:
            laptop.main()
        if "routes" in what:
            show(asyncio.run(routes.measure()), OUT / "routes")
        if "release" in what and (code := on_the_node("bench.release")):
            return code
        return outside(sys.argv[1:]) if "storm" in what else 0
    except (ToolError, ClusterError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("podium: stopped.", file=sys.stderr)
        return 130


def on_the_node(module: str) -> int:
    """Run a module on a real node that is made for it. Returns its exit code."""
    python = (sys.executable, "-m")
    return subprocess.run([*python, "tests.cluster.node", "--", *python, module]).returncode


def outside(arguments: list[str]) -> int:
    """Run a storm in a network of its own, and remove what it leaves."""
    binaries.find(COMPONENTS)
    folder = Path(tempfile.mkdtemp(prefix="podium-bench-"))
    try:
        return netns.run([sys.executable, "-m", "bench", *arguments, "--inside", str(folder)])
    finally:
        # What was killed a moment ago may still be writing.
        until(f"{folder} is gone", lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists())


def inside(folder: Path, people: list[int], more: bool) -> int:
    """Measure a storm, print, write."""
    show(asyncio.run(storm.measure(folder, people, more)), OUT)
    return 0


def show(report: Report, folder: Path) -> None:
    """Print it, and keep it."""
    report.write(folder)
    print(report.table())
    print(f"\nAll of it is in {folder}.")


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
