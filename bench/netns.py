"""A network of its own for a command: every address of a fake pod is this machine's there, and nowhere else.

Requests to those addresses would leave the machine otherwise. The command is the first process of a PID
namespace and everything it starts ends with it, so nothing is left whichever way it ends: no process, no
namespace, no route. Nothing here may know what is measured.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from hub.tools import ToolError
from tests.cluster.fake import PODS

NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
INSIDE = "PODIUM_BENCH_INSIDE"
"""The variable that tells a command that it is inside."""


def inside() -> bool:
    """Whether this process runs in such a network."""
    return INSIDE in os.environ


def run(command: Sequence[str]) -> int:
    """Run a command in a network of its own; Ctrl-C is the command's to answer. Returns its exit code.

    Raises:
        ToolError: where there can be none; the text says why.
    """
    missing = [program for program in ("unshare", "setpriv", "ip") if not shutil.which(program)]
    if sys.platform != "linux" or missing:
        raise ToolError("Fake pods answer HTTP on Linux only, with unshare, setpriv and ip.")
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    # The shell is the first process there, and so the parent of all that have lost theirs.
    first = f'ip link set lo up && ip route add local {PODS} dev lo && "$@"; exit $?'
    whole = ["setpriv", "--pdeathsig=KILL", *NAMESPACES, *user, "sh", "-c", first, "podium", *command]
    with subprocess.Popen(whole, env={**os.environ, INSIDE: "1"}) as process:
        kept = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, kept)
            process.kill()
