"""What a server shows of itself to whoever connects. Nothing here may judge it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from hub.preflight.judge import Shown

PATIENCE = 10.0
"""Seconds."""
FAREWELL = 1.0


async def look(url: str) -> Shown:
    """Connect to an address as a browser does, and hang up.

    Args:
        url: with http or https.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    tls: dict[str, Any] = {}
    if secure:
        tls = {"ssl": ssl.create_default_context(), "ssl_shutdown_timeout": FAREWELL}
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(parts.hostname, port, **tls)
    except ssl.SSLCertVerificationError as error:
        return Shown(wrong=error.verify_message)
    except TimeoutError:
        return Shown(unreachable=f"there was no answer in {PATIENCE:.0f} s")
    except OSError as error:
        return Shown(unreachable=_plain(error))
    try:
        return Shown(until=_until(writer))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _plain(error: OSError) -> str:
    """What is wrong, without the numbers in which asyncio says it."""
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as browsers do ({error.reason})"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _until(writer: asyncio.StreamWriter) -> datetime | None:
    ended = (writer.get_extra_info("peercert") or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ended), UTC) if ended else None
