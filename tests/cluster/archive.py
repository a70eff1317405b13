"""An image of buildah as an archive that containerd takes, without the layers that containerd has already.

containerd would read all of an image again for one small layer, and wait for the disk. Nothing here may run a
program.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

KIND = "application/vnd.docker"
"""The media types begin with it. Source: the image manifest of version 2, schema 2."""


def convert(image: str, source: IO[bytes], target: Path, held: Collection[str]) -> None:
    """Write an archive in the layout of the Open Container Initiative.

    Args:
        image: the name that the image gets.
        source: what `buildah push … docker-archive:` writes.
        target: the archive.
        held: the digests of what need not be in it, without `sha256:`.
    """
    layers: dict[str, int] = {}
    config = b""
    with tarfile.open(fileobj=source, mode="r|") as given, tarfile.open(target, "w") as taken:
        for member in given:
            name, _, kind = member.name.partition(".")
            content = given.extractfile(member) if member.isreg() and "/" not in name else None
            if content and kind == "tar":
                layers[name] = member.size
                if name not in held:
                    _add(taken, f"blobs/sha256/{name}", content, member.size)
            elif content and kind == "json" and len(name) == 64:
                config = content.read()
        manifest = _blob(taken, _manifest(taken, config, layers))
        manifest["mediaType"] = f"{KIND}.distribution.manifest.v2+json"
        manifest["annotations"] = {"io.containerd.image.name": image}
        _file(taken, "index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        _file(taken, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def _manifest(archive: tarfile.TarFile, config: bytes, layers: dict[str, int]) -> bytes:
    ordered = json.loads(config)["rootfs"]["diff_ids"]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{KIND}.distribution.manifest.v2+json",
            "config": {"mediaType": f"{KIND}.container.image.v1+json", **_blob(archive, config)},
            "layers": [
                {
                    "mediaType": f"{KIND}.image.rootfs.diff.tar",
                    "digest": digest,
                    "size": layers[digest.removeprefix("sha256:")],
                }
                for digest in ordered
            ],
        }
    ).encode()


def _blob(archive: tarfile.TarFile, content: bytes) -> dict[str, object]:
    name = hashlib.sha256(content).hexdigest()
    _file(archive, f"blobs/sha256/{name}", content)
    return {"digest": f"sha256:{name}", "size": len(content)}


def _file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    _add(archive, name, io.BytesIO(content), len(content))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, content)
