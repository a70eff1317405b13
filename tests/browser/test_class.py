"""A class on one machine, as its people live it: join, launch, be looked at, leave."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.browsing import browser, chromium, photograph
from tests.running import RunningHub, running_hub

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

PASSWORD = "password of the instructors"
CONFIG = """
c = get_config()
c.Podium.sign_in = "class"
c.Podium.profiles = {
    "workshop": {
        "title": "Workshop",
        "frameworks": ["dask", "ipyparallel"],
        "clusters": {"dask": {}, "ipyparallel": {}},
        "workers": 1,
    },
}
"""


ATTACKS = (
    "return (await fetch('/api/room')).status",
    "return (await fetch('/api/room', {method: 'PATCH', body: '{}'})).status",
    "return (await fetch('/room')).status",
    "return window.open('/room')",
    "await navigator.serviceWorker.register('worker.js'); return 'registered'",
    "return await new Promise((done) => {"
    " const socket = new WebSocket(`ws://${location.host}/check/socket`);"
    " socket.onopen = () => done('open'); socket.onerror = () => done('blocked'); })",
    "return await new Promise((done) => {"
    " const frame = document.createElement('iframe'); frame.src = '/room';"
    " frame.onload = () => done(frame.contentDocument?.querySelector('main') ? 'framed' : 'blocked');"
    " document.body.append(frame); })",
    "return await new Promise((done) => {"
    " const script = document.createElement('script'); script.src = '/static/podium.js';"
    " script.onload = () => done('run'); script.onerror = () => done('blocked');"
    " document.body.append(script); })",
    "return document.cookie.includes('podium-session') ? document.cookie : null",
)
"""What the program behind a dashboard might try with the session of an instructor who looks at it."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    env = {"PODIUM_INSTRUCTOR_PASSWORD": PASSWORD}
    with running_hub(tmp_path_factory.mktemp("class"), CONFIG, env) as hub:
        yield hub


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def ada(hub: RunningHub, chrome: Browser) -> Iterator[BrowserContext]:
    with chrome.new_context(base_url=hub.url) as context:
        yield context


@pytest.fixture
def grace(hub: RunningHub, chrome: Browser) -> Iterator[BrowserContext]:
    with chrome.new_context(base_url=hub.url) as context:
        yield context


def test_a_class(hub: RunningHub, ada: BrowserContext, grace: BrowserContext) -> None:
    name, lab = joins_and_launches(hub, ada)
    teaches(grace)
    looks_at_dashboards(hub, grace, name)
    has_no_notebook_of_others(grace, name)
    leaves(hub, ada, lab, name)


def joins_and_launches(hub: RunningHub, context: BrowserContext) -> tuple[str, Page]:
    """By the link that was printed. Returns the workspace's name, and the page with JupyterLab."""
    link = re.search(r"join at (\S+)", hub.log.read_text())
    assert link
    page = context.new_page()
    page.goto(link[1])
    page.get_by_label("Your name").first.fill("Ada Lovelace")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("button", name="Launch cluster").click()
    expect(page).to_have_url(re.compile("/cluster-[a-z0-9]+/lab"), timeout=90_000)
    found = re.search("/(cluster-[a-z0-9]+)/lab", page.url)
    assert found
    return found[1], page


def teaches(context: BrowserContext) -> None:
    """An instructor signs in, and is in the room."""
    page = context.new_page()
    page.goto("/")
    page.get_by_text("I teach this class").click()
    part = page.locator("details", has_text="I teach this class")
    part.get_by_label("Your name").fill("Grace Hopper")
    part.get_by_label("Instructors' password").fill(PASSWORD)
    part.get_by_role("button").click()
    expect(page).to_have_url(re.compile("/room$"))
    expect(page.get_by_text("Ada Lovelace").first).to_be_visible()


def looks_at_dashboards(hub: RunningHub, context: BrowserContext, name: str) -> None:
    """Those of an attendee are live, and have no way to the instructor's session."""
    page = context.new_page()
    hub.until(name, "has a dashboard", lambda w: w["status"]["clusters"]["dask"]["dashboard"])
    page.goto(f"/{name}_dask/status")
    expect(page.locator("canvas").first).to_be_visible(timeout=30_000)
    page.wait_for_function("document.querySelectorAll('.bk-Figure, .bk-Column').length > 3", timeout=30_000)
    photograph(page, "dask-of-an-attendee")
    for attack in ATTACKS:
        assert page.evaluate(
            f"async () => {{ try {{ {attack} }} catch (error) {{ return 'blocked'; }} }}"
        ) in (
            "blocked",
            None,
        ), attack
    page.goto(f"/{name}_ipyparallel/")
    expect(page.get_by_text("ipyparallel-worker-1").first).to_be_visible()


def has_no_notebook_of_others(context: BrowserContext, name: str) -> None:
    """Not by its door, and not by its address."""
    page = context.new_page()
    answer = page.goto(f"/workspaces/{name}/open")
    assert answer
    assert answer.status == 404
    page.goto(f"/{name}/lab")
    expect(page.locator("#jp-main-dock-panel")).to_have_count(0)


def leaves(hub: RunningHub, context: BrowserContext, lab: Page, name: str) -> None:
    """Out of every tab, the notebook's too."""
    page = context.new_page()
    page.goto(f"/workspaces/{name}")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(f"^{hub.url}/sign-in"))
    expect(lab).to_have_url(re.compile(f"^{hub.url}/sign-in"))
    assert {cookie["name"] for cookie in context.cookies()} <= {"podium-xsrf", "_xsrf"}
