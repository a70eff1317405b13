"""`python -m tests.cluster up|down`: a cluster that stays, for one who develops.

A keeper in the background starts it, and it ends with the keeper, in whatever way that ends. The keeper holds
a lock as long as it lives, so no other process is ever taken for it. Nothing here may touch another cluster.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from hub.tools import CHECKOUT, ToolError, cache
from tests.cluster import binaries
from tests.cluster.access import ClusterError, until
from tests.cluster.control_plane import COMPONENTS, ControlPlane

NODES = 3
LOCK = "cluster"
PLACE = "cluster"
READY = "ready"


def up() -> None:
    """Start the cluster, unless it is up, and say how to use it. Raises ToolError or ClusterError."""
    bin = binaries.find(COMPONENTS)
    place = cache() / PLACE
    if not _keeper():
        _start(place, bin)
    until("the cluster is ready", lambda: (place / READY).exists() or not _keeper())
    print(
        f"The cluster is up. It has {NODES} nodes that do not exist: their pods are ready at once.\n\n"
        f"    export KUBECONFIG={place / 'admin.kubeconfig'}\n"
        f"    alias kubectl={bin / 'kubectl'}\n\n"
        f"Logs are in {place}. It ends with `make cluster-down`."
    )


def _start(place: Path, bin: Path) -> None:
    """Start a keeper and wait until its cluster is ready."""
    print("podium: starting the cluster …", flush=True)
    begin = time.monotonic()
    _remove(place)
    place.mkdir(mode=0o700, parents=True)
    log = place / "keeper.log"
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster", "keep", bin],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until("the cluster is ready", lambda: (place / READY).exists() or keeper.poll() is not None)
    except BaseException:
        keeper.terminate()
        keeper.wait()
        raise
    if keeper.poll() is not None:
        raise ClusterError(log.read_text().strip())
    print(f"podium:   done in {time.monotonic() - begin:.1f} s", flush=True)


def down() -> None:
    """End the cluster and remove its folder."""
    keeper = _keeper()
    if keeper:
        os.kill(keeper, signal.SIGTERM)
        until("the cluster is down", lambda: not _keeper())
    _remove(cache() / PLACE)
    print("The cluster is down." if keeper else "There was no cluster.")


def keep(bin: Path) -> None:
    """Hold a cluster until SIGTERM comes."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    place = cache() / PLACE
    with _lock().open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        with ControlPlane(place, bin) as control_plane:
            control_plane.add_nodes(NODES)
            (place / READY).touch()
            while True:
                signal.pause()


def _lock() -> Path:
    path = cache() / "locks" / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def _keeper() -> int | None:
    """The number of the keeper's process, if there is one."""
    with _lock().open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(until("the keeper has given its number", lambda: _lock().read_text()))
    return None


def _remove(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)


def main() -> int:
    """The command line. Returns its exit code: 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A cluster that stays.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it, and say how to use it")
    commands.add_parser("down", help="end it; nothing is left")
    commands.add_parser("keep", help="(what `up` starts)").add_argument("bin", type=Path)
    asked = parser.parse_args()
    try:
        if asked.command == "up":
            up()
        elif asked.command == "down":
            down()
        else:
            keep(asked.bin)
    except (ToolError, ClusterError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("podium: stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
