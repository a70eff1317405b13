"""Names as people have them, and as people try: text wherever they are shown, to the one and to the class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.web.class_sign_in import ClassSignIn
from tests.browser.browsing import browser, chromium, look
from tests.builders import HUB_KEY
from tests.web.elsewhere import Elsewhere, serving_elsewhere
from tests.web.serving import COOKIE_SECRET, TOKEN

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

PASSWORD = "password of the instructors"
CLASS = ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, PASSWORD)
OWN = "<script>window.taken = 1</script>"
NAMES = {
    "Grace 👩‍🏫🏳️‍🌈": "Grace 👩‍🏫🏳️‍🌈",
    "مريم الأسطرلابي": "مريم الأسطرلابي",
    "\u202eadA\u202c Lovelace": "adA Lovelace",
    OWN: OWN,
    '"><img src=x onerror="window.taken=1">': '"><img src=x onerror="window.taken=1">',
    "{{ person }} ${7*7} %s": "{{ person }} ${7*7} %s",
    "=HYPERLINK(0)": "=HYPERLINK(0)",
    "W" * 64: "W" * 64,
}
"""What is typed to what is shown."""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Elsewhere]:
    with serving_elsewhere(tmp_path) as elsewhere:
        elsewhere.web.change_site(sign_in=CLASS)
        yield elsewhere


def joins(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/join#{CLASS.invitation(0).secret}")
    # As somebody does whose browser does not count letters.
    page.locator("#name").evaluate("box => box.removeAttribute('maxlength')")
    page.locator("#name").fill(name)
    page.get_by_role("button", name="Join", exact=True).click()


def test_everybody_is_called_what_they_typed(chrome: Browser, course: Elsewhere) -> None:
    url = course.web.url
    for given, shown in NAMES.items():
        with chrome.new_context() as context:
            page = context.new_page()
            joins(page, url, given)
            expect(page.get_by_text(shown).first).to_be_visible()
            page.get_by_role("button", name="Launch cluster").click()
            page.wait_for_url("**/workspaces/cluster-*")
            expect(page.get_by_text(shown).first).to_be_visible()
            assert page.evaluate("window.taken") is None
    owned = course.run(course.web.everything())
    assert sorted(workspace.spec.display_name for workspace in owned) == sorted(NAMES.values())
    with chrome.new_context() as context:
        page = context.new_page()
        teaches(page, url)
        for shown in NAMES.values():
            expect(page.get_by_text(shown, exact=True).first).to_be_attached()
        assert page.evaluate("window.taken") is None
        look(page, "room-names")
        page.goto(f"{url}/report")
        for shown in NAMES.values():
            expect(page.get_by_text(shown).first).to_be_attached()
        assert page.evaluate("window.taken") is None
        table = page.request.get(f"{url}/api/room/attendees.csv").text()
    cells = [row[0] for row in csv.reader(io.StringIO(table.lstrip("\ufeff")))][1:]
    assert sorted(cell.removeprefix("'") for cell in cells) == sorted(NAMES.values())
    assert not [cell for cell in cells if cell.startswith("=")]


def teaches(page: Page, url: str) -> None:
    """An instructor signs in, and is in the room."""
    page.goto(url)
    page.get_by_text("I teach this class").click()
    part = page.locator("details", has_text="I teach this class")
    part.get_by_label("Your name").fill("Grace Hopper")
    part.get_by_label("Instructors' password").fill(PASSWORD)
    part.get_by_role("button").click()
    page.wait_for_url("**/room")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("A" * 10_000, "longer than 64"),
        ("👩‍🏫" * 3_334, "longer than 64"),
        (" \u200b\u202e\u2066 ", "please say your name"),
        ("\u0301" * 5, "please say your name"),
    ],
    ids=["ten thousand letters", "ten thousand parts of emoji", "nothing to see", "accents of nothing"],
)
def test_what_is_no_name_is_said_plainly(chrome: Browser, course: Elsewhere, name: str, said: str) -> None:
    with chrome.new_context() as context:
        page = context.new_page()
        joins(page, course.web.url, name)
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_role("button", name="Join", exact=True)).to_be_visible()
        assert not [cookie for cookie in context.cookies() if cookie["name"] == "podium-session"]
