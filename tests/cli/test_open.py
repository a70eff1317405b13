"""`podium open` signs a browser in, and shows the code to nobody on the way."""

from __future__ import annotations

import html
import re
import stat
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from hub.web.auth import derive
from tests.cli.podium import Podium, said
from tests.web.serving import MINE


class TestOpen:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The addresses that a browser was started with."""
        addresses: list[str] = []
        monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
        return addresses

    def form(self, address: str) -> tuple[str, dict[str, str]]:
        """Where the form in the file is posted to, and with what."""
        parts = urlsplit(address)
        assert parts.scheme == "file"
        path = Path(unquote(parts.path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        assert 'method="post"' in text
        action = re.search(r'action="([^"]*)"', text)
        assert action
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
        return html.unescape(action[1]), {name: html.unescape(value) for name, value in fields}

    @pytest.mark.parametrize(("arguments", "leads"), [([], "/"), ([MINE], f"/workspaces/{MINE}/open")])
    def test_signs_in_by_a_form_in_a_file(
        self, podium: Podium, opened: list[str], arguments: list[str], leads: str
    ) -> None:
        podium.add()
        result = podium("open", *arguments)
        assert said(result) == ""
        (address,) = opened
        code = derive(podium.state.key(), "sign-in")[:16]
        assert code not in address + result.output
        action, fields = self.form(address)
        assert action == f"{podium.hub.web.url}/sign-in"
        assert fields == {"code": code, "next": leads}
        # What the browser then does.
        posting = podium.hub.web.ask(
            "POST", urlsplit(action).path, "nobody", headers={"Origin": "null"}, xsrf=None, data=fields
        )
        answer = podium.hub.run(posting)
        assert (answer.status, answer.location) == (303, leads)
        assert answer.cookie("podium-session")

    def test_a_file_that_others_could_read_is_not_written_into(
        self, podium: Podium, opened: list[str]
    ) -> None:
        page = podium.state.directory / "open.html"
        page.write_text("old")
        page.chmod(0o666)
        said(podium("open"))
        self.form(opened[0])

    def test_without_a_browser(self, podium: Podium, opened: list[str]) -> None:
        text = said(podium("open", "--no-browser"))
        assert opened == []
        assert re.fullmatch(r"Open file://\S+open\.html in a browser\.\n", text)

    def test_where_there_is_none(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(webbrowser, "open", lambda address: False)
        assert "Open file://" in said(podium("open"))

    def test_writes_nothing_for_a_name_that_is_hostile(self, podium: Podium, opened: list[str]) -> None:
        name = '"><script>alert(1)</script>'
        podium("open", name)
        for address in opened:
            assert "<script>" not in Path(unquote(urlsplit(address).path)).read_text()
