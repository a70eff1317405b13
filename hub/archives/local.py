"""Home folders that are kept on this machine, as folders: nothing is packed before somebody asks for it.

The backend moves the home of a workspace that ended away, which takes no time and loses nothing; here it gets
a name by which its owner finds it. Nothing here may look into another folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from hub.ending import Home, Kept

PIECE = 2**18
HOME = "home"


class _Note(msgspec.Struct, frozen=True):
    owner: str
    until: datetime


class LocalArchives:
    """Folders of this machine.

    Args:
        state: the hub's state directory.
        packer: the command that writes a folder, its last argument, to standard output as a gzipped tar.
        env: its environment.
    """

    running = False

    def __init__(self, state: Path, packer: Sequence[str], env: Mapping[str, str]) -> None:
        self._moved = state / "kept"
        self._directory = state / "archives"
        self._packer, self._env = packer, {**os.environ, **env}

    async def keep(self, home: Home, notebook: str = "", token: str = "") -> Kept:
        return await asyncio.to_thread(self._keep, home)

    def _keep(self, home: Home) -> Kept:
        folder = self._directory / home.key
        # Whoever was killed in between has left the note, the home, or both.
        moved = sorted(self._moved.glob(f"{home.name}-*")) if self._moved.is_dir() else []
        if home.until is None:
            for one in moved:
                shutil.rmtree(one, ignore_errors=True)
            return Kept()
        if not (folder / HOME).exists():
            if not moved:
                return Kept()
            self._directory.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "note.json").write_bytes(msgspec.json.encode(_Note(home.owner, home.until)))
            moved[-1].rename(folder / HOME)
        note = self._note(home.key)
        return Kept(bytes=_size(folder / HOME), until=note.until if note else home.until)

    @asynccontextmanager
    async def read(self, key: str, owner: str) -> AsyncIterator[AsyncIterator[bytes] | None]:
        note = self._note(key)
        if note is None or note.owner != owner:
            yield None
            return
        process = await asyncio.create_subprocess_exec(
            *self._packer, str(self._directory / key / HOME), stdout=asyncio.subprocess.PIPE, env=self._env
        )

        async def pieces() -> AsyncIterator[bytes]:
            assert process.stdout is not None
            while piece := await process.stdout.read(PIECE):
                yield piece
            if await process.wait():
                raise OSError(f"the archive {key} could not be packed")

        try:
            yield pieces()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def prune(self, now: datetime) -> None:
        await asyncio.to_thread(self._prune, now)

    def _prune(self, now: datetime) -> None:
        for folder in self._directory.iterdir() if self._directory.is_dir() else ():
            note = self._note(folder.name)
            if note is not None and note.until <= now:
                (folder / "note.json").unlink(missing_ok=True)  # from here on nobody can ask for it
                shutil.rmtree(folder, ignore_errors=True)

    def _note(self, key: str) -> _Note | None:
        try:
            return msgspec.json.decode((self._directory / key / "note.json").read_bytes(), type=_Note)
        except (OSError, msgspec.DecodeError):
            return None


def _size(folder: Path) -> int:
    """Bytes of all files of a folder, links not followed; what cannot be read counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
