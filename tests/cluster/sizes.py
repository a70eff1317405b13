"""How large an image is, and what makes it so. Nothing here may build anything."""

from __future__ import annotations

import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tests.cluster.builder import Builder

LIBRARIES = ("site-packages", "node_modules", "jvm", "app")
"""Each folder in one of these is a part of its own."""
MOST_PARTS = 8


@dataclass(frozen=True)
class Size:
    """Bytes: as a registry keeps them, on a disk, and the largest parts of the latter."""

    compressed: int
    unpacked: int
    parts: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        lines = [f"{_mega(self.compressed)} to download, {_mega(self.unpacked)} on disk; the largest parts:"]
        return "\n".join([*lines, *(f"  {_mega(size):>7}  /{part}" for part, size in self.parts)])


def measure(builder: Builder, image: str) -> Size:
    """Compress and read an image of the store; half a minute for a gigabyte."""
    with tempfile.TemporaryDirectory(dir=builder.part) as folder:
        builder.write(image, f"oci:{folder}:image")
        compressed = sum(file.stat().st_size for file in Path(folder, "blobs").rglob("*") if file.is_file())
    with builder.saved(image) as archive:
        parts = in_parts(archive)
    return Size(compressed, parts.total(), tuple(parts.most_common(MOST_PARTS)))


def in_parts(archive: IO[bytes]) -> Counter[str]:
    """Bytes of the files in each part, all layers together.

    Args:
        archive: an image as `docker save` writes it.
    """
    parts: Counter[str] = Counter()
    with tarfile.open(fileobj=archive, mode="r|") as members:
        for member in members:
            layer = members.extractfile(member) if member.isreg() and member.name.endswith(".tar") else None
            if layer:
                with tarfile.open(fileobj=layer, mode="r|") as files:
                    for file in files:
                        parts[_part(PurePosixPath(file.name))] += file.size
    return parts


def _part(path: PurePosixPath) -> str:
    """Two folders deep, or three, or a library."""
    for library in LIBRARIES:
        if library in path.parts[:-1]:
            return "/".join(path.parts[: path.parts.index(library) + 2])
    return "/".join(path.parent.parts[:3])


def _mega(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
