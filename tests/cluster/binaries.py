"""The programs of Kubernetes, found or built from the Go modules that `modules/` pins.

They are looked for in KUBEBUILDER_ASSETS, then in the cache that all checkouts of one person share. What is
missing there is built, with the Go on PATH if that is new enough, else with the one that PyPI carries.
Nothing here may start any of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from hub import install
from hub.tools import ToolError, cache, digest

MODULES = Path(__file__).parent / "modules"
GO_LOCK = MODULES / "go.lock"
PACKAGES = {
    "kubernetes": {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
            *("kubectl", "kubelet", "kube-proxy"),
        )
    },
    "etcd": {"etcd": "go.etcd.io/etcd/server/v3"},
    "kwok": {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    "coredns": {"coredns": "github.com/coredns/coredns"},
}
"""Which programs come from which module, and from which package of it."""
SAY_EVERY = 20.0
"""Seconds between two lines about a build that goes on."""


def find(names: Iterable[str]) -> Path:
    """The folder in which all these programs are; what is missing is built first, and that is told.

    Raises:
        ToolError: when they are not there and cannot be built; the text says what to do.
    """
    names = list(names)
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and not _missing(Path(given), names):
        return Path(given)
    place = cached()
    if _missing(place, names):
        with install._one_at_a_time(place.name):
            missing = _missing(place, names)  # another may just have built them
            if missing:
                _build(place, missing)
    return place


def cached() -> Path:
    """The folder of the cache for exactly these modules, whether it is there or not."""
    files = sorted(file for kind in ("go.mod", "go.sum") for file in MODULES.glob(f"*/{kind}"))
    name = digest(*(file.read_text() for file in files), os.uname().sysname, os.uname().machine)
    return cache() / f"kubernetes-{name}"


def _missing(place: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if not (place / name).exists()]


def _build(place: Path, names: list[str]) -> None:
    """Build programs; each is there whole or not at all."""
    modules = {name: module for module in PACKAGES for name in PACKAGES[module] if name in names}
    go = _go(max(_wanted(module) for module in modules.values()))
    place.mkdir(parents=True, exist_ok=True)
    for number, (name, module) in enumerate(modules.items(), 1):
        print(f"podium: building {name}, {number} of {len(modules)} programs of Kubernetes …", flush=True)
        begin = time.monotonic()
        part = place / f"{name}.part"
        _go_build(go, module, PACKAGES[module][name], part)
        part.rename(place / name)
        print(f"podium:   done in {time.monotonic() - begin:.1f} s", flush=True)
    if "GOMODCACHE" not in os.environ:
        install._remove(_fetched())  # 3 GB, which nothing needs until the modules change


def _fetched() -> Path:
    """Where Go keeps the modules that it fetches, while it builds."""
    return cache() / "go-modules"


def _go_build(go: Path, module: str, package: str, output: Path) -> None:
    command = [go, "build", "-v", "-trimpath", "-ldflags", _flags(module), "-o", output, package]
    env = {
        "GOMODCACHE": str(_fetched()),
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    said: deque[str] = deque(maxlen=6)
    begin = told = time.monotonic()
    count = 0
    with subprocess.Popen(
        command,
        cwd=MODULES / module,
        env=env,
        close_fds=False,  # it may outlive this process and still be writing: it inherits the lock
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            count += 1
            if time.monotonic() - told > SAY_EVERY:
                told = time.monotonic()
                print(f"podium:   {told - begin:.0f} s, {count} packages fetched or compiled", flush=True)
    if process.returncode:
        last = "".join(f"    {line}" for line in said)
        raise ToolError(f"{package} could not be built:\n{last}{install._advice(last)}")


def _flags(module: str) -> str:
    """What the linker is told: without a version the API server's feature gates misbehave."""
    if module != "kubernetes":
        return "-s -w"
    match = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", (MODULES / module / "go.mod").read_text())
    assert match, "the module names its version"
    base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    values = {
        f"{base}.gitVersion": match[1],
        f"{base}.gitMajor": match[2],
        f"{base}.gitMinor": match[3],
        f"{client}.gitVersion": match[1],
    }
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])


def _wanted(module: str) -> tuple[int, ...]:
    """The version of Go that a module asks for."""
    match = re.search(r"^go (\S+)$", (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    assert match, "every go.mod has its line"
    return _numbers(match[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _go(wanted: tuple[int, ...]) -> Path:
    """A Go that is new enough: the one on PATH, else PyPI's, which is installed if need be."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= wanted:
        return Path(on_path)
    place = cache() / f"go-{digest(GO_LOCK.read_text(), os.uname().sysname, os.uname().machine)}"
    with install._one_at_a_time(place.name):
        if not place.exists():
            with install._progress("Go"):
                part = place.with_name(f"{place.name}.part")
                install._remove(part)
                options = ["--target", str(part), "--require-hashes", "-r", str(GO_LOCK)]
                install._uv("install", install._base_python(), *options)
                part.rename(place)
    return place / "go" / "bin" / "go"


def _version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True)
    return _numbers(done.stdout)[:3] if done.returncode == 0 else ()
