"""What one workspace has on the disk of one machine: its folders, its files, the numbers of its ports.

Nothing here may start or end a process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

from hub.ports import HOST, Ports
from hub.workload import Workload

KEPT_SECONDS = 7 * 24 * 3600


class Site:
    """The directory of a workspace, of mode 0700, and its ports, held from the moment it is opened.

    Args:
        directory: made if it is missing.
        ports: holds them.
    """

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.name = directory.name
        self.directory = directory
        self.home = directory / "home"
        self._ports = ports
        self._numbers = directory / "ports.json"
        self.ports: dict[str, int] = {}
        for folder in (directory, self.home, *(directory / name for name in ("files", "logs", "tmp"))):
            folder.mkdir(mode=0o700, exist_ok=True)
        if self._numbers.exists():
            self.ports = json.loads(self._numbers.read_text())
        for number in self.ports.values():
            ports.hold(number)

    def log(self, instance: str) -> Path:
        """Where an instance writes to."""
        return self.directory / "logs" / f"{instance}.log"

    def port(self, name: str) -> int:
        """The number of a named port, taken when it is first spoken of, kept for as long as the workspace is.

        A notebook speaks of ports of clusters that may be added later.
        """
        if name not in self.ports:
            self.ports[name] = self._ports.take()
            _write(self._numbers, json.dumps(self.ports))
        return self.ports[name]

    def hold(self, workload: Workload) -> None:
        """Take hold of a workload's ports, before one of its programs starts."""
        for name in workload.ports:
            self._ports.hold(self.port(f"{workload.name}.{name}"))

    def lookup(self, workload: Workload, instance: str, reference: str) -> str:
        """The value of a reference in a workload; see `hub/workload.py`."""
        if reference == "home":
            return str(self.home)
        if reference == "scratch":
            return str(self.directory / "tmp")
        if reference == "files":
            return str(self.directory / "files" / workload.name)
        if reference == "instance":
            return instance
        if reference == "host":
            return own_address(self.name, instance) if workload.role == "worker" else HOST
        if reference.endswith(".host"):
            return HOST
        return str(self.port(reference))

    def write(self, workload: Workload) -> None:
        """Put a rendered workload's files where they belong."""
        for path, text in workload.files.items():
            _write(self.directory / "files" / workload.name / path, text)

    def note_ready(self) -> None:
        """Note that the notebook was ready: from now on the home folder may hold somebody's work."""
        (self.directory / "opened").touch(mode=0o600)

    def remove(self, kept: Path) -> None:
        """Take the directory away; the home folder is kept if somebody may have worked in it."""
        if (self.directory / "opened").exists() and self.home.exists():
            kept.mkdir(mode=0o700, exist_ok=True)
            target = kept / f"{self.name}-{time.strftime('%Y%m%dT%H%M%S')}"
            self.home.rename(target)
            os.utime(target)
        shutil.rmtree(self.directory, ignore_errors=True)
        for number in self.ports.values():
            self._ports.release(number)


def own_address(workspace: str, instance: str) -> str:
    """A loopback address for one worker, so that programs can tell workers apart by their host.

    On Linux all of 127.0.0.0/8 is the machine itself; elsewhere only 127.0.0.1 is. Two workers that get the
    same address by chance do no harm: they listen on ports that the system chooses.
    """
    if sys.platform != "linux":
        return HOST
    a, b, c = hashlib.sha256(f"{workspace}/{instance}".encode()).digest()[:3]
    return f"127.{a % 200 + 20}.{b}.{c % 253 + 1}"


def prune(kept: Path) -> None:
    """Remove kept home folders that are older than a week."""
    if kept.is_dir():
        for home in kept.iterdir():
            if time.time() - home.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(home, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole, unless it is already there as it should be."""
    if path.exists() and path.read_text() == text:
        return
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
