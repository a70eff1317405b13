"""Course material: git repositories that are in the home folder when the notebook opens.

nbgitpuller does the work, so its rules hold when a repository is there already: what a person changed
stays, and what is new comes along. Each repository has a process of its own, which can be ended with all
that it started. Nothing here may ask anybody anything or keep a notebook from starting.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

LIMIT = 60.0
"""Seconds that all repositories together may take; they are fetched at the same time."""
QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
}
PRIVATE = re.compile(r"could not read (Username|Password)|Authentication failed|Permission denied")
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Item:
    """One repository.

    Args:
        git: its address.
        ref: branch or tag; empty for the default branch.
        path: what to open, below the repository; may be empty.
        folder: where it goes, below the home folder.
    """

    git: str
    ref: str
    path: str
    folder: str


def items(text: str) -> list[Item]:
    """Read the list that the hub wrote and give each repository a folder of its own, named after it."""
    found: dict[tuple[str, str], str] = {}
    result = []
    for entry in json.loads(text):
        source = (entry["git"], entry.get("ref", ""))
        if source not in found:
            last = urlsplit(source[0]).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
            name = last if SAFE_NAME.fullmatch(last) else "content"
            folder = next(free for free in _names(name) if free not in found.values())
            found[source] = folder
        result.append(Item(*source, entry.get("path", "").strip("/"), found[source]))
    return result


def landing(wanted: Sequence[Item], home: Path) -> str:
    """The page that JupyterLab opens first: what the content asks for, when it is there."""
    for item in wanted:
        if item.path and (home / item.folder / item.path).exists():
            return f"/lab/tree/{quote(f'{item.folder}/{item.path}')}"
    return "/lab"


class Fetching:
    """Repositories on their way, each in a process of its own.

    Args:
        wanted: what to fetch.
        home: the home folder.
    """

    def __init__(self, wanted: Sequence[Item], home: Path) -> None:
        self._end = time.monotonic() + LIMIT
        self._home = home
        # Without the ceiling, git would take a folder without a repository for a part of one further up.
        env = {**os.environ, **QUIET, "GIT_CEILING_DIRECTORIES": str(home)}
        self._running = {
            item: (
                (home / item.folder).exists(),
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "podium_workspace.content", item.git, item.folder, item.ref],
                    cwd=home,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                ),
            )
            for item in {(item.git, item.ref): item for item in wanted}.values()
        }

    def warnings(self) -> list[str]:
        """Wait for all, and say in a sentence each what could not be fetched."""
        return [
            f"Course material from {shown(item.git)} {trouble}"
            for item, (was_there, process) in self._running.items()
            if (trouble := self._trouble(item, was_there, process))
        ]

    def _trouble(self, item: Item, was_there: bool, process: subprocess.Popen[bytes]) -> str:
        try:
            reason, _ = process.communicate(timeout=max(0, self._end - time.monotonic()))
            trouble = "" if process.returncode == 0 else f"could not be fetched: {plain(reason.decode())}"
        except subprocess.TimeoutExpired:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.communicate(timeout=2)
            trouble = f"was not fetched within {LIMIT:.0f} seconds."
        if trouble and not was_there:
            # Half a repository would keep a later start from fetching the whole one.
            shutil.rmtree(self._home / item.folder, ignore_errors=True)
        return trouble


def shown(git: str) -> str:
    """An address without the name and password that it may hold."""
    return re.sub(r"//[^/@]*@", "//", git)


def plain(reason: str) -> str:
    """What git said, as the end of a sentence for people; it may name no password."""
    if PRIVATE.search(reason):
        return "it does not exist, or is not public."
    lines = [line.strip() for line in reason.splitlines() if line.strip()] or ["git gave no reason"]
    line = next((line for line in lines if line.startswith("fatal:")), lines[-1])
    return shown(line.removeprefix("fatal: "))[:300].rstrip(".") + "."


def fetch(git: str, folder: str, ref: str) -> str:
    """Fetch one repository into a folder below the present one; returns why it could not be, or nothing."""
    from nbgitpuller.errors import BranchExistError, BranchResolveError
    from nbgitpuller.pull import GitPuller

    lines = []
    try:
        for line in GitPuller(git, folder, branch=ref or None).pull():
            print(line, end="", file=sys.stderr)
            lines.append(line)
    except BranchExistError:
        return f"it has no branch or tag {ref}"
    except (BranchResolveError, subprocess.CalledProcessError) as error:
        cause = error if isinstance(error, subprocess.CalledProcessError) else error.__context__
        said = getattr(cause, "stderr", "") or "".join(lines[-20:])
        return str(said or "it has no default branch")
    except FileNotFoundError:
        return "git is not installed"
    return ""


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


if __name__ == "__main__":
    said = fetch(*sys.argv[1:])
    print(said)
    sys.exit(bool(said))
