"""JupyterLab as an attendee of a class sees it: the real one, with the room in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.browsing import browser, chromium, photograph
from tests.running import RunningHub, running_hub

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

CONFIG = """
c = get_config()
c.Podium.sign_in = "class"
c.Podium.profiles = {"plain": {"title": "Plain", "frameworks": [], "wall_time": 4 * 3600}}
"""
LONG = "Please save, and open lesson 2. " * 10


@dataclass
class Class:
    """A class of one, with JupyterLab open."""

    hub: RunningHub
    context: BrowserContext
    lab: Page
    name: str

    def say(self, text: str | None) -> None:
        """Let the instructor say something to everybody."""
        message = None if text is None else {"text": text}
        self.hub.client.request("PATCH", "/api/room", {"spec": {"message": message}})

    def toast(self, text: str) -> Locator:
        """A notification of JupyterLab's."""
        return self.lab.locator(".Toastify__toast").filter(has_text=text)

    def workspace(self) -> Any:
        """As the API shows it."""
        return self.hub.get(self.name)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    with running_hub(tmp_path_factory.mktemp("lab"), CONFIG) as hub, browser() as started:
        context = started.new_context(base_url=hub.url)
        page = context.new_page()
        secret = hub.client.request("GET", "/api/room")["invitation"]["secret"]
        page.goto(f"/join#{secret}")
        page.get_by_label("Your name").first.fill("Ada <b>Lovelace</b> 🎓")
        page.get_by_role("button", name="Join").click()
        page.get_by_role("button", name="Launch cluster").click()
        page.wait_for_url(re.compile(r"/cluster-\w+/lab"), timeout=120_000)
        expect(page.locator(".jp-Launcher")).to_be_visible(timeout=60_000)
        name = page.url.removeprefix(hub.url).split("/")[1]
        yield Class(hub, context, page, name)


def test_a_hand_is_raised_and_lowered(room: Class) -> None:
    room.lab.get_by_role("button", name="Raise my hand").click()
    expect(room.lab.get_by_role("button", name="Lower my hand")).to_have_attribute("aria-pressed", "true")
    assert room.workspace()["spec"]["helpWanted"]
    photograph(room.lab, "lab-hand")
    room.hub.patch(room.name, helpWanted=None)
    expect(room.lab.get_by_role("button", name="Raise my hand")).to_be_visible()


def test_what_the_instructor_says_is_a_notification(room: Class) -> None:
    room.say("Please open <b>lesson 2</b>.")
    expect(room.toast("Please open <b>lesson 2</b>.")).to_be_in_viewport(ratio=1)
    photograph(room.lab, "lab-message")
    room.say(None)
    expect(room.toast("Please open")).to_have_count(0)


def test_what_is_long_can_be_read_to_its_end(room: Class) -> None:
    room.say(LONG.strip())
    room.toast("Please save").get_by_role("button", name="Read it all").click()
    dialog = room.lab.get_by_role("dialog")
    expect(dialog).to_contain_text(LONG.strip())
    photograph(room.lab, "lab-long-message")
    dialog.get_by_role("button", name="Got it").click()
    room.say(None)


def test_what_was_seen_does_not_pop_up_again(room: Class) -> None:
    room.say("Once is enough.")
    expect(room.toast("Once is enough.")).to_be_visible()
    room.lab.reload()
    expect(room.lab.get_by_role("button", name="Raise my hand")).to_be_visible(timeout=60_000)
    room.hub.patch(room.name, helpWanted=datetime.now(UTC).isoformat())
    expect(room.lab.get_by_role("button", name="Lower my hand")).to_be_visible()  # by news that came later
    expect(room.toast("Once is enough.")).to_have_count(0)
    room.hub.patch(room.name, helpWanted=None)


def test_the_end_is_warned_of_and_put_off(room: Class) -> None:
    before = room.workspace()["spec"]["expires"]
    room.hub.patch(room.name, expires=(datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    warning = room.toast("this workspace stops in less than 10 minutes")
    expect(warning).to_be_in_viewport(ratio=1)
    photograph(room.lab, "lab-warning")
    warning.get_by_role("button", name="Extend").click()
    expect(warning).to_have_count(0)
    expect(room.toast("This workspace goes on until")).to_be_visible()
    assert room.workspace()["spec"]["expires"] >= before


def test_the_workspaces_page_is_a_click_away(room: Class) -> None:
    with room.context.expect_page() as opened:
        room.lab.get_by_role("link", name="Clusters and time").click()
    expect(opened.value.get_by_role("heading", name="Time left")).to_be_visible()
    opened.value.close()


def test_it_asks_for_nothing_elsewhere_and_loads_compressed(room: Class) -> None:
    """A hundred people open it at once, on one Wi-Fi."""
    page = room.context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/workspaces/{room.name}/open")
    expect(page.get_by_role("button", name="Raise my hand")).to_be_visible(timeout=60_000)
    assert [url for url in asked if not url.startswith((room.hub.url, "data:", "blob:"))] == []
    assert [url for url in asked if "/api/build" in url] == []
    core = next(url for url in asked if "jlab_core" in url)
    headers = {"Accept-Encoding": "gzip"}
    assert page.request.get(core, headers=headers).headers["content-encoding"] == "gzip"
    page.close()


def test_signing_out_elsewhere_ends_it(room: Class) -> None:
    page = room.context.new_page()
    page.goto(f"/workspaces/{room.name}")
    page.get_by_role("button", name="Sign out").click()
    room.lab.wait_for_url(re.compile(r"/sign-in|/join"))
