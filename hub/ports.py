"""Ports for programs that have to be told their port, taken without races.

On Linux a port is bound here, exclusively, and stays bound without listening; then `SO_REUSEADDR` is set,
so that the program, which sets it too as servers do, can bind and listen beside us, while nobody is given
the port by chance. Elsewhere the system does not allow two such sockets, so the port is only looked up;
what is left there is a race with programs that pick a port in the same instant.
Source: socket(7) and `inet_csk_bind_conflict` in Linux. Nothing here may know what a port is for.
"""

from __future__ import annotations

import contextlib
import socket
import sys

HOST = "127.0.0.1"


class Ports:
    """The ports held by this process; closing it lets go of them."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def take(self) -> int:
        """A free port of the loopback address, from now on kept from others."""
        holder = socket.socket()
        holder.bind((HOST, 0))
        port = int(holder.getsockname()[1])
        self._keep(port, holder)
        return port

    def hold(self, port: int) -> None:
        """Hold a port that was taken in an earlier life; a program that listens on it already is no harm."""
        if port in self._held:
            return
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, port))
        except OSError:
            holder.close()
        else:
            self._keep(port, holder)

    def release(self, port: int) -> None:
        """Let go of a port."""
        holder = self._held.pop(port, None)
        if holder is not None:
            holder.close()

    def close(self) -> None:
        """Let go of all."""
        for port in list(self._held):
            self.release(port)

    def _keep(self, port: int, holder: socket.socket) -> None:
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held[port] = holder
        else:
            with contextlib.suppress(OSError):
                holder.close()
