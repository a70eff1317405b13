"""What an attendee of a class sees, in a real browser: line, message, hand, the end, the network check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as server
from playwright.sync_api import Browser, Page, expect

from hub.model import QueuePlace
from hub.room import ArchiveNote, Ended, Message, Room
from hub.settings import Settings
from hub.store.base import amend, amend_status
from hub.web.auth import GuestSignIn, Person
from hub.web.class_sign_in import ClassSignIn
from hub.wire import replace
from tests.browser.browsing import browser, chromium, look
from tests.browser.place import Place, a_place
from tests.builders import HUB_KEY
from tests.web.serving import COOKIE_SECRET, MINE, TOKEN

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

ADA = Person("class-ada0000000000000", "Ada Lovelace")
CLASS = ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, "password of the instructors")
SAID = "Please open lesson 2, and run its first cell."


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, chrome: Browser) -> Iterator[Place]:
    with a_place(tmp_path, chrome, ADA, CLASS) as made:
        yield made


def add(place: Place, **fields: Any) -> None:
    """Let Ada have a workspace."""
    spec = {"expires": datetime.now(UTC) + timedelta(hours=3), **fields.pop("spec", {})}
    place.run(place.web.add(owner=ADA.name, spec=spec, **fields))


def wait_in_line(place: Place, position: int, seconds: float | None, message: str = "") -> None:
    """Let Ada wait, with an estimate."""
    eta = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    queue = QueuePlace(position=position, eta=eta, message=message)
    place.run(place.web.report(phase="Queued", queue=queue))


def say(place: Place, text: str | None) -> None:
    """Let an instructor say something to everybody, or take it back."""
    message = text and Message(text=text, at=datetime.now(UTC), by="Grace")

    def said(room: Room) -> Room:
        return replace(room, spec=replace(room.spec, message=message or None))

    place.run(amend(place.web.site.room, said))


def serve_notebook(place: Place) -> None:
    """Let something answer where the notebook is."""

    def answer(request: server.Request) -> server.Response | None:
        if not request.path.startswith(f"/{MINE}/"):
            return None
        return server.Response(text="<title>JupyterLab</title>", content_type="text/html")

    place.line.fault = answer


def text(page: Page, name: str) -> Any:
    """What is said of one thing."""
    return expect(page.locator(f"[data-text='{name}']").first)


class TestLine:
    def test_says_the_place_and_the_wait_and_keeps_itself_up_to_date(self, place: Place) -> None:
        add(place, phase="Queued")
        wait_in_line(place, 7, 240, "All seats are taken at the moment.")
        page = place.open(f"/workspaces/{MINE}")
        text(page, "headline").to_have_text("You are number 7 in line")
        text(page, "message").to_have_text(re.compile(r"open in about 4 minutes, at \d"))
        text(page, "line.message").to_have_text("All seats are taken at the moment.")
        expect(page.get_by_role("button", name="Leave the line")).to_be_visible()
        expect(page.get_by_role("heading", name="Progress")).to_be_hidden()
        look(page, "in-line")
        wait_in_line(place, 1, 5)
        text(page, "headline").to_have_text("You are next")
        text(page, "message").to_have_text("Your notebook should open any moment now.")

    def test_without_an_estimate_none_is_made_up(self, place: Place) -> None:
        add(place, phase="Queued")
        wait_in_line(place, 3, None)
        page = place.open(f"/workspaces/{MINE}")
        text(page, "message").to_have_text("Nobody can tell yet how long it takes.")

    def test_leads_to_the_notebook_by_itself(self, place: Place) -> None:
        add(place, phase="Queued")
        wait_in_line(place, 2, 60)
        page = place.open(f"/workspaces/{MINE}")
        place.run(place.web.report(phase="Starting", reason="StartingNotebook", queue=None))
        expect(page.get_by_role("heading", name="Progress")).to_be_visible()
        serve_notebook(place)
        place.run(place.web.report(phase="Ready", reason=""))
        expect(page).to_have_title("JupyterLab")

    def test_is_on_the_home_page_too(self, place: Place) -> None:
        add(place, phase="Queued")
        wait_in_line(place, 12, 600)
        page = place.open("/")
        text(page, "headline").to_have_text("You are number 12 in line")
        look(page, "in-line-home")


class TestMessage:
    def test_comes_and_goes_and_stays_away_once_it_was_read(self, place: Place) -> None:
        add(place)
        page = place.open(f"/workspaces/{MINE}")
        message = page.locator("#message")
        expect(message).to_be_hidden()
        say(place, SAID)
        expect(message).to_contain_text(f"Grace: {SAID}")
        look(page, "message")
        page.get_by_role("button", name="Got it").click()
        expect(message).to_be_hidden()
        page.reload()
        text(page, "headline").to_be_visible()
        say(place, "<b>Another</b>")
        expect(message).to_contain_text("<b>Another</b>")
        say(place, None)
        expect(message).to_be_hidden()

    def test_is_there_before_the_click(self, place: Place) -> None:
        say(place, SAID)
        expect(place.open("/").locator("#message")).to_contain_text(SAID)


class TestHand:
    def test_goes_up_and_down(self, place: Place) -> None:
        add(place)
        page = place.open(f"/workspaces/{MINE}")
        page.get_by_role("button", name="Raise my hand").click()
        lower = page.get_by_role("button", name="Lower my hand")
        expect(lower).to_have_attribute("aria-pressed", "true")
        text(page, "handSince").to_contain_text("The instructor sees it")
        assert place.run(place.web.store.get(MINE)).spec.help_wanted is not None  # type: ignore[union-attr]
        look(page, "hand")
        lower.click()
        expect(page.get_by_role("button", name="Raise my hand")).to_be_visible()
        assert place.run(place.web.store.get(MINE)).spec.help_wanted is None  # type: ignore[union-attr]

    def test_may_be_raised_where_the_launch_failed(self, place: Place) -> None:
        add(place, phase="Failed", message="The image cannot be pulled.")
        page = place.open(f"/workspaces/{MINE}")
        page.get_by_role("button", name="Raise my hand").click()
        expect(page.get_by_role("button", name="Lower my hand")).to_be_visible()

    def test_is_for_a_class_only(self, tmp_path: Path, chrome: Browser) -> None:
        with a_place(tmp_path, chrome) as alone:
            alone.run(alone.web.add())
            page = alone.open(f"/workspaces/{MINE}")
            expect(page.get_by_role("heading", name="Clusters")).to_be_visible()
            expect(page.get_by_role("button", name="Raise my hand")).to_have_count(0)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=5)


class TestEnd:
    def test_is_warned_of_and_put_off_by_a_click(self, place: Place) -> None:
        add(place, spec={"expires": soon()})
        page = place.open(f"/workspaces/{MINE}")
        expect(page.locator("#warning")).to_contain_text("Time is almost up")
        page.locator("#warning").get_by_role("button", name=re.compile("^Extend")).click()
        expect(page.locator("#warning")).to_be_hidden()

    def test_that_is_fixed_cannot_be_put_off(self, place: Place) -> None:
        add(place, spec={"expires": soon(), "settings": Settings(frameworks=("dask",), extendable=False)})
        page = place.open(f"/workspaces/{MINE}")
        expect(page.locator("#warning")).to_contain_text("Time is almost up")
        expect(page.get_by_role("button", name=re.compile("^Extend"))).to_have_count(0)

    def test_leaves_files_to_download(self, place: Place) -> None:
        now = datetime.now(UTC)
        kept = ArchiveNote(bytes=12_345_678, until=now + timedelta(days=7))

        def ended(owner: str, uid: str, archive: ArchiveNote | None, message: str = "") -> Ended:
            common = {"name": MINE, "profile": "workshop", "launched": now, "ended": now}
            return Ended(owner=owner, uid=uid, archive=archive, archive_message=message, **common)

        def leave(room: Room) -> Room:
            everything = (
                ended(ADA.name, "11111111-aaaa", kept),
                ended("class-somebody-else00", "22222222-bbbb", kept),
                ended(ADA.name, "33333333-cccc", replace(kept, until=now - timedelta(days=1))),
                ended(ADA.name, "44444444-dddd", None, "They are larger than 5 GB."),
                ended("class-somebody-else00", "55555555-eeee", None, "Its pod was lost."),
            )
            return replace(room, status=replace(room.status, ended=everything))

        place.run(amend_status(place.web.site.room, leave))
        page = place.open("/")
        downloads = page.get_by_role("link", name=re.compile("Download"))
        expect(downloads).to_have_count(1)
        expect(downloads).to_have_attribute("href", f"/archives/{MINE}-11111111.tar.gz")
        expect(page.locator(".kept")).to_contain_text("12.3 MB")
        expect(page.locator(".kept .note")).to_have_count(1)
        expect(page.locator(".kept .note")).to_contain_text("could not be kept. They are larger than 5 GB.")
        look(page, "kept")


class TestWayBack:
    def test_is_shown_to_the_owner(self, place: Place) -> None:
        add(place)
        page = place.open(f"/workspaces/{MINE}")
        expect(page.locator(".return")).to_have_text(CLASS.return_code(ADA))


class TestInstructor:
    def test_sees_a_workspace_and_not_the_way_into_it(self, tmp_path: Path, chrome: Browser) -> None:
        grace = Person("instructor-grace00000000", "Grace", "instructor")
        with a_place(tmp_path, chrome, grace, CLASS) as room:
            add(room, phase="Starting", spec={"display_name": ADA.display_name})
            page = room.open(f"/workspaces/{MINE}")
            expect(page.get_by_text("This is the workspace of Ada Lovelace")).to_be_visible()
            room.run(room.web.report(phase="Ready", reason=""))
            text(page, "headline").to_have_text("The workspace is ready")
            expect(page.get_by_role("link", name="Open notebook")).to_have_count(0)
            expect(page.locator(".return")).to_have_count(0)
            look(page, "workspace-of-somebody")


class TestNetwork:
    @pytest.fixture
    def network(self, place: Place) -> Any:
        def found() -> Any:
            return expect(place.open("/").locator("#network"), "the network check")

        return found

    def test_that_is_good(self, network: Any) -> None:
        network().to_contain_text("Your connection is good")

    def test_without_websockets(self, place: Place, network: Any) -> None:
        place.line.refuses_websockets = True
        network().to_contain_text("WebSockets do not get through")
        look(place.context.pages[0], "network-trouble")

    def test_that_gathers_events(self, place: Place, network: Any) -> None:
        place.line.gathers = True
        network().to_contain_text("holds live updates back")

    def test_without_cookies(self, tmp_path: Path, chrome: Browser) -> None:
        guest = Person("guest-0000000000000000")
        with a_place(tmp_path, chrome, guest, GuestSignIn(TOKEN, COOKIE_SECRET)) as demonstration:
            demonstration.line.drops_cookies = True
            page = demonstration.context.new_page()
            page.goto(demonstration.line.url)
            expect(page.locator("#network")).to_contain_text("This browser refuses cookies")

    def test_with_a_clock_that_is_off(self, place: Place) -> None:
        page = place.context.new_page()
        page.clock.install(time=datetime.now(UTC) + timedelta(minutes=10))
        page.goto(place.line.url)
        expect(page.locator("#network")).to_contain_text("10 minutes ahead")


class TestTabs:
    def test_all_leave_when_one_signs_out(self, place: Place) -> None:
        add(place)
        one, other = place.open(f"/workspaces/{MINE}"), place.open("/")
        other.evaluate("new BroadcastChannel('podium').postMessage({type: 'signed-out'})")
        one.wait_for_url(re.compile(r"/sign-in\?next="))

    def test_that_are_hidden_hold_no_connection(self, place: Place) -> None:
        """A browser has six to one host, and a seventh page would hang."""
        add(place, phase="Queued")
        wait_in_line(place, 5, 60)
        pages = [place.open(f"/workspaces/{MINE}") for _ in range(3)]
        for page in pages[:2]:
            page.evaluate(HIDE)
        while sum(not stream.done() for stream in place.line.streams) > 1:
            pages[0].wait_for_timeout(20)
        wait_in_line(place, 4, 60)
        for page in pages:
            text(page, "headline").to_have_text("You are number 4 in line", timeout=15_000)


HIDE = """() => {
  Object.defineProperty(document, 'hidden', { get: () => true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class TestClick:
    def test_on_what_was_started_ahead_of_time_leads_straight_to_the_notebook(self, place: Place) -> None:
        serve_notebook(place)
        page = place.open("/")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(place.line.url)))

        def claimed(route: Any) -> None:
            add(place)
            route.fulfill(json={"metadata": {"name": MINE}, "status": {"phase": "Ready"}}, status=201)

        page.route("**/api/workspaces", claimed)
        page.get_by_role("button", name="Launch cluster").click()
        expect(page).to_have_title("JupyterLab")
        asked = asked[asked.index("/api/workspaces") :]
        assert asked[:3] == ["/api/workspaces", f"/workspaces/{MINE}/open", f"/{MINE}/"]
