"""Where a real node lives: namespaces of its own for network, mounts and processes, cgroups and a folder.

The namespaces end with the process that made them, however that ends, and with them every process, mount,
interface, route and rule. Cgroups and the folder are removed by that process, or by the next that comes. Root
and Linux are needed. Nothing here may know what runs inside.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from hub.tools import ToolError, cache
from tests.cluster.access import ClusterError, until

CGROUPS = Path("/sys/fs/cgroup")
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
}
"""The programs that are taken from this machine, and the Debian packages that have them."""
KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What kubelet would set for the whole machine; it is shown these files and leaves the machine alone."""


def prepare() -> None:
    """Have what is needed of this machine, from Debian's packages if they are not here.

    Raises:
        ToolError: where a node cannot be; the text says why.
    """
    if sys.platform != "linux":
        raise ToolError("A real node needs Linux. `make test` has the tests that need none.")
    if os.geteuid() != 0:
        raise ToolError("A real node needs root, for its network, mounts and cgroups. Run it as root.")
    cache().mkdir(parents=True, exist_ok=True)
    if cache().resolve().is_relative_to("/var") or _call("stat", "-fc", "%T", cache()) == "overlayfs":
        raise ToolError(f"{cache()} cannot hold layers of images: set XDG_CACHE_HOME to a folder of a disk.")
    packages = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise ToolError(f"Install these first: {' '.join(packages)}.")
    print(f"podium: installing {' '.join(packages)} …", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *command], env=env, capture_output=True, text=True)
        if done.returncode:
            raise ToolError(f"`apt-get {' '.join(command)}` failed:\n{done.stderr.strip()}")


def run(command: Sequence[str | Path]) -> int:
    """Run a command in an enclosure, and remove everything when it has ended, in whatever way.

    Args:
        command: it gets the enclosure's folder as its last argument; the folder's name is also its cgroup's.

    Returns:
        The command's exit code.
    """
    with _folder() as folder:
        for group in _roots(folder.name):
            group.mkdir()
            _hand_down(group.parent)
        kept = {name: signal.signal(name, _stop) for name in (signal.SIGTERM, signal.SIGHUP)}
        # The command gets the terminal's interrupt too, and it is the command that answers it.
        kept[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            return _enclosed([*command, folder])
        except _Stopped as stopped:
            return 128 + stopped.number
        finally:
            for name, handler in kept.items():
                signal.signal(name, handler)


def furnish(folder: Path) -> None:
    """Make mounts, and the network's loopback; to be called first thing inside.

    Args:
        folder: the enclosure's.
    """
    _call("mount", "--make-rshared", "/")
    _call("mount", "-t", "tmpfs", "-o", "mode=755", "podium", "/run")
    Path("/run/lock").mkdir()
    for name in ("upper", "work"):
        (folder / name).mkdir()
    # What writes into /var does it here.
    layers = f"lowerdir=/var,upperdir={folder / 'upper'},workdir={folder / 'work'}"
    _call("mount", "-t", "overlay", "-o", layers, "podium", "/var")
    for number, (name, value) in enumerate(KERNEL.items()):
        shown = Path(f"/run/kernel-{number}")
        shown.write_text(f"{value}\n")
        _call("mount", "--bind", shown, f"/proc/sys/{name}")
    _call("ip", "link", "set", "lo", "up")


def _enclosed(command: Sequence[str | Path]) -> int:
    """Run a command in namespaces of its own, which end with us."""
    # The shell is the first process there, and so the parent of all that have lost theirs. It answers no
    # interrupt, but without a trap it would end as if interrupted.
    first = ["sh", "-c", 'trap : INT; "$@"; exit $?', "podium", *command]
    namespaces = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    with subprocess.Popen(["setpriv", "--pdeathsig=KILL", *namespaces, *first]) as process:
        try:
            return process.wait()
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what was enclosed, all of it: the first process there is gone only when all others are."""
    first = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        for number in first.read_text().split():
            os.kill(int(number), signal.SIGKILL)
            process.wait()
    process.kill()


class _Stopped(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped(number)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A new folder that is removed afterwards, with its cgroups, as are those whose owners have died."""
    parent = cache() / "nodes"
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with locked(parent):
            for old in parent.iterdir():
                with contextlib.suppress(BlockingIOError), locked(old, fcntl.LOCK_NB):
                    _remove(old)
            folder = Path(tempfile.mkdtemp(prefix="podium-node-", dir=parent))
            held.enter_context(locked(folder))
        try:
            yield folder
        finally:
            _remove(folder)


@contextlib.contextmanager
def locked(folder: Path, option: int = 0) -> Iterator[None]:
    """Have a folder for oneself; with LOCK_NB raises BlockingIOError while somebody has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | option)
        yield
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    for root in _roots(folder.name):
        until(f"{root} is empty", lambda root=root: _remove_group(root))  # type: ignore[misc]
    # Of one who was killed, a process may still be writing.
    until(f"{folder} is gone", lambda: _remove_folder(folder))


def _hand_down(group: Path) -> None:
    """In version 2 a group has only those controllers that its parent hands down, and kubelet wants these."""
    for controller in ("cpuset", "cpu", "io", "memory", "pids"):
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _remove_folder(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _remove_group(root: Path) -> bool:
    """Whether a cgroup and all below it are gone; its processes may take a moment to end."""
    for group, _, _ in os.walk(root, topdown=False):
        try:
            os.rmdir(group)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return not root.exists()


def _roots(name: str) -> list[Path]:
    """Our cgroup in every hierarchy of this machine."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / name]  # of version 2, the only one
    # Some are links to others, as cpu is to cpu,cpuacct.
    found = {path.resolve() for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()}
    return [path / name for path in sorted(found)]


def _call(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"`{' '.join(map(str, command))}`: {done.stderr.strip()}")
    return done.stdout.strip()
