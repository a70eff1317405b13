"""A real OpenID Connect provider on a loopback port, with the people of the tests."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.cluster import binaries
from tests.cluster.access import until

CLIENT, SECRET = "podium", "secret-of-the-client"
PASSWORD = "password"
PEOPLE = (
    {"id": "1", "login": "ada@example.org", "name": "Ada Lovelace", "groups": ["students"]},
    {"id": "2", "login": "grace@example.org", "name": "Grace Hopper", "groups": ["staff", "teachers"]},
    {"id": "3", "login": "root@example.org", "name": "Root", "groups": ["admins"]},
)
SETTINGS = {"client_id": CLIENT, "instructors": ["teachers"], "operators": ["admins"]}


@dataclass(frozen=True)
class Dex:
    """A provider that answers.

    Args:
        issuer: its address.
        process: what to end for one that is away.
    """

    issuer: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def provider(backs: Sequence[str], seconds: int = 3600, client: str = CLIENT) -> Iterator[Dex]:
    """A dex that runs while the context lasts.

    Args:
        backs: where it may lead people back to.
        seconds: for which an ID token is good.
        client: whom it takes for the hub.
    """
    program = binaries.find(["dex"]) / "dex"
    with socket.create_server(("127.0.0.1", 0)) as free, tempfile.TemporaryDirectory() as folder:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        issuer = f"http://{listen}/dex"
        file = Path(folder) / "dex.json"
        clients = [{"id": client, "secret": SECRET, "name": "Podium", "redirectURIs": list(backs)}]
        people = [{**person, "password": PASSWORD} for person in PEOPLE]
        given = {"issuer": issuer, "listen": listen, "seconds": seconds, "clients": clients, "people": people}
        file.write_text(json.dumps(given))
        with open(Path(folder) / "dex.log", "wb") as log:
            process = subprocess.Popen([program, file], stdout=log, stderr=log)
        try:
            until("dex answers", lambda: _answers(issuer) or process.poll() is not None)
            yield Dex(issuer, process)
        finally:
            process.kill()
            process.wait()


def _answers(issuer: str) -> bool:
    try:
        with urlopen(f"{issuer}/.well-known/openid-configuration") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False
