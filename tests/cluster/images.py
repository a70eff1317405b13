"""The images of the real node, built from this checkout without any registry, and a containerd with them.

There is a store, with a folder of containerd and one of buildah, for all that is slow to make: Debian, Java
and the packages of the lock. A change of our own code adds a small layer to it. Root and Linux are needed.
Nothing here may run a container.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hub import install
from hub.tools import CHECKOUT, ToolError, cache, digest
from tests.cluster.access import until
from tests.cluster.archive import convert
from tests.cluster.program import Program

SUITE = "bookworm"
WORKSPACE = CHECKOUT / "images" / "workspace"
PACKAGES = WORKSPACE / "packages.txt"
SLOW = (WORKSPACE / "Dockerfile", PACKAGES, WORKSPACE / "requirements.lock", CHECKOUT / "hub" / "tools.lock")
"""What all but the last layers are made from."""
BASE = 'FROM scratch\nADD root.tar /\nCMD ["sleep", "infinity"]\n'
"""The base is also what holds a pod's network namespace open: such a container has only to wait."""
DPKG = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*/*",  # Java's packages want the folder
)
PAUSE = "localhost/podium-base:latest"
"""The base's name on the node."""
SNAPSHOTS = Path("io.containerd.snapshotter.v1.overlayfs", "snapshots")
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian's programs look for the authorities that they trust."""


def store() -> Path:
    """The folder with everything that is made here, for this checkout's slow layers."""
    texts = (file.read_text() for file in SLOW)
    return cache() / f"images-{digest(SUITE, BASE, *DPKG, *texts, os.uname().machine)}"


def workspace_image() -> str:
    """The name of the image of this checkout's workspaces, whether it is there or not."""
    files = [WORKSPACE / "pyproject.toml", *(WORKSPACE / "podium_workspace").glob("[!_.]*.*")]
    files.append(WORKSPACE / "podium_workspace" / "__init__.py")
    texts = (text for file in sorted(files) for text in (file.name, file.read_text()))
    return f"localhost/podium-workspace:{digest(store().name, *texts)}"


def build() -> str:
    """The name of the workspaces' image, after it was built and brought into the store, if it was not there.

    Raises:
        ToolError: when it cannot be built; the text says why.
    """
    place, image = store(), workspace_image()
    done = place / "done" / image.rpartition(":")[2]
    with install._one_at_a_time(place.name):
        if done.exists():
            return image
        done.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix="part-") as part:
            builder = Builder(place, Path(part))
            builder.base()
            builder.workspace(image)
            first = not any(done.parent.iterdir())
            builder.bring(*([PAUSE] if first else []), image)
        done.touch()
    return image


def copy(root: Path) -> None:
    """Make a containerd folder with the images of the store, by links: what is shared is never written to.

    Args:
        root: the new folder.
    """
    source = store() / "containerd"
    with install._one_at_a_time(store().name):
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


class Builder:
    """What a build needs.

    Args:
        place: the store.
        part: a folder for what is needed only now.
    """

    def __init__(self, place: Path, part: Path) -> None:
        self.place = place
        self.part = part
        # buildah keeps the mounts of type=cache there: packages come from the cache that the installer fills.
        packages = part / "buildah-cache" / "root" / ".cache"
        packages.mkdir(parents=True)
        (cache() / "uv").mkdir(exist_ok=True)
        (packages / "uv").symlink_to(cache() / "uv")

    def base(self) -> None:
        """Debian with the packages of the image."""
        if self._has(PAUSE):
            return
        archive = self.part / "root.tar"
        packages = ",".join(PACKAGES.read_text().split())
        with install._progress("Debian with Java, for the images"):
            options = [*(f"--dpkgopt={option}" for option in DPKG), f"--include={packages}"]
            _run(["mmdebstrap", "--quiet", "--variant=minbase", *options, SUITE, str(archive)])
            (self.part / "Dockerfile").write_text(BASE)
            self._buildah("bud", "--quiet", "--tag", PAUSE, str(self.part))
            archive.unlink()

    def workspace(self, image: str) -> None:
        """The image of the workspaces, on that base."""
        options = ["--isolation=chroot", "--layers", "--pull-never", f"--build-arg=BASE={PAUSE}"]
        options += (f"--volume={source}:{target}:ro" for source, target in self._configuration().items())
        file = WORKSPACE / "Dockerfile"
        options += (f"--ignorefile={file}.dockerignore", f"--file={file}", f"--tag={image}")
        with install._progress("the image of the workspaces"):
            self._buildah("bud", "--quiet", *options, str(CHECKOUT))
            if "UV_CACHE_DIR" not in os.environ:
                # 2 GB, as the installer says
                install._run([str(install.VENV / "bin" / "uv"), "cache", "clean", "pyspark"])

    def bring(self, *images: str) -> None:
        """Unpack images into the containerd of the store."""
        with install._progress("the images into containerd"), containerd(self.place, self.part) as address:
            control = ["ctr", f"--address={address}", "--namespace=k8s.io"]
            for image in images:
                held = _run([*control, "content", "list", "--quiet"]).replace("sha256:", "").split()
                self._export(image, self.part / "image.tar", held)
                _run([*control, "images", "import", str(self.part / "image.tar")])

    def _export(self, image: str, archive: Path, held: list[str]) -> None:
        command = [*self._command(), "push", "--quiet", image, f"docker-archive:/dev/stdout:{image}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            convert(image, process.stdout, archive, held)
        if process.returncode:
            raise ToolError(f"buildah could not write {image}; it says above why.")

    def _has(self, image: str) -> bool:
        with contextlib.suppress(ToolError):
            self._buildah("inspect", "--type=image", image)
            return True
        return False

    def _buildah(self, *arguments: str) -> None:
        _run([*self._command(), *arguments], {"TMPDIR": str(self.part)})

    def _command(self) -> list[str]:
        """How to call buildah once: what it mounts and does not unmount goes with it."""
        run = tempfile.mkdtemp(prefix="run-", dir=self.part)
        places = [f"--root={self.place / 'buildah'}", f"--runroot={run}"]
        return ["unshare", "--mount", "buildah", *places, "--storage-driver=overlay"]

    def _configuration(self) -> dict[Path, Path]:
        """This machine's way to packages: files here, and where they are seen during a build."""
        files = {
            Path("/etc/pip.conf"): Path("/etc/pip.conf"),
            Path("/etc/uv/uv.toml"): Path("/etc/uv/uv.toml"),
        }
        trusted = os.environ.get("SSL_CERT_FILE") or str(TRUSTED)
        files[Path(trusted)] = TRUSTED
        index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
        if index:
            (self.part / "uv.toml").write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n')
            (self.part / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
            files = {TRUSTED: TRUSTED, Path(trusted): TRUSTED}
            files[self.part / "uv.toml"] = Path("/etc/uv/uv.toml")
            files[self.part / "pip.conf"] = Path("/etc/pip.conf")
        return {source: target for source, target in files.items() if source.exists()}


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


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
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


if __name__ == "__main__":
    begin = time.monotonic()
    try:
        print(build())
    except ToolError as error:
        sys.exit(f"podium: {error}")
    print(f"podium: after {time.monotonic() - begin:.1f} s", file=sys.stderr)
