"""The preflight page in a real browser, while the test plays the controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.room import Check, PreflightOrder, PreflightReport
from hub.store.base import amend_status
from hub.web.auth import Person
from hub.wire import replace
from tests.browser.browsing import browser, chromium, look
from tests.browser.place import Place, a_place
from tests.web.serving import PERSON

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

COMMAND = "kubectl rollout status --namespace podium daemonset/podium-prepull"
CHECKS = {
    "sign-in": ("Sign-in", "ok", "People sign in by join code, and the room is open.", ""),
    "capacity": ("Capacity", "ok", "The hub lets in 120 at once, and 100 come.", ""),
    "pool": (
        "Warm pool",
        "warning",
        "60 of 100 find a workspace that waits for them.",
        "Make the pool larger.",
    ),
    "cpu": (
        *("Processors", "failed"),
        "100 more seats ask for 85 cores; 61.5 cores are free on 4 nodes, enough for 72 of 100 people.",
        "Add nodes that the profile may use, or lower its requests or workers.\n$ kubectl get nodes",
    ),
    "gpu": ("GPUs", "skipped", "The profile asks for none.", ""),
    "images": (
        *(
            "Images on nodes",
            "failed",
            "podium-workspace:2 is not on 4 of 4: <b>node-1</b>, node-2, node-3 ….",
        ),
        f"Wait until prepull has it everywhere.\n$ {COMMAND}",
    ),
    "launch": ("A trial launch", "ok", "The notebook answered after 8.4 s. It is removed again.", ""),
}


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, chrome: Browser) -> Iterator[Place]:
    with a_place(tmp_path, chrome, Person(PERSON, role="operator")) as made:
        yield made


def order(place: Place) -> PreflightOrder:
    """What the page asked for."""
    found = place.run(place.web.site.room.get()).spec.preflight
    assert found is not None
    return found


def tell(place: Place, running: bool, **states: str) -> None:
    """Report, as the controller does.

    Args:
        states: names of checks, with - as _, to what they are instead of what `CHECKS` says.
    """
    checks = []
    for name, (title, state, message, hint) in CHECKS.items():
        other: Any = states.get(name.replace("-", "_"), state)
        words = (message, hint) if other == state else ("", "")
        checks.append(Check(name=name, title=title, state=other, message=words[0], hint=words[1]))
    report = PreflightReport(at=order(place).at, running=running, checks=tuple(checks), cost="24.60 EUR")
    change = place.web.site.room
    place.run(amend_status(change, lambda room: replace(room, status=replace(room.status, preflight=report))))


def ask(page: Page, seats: int = 100) -> None:
    """Ask whether all is ready for nine o'clock of a certain day."""
    page.get_by_label("Seats").fill(str(seats))
    page.get_by_label("Profile").select_option(label="Workshop")
    page.get_by_label("Starts").fill("2026-11-24T09:00")
    page.get_by_label("Hours").fill("3.5")
    page.get_by_role("button", name="Check").click()


def names(page: Page) -> list[str]:
    """The checks that are shown, in their order."""
    found: list[str] = page.locator("#checks li").evaluate_all("all => all.map(each => each.dataset.check)")
    return found


RUNNING = dict.fromkeys([name.replace("-", "_") for name in CHECKS], "running")


def test_a_question_and_its_answer(place):
    page = place.open("/preflight")
    expect(page.locator("#answer")).to_be_hidden()
    assert page.get_by_label("Starts").input_value().endswith("T09:00")
    look(page, "preflight-empty")

    ask(page)
    expect(page.locator("#verdict")).to_contain_text("Checking for 9:00")
    asked = order(place)
    assert (asked.seats, asked.profile, asked.hours) == (100, "workshop", 3.5)

    tell(place, True, **RUNNING)
    expect(page.locator("#checks li")).to_have_count(len(CHECKS))
    expect(page.locator("#about")).to_contain_text("7 checks are still going on")
    tell(place, True, launch="running")
    expect(page.locator("#about")).to_contain_text("1 check is still going on, 2 things to do first, 1 note")
    assert names(page) == list(CHECKS), "rows stay where they are while answers come"
    look(page, "preflight-running")

    tell(place, False)
    expect(page.get_by_role("heading", name="Not ready for 9:00")).to_be_visible()
    expect(page.locator("#answer")).to_have_attribute("data-answer", "not")
    expect(page.locator("#about")).to_contain_text("100 seats of Workshop, Tuesday, November 24, 9:00")
    expect(page.locator("#cost")).to_contain_text("24.60 EUR")
    assert names(page) == ["cpu", "images", "pool", "sign-in", "capacity", "launch", "gpu"]
    images = page.locator("[data-check=images]")
    expect(images).to_contain_text("<b>node-1</b>")
    expect(images.locator("[data-hint]")).to_have_text("Wait until prepull has it everywhere.")
    expect(images.locator("code")).to_have_text(COMMAND)
    expect(page.locator("[data-check=pool] [data-command]")).to_be_hidden()
    look(page, "preflight-not-ready")

    tell(place, False, cpu="ok", images="ok", pool="ok")
    expect(page.get_by_role("heading", name="Ready for 9:00")).to_be_visible()
    expect(page.locator("#answer")).to_have_attribute("data-answer", "ready")
    look(page, "preflight-ready")


def test_a_command_is_copied(place):
    place.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = place.open("/preflight")
    ask(page)
    expect(page.locator("#verdict")).to_contain_text("Checking")
    tell(place, False)
    page.locator("[data-check=images]").get_by_role("button", name="Copy the command").click()
    expect(page.locator("[data-check=images] .copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == COMMAND


def test_who_comes_later_sees_the_last_answer(place):
    first = place.open("/preflight")
    ask(first, seats=42)
    expect(first.locator("#verdict")).to_contain_text("Checking")
    tell(place, False)
    page = place.open("/preflight")
    expect(page.get_by_role("heading", name="Not ready for 9:00")).to_be_visible()
    assert page.get_by_label("Seats").input_value() == "42"
    assert page.get_by_label("Starts").input_value() == "2026-11-24T09:00"


def test_an_answer_to_an_older_question_is_not_shown(place):
    page = place.open("/preflight")
    ask(page)
    expect(page.locator("#verdict")).to_contain_text("Checking")
    tell(place, False, cpu="ok", images="ok")
    expect(page.get_by_role("heading", name="Ready for 9:00")).to_be_visible()
    ask(page, seats=200)
    expect(page.locator("#verdict")).to_contain_text("Checking for 9:00")
    expect(page.locator("#checks li")).to_have_count(0)


def test_what_is_refused_is_told(place):
    page = place.open("/preflight")
    place.web.change_site(profiles={})
    ask(page)
    expect(page.get_by_role("alert").filter(has_text="there is no profile 'workshop'")).to_be_visible()
