"""The real configurable-http-proxy, on ports that stay its own while it is killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hub.ports import HOST, Ports
from hub.tools import configurable_http_proxy

TOKEN = "secret-of-the-proxy"


@dataclass
class RealProxy:
    """A proxy on fixed ports that can be killed and started again.

    Args:
        port: the public one.
        api_port: that of its REST API.
        options: more of its command line.
    """

    port: int
    api_port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its public address."""
        return f"http://{HOST}:{self.port}"

    @property
    def api(self) -> str:
        """The address of its REST API."""
        return f"http://{HOST}:{self.api_port}"

    def start(self) -> None:
        """Start it and wait until it takes routes."""
        self.process = subprocess.Popen(
            [
                *configurable_http_proxy(),
                *("--ip", HOST, "--port", str(self.port), "--api-ip", HOST, "--api-port", str(self.api_port)),
                *("--log-level", "error", *self.options),
            ],
            env={"PATH": os.environ["PATH"], "CONFIGPROXY_AUTH_TOKEN": TOKEN},
        )
        while self.process.poll() is None and not self._answers():
            time.sleep(0.02)
        assert self.process.poll() is None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.api, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill it; it loses every route."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it take connections and answer none of them."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, and answer all that it was asked meanwhile."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def real_proxy(*options: str) -> Iterator[RealProxy]:
    """A proxy that runs, and of which nothing is left."""
    ports = Ports()
    proxy = RealProxy(ports.take(), ports.take(), options)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.kill()
        ports.close()
