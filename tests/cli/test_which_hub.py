"""How the commands find their hub, and what they say when it is none."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from hub.ports import HOST
from tests.cli.podium import Podium, complaint, said
from tests.web.serving import MINE


class TestWhichHub:
    def test_by_port(self, podium: Podium) -> None:
        podium.add()
        result = podium("--port", str(podium.hub.web.port), "list", PORT="1")
        assert MINE in said(result)

    def test_by_address_and_token(self, podium: Podium, tmp_path: Path) -> None:
        podium.add()
        token = podium.state.token()
        elsewhere = {"PORT": "1", "XDG_DATA_HOME": str(tmp_path / "none"), "PODIUM_API_TOKEN": token}
        assert MINE in said(podium("list", **elsewhere, PODIUM_URL=podium.hub.web.url))
        assert MINE in said(podium("--url", podium.hub.web.url + "/", "list", **elsewhere))

    def test_by_state_directory(self, podium: Podium, tmp_path: Path) -> None:
        podium.add()
        elsewhere = {"XDG_DATA_HOME": str(tmp_path / "none")}
        assert MINE in said(podium("--state", str(podium.state.directory), "list", **elsewhere))

    def test_a_token_that_is_given_goes_first(self, podium: Podium) -> None:
        text = complaint(podium("list", PODIUM_API_TOKEN="another-token-0123456789"), 4)
        assert text.startswith("podium: Nobody is signed in.")

    def test_no_proxy_for_the_internet_comes_between(self, podium: Podium) -> None:
        proxies = dict.fromkeys(
            ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"), "http://127.0.0.1:1"
        )
        said(podium("list", **proxies, no_proxy=""))

    def test_where_none_has_run(self, podium: Podium, tmp_path: Path) -> None:
        text = complaint(podium("list", XDG_DATA_HOME=str(tmp_path / "none")), 3)
        assert text.startswith("podium: There is no token in ")
        assert "--port" in text

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "http://127.0.0.1:1",
                "127.0.0.1:8000",
                "localhost",
                "ftp://127.0.0.1/",
                "file:///etc/",
                "http://[",
            ),
            *("http://127.0.0.1:x", "http://a b/", "", "http://"),
        ],
    )
    def test_where_none_answers(self, podium: Podium, url: str) -> None:
        for command in (["list"], ["launch"], ["stop", MINE], ["profiles"], ["open"]):
            text = complaint(
                podium("--url", url, *command, PORT="1", XDG_DATA_HOME=None, PODIUM_API_TOKEN="x" * 20), 3
            )
            assert text.startswith("podium: No hub answers at ")

    @pytest.mark.parametrize("token", ["two\nlines-0123456789", "grün-0123456789abc", "\r\nX-Evil: 1"])
    def test_a_token_that_is_none(self, podium: Podium, token: str) -> None:
        result = podium("list", PODIUM_API_TOKEN=token)
        assert said(result, result.exit_code) == ""
        assert result.exit_code in (3, 4)
        assert result.stderr.startswith("podium: ")

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>another program", 3),
            (b"HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>", 4),
            (b"HTTP/1.0 500 Oh\r\n\r\n", 4),
            (b"SSH-2.0-OpenSSH_9.6\r\n", 3),
            (b"", 3),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", 3),
        ],
    )
    def test_another_program_at_the_port(self, podium: Podium, answer: bytes, code: int) -> None:
        class Other(http.server.BaseHTTPRequestHandler):
            def handle(self) -> None:
                self.rfile.readline()
                self.wfile.write(answer)

        with http.server.HTTPServer((HOST, 0), Other) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                result = podium("--url", f"http://{HOST}:{server.server_port}", "profiles")
            finally:
                server.shutdown()
                thread.join()
        assert complaint(result, code).startswith("podium: ")
