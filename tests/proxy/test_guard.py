"""The real proxy between a browser, a notebook that hears everything, and the hub."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hub.ports import HOST
from tests.proxy.real import TOKEN, RealProxy

NAVIGATION = {"Sec-Fetch-Mode": "navigate"}
OLD_BROWSER = {"Accept": "text/html,application/xhtml+xml"}
PROGRAM = {"Accept": "*/*"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Accept": "text/html"}
NOTEBOOK = "podium-notebook=mine"
OF_THE_HUB = "podium-session=a; podium-xsrf=b; podium-oidc=c"


@contextmanager
def answering(name: str) -> Iterator[str]:
    """A server that says its name, and which cookies it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([name, self.headers.get("Cookie", "")]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def proxy(shared_proxy: RealProxy) -> Iterator[RealProxy]:
    """A proxy with a notebook and a hub behind it."""
    with answering("notebook") as notebook, answering("hub") as hub:
        for path, target in (("/", hub), ("/cluster-mine00", notebook)):
            request = urllib.request.Request(
                f"{shared_proxy.api}/api/routes{path}",
                method="POST",
                headers={"Authorization": f"token {TOKEN}"},
                data=json.dumps({"target": target}).encode(),
            )
            urllib.request.urlopen(request).close()
        yield shared_proxy


def ask(proxy: RealProxy, path: str, cookie: str, **headers: str) -> tuple[str, str]:
    request = urllib.request.Request(proxy.url + path, headers={"Cookie": cookie, **headers})
    with urllib.request.urlopen(request) as answer:
        name, cookies = json.load(answer)
        return name, cookies


@pytest.mark.parametrize("headers", [NAVIGATION, OLD_BROWSER, PROGRAM, SCRIPT])
def test_a_notebook_hears_no_cookie_of_the_hub(proxy: RealProxy, headers: dict[str, str]) -> None:
    sent = f"{OF_THE_HUB}; {NOTEBOOK}; _xsrf=d; podium-sessions=e"
    answer = ask(proxy, "/cluster-mine00/lab", sent, **headers)
    assert answer == ("notebook", f"{NOTEBOOK}; _xsrf=d; podium-sessions=e")


@pytest.mark.parametrize("headers", [NAVIGATION, OLD_BROWSER])
@pytest.mark.parametrize("path", ["/cluster-mine00/", "/cluster-mine00/lab?a=b", "/cluster-mine00/evil.html"])
def test_no_page_of_a_notebook_opens_without_its_cookie(
    proxy: RealProxy, path: str, headers: dict[str, str]
) -> None:
    for cookie in (OF_THE_HUB, "", "podium-notebook2=a", "a=podium-notebook=b"):
        assert ask(proxy, path, cookie, **headers) == ("hub", cookie)


@pytest.mark.parametrize("headers", [PROGRAM, SCRIPT])
def test_programs_are_left_to_the_notebook(proxy: RealProxy, headers: dict[str, str]) -> None:
    assert ask(proxy, "/cluster-mine00/api", OF_THE_HUB, **headers) == ("notebook", "")


@pytest.mark.parametrize("path", ["/", "/cluster-mine00_dask/status", "/cluster-other0/lab"])
def test_the_hub_hears_all(proxy: RealProxy, path: str) -> None:
    assert ask(proxy, path, OF_THE_HUB, **NAVIGATION) == ("hub", OF_THE_HUB)
