"""What the hub puts into the home folder, where programs look for it that know nothing of Podium.

The home folder is a person's own and may outlive the notebook, so nothing else in it is touched, and what
cannot be written is told and no reason not to start. Nothing here may know what the files are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def fill(home: Path, source: Path) -> list[str]:
    """Copy all files below a folder to the same places below the home folder.

    Args:
        source: may be missing; in a mounted Secret its files come by way of symbolic links, and names that
            begin with two dots are the mount's own.

    Returns:
        A sentence for each file that could not be written.
    """
    troubles = []
    for path in sorted(_files(source)):
        try:
            _write(home / path.relative_to(source), path.read_bytes())
        except OSError as error:
            troubles.append(f"~/{path.relative_to(source)} could not be written: {error.strerror}.")
    return troubles


def _files(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith("..")]
        yield from (Path(folder, name) for name in names if not name.startswith(".."))


def _write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole, unless it is already there as it should be."""
    if path.is_file() and path.read_bytes() == content:
        return
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f".{path.name}.podium")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)
