"""Ports are kept from others, yet a program that is told of one can listen on it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys

import pytest

from hub.ports import HOST, Ports

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held")


@pytest.fixture
def ports():
    held = Ports()
    yield held
    held.close()


def listen(port: int) -> socket.socket:
    """What a server does."""
    return socket.create_server((HOST, port))


def grab(port: int) -> bool:
    """Whether a program that asks for exclusive use gets the port."""
    with socket.socket() as program, contextlib.suppress(OSError):
        program.bind((HOST, port))
        return True
    return False


def test_every_port_is_another(ports):
    taken = [ports.take() for _ in range(50)]
    assert len(set(taken)) == 50


@LINUX
def test_a_port_is_kept_from_others_but_not_from_a_server(ports):
    port = ports.take()
    assert not grab(port)
    with contextlib.closing(listen(port)) as server, socket.create_connection((HOST, port)):
        server.accept()[0].close()
    assert not grab(port), "it stays ours when the server is gone"


@LINUX
def test_the_system_gives_it_to_nobody_by_chance(ports):
    ours = {ports.take() for _ in range(200)}
    theirs = [socket.create_server((HOST, 0)) for _ in range(500)]
    assert not ours & {server.getsockname()[1] for server in theirs}
    for server in theirs:
        server.close()


@LINUX
def test_nothing_answers_on_a_port_that_is_only_held(ports):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, ports.take()))


@LINUX
def test_a_port_of_an_earlier_life_is_held_again(ports):
    port = ports.take()
    ports.release(port)
    assert grab(port)
    ports.hold(port)
    ports.hold(port)
    assert not grab(port)


@LINUX
def test_holding_what_a_program_listens_on_is_no_harm_and_works_once_it_ended(ports):
    port = ports.take()
    ports.release(port)
    with contextlib.closing(listen(port)):
        ports.hold(port)
        with socket.create_connection((HOST, port)):
            pass
    ports.hold(port)
    assert not grab(port)


@LINUX
def test_closing_lets_go_of_all(ports):
    taken = [ports.take() for _ in range(3)]
    ports.close()
    assert all(grab(port) for port in taken)


@LINUX
def test_programs_do_not_inherit_what_is_held(ports):
    port = ports.take()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", "input('here\\n')"], close_fds=False, **pipes) as program:
        assert program.stdout.readline() == b"here\n"
        ports.release(port)
        assert grab(port)
        program.communicate(b"\n")


def test_releasing_what_is_not_held_is_no_error(ports):
    ports.release(1)


def test_where_a_port_cannot_be_held_it_is_only_looked_up(ports, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    port = ports.take()
    assert grab(port)
    ports.hold(port)
    assert grab(port)
