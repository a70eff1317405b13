"""What the visitor of the doctor's probe runs: it tells, in a line of JSON, what it reaches of the other pod.

Its text is given to the image's Python, so nothing here may need more than the standard library.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 15.0
"""Seconds; names, Services and policies take effect a while after they were made."""
CONNECT = 2.0


def resolve(name: str, patience: float) -> tuple[str, str]:
    """The address of a name, and if there is none what the resolver says.

    Args:
        patience: seconds for which it is tried again.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]), ""
        except OSError as error:
            if time.monotonic() >= end:
                return "", str(error)
        time.sleep(0.5)


def reaches(address: str, port: int, patience: float) -> bool:
    """Whether a connection can be made.

    Args:
        patience: seconds for which it is tried again.
    """
    end = time.monotonic() + patience
    while not _connects(address, port):
        if time.monotonic() >= end:
            return False
        time.sleep(0.5)
    return True


def leaks(address: str, ports: Iterable[int], patience: float) -> set[int]:
    """The ports that can be connected to at every time.

    Args:
        patience: seconds for which it is tried again.
    """
    end = time.monotonic() + patience
    left = set(ports)
    while True:
        left = {port for port in left if _connects(address, port)}
        if not left or time.monotonic() >= end:
            return left
        time.sleep(0.5)


def _connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=CONNECT).close()
    except OSError:
        return False
    return True


def look(
    name: str, address: str, opened: int, guarded: int, far: int, patience: float = PATIENCE
) -> dict[str, object]:
    """What is reached.

    Args:
        name: of the Service.
        address: of its pod.
        opened: the port that may be reached.
        guarded: the port that its own policy forbids.
        far: the port that our own policy forbids.
        patience: seconds for each.
    """
    resolved, why = resolve(name, patience)
    service = bool(resolved) and reaches(resolved, opened, patience)
    # Without it, that the others are not reached would say nothing of policies.
    control = reaches(address, opened, patience)
    left = leaks(address, (guarded, far), patience) if control else set()
    return {
        **{"resolved": resolved, "why": why, "service": service, "open": control},
        **{"ingress": guarded in left, "egress": far in left},
    }


if __name__ == "__main__":
    name, address, *ports = sys.argv[1:]
    opened, guarded, far = map(int, ports)
    # Kubernetes shows what is written there in the pod's status.
    Path("/dev/termination-log").write_text(json.dumps(look(name, address, opened, guarded, far)))
