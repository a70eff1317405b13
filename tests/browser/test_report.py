"""The report after a class in a real browser: forty workspaces of yesterday and today, one of each kind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.room import ArchiveNote, Ended, Room, RoomStatus
from hub.rules import Prices, Rules
from hub.store.base import amend_status
from hub.web.auth import Person
from hub.wire import replace
from tests.browser.browsing import browser, chromium, look
from tests.browser.place import Place, a_place
from tests.builders import NOW
from tests.web.serving import PERSON

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

NAMES = ("Ada", "Grace Hopper 🎉", "محمد", "Δημήτρης", "x" * 64, "Jean-Baptiste de Lamarck")


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, chrome: Browser) -> Iterator[Place]:
    with a_place(tmp_path, chrome, Person(PERSON, role="operator")) as made:
        yield made


def gone(number: int, day: datetime) -> Ended:
    """Somebody's workspace, which is gone."""
    launched = day + timedelta(seconds=number)
    ended = launched + timedelta(minutes=30 + 7 * number)
    seconds = (ended - launched).total_seconds()
    kept = ArchiveNote(bytes=10 ** (number % 8), until=ended + timedelta(days=7))
    lost = "Its notebook ended before its files could be kept." if number == 3 else ""
    return Ended(
        name=f"cluster-{number:06}",
        uid=f"{day.day:02}{number:06}",
        owner=f"class-{number}",
        display_name=NAMES[number] if number < len(NAMES) else f"Attendee {number}",
        profile="workshop",
        launched=launched,
        ended=ended,
        why=("time", "idle", "", "lost")[number % 4],
        core_seconds=1.5 * seconds,
        gib_seconds=4 * seconds,
        archive=None if lost else kept,
        archive_message=lost,
    )


def remember(place: Place, count: int, left: tuple[str, ...] = ()) -> None:
    """Let the Room remember a class of two days."""
    place.web.change_site(
        rules=Rules(prices=Prices(currency="EUR", cpu_hour=0.04, memory_gib_hour=0.005, gpu_hour=2.5))
    )
    ended = tuple(gone(number, day) for day in (NOW, NOW + timedelta(days=1)) for number in range(count))

    def change(room: Room) -> Room:
        return replace(room, status=RoomStatus(ended=ended, left=left))

    place.run(amend_status(place.web.site.room, change))


def opened(place: Place) -> Page:
    """The page."""
    page = place.context.new_page()
    page.goto(f"{place.line.url}/report")
    return page


def test_the_report_says_who_was_there_what_is_left_and_what_it_cost(place: Place) -> None:
    remember(place, 20)
    page = opened(place)
    expect(page.get_by_text("Nothing is left behind")).to_be_visible()
    today, yesterday = page.locator("details").all()
    expect(today.get_by_role("heading")).to_have_text("Monday, 02 March 2026")
    expect(today.locator("tbody tr")).to_have_count(20)
    expect(today.get_by_role("row", name="Ada").first).to_be_visible()
    expect(today.locator(".sums")).to_contain_text("Files lost1")
    expect(yesterday.locator("tbody tr").first).to_be_hidden()
    yesterday.locator("summary").click()
    expect(yesterday.locator("tbody tr").first).to_be_visible()
    yesterday.locator("summary").click()
    look(page, "report")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert len(rows) == 41


def test_what_is_left_behind_stands_out(place: Place) -> None:
    remember(place, 2, left=("cluster-left00", "cluster-left01"))
    page = opened(place)
    expect(page.get_by_role("alert").filter(has_text="cluster-left01")).to_be_visible()
    look(page, "report-left")


def test_before_the_first_class_it_is_empty(place: Place) -> None:
    page = opened(place)
    expect(page.get_by_text("No workspace was launched yet.")).to_be_visible()
    look(page, "report-empty")
