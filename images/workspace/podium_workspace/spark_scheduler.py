"""Spark's master, with a guarded HTTP port for its pages and for the hub.

    GET  /podium/state       what the hub wants to know; held until it changes
    POST /podium/drain       {"workers": […]}: decommission them
    any  /…                  the pages of the master and, below /proxy/, of workers and drivers

The pages themselves want a signed token, so whoever reaches their ports past this one is refused by Spark.
Nothing here may know what the answers mean; that is `spark_cluster.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError

from podium_workspace import tokens
from podium_workspace.guarded import Guarded, Health, State, instances
from podium_workspace.spark_cluster import Cluster, parse

MASTER = "org.apache.spark.deploy.master.Master"
ASK_SECONDS = 5.0
PAGE_SECONDS = 60.0
NOT_PASSED_ON = {
    *("authorization", "connection", "content-length", "cookie", "host", "keep-alive", "proxy-authenticate"),
    *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
}
"""Headers that are for this hop alone. Source: RFC 9110, section 7.6.1."""


class Pages:
    """The master's pages.

    Args:
        base: where they are, such as `http://127.0.0.1:8081`.
        token: what they want with every request.
    """

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self._token = token
        self._client = AsyncHTTPClient(force_instance=True, max_clients=64)

    async def fetch(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> HTTPResponse:
        """Any request. Raises OSError when there is no answer at all; redirects and errors are answers."""
        try:
            return await self._client.fetch(
                self.base + path,
                raise_error=False,
                method=method,
                headers={**headers, "Authorization": f"Bearer {self._token}"},
                body=body,
                allow_nonstandard_methods=True,
                follow_redirects=False,
                decompress_response=False,
                connect_timeout=ASK_SECONDS,
                request_timeout=seconds,
            )
        except HTTPClientError as error:
            raise OSError(str(error)) from None

    async def get(self, path: str) -> Any:
        """JSON. Raises OSError when that is not what comes."""
        answer = await self.fetch("GET", path, {}, None, ASK_SECONDS)
        if answer.code != HTTPStatus.OK:
            raise OSError(f"{path}: {answer.code}")
        return parse(answer.body)

    async def post(self, path: str, form: Mapping[str, str]) -> None:
        """Send a form. Raises OSError when it is refused."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.fetch("POST", path, kind, urlencode(form).encode(), ASK_SECONDS)
        if answer.code >= HTTPStatus.BAD_REQUEST:
            raise OSError(f"{path}: {answer.code}")


class Relay(Guarded):
    """Everything that is for Spark's own pages."""

    def initialize(self, pages: Pages, prefix: str) -> None:
        """Remember whom to ask, and where this is on the proxy."""
        self.pages = pages
        self.prefix = prefix

    def set_default_headers(self) -> None:
        """Spark says itself what may be kept."""

    async def relay(self) -> None:
        """Pass the request on, and the answer back."""
        headers = {name: value for name, value in self.request.headers.items() if passed_on(name)}
        body = self.request.body if self.request.method == "POST" else None
        try:
            answer = await self.pages.fetch(
                str(self.request.method), self.request.uri or "/", headers, body, PAGE_SECONDS
            )
        except OSError:
            raise HTTPError(HTTPStatus.BAD_GATEWAY) from None
        self.set_status(answer.code, answer.reason)
        self.clear_header("Content-Type")
        for name, value in answer.headers.get_all():
            if name.lower() == "location":
                value = redirected(value, self.pages.base, self.prefix)
            if passed_on(name):
                self.add_header(name, value)
        await self.finish(answer.body or None)

    get = post = head = relay


def passed_on(header: str) -> bool:
    """Whether a header goes on with a request or an answer."""
    return header.lower() not in NOT_PASSED_ON


def redirected(location: str, base: str, prefix: str) -> str:
    """Where a browser has to go when Spark sends it to one of its own addresses."""
    parts = urlsplit(location)
    if parts.netloc not in ("", urlsplit(base).netloc):
        return location
    path = parts.path if parts.path.startswith(f"{prefix}/") else prefix + parts.path
    return parts._replace(scheme="", netloc="", path=path).geturl()


class Drain(Guarded):
    """`POST /podium/drain`."""

    async def post(self) -> None:
        """Accepted; the state tells how far it is."""
        try:
            await self.settings["cluster"].drain(instances(self.request.body))
        except OSError:
            raise HTTPError(HTTPStatus.BAD_GATEWAY) from None
        self.set_status(HTTPStatus.ACCEPTED)


class WhenKnown(State):
    """The state, once there is one."""

    def prepare(self) -> None:
        """An unknown state is no empty one."""
        super().prepare()
        if not self.settings["cluster"].known:
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE)


class Ready(Health):
    """Whether the master answers."""

    def prepare(self) -> None:
        """Not before it has once."""
        if not self.settings["cluster"].known:
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE)


def application(cluster: Cluster, pages: Pages, prefix: str, token: str) -> Application:
    """What is served."""
    return Application(
        [
            ("/health", Ready),
            ("/podium/state", WhenKnown, {"held": cluster.state}),
            ("/podium/drain", Drain),
            ("/.*", Relay, {"pages": pages, "prefix": prefix}),
        ],
        token=token,
        cluster=cluster,
        log_function=lambda handler: None,
    )


def end_leftover(rpc_port: int) -> None:
    """End a master that a killed launcher left behind; it would keep the ports that are to be used again.

    Another account's processes cannot be ended, and cannot have the port either.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if MASTER in command and command[command.index("--port") + 1] == str(rpc_port):
                process.kill()
                process.wait()


async def run(given: argparse.Namespace) -> int:
    """Run the master until it or a signal ends it; returns the exit code."""
    end_leftover(given.rpc_port)
    pages = Pages(f"http://{given.host}:{given.ui_port}", tokens.read(str(given.files / "ui-token")))
    loop = asyncio.get_running_loop()
    cluster = Cluster(pages.get, pages.post, loop.time)
    app = application(cluster, pages, given.prefix, tokens.read(str(given.files / "token")))
    HTTPServer(app).listen(given.port, address=given.host)
    master = await asyncio.create_subprocess_exec(
        *("spark-class", MASTER, "--host", given.rpc_host),
        *("--port", str(given.rpc_port), "--webui-port", str(given.ui_port)),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, master.terminate)
    ended = asyncio.create_task(master.wait())
    following = asyncio.create_task(cluster.follow())
    await asyncio.wait({ended, following}, return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        master.terminate()
        following.result()
    return await ended


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    for name in ("--host", "--rpc-host", "--prefix"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--rpc-port", "--ui-port"):
        parser.add_argument(name, required=True, type=int)
    parser.add_argument("--files", required=True, type=Path)
    return asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
