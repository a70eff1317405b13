"""Which accounts of this machine are at the other end of loopback connections.

The kernel knows the account of every local socket, so the person who started the hub needs no password
on the same machine, and nobody else gets in. Linux only; elsewhere every answer is None, "not known".
Source: proc_net_tcp in the Linux kernel's documentation. Nothing here may decide who is let in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTEN, TIME_WAIT, CLOSE = "0A", "06", "07"


@dataclass(frozen=True)
class Socket:
    """A row of the kernel's table; ports as numbers, the state as two hexadecimal digits."""

    local_port: int
    remote_port: int
    state: str
    uid: int
    inode: int


def sockets() -> list[Socket] | None:
    """Every TCP socket of this machine; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        return [socket for table in TABLES if table.exists() for socket in parse(table.read_text())]
    except OSError:
        return None


def parse(table: str) -> Iterator[Socket]:
    """Read the text of `/proc/net/tcp` or `/proc/net/tcp6`."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        yield Socket(
            local_port=int(fields[1].rpartition(":")[2], 16),
            remote_port=int(fields[2].rpartition(":")[2], 16),
            state=fields[3],
            uid=int(fields[7]),
            inode=int(fields[9]),
        )


def clients(table: list[Socket], port: int) -> set[int]:
    """The accounts that hold a connection to a port.

    A connection without an inode has no owner left who could read what is sent to it.
    """
    return {
        s.uid
        for s in table
        if s.remote_port == port and s.inode and s.state not in (LISTEN, TIME_WAIT, CLOSE)
    }


def client(table: list[Socket], local_port: int, port: int) -> set[int]:
    """The account that holds the connection from one port to another."""
    return {s.uid for s in table if s.remote_port == port and s.local_port == local_port and s.inode}


def listeners(table: list[Socket], port: int) -> set[int]:
    """The accounts that listen on a port."""
    return {s.uid for s in table if s.local_port == port and s.state == LISTEN}
