"""How an image is built without any registry, and brought into a containerd: mmdebstrap, buildah and ctr.

Root and Linux are needed. Nothing here may know which images there are, nor run a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from hub import install
from hub.tools import CHECKOUT, ToolError, cache
from tests.cluster.access import until
from tests.cluster.archive import convert
from tests.cluster.program import Program

SUITE = "bookworm"
BASE = 'FROM scratch\nADD root.tar /\nCMD ["sleep", "infinity"]\n'
"""A base is also what holds a pod's network namespace open: such a container has only to wait."""
OPTIONS = (
    "--variant=minbase",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",  # else a program that needs all of Perl does it
    "--include=usr-is-merged",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*/*",  # Java's packages want the folder
)
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian's programs look for the authorities that they trust."""


class Builder:
    """What a build needs.

    Args:
        place: the store, a folder of containerd and one of buildah.
        part: a folder for what is needed only now.
        known: another store, whose images are here too.
    """

    def __init__(self, place: Path, part: Path, known: Path | None = None) -> None:
        self.place = place
        self.part = part
        self._known = [] if known is None else [f"--storage-opt=overlay.imagestore={known / 'buildah'}"]
        self.seen = self._configuration()
        """This machine's way to packages: where a file is seen during a build, and the file here."""
        # buildah keeps the mounts of type=cache there: packages come from the cache that the installer fills.
        packages = part / "buildah-cache" / "root" / ".cache"
        packages.mkdir(parents=True)
        (cache() / "uv").mkdir(exist_ok=True)
        (packages / "uv").symlink_to(cache() / "uv")

    def debian(self, image: str, packages: Sequence[str]) -> None:
        """Debian with packages, if there is no such image.

        Args:
            image: the name that it gets.
            packages: more than the fewest that a Debian has.

        Raises:
            ToolError: when it cannot be made; the text says why, as for all that is here.
        """
        if self._has(image):
            return
        archive = self.part / "root.tar"
        with install.progress(f"Debian with {', '.join(packages)}"):
            run(["mmdebstrap", "--quiet", *OPTIONS, f"--include={','.join(packages)}", SUITE, str(archive)])
            (self.part / "Dockerfile").write_text(BASE)
            self._buildah("bud", "--quiet", "--tag", image, str(self.part))
            archive.unlink()

    def build(self, image: str, file: Path, *options: str, context: Path = CHECKOUT) -> None:
        """An image from its Dockerfile.

        Args:
            image: the name that it gets.
            file: the Dockerfile.
            options: more of buildah's own.
            context: the folder that it copies from.
        """
        options += ("--isolation=chroot", "--layers", "--pull-never", "--quiet")
        options += tuple(f"--volume={here}:{seen}:ro" for seen, here in self.seen.items())
        ignore = file.with_name(f"{file.name}.dockerignore")
        if ignore.exists():
            options += (f"--ignorefile={ignore}",)
        self._buildah("bud", *options, f"--file={file}", f"--tag={image}", str(context))

    def bring(self, *images: str) -> None:
        """Unpack images into the containerd of the store."""
        with containerd(self.place, self.part) as address:
            for image in images:
                self.bring_to(address, image)

    def bring_to(self, address: Path, image: str) -> None:
        """Unpack an image into a containerd, which may be a node's.

        Args:
            address: its socket.
            image: the name.
        """
        control = ["ctr", f"--address={address}", "--namespace=k8s.io"]
        held = run([*control, "content", "list", "--quiet"]).replace("sha256:", "").split()
        with (
            tempfile.NamedTemporaryFile(dir=self.part, suffix=".tar") as archive,
            self.saved(image) as content,
        ):
            convert(image, content, Path(archive.name), held)
            run([*control, "images", "import", archive.name])

    @contextlib.contextmanager
    def saved(self, image: str) -> Iterator[IO[bytes]]:
        """An image as an archive of docker's layout, to be read once from beginning to end."""
        command = [*self._command(), "push", "--quiet", image, f"docker-archive:/dev/stdout:{image}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield process.stdout
        if process.returncode:
            raise ToolError(f"buildah could not write {image}; it says above why.")

    def write(self, image: str, target: str) -> None:
        """Write an image elsewhere; `target` as buildah names places."""
        self._buildah("push", "--quiet", image, target)

    def labels(self, image: str) -> dict[str, str]:
        """What an image says of itself."""
        found = json.loads(self._buildah("inspect", "--type=image", image))
        labels: dict[str, str] = found["OCIv1"]["config"]["Labels"]
        return labels

    def _has(self, image: str) -> bool:
        with contextlib.suppress(ToolError):
            self._buildah("inspect", "--type=image", image)
            return True
        return False

    def _buildah(self, *arguments: str) -> str:
        return run([*self._command(), *arguments], {"TMPDIR": str(self.part)})

    def _command(self) -> list[str]:
        """How to call buildah once: what it mounts and does not unmount goes with it."""
        run = tempfile.mkdtemp(prefix="run-", dir=self.part)
        places = [f"--root={self.place / 'buildah'}", f"--runroot={run}", *self._known]
        return ["unshare", "--mount", "buildah", *places, "--storage-driver=overlay"]

    def _configuration(self) -> dict[Path, Path]:
        pip, uv, npm = Path("/etc/pip.conf"), Path("/etc/uv/uv.toml"), Path("/root/.npmrc")
        trusted = Path(os.environ.get("SSL_CERT_FILE") or TRUSTED)
        files = {TRUSTED: trusted, pip: pip, uv: uv, npm: Path.home() / ".npmrc"}
        index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
        if index:
            files |= {pip: self.part / "pip.conf", uv: self.part / "uv.toml"}
            files[pip].write_text(f"[global]\nindex-url = {index}\n")
            files[uv].write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n')
        return {seen: here for seen, here in files.items() if here.exists()}


@contextlib.contextmanager
def containerd(place: Path, part: Path) -> Iterator[Path]:
    """A containerd that only keeps images; gives the path of its socket.

    Args:
        place: the store.
        part: a folder for what it needs only now.
    """
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="podium-") as short:
        address = Path(short) / "containerd.sock"
        config = part / "containerd.toml"
        config.write_text(
            "version = 2\n"
            f'root = "{place / "containerd"}"\n'
            f'state = "{part / "containerd"}"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{address}"\n'
        )
        program = Program(["containerd", f"--config={config}"], part / "containerd.log")
        try:
            until("containerd listens", lambda: address.exists() or not program.running)
            yield address
        finally:
            program.stop()


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it says; raises ToolError with its last lines when it fails.

    Args:
        command: the program and its arguments.
        env: what is added to the environment.
    """
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-8:])
        raise ToolError(f"`{' '.join(command[:5])} …` failed:\n{last}")
    return done.stdout
