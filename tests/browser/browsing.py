"""Chromium, driven as a person would, with a picture and an accessibility check of every page."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

ARTEFACTS = Path(__file__).parent.parent.parent / "artefacts" / "screenshots"
WIDTHS = {"laptop": (1280, 800), "projector": (1920, 1080), "phone": (390, 844)}
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def chromium() -> str | None:
    """The system's Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that nobody has used before."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield started
        finally:
            started.close()


def look(page: Page, name: str) -> None:
    """Take pictures of a page of ours at every width, light and dark, and let axe find no fault with it."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width, (wide, high) in WIDTHS.items():
            page.set_viewport_size({"width": wide, "height": high})
            page.screenshot(path=ARTEFACTS / f"{name}-{width}-{scheme}.png", full_page=True)
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert beyond <= 0, f"{name} at {width} is {beyond} pixels too wide"
        results = Axe().run(page)
        assert results.violations_count == 0, f"{name}, {scheme}:\n{results.generate_report()}"
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})


def photograph(page: Page, name: str) -> None:
    """Take one picture of a page that is not ours."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def links_below(page: Page, prefix: str) -> set[str]:
    """The addresses below a path that a page links to, without fragments."""
    found = page.eval_on_selector_all("a[href]", "all => all.map(each => each.getAttribute('href'))")
    absolute = {
        urldefrag(urljoin(page.url, href)).url for href in found if not href.startswith(("javascript:", "#"))
    }
    return {url for url in absolute if urlsplit(url).path.startswith(prefix)}


def follow_links(page: Page, prefix: str, most: int = 60) -> dict[str, int]:
    """Request every page below a path that can be reached by links. Returns address to status."""
    seen: dict[str, int] = {}
    waiting = sorted(links_below(page, prefix))
    while waiting and len(seen) < most:
        url = waiting.pop(0)
        if url in seen or re.search(r"/(kill|log|logPage|threadDump|download|heapHistogram)\b", url):
            continue
        response = page.request.get(url)
        seen[url] = response.status
        if "text/html" in response.headers.get("content-type", ""):
            hrefs = re.findall(r"<a[^>]+href=[\"']([^\"'#]+)", response.text())
            more = {urldefrag(urljoin(response.url, html.unescape(href))).url for href in hrefs}
            waiting += sorted(u for u in more - seen.keys() if urlsplit(u).path.startswith(prefix))
    return seen


class Notebook:
    """A new notebook in JupyterLab, and what its cells say.

    Args:
        page: JupyterLab, just opened.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        page.locator(".jp-LauncherCard[data-category='Notebook']").first.click()
        expect(page.locator(".jp-NotebookPanel")).to_be_visible(timeout=60_000)
        # JupyterLab runs nothing before it has a kernel, and only its status bar tells when that is.
        expect(page.locator("#jp-main-statusbar")).to_contain_text("(ipykernel) | Idle", timeout=60_000)
        self._count = 0

    def run(self, code: str, says: str, patience: float = 90) -> None:
        """Run code in the last cell, and wait for an output that contains `says`."""
        self.start(code)
        self.says(says, patience)

    def start(self, code: str) -> None:
        """Run code in the last cell without waiting for its end."""
        page = self._page
        page.bring_to_front()
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(self._count)
        cell.locator(".cm-content").click()
        page.keyboard.insert_text(code)
        expect(cell.locator(".cm-content")).to_contain_text(code.strip().splitlines()[0])
        page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[ ]:")
        self._count += 1

    def says(self, text: str, patience: float = 90) -> None:
        """Wait until the last cell that was started says something."""
        cell = self._page.locator(".jp-Notebook .jp-CodeCell").nth(self._count - 1)
        output = cell.locator(".jp-OutputArea-output").filter(has_text=text).first
        expect(output).to_be_visible(timeout=patience * 1000)
