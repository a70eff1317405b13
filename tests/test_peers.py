"""Which accounts are at the other end of a connection, from the kernel's own table."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from hub.web import peers
from hub.web.peers import Socket, client, clients, listeners, parse, sockets

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1
   1: 0100007F:A000 0100007F:1F40 01 00000000:00000000 00:00000000 00000000  1001        0 112 1
   2: 0100007F:1F40 0100007F:A000 01 00000000:00000000 00:00000000 00000000  1000        0 113 1
   3: 0100007F:A001 0100007F:1F40 06 00000000:00000000 03:00000A0B 00000000     0        0 0 3
   4: 0100007F:A002 0100007F:1F40 04 00000000:00000000 00:00000000 00000000     0        0 0 1
"""
TABLE6 = """\
  sl  local_address  remote_address  st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F41 00000000000000000000000000000000:0000 0A 0:0 00:0 0  1002  0 211 1
"""
ROWS = [*parse(TABLE), *parse(TABLE6)]


def test_the_kernels_table_can_be_read():
    assert [
        Socket(8000, 0, "0A", 1000, 111),
        Socket(40960, 8000, "01", 1001, 112),
        Socket(8000, 40960, "01", 1000, 113),
        Socket(40961, 8000, "06", 0, 0),
        Socket(40962, 8000, "04", 0, 0),
        Socket(8001, 0, "0A", 1002, 211),
    ] == ROWS


def test_an_empty_table():
    assert list(parse("")) == []
    assert list(parse(TABLE.splitlines()[0])) == []


@pytest.mark.parametrize(("port", "accounts"), [(8000, {1001}), (40960, {1000}), (8001, set()), (9, set())])
def test_who_holds_connections_to_a_port(port, accounts):
    assert clients(ROWS, port) == accounts


@pytest.mark.parametrize(
    ("local", "port", "accounts"), [(40960, 8000, {1001}), (40961, 8000, set()), (8000, 40960, {1000})]
)
def test_who_holds_one_connection(local, port, accounts):
    assert client(ROWS, local, port) == accounts


@pytest.mark.parametrize(("port", "accounts"), [(8000, {1000}), (8001, {1002}), (40960, set())])
def test_who_listens(port, accounts):
    assert listeners(ROWS, port) == accounts


@LINUX
def test_a_real_connection_is_ours():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(server.getsockname()) as caller:
            answered, _ = server.accept()
            table = sockets()
            assert listeners(table, port) == {os.getuid()}
            assert client(table, caller.getsockname()[1], port) == {os.getuid()}
            answered.close()


@LINUX
def test_both_families_are_read():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert listeners(sockets(), server.getsockname()[1]) == {os.getuid()}


def test_where_the_system_does_not_tell_nothing_is_known(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sockets() is None


@LINUX
def test_a_table_that_cannot_be_read_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "TABLES", (tmp_path,))
    assert sockets() is None
    monkeypatch.setattr(peers, "TABLES", (tmp_path / "missing",))
    assert sockets() == []
