"""The images of the real node, built from this checkout without any registry, and a containerd with them.

There is one store for all checkouts, with a folder of containerd and one of buildah. An image's name tells
what it was made from, so that what is there is never made again, and a change of our own code adds a small
layer. Root and Linux are needed. Nothing here may run a container.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hub import install
from hub.tools import CHECKOUT, ToolError, cache, digest
from tests.cluster.builder import BASE, OPTIONS, SUITE, Builder
from tests.cluster.sizes import measure

TOOLS = CHECKOUT / "images" / "build" / "packages.txt"
"""What Debian needs to make the packages of an image."""
SNAPSHOTS = Path("io.containerd.snapshotter.v1.overlayfs", "snapshots")


@dataclass(frozen=True)
class Kind:
    """An image of ours.

    Args:
        name: what it is called behind `podium-`.
        folder: where its Dockerfile is, from the checkout's top.
        builder: whether its packages are made on a Debian of their own.
    """

    name: str
    folder: str
    builder: bool = True

    @property
    def file(self) -> Path:
        """The Dockerfile."""
        return CHECKOUT / self.folder / "Dockerfile"

    @property
    def packages(self) -> list[str]:
        """What it needs of Debian."""
        return self.file.with_name("packages.txt").read_text().split()

    @property
    def base(self) -> str:
        """The name of its Debian."""
        return _base(self.name, self.packages)

    @property
    def image(self) -> str:
        """The name of the image for the checkout as it is, whether it is there or not."""
        texts = [
            text for file in self.sources() for text in (str(file.relative_to(CHECKOUT)), file.read_text())
        ]
        return f"localhost/podium-{self.name}:{digest(self.base, *texts)}"

    def sources(self) -> Iterator[Path]:
        """The Dockerfile and all that it can copy, in order: what its .dockerignore lets through."""
        lines = self.file.with_name("Dockerfile.dockerignore").read_text().splitlines()
        for pattern in (line[1:] for line in lines if line.startswith("!")):
            for found in sorted(CHECKOUT.glob(pattern)):
                files = sorted(found.rglob("*")) if found.is_dir() else [found]
                yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


WORKSPACE = Kind("workspace", "images/workspace", builder=False)
HUB = Kind("hub", "images/hub")
PROXY = Kind("proxy", "proxy")


class Images(NamedTuple):
    """The names of our images."""

    workspace: str
    hub: str
    proxy: str


def store() -> Path:
    """The folder with everything that is made here."""
    return cache() / f"images-{digest(SUITE, BASE, *OPTIONS, os.uname().machine)}"


def pause() -> str:
    """The name of the image that holds a pod's network namespace open: the smallest."""
    return PROXY.base


def build() -> Images:
    """The names of our images, after they were built and brought into the store, if they were not there.

    Raises:
        ToolError: when one cannot be built; the text says why.
    """
    kinds = (WORKSPACE, HUB, PROXY)
    images = Images(*(kind.image for kind in kinds))  # once: somebody may be writing to the checkout
    with install.one_at_a_time(store().name):
        for kind, image in zip(kinds, images, strict=True):
            stamp = store() / "done" / image.rpartition("/")[2]
            if stamp.exists():
                continue
            stamp.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=store(), prefix="part-") as part:
                _build(Builder(store(), Path(part)), kind, image)
            stamp.touch()
    return images


def _build(builder: Builder, kind: Kind, image: str) -> None:
    builder.debian(kind.base, kind.packages)
    options = [f"--build-arg=BASE={kind.base}"]
    if kind.builder:
        tools = TOOLS.read_text().split()
        options.append(f"--build-arg=BUILDER={_base('build', tools)}")
        builder.debian(_base("build", tools), tools)
    with install.progress(f"the image of the {kind.name}"):
        builder.build(image, kind.file, *options)
        if kind is WORKSPACE and "UV_CACHE_DIR" not in os.environ:
            # 2 GB, as the installer says
            install.run([str(install.VENV / "bin" / "uv"), "cache", "clean", "pyspark"])
    with install.progress(f"the image of the {kind.name} into containerd"):
        builder.bring(*([pause()] if kind is PROXY else []), image)


def _base(name: str, packages: list[str]) -> str:
    return f"localhost/podium-debian-{name}:{digest(*packages)}"


def copy(root: Path) -> None:
    """Make a containerd folder with the images of the store, by links: what is shared is never written to.

    Args:
        root: the new folder.
    """
    source = store() / "containerd"
    with install.one_at_a_time(store().name):
        shutil.copytree(source, root, symlinks=True, ignore=_layers, copy_function=_link)
        for layer in (source / SNAPSHOTS).iterdir():
            (root / SNAPSHOTS / layer.name).symlink_to(layer)


def _layers(folder: str, names: list[str]) -> list[str]:
    return names if Path(folder).parts[-2:] == SNAPSHOTS.parts else []


def _link(source: str, target: str) -> None:
    """Link a file, but copy a database."""
    if source.endswith(".db"):
        shutil.copyfile(source, target)
    else:
        os.link(source, target)


def main() -> None:
    """Build what is missing, and say what there is."""
    images = build()
    with tempfile.TemporaryDirectory(dir=store(), prefix="part-") as part:
        builder = Builder(store(), Path(part))
        for image in images:
            print(f"\n{image}: {measure(builder, image)}", flush=True)


if __name__ == "__main__":
    begin = time.monotonic()
    try:
        main()
    except ToolError as error:
        sys.exit(f"podium: {error}")
    print(f"podium: after {time.monotonic() - begin:.1f} s", file=sys.stderr)
