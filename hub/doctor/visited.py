"""What the other pod of the doctor's probe runs: it listens. Its text is given to the image's Python."""

from __future__ import annotations

import signal
import socket
import sys


def listen(address: str, ports: list[int]) -> list[socket.socket]:
    """Sockets that are connected to, whether or not anybody answers there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return [socket.create_server((address, port), family=family) for port in ports]


if __name__ == "__main__":
    listening = listen(sys.argv[1], [int(port) for port in sys.argv[2:]])
    signal.pause()
