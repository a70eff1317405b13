"""A place on which a node of its own leaves nothing, for tests to look at before and after.

Nothing here may change anything by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hub.tools import CHECKOUT, cache
from tests.cluster.access import until
from tests.cluster.enclosure import CGROUPS, locked
from tests.cluster.node import RealNode


class Outside:
    """Where nothing happens but what a test does: a network and mounts that another node might change."""

    def __init__(self, node: RealNode) -> None:
        self._own = node.folder.name
        self._holder = subprocess.Popen(["unshare", "--net", "--mount", "cat"], stdin=subprocess.PIPE)
        ours = os.readlink("/proc/self/ns/mnt")
        until("it is there", lambda: os.readlink(f"/proc/{self._holder.pid}/ns/mnt") != ours)
        self.was = self.look()

    def look(self) -> dict[str, object]:
        """What is there that a node could have left."""
        seen: dict[str, object] = {command: self._said(command) for command in ("ip link", "ip route")}
        # Mounts of our own node's pods are seen here, and may end at any time.
        mounts = [line for line in self._said("cat /proc/mounts") if "/podium-node-" in line]
        seen["mounts"] = [line for line in mounts if self._own not in line]
        seen["rules"] = [line for line in self._said("iptables-save") if line[:1] not in "#:"]
        folders = set((cache() / "nodes").iterdir())
        lived_in = {folder.name for folder in folders if _is_lived_in(folder)}
        groups = set(CGROUPS.glob("*/podium-node-*")) | set(CGROUPS.glob("podium-node-*"))
        seen["left"] = {path for path in folders | groups if path.name not in lived_in}
        seen["processes"] = self.processes()
        return seen

    def processes(self) -> set[int]:
        """Who runs in process namespaces deeper than ours, but for our own node's pods."""
        ours = os.readlink("/proc/self/ns/pid")
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                deeper = os.readlink(process / "ns" / "pid") != ours
                if deeper and self._own not in (process / "cgroup").read_text():
                    found.add(int(process.name))
        return found

    @contextlib.contextmanager
    def node(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command on a node of its own."""
        whole = [*self._enter(), sys.executable, "-m", "tests.cluster.node", "--", *command]
        with subprocess.Popen(whole, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def until_it_says(self, process: subprocess.Popen[str], word: str) -> None:
        """Wait until a command says a word on a line of its own; it is an error to end before."""
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"it never said {word}")

    def close(self) -> None:
        """End it."""
        self._holder.communicate()

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", f"--wd={CHECKOUT}"]

    def _said(self, command: str) -> list[str]:
        whole = [*self._enter(), *command.split()]
        return subprocess.run(whole, capture_output=True, text=True, check=True).stdout.splitlines()


def _is_lived_in(folder: Path) -> bool:
    """Whether a node is there, be it one that somebody else has on this machine."""
    try:
        with locked(folder, fcntl.LOCK_NB):
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
