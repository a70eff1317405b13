"""A client of the REST API for the command line: standard library, blocking, on the same machine.

Nothing here may print.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from hub.errors import PodiumError

TIMEOUT = 60
BROKEN = (OSError, ValueError, http.client.HTTPException)
"""What comes of an address where nobody, or something else than a hub, answers, or that goes away."""


class Refused(PodiumError):
    """The hub answered with an error; `status` is the HTTP status."""


class NotRunning(PodiumError):
    """No hub answers at the address."""


class Client:
    """Talks to one hub.

    Args:
        url: its address, such as `http://127.0.0.1:8000`.
        token: the API token.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request and return the JSON of the answer.

        Raises:
            Refused: with the hub's message and hint.
            NotRunning: when there is no answer.
        """
        try:
            with self._open(method, path, body) as response:
                return json.load(response)
        except BROKEN as error:
            raise self._not_running(error) from None

    def follow(self, name: str) -> Iterator[tuple[str, Any]]:
        """Events of a workspace as they come: kind and object."""
        kind = ""
        try:
            with self._open("GET", f"{workspace_path(name)}/events", None) as response:
                for raw in response:
                    line = raw.decode().rstrip("\n")
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: ") and kind in ("workspace", "gone"):
                        yield kind, json.loads(line.removeprefix("data: "))
        except BROKEN as error:
            raise self._not_running(error) from None

    def _open(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the address is the hub's
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode()
        )
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Content-Type", "application/json")
        # A proxy for the Internet has no business between us and this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            raise _refused(error) from None

    def _not_running(self, error: Exception) -> NotRunning:
        reason = getattr(error, "reason", error)
        return NotRunning(f"No hub answers at {self.url}: {reason}.", "Start one with: make run")


def _refused(error: urllib.error.HTTPError) -> Refused:
    try:
        said = json.loads(error.read())["error"]
        refused = Refused(said["message"], said["hint"])
    except (ValueError, KeyError, TypeError):
        refused = Refused(f"The hub answered {error.code} {error.reason}.")
    refused.status = error.code
    return refused


def workspace_path(name: str) -> str:
    """The path of a workspace in the API, whatever was given for its name."""
    return f"/api/workspaces/{quote(name, safe='', errors='surrogateescape')}"
