"""A folder as a gzipped tar on standard output, however large it is, in little memory.

    python -m podium_workspace.archive FOLDER [--limit BYTES] [--since SECONDS]

What is small goes first, so that a limit leaves out data and not notebooks; what was left out is named in a
file of its own. Symbolic links stay links, and what is no file, folder or link is passed over. The exit code
is 0 only if all of it was written. Nothing here may change anything in the folder, or need a package.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import stat
import sys
import tarfile
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, BinaryIO

LEFT_OUT = "LEFT-OUT.txt"
SMALL = 16 * 2**20
"""Bytes of a file up to which it goes first."""
LEVEL = 3
"""Of compression: a file of numbers takes a third of the default's time, and a tenth more room."""
NOT_WORK = {
    *(".cache", ".config", ".dask", ".ipython", ".ipynb_checkpoints", ".jupyter", ".local", ".npm", ".nv"),
    *("lost+found", "spark-warehouse", "dask-worker-space", "dask-scratch-space"),
}
"""What programs make by themselves at the top of a home folder."""
NOT_KEPT = {".cache", "dask-worker-space", "dask-scratch-space", "lost+found"}
"""What nobody wants back."""


class Exact:
    """So many bytes of a file, whatever becomes of it meanwhile: cut, or filled up with zeros."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        """Read at most so many bytes."""
        wanted = min(size, self._left)
        found = self._file.read(wanted)
        self._left -= wanted
        return found + bytes(wanted - len(found))


def entries(folder: Path, but: Container[str] = NOT_KEPT) -> Iterator[os.DirEntry[str]]:
    """All that is in a folder and below, links not followed, what cannot be read left out.

    Args:
        but: names at the top that are left out, with all below.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        parent = waiting.pop()
        left_out = but if parent == os.fspath(folder) else ()
        try:
            with os.scandir(parent) as found:
                inside = sorted((one for one in found if one.name not in left_out), key=lambda one: one.name)
        except OSError:
            continue
        yield from inside
        waiting += [one.path for one in reversed(inside) if one.is_dir(follow_symlinks=False)]


def untouched(home: Path) -> bool:
    """Whether there is nothing yet, so that what comes before the notebook opens is nobody's work."""
    with contextlib.suppress(OSError):
        return set(os.listdir(home)) <= NOT_WORK
    return False


def has_work(folder: Path, since: float) -> bool:
    """Whether somebody made or changed a file.

    Args:
        since: seconds since the epoch; what was last changed before is not theirs, but what came with it.
    """
    for entry in entries(folder, NOT_WORK):
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_ctime > since:
                return True
    return False


class Archive:
    """A tar that is being written.

    Args:
        folder: what to put into it.
        out: where to.
        limit: bytes of all files together that may be in it.
    """

    def __init__(self, folder: Path, out: BinaryIO, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._written = 0
        self._left_out: list[str] = []
        self._packed = gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=LEVEL)
        self._tar = tarfile.open(mode="w|", fileobj=self._packed, format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def write(self) -> None:
        """Write all of it."""
        for entry in entries(self._folder):
            self._add(entry, small=True)
        for entry in entries(self._folder):
            self._add(entry, small=False)
        if self._left_out:
            told = "These files are not in this archive, for there was no room or they could not be read:\n\n"
            text = "".join([told, *(f"{line}\n" for line in self._left_out)])
            self._text(LEFT_OUT, text.encode(errors="replace"))
        self._tar.close()
        self._packed.close()

    def _add(self, entry: os.DirEntry[str], small: bool) -> None:
        """Add what is of one pass: folders, links and small files of the first, large files of the second."""
        try:
            found = entry.stat(follow_symlinks=False)
            if (not stat.S_ISREG(found.st_mode) or found.st_size <= SMALL) is not small:
                return
            name = os.path.relpath(entry.path, self._folder)
            if stat.S_ISREG(found.st_mode):
                self._file(entry.path, name, found)
            elif stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode):
                self._put(self._info(entry.path, name, found))
        except OSError as error:
            self._leave_out(entry.path, error.strerror or "cannot be read")

    def _file(self, path: str, name: str, found: os.stat_result) -> None:
        if self._written + found.st_size > self._limit:
            self._leave_out(path, f"{found.st_size} bytes")
            return
        # Between the look at it and now it may have become a pipe or a link to somewhere else.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return
            self._written += found.st_size
            self._put(self._info(path, name, found), Exact(file, found.st_size))

    def _info(self, path: str, name: str, found: os.stat_result) -> tarfile.TarInfo:
        """An entry without what is only of this machine: accounts, and bits that give their power away."""
        info = tarfile.TarInfo(name)
        info.mode, info.mtime = found.st_mode & 0o777, int(found.st_mtime)
        if stat.S_ISREG(found.st_mode):
            info.size = found.st_size
        elif stat.S_ISLNK(found.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        else:
            info.type, info.mode = tarfile.DIRTYPE, info.mode | 0o700
        return info

    def _put(self, info: tarfile.TarInfo, content: Any = None) -> None:
        self._tar.addfile(info, content)
        self._tar.getmembers().clear()  # it would remember every entry

    def _text(self, name: str, text: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(text), int(time.time())
        self._put(info, io.BytesIO(text))

    def _leave_out(self, path: str, why: str) -> None:
        if len(self._left_out) < 10_000:
            self._left_out.append(f"{os.path.relpath(path, self._folder)} ({why})")


def main() -> None:
    """Read the arguments, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=sys.maxsize, help="bytes of all files together")
    parser.add_argument("--since", type=float, default=0.0, help="say nothing when nothing is newer")
    given = parser.parse_args()
    if given.since and not has_work(given.folder, given.since):
        return
    Archive(given.folder, sys.stdout.buffer, given.limit).write()


if __name__ == "__main__":
    main()
