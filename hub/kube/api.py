"""Requests to a Kubernetes API server, JSON in and JSON out.

The official client finds the server, proves who we are and checks the server's certificate; its typed
objects are left out, because a watch of thousands of pods would spend its time on making them. Nothing
here may know what is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException

from hub.errors import ConfigurationError

log = logging.getLogger("podium.kube")

RATE, BURST = 300.0, 300.0
"""Requests a second, and how many at once after a rest. An API server with default settings serves more than
that on two cores, so that others find room beside a class that launches."""
AT_ONCE = 16
"""Requests under way, less than what the API server's `workload-low` priority level has for everybody."""
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
FAREWELL = 2.0
MOST_RETRIES = 6
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(Exception):
    """What the API server answered instead of what was asked for.

    Args:
        status: the HTTP status.
        reason: Kubernetes' word for it, such as `AlreadyExists`.
        message: its sentence.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


NOT_ANSWERING = (aiohttp.ClientError, TimeoutError, OSError)
"""What is raised when there is no answer at all; nothing is known then."""


class Pace:
    """Lets through so many a second, and a burst after a rest (a token bucket).

    Args:
        rate: how many a second.
        burst: how many at once.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = time.monotonic()

    async def turn(self) -> None:
        """Wait for a turn; turns are given in the order in which they were asked for."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)


class Api:
    """One API server, and who we are to it; made by `connect`.

    Args:
        configuration: of the official client.
    """

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        self._rest = RESTClientObject(configuration)
        # Watches hold connections, so their number has no limit; requests are counted by `_room`.
        self._connector = aiohttp.TCPConnector(
            ssl=self._rest.ssl_context, limit=0, enable_cleanup_closed=sys.version_info < (3, 12, 8)
        )
        # The client would look for ~/.netrc in a thread, for every single request. A proxy on the way to the
        # API server is said in the kubeconfig file.
        configuration.client_session_kwargs = {"connector": self._connector, "trust_env": False}
        self._pace = Pace(RATE, BURST)
        self._room = asyncio.Semaphore(AT_ONCE)
        self.asked: Callable[[str, str, float], None] = lambda method, code, seconds: None
        """Told of each request: its method, the status of the answer or `none`, and seconds until then."""

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> Api:
        """The cluster of a kubeconfig file, of `KUBECONFIG`, of the pod we are in, or of `~/.kube/config`.

        Raises:
            ConfigurationError: when there is none of them, or it cannot be read.
        """
        configuration = Configuration()
        try:
            if (
                kubeconfig is None
                and "KUBECONFIG" not in os.environ
                and "KUBERNETES_SERVICE_HOST" in os.environ
            ):
                config.load_incluster_config(client_configuration=configuration)
            else:
                file = str(kubeconfig) if kubeconfig else None
                await config.load_kube_config(config_file=file, client_configuration=configuration)
        except (ConfigException, OSError, ValueError) as error:
            raise ConfigurationError(
                f"No Kubernetes cluster can be found: {error}", "Set KUBECONFIG to a kubeconfig file."
            ) from None
        return cls(configuration)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Any:
        """Send a request and return the JSON object of the answer.

        A request that the server turns away for being busy (429) was not carried out, and is sent again
        after the time it names. Source: Kubernetes API concepts; RFC 6585, section 4.

        Raises:
            ApiError: when the server refuses.
            aiohttp.ClientError, TimeoutError, OSError: when it does not answer, so that nothing is known.
        """
        data = await self.fetch(method, path, body, query, content_type)
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            raise ApiError(502, "", f"{path} was answered by something that is no API server.") from None

    async def fetch(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """As `call`, and return the body of the answer as it is."""
        for attempt in range(MOST_RETRIES):
            await self._pace.turn()
            async with self._room:
                response = await self._send(method, path, body, query, content_type, accept, TIMEOUT)
                with _given_up(response):
                    data = await response.read()
            if response.status < 400:
                return data
            if response.status != 429 or attempt == MOST_RETRIES - 1:
                raise _refusal(response.status, data)
            await asyncio.sleep(_pause(response.headers.get("Retry-After"), attempt))
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], accept: str, silence: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """A watch, to be read as it comes.

        Args:
            silence: seconds without a byte after which TimeoutError is raised.

        Raises:
            ApiError: when the server refuses.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=silence)
        response = await self._send("GET", path, None, query, JSON, accept, timeout)
        with _given_up(response):
            if response.status >= 400:
                raise _refusal(response.status, await response.read())
            yield response.content

    async def close(self) -> None:
        """End all connections; one that does not end by itself is left to the end of the process."""
        # An AttributeError: some versions of Python 3.11 cannot abort a connection that is lost already.
        with suppress(TimeoutError, AttributeError):
            async with asyncio.timeout(FAREWELL):
                await self._connector.close(abort_ssl=True)
        await self._rest.close()

    async def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, str] | None,
        content_type: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "podium"}
        for setting in (await self._configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        began, code = time.monotonic(), "none"
        try:
            answer = await self._rest.request(
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            response = answer.response
            assert isinstance(response, aiohttp.ClientResponse)
            code = str(response.status)
        finally:
            self.asked(method, code, time.monotonic() - began)
        return response


@contextmanager
def _given_up(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Drop the connection of an answer that nobody reads to its end, without the farewells of TLS."""
    try:
        yield
    finally:
        connection = response.connection  # None once all was read
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()


def _pause(retry_after: str | None, attempt: int) -> float:
    """Seconds to wait after a 429."""
    try:
        return min(30.0, max(0.0, float(retry_after or "")))
    except ValueError:
        return float(0.2 * 2**attempt)


def _refusal(status: int, data: bytes) -> ApiError:
    """What the server said, if it said it in Kubernetes' own form."""
    try:
        said = msgspec.json.decode(data)
        return ApiError(status, str(said.get("reason", "")), str(said.get("message", ""))[:2000])
    except (msgspec.DecodeError, AttributeError):
        return ApiError(status, "", data[:500].decode(errors="replace"))
