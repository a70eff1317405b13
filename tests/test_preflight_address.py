"""What a server shows of itself, with real TLS on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.preflight.address import look
from hub.preflight.judge import Shown
from tests.cluster import certificates
from tests.cluster.certificates import Authority
from tests.running import free_port

HOST = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts."""
    made = Authority(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    return made


@contextlib.asynccontextmanager
async def serving(certificate: Path | None = None, silent: bool = False) -> AsyncIterator[str]:
    """A server with a certificate, or without TLS, for one connection at a time; its address.

    Args:
        silent: whether it never says anything.
    """
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                answer(listening.accept()[0])

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                if connection.recv(1) and not silent:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while connection.recv(1000):
                    pass

    with socket.create_server((HOST, 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://{HOST}:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(thread.join)


async def test_a_good_certificate(authority):
    async with serving(authority.issue("server", "podium", hosts=[HOST])) as url:
        shown = await look(url)
    assert (shown.wrong, shown.unreachable) == ("", "")
    assert shown.until is not None
    assert abs(shown.until - datetime.now(UTC) - certificates.VALID) < timedelta(minutes=5)


async def test_one_that_has_expired(authority, monkeypatch):
    monkeypatch.setattr(certificates, "VALID", timedelta(minutes=-1))
    async with serving(authority.issue("server", "podium", hosts=[HOST])) as url:
        assert await look(url) == Shown(wrong="certificate has expired")


async def test_one_of_another_name(authority):
    async with serving(authority.issue("server", "podium", hosts=["podium.example.org"])) as url:
        shown = await look(url)
    assert "mismatch" in shown.wrong


async def test_one_that_nobody_vouches_for(authority, tmp_path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    async with serving(stranger.issue("server", "podium", hosts=[HOST])) as url:
        assert "unable to get local issuer" in (await look(url)).wrong


async def test_no_tls_at_all(authority):
    async with serving() as url:
        assert await look(url) == Shown()
        shown = await look(url.replace("http:", "https:"))
    assert shown.unreachable == "it does not speak TLS as browsers do (WRONG_VERSION_NUMBER)"


async def test_nobody_there():
    assert await look(f"http://{HOST}:{free_port()}") == Shown(unreachable="Connection refused")


async def test_nobody_who_answers(monkeypatch):
    """A server that takes connections and never says anything, as one behind a firewall that swallows."""
    monkeypatch.setattr("hub.preflight.address.PATIENCE", 0.2)
    async with serving(silent=True) as url:
        shown = await look(url.replace("http:", "https:"))
    assert shown.unreachable == "there was no answer in 0 s"
