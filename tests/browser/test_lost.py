"""Pages in a real browser whose connections are lost in every way, and a cluster that does not answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web as server
from playwright.sync_api import Browser, Page, Route, expect

from hub.store.files import FileStore
from hub.web import api
from tests.browser.browsing import browser, chromium, look
from tests.browser.line import Line, page_of_a_proxy
from tests.browser.place import Place, a_place
from tests.web.serving import MINE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

SAID = "The cluster does not answer at the moment. What runs goes on; changes have to wait."
RECONNECTING = "Reconnecting…"


class Cluster(FileStore):
    """A store whose cluster may be away."""

    def __init__(self, *args, **more) -> None:
        super().__init__(*args, **more)
        self._turn = asyncio.Event()

    async def turned(self) -> None:
        await self._turn.wait()

    async def turn(self, away: str) -> None:
        self.away = away
        self._turn.set()
        self._turn = asyncio.Event()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, chrome: Browser) -> Iterator[Place]:
    with a_place(tmp_path, chrome, make_store=Cluster) as made:
        yield made


def away(place: Place, said: str = SAID) -> None:
    """Let the cluster be away, or be back."""
    store = place.web.store
    assert isinstance(store, Cluster)
    place.run(store.turn(said))


def headline(page: Page, text: str) -> None:
    expect(page.locator("[data-text=message]")).to_have_text(text)


def connection(page: Page, text: str) -> None:
    expect(page.locator("#connection")).to_have_text(text)


def refusing(line: Line, *names: str) -> Callable[[], int]:
    """Let parts of pages be refused, as while a proxy is restarted; how often they were."""
    refused = 0

    def fault(request: server.Request) -> server.Response | None:
        nonlocal refused
        if request.path.rpartition("/")[2] not in names:
            return None
        refused += 1
        return page_of_a_proxy(503)

    line.fault = fault
    return lambda: refused


class TestPart:
    @pytest.mark.parametrize("part", ["podium.css", "podium.js", "view.js", "wire.js"])
    def test_of_a_page_that_was_refused_is_asked_for_again(self, place: Place, part: str) -> None:
        place.run(place.web.add())
        refused = refusing(place.line, part)
        page = place.context.new_page()
        page.goto(f"{place.line.url}/workspaces/{MINE}")
        assert refused()
        place.line.fault = lambda request: None
        place.connected(page, 0)
        place.tell("news")
        headline(page, "news")
        assert page.evaluate("sessionStorage.getItem('podium-reloads')") is None

    def test_that_is_late_shows_no_button_that_would_do_nothing(self, place: Place) -> None:
        place.run(place.web.add())
        page = place.context.new_page()
        waiting: list[Route] = []
        page.route("**/view.js*", lambda route: waiting.append(route))
        page.goto(f"{place.line.url}/workspaces/{MINE}", wait_until="commit")
        expect(page.get_by_role("heading", name="Your workspace is ready")).to_be_visible()
        stop = page.get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_hidden()
        for route in waiting:
            route.continue_()
        stop.click()
        expect(page.get_by_role("dialog")).to_be_visible()

    def test_that_never_comes_is_not_asked_for_for_ever(self, place: Place) -> None:
        refused = refusing(place.line, "podium.css")
        page = place.context.new_page()
        page.clock.install()
        page.add_init_script("sessionStorage.setItem('podium-reloads', 4)")
        page.goto(place.line.url)
        page.clock.run_for(60_000)
        expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()
        assert refused() == 1

    def test_that_is_missing_does_not_undo_a_click(self, place: Place) -> None:
        refusing(place.line, "podium.js")
        page = place.context.new_page()
        page.goto(place.line.url)
        page.get_by_role("button", name="Launch cluster").click()
        page.wait_for_url("**/workspaces/*")


class TestStream:
    def test_that_is_cut_goes_on_and_nobody_notices(self, place: Place) -> None:
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        page.evaluate(WATCH_CONNECTION)
        place.run(place.line.hang_up())
        place.tell("news")
        headline(page, "news")
        connection(page, "")
        assert page.evaluate("window.said") == []

    @pytest.mark.parametrize("status", [404, 500, 502, 503])
    def test_that_a_proxy_refuses_comes_back(self, place: Place, status: int) -> None:
        """Which a browser by itself takes for the end."""
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        place.line.fault = lambda request: page_of_a_proxy(status)
        place.run(place.line.hang_up())
        connection(page, RECONNECTING)
        place.tell("meanwhile")
        place.line.fault = lambda request: None
        headline(page, "meanwhile")
        connection(page, "")
        assert page.url.endswith(f"/workspaces/{MINE}")

    def test_that_falls_silent_is_taken_for_dead(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "KEEP_ALIVE", 0.3)
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        before = len(place.line.streams)
        place.run(place.line.fall_silent())
        place.tell("not heard at first")
        place.connected(page, before)
        headline(page, "not heard at first")

    def test_of_a_laptop_that_was_offline(self, place: Place) -> None:
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        place.context.set_offline(True)
        place.run(place.line.hang_up())
        connection(page, RECONNECTING)
        place.tell("meanwhile")
        place.context.set_offline(False)
        headline(page, "meanwhile")
        connection(page, "")

    def test_of_a_workspace_that_went_meanwhile_leads_home(self, place: Place) -> None:
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        place.line.fault = lambda request: page_of_a_proxy(503)
        place.run(place.line.hang_up())
        place.run(place.web.store.delete(MINE))
        place.run(place.web.finish())
        connection(page, RECONNECTING)
        place.line.fault = lambda request: None
        page.wait_for_url(place.line.url + "/")
        expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()


WATCH_CONNECTION = """() => {
  window.said = [];
  const element = document.querySelector('#connection');
  new MutationObserver(() => window.said.push(element.textContent)).observe(element, { childList: true });
}"""


class TestAway:
    def test_a_workspaces_page(self, place: Place) -> None:
        place.run(place.web.add())
        page = place.open(f"/workspaces/{MINE}")
        slider = page.get_by_label("Workers of Dask, slider")
        extend, add = page.locator("[data-action=extend]").last, page.get_by_role("button", name="Add")
        expect(slider).to_be_enabled()
        expect(page.locator("#notice")).to_be_hidden()
        away(place)
        expect(page.locator("#notice")).to_have_text(SAID)
        for control in (slider, extend, page.get_by_role("button", name="Stop")):
            expect(control).to_be_disabled()
        expect(page.get_by_role("link", name="Open notebook")).to_be_enabled()
        look(page, "away-workspace")
        unavailable = add.count()
        away(place, "")
        expect(page.locator("#notice")).to_be_hidden()
        for control in (slider, extend):
            expect(control).to_be_enabled()
        assert add.count() == unavailable

    def test_the_launch_page(self, place: Place) -> None:
        page = place.open("/")
        button = page.get_by_role("button", name="Launch cluster")
        expect(button).to_be_enabled()
        away(place)
        expect(page.locator("#notice")).to_have_text(SAID)
        expect(button).to_be_disabled()
        look(page, "away-launch")
        away(place, "")
        expect(button).to_be_enabled()
        expect(page.locator("#notice")).to_be_hidden()

    @pytest.mark.parametrize("path", ["/", f"/workspaces/{MINE}"])
    def test_a_page_that_is_opened_meanwhile(self, place: Place, path: str) -> None:
        place.run(place.web.add())
        away(place)
        page = place.open(path)
        expect(page.locator("#notice")).to_have_text(SAID)
        look(page, "away-home" if path == "/" else "away-opened")
        away(place, "")
        expect(page.locator("#notice")).to_be_hidden()

    def test_it_is_back_before_the_page_is_connected(self, place: Place) -> None:
        place.run(place.web.add())
        away(place)
        place.line.fault = lambda request: page_of_a_proxy(503) if request.path.endswith("/events") else None
        page = place.context.new_page()
        page.goto(f"{place.line.url}/workspaces/{MINE}")
        expect(page.locator("#notice")).to_have_text(SAID)
        away(place, "")
        place.line.fault = lambda request: None
        expect(page.locator("#notice")).to_be_hidden()

    def test_without_scripts(self, place: Place, chrome: Browser) -> None:
        away(place)
        with chrome.new_context(
            java_script_enabled=False, storage_state=place.context.storage_state()
        ) as context:
            page = context.new_page()
            page.goto(place.line.url)
            expect(page.locator("#notice")).to_have_text(SAID)


class Notebook:
    """What is at a workspace's own path: nothing, a proxy's page, or JupyterLab."""

    def __init__(self, line: Line) -> None:
        self.status = 503
        self.asked = 0
        line.fault = self.answer

    def answer(self, request: server.Request) -> server.Response | None:
        if not request.path.startswith(f"/{MINE}/"):
            return None
        self.asked += 1
        if self.status != 200:
            return page_of_a_proxy(self.status) if self.status else None
        return server.Response(text="<title>JupyterLab</title>", content_type="text/html")


class TestLaunch:
    @pytest.mark.parametrize("status", [503, 502, 404, 0])
    def test_nobody_is_led_to_where_nothing_answers(self, place: Place, status: int) -> None:
        """The proxy that knows the notebook may die in that moment; 0 is one that has yet to hear of it."""
        notebook = Notebook(place.line)
        notebook.status = status
        place.run(place.web.add(phase="Starting", reason="OpeningRoute"))
        page = place.open(f"/workspaces/{MINE}?launched=1")
        place.run(place.web.report(phase="Ready", reason=""))
        while notebook.asked < 3:
            page.wait_for_timeout(20)
        assert "/workspaces/" in page.url
        notebook.status = 200
        page.wait_for_url(re.compile(rf"/{MINE}/$"))
        expect(page).to_have_title("JupyterLab")

    def test_a_click_that_a_dying_program_took_with_it_is_made_again(self, place: Place) -> None:
        page = place.open("/")
        lost = []

        def once(request: server.Request) -> server.Response | None:
            if request.method == "POST" and len(lost) < 2:
                lost.append(request.path)
                return page_of_a_proxy(503)
            return None

        place.line.fault = once
        page.get_by_role("button", name="Launch cluster").click()
        page.wait_for_url(re.compile(r"/workspaces/cluster-\w+\?launched=1"))
        assert lost == ["/api/workspaces"] * 2

    def test_what_podium_itself_refuses_is_told_at_once(self, place: Place) -> None:
        page = place.open("/")
        page.evaluate("document.querySelector('input[name=profile]').value = 'nonsense'")
        page.get_by_role("button", name="Launch cluster").click()
        expect(page.locator("[data-error]")).to_contain_text("there is no profile 'nonsense'")
