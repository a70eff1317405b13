"""What a worker's instance runs before it is ended: asks the scheduler to drain it, and waits until it is.

All three schedulers are asked in the same way. Kubernetes runs this when a pod is deleted or evicted, and
ends the worker when this ends; so it ends at once when there is nothing to wait for: the worker is drained
or not known, or the scheduler is away, as when everything is ended together. Nothing here may end the worker,
and nothing may be imported that takes long: every pod of a workspace may run this at the same time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 3.0
AWAY_SECONDS = 6.0
"""How long connections may fail until the scheduler counts as away, when nobody refuses them."""
ANSWER_SECONDS = 30.0
"""Longer than a scheduler holds its answer while there is nothing new."""
PAUSE = 0.5
"""Seconds between two questions at least."""


class Away(Exception):
    """Nobody takes connections at the scheduler's address."""


class Scheduler:
    """The routes of a scheduler.

    Args:
        address: with the prefix of its paths, such as `http://dask-scheduler:8787/cluster-abc123_dask`.
        token: what every request has to bear.
        end: until when answers are waited for, in seconds of the monotonic clock.
    """

    def __init__(self, address: str, token: str, end: float) -> None:
        self._address = urlsplit(address)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._end = end
        self._reached = time.monotonic()

    def drain(self, instance: str) -> None:
        """Ask for an instance to be drained; asking again is harmless."""
        self._ask("POST", "/podium/drain", json.dumps({"workers": [instance]}))

    def worker(self, instance: str, since: str) -> tuple[dict[str, Any] | None, str]:
        """What is known of an instance, if anything, and which version of the state says so.

        Args:
            since: a version; the answer is held while there is no other.
        """
        state = json.loads(self._ask("GET", f"/podium/state?since={since}"))
        found = (worker for worker in state["workers"] if worker["instance"] == instance)
        return next(found, None), state["version"]

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        """Raises Away when there is no scheduler any more, OSError when there is no good answer."""
        connection = self._connect()
        try:
            connection.sock.settimeout(min(ANSWER_SECONDS, max(0.1, self._end - time.monotonic())))
            connection.request(method, self._address.path + path, body, self._headers)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from None
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise OSError(f"{path}: {answer.status}")
        return content

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            if refused or time.monotonic() - self._reached > AWAY_SECONDS:
                raise Away(str(error)) from None
            raise
        self._reached = time.monotonic()
        return connection


def leave(scheduler: Scheduler, instance: str, end: float) -> str:
    """Have an instance drained; returns why there is nothing to wait for any more.

    A busy engine of IPyParallel is only drained when it is asked again once it is idle, so whoever is not on
    its way is asked at every news.

    Raises:
        TimeoutError: when there still was something at the end, in seconds of the monotonic clock.
    """
    since = ""
    while time.monotonic() < end:
        try:
            worker, version = scheduler.worker(instance, since)
            if worker is None:
                return "the scheduler does not know it"
            if worker["drained"]:
                return "it is drained"
            if not worker["draining"]:
                scheduler.drain(instance)
            since = version
        except Away as error:
            return f"the scheduler is away: {error}"
        except (OSError, ValueError, LookupError) as error:
            print(f"{instance}: the scheduler does not answer: {error}", file=sys.stderr)
        time.sleep(min(PAUSE, max(0.0, end - time.monotonic())))
    raise TimeoutError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code, which is 1 when time was up."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--instance", "--scheduler"):
        parser.add_argument(name, required=True)
    parser.add_argument("--token", required=True, type=Path)
    parser.add_argument("--seconds", required=True, type=float)
    given = parser.parse_args(arguments)
    end = time.monotonic() + given.seconds
    try:
        why = leave(Scheduler(given.scheduler, given.token.read_text().strip(), end), given.instance, end)
    except TimeoutError:
        print(f"{given.instance} was not drained within {given.seconds:.0f} seconds", file=sys.stderr)
        return 1
    print(f"{given.instance} may end: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
