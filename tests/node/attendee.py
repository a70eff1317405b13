"""Somebody who works in a workspace of an installed release, in Chromium, while parts of it die.

Nothing here may know what is broken.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Error, Page, WebSocket, expect

from tests.browser.browsing import Notebook
from tests.cluster.access import until
from tests.node.installed import Installed

COMPUTING = """
import pathlib, time
from distributed import Client
enough = pathlib.Path.home() / "enough"
enough.unlink(missing_ok=True)
client, done = Client(), 0
while not enough.exists():
    done = client.submit(lambda x: x + 1, done, pure=False).result()
    time.sleep(0.1)
print("computed until", done, done > 5)
"""

NO_ANSWER = "chrome-error:"
"""What the address of the browser's own page begins with."""


@dataclass
class Sockets:
    """The WebSockets of a page.

    Args:
        opened, closed: their addresses, once for each time.
    """

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def add(self, socket: WebSocket) -> None:
        """Follow a new one."""
        self.opened.append(socket.url)
        socket.on("close", lambda closed: self.closed.append(closed.url))


class Attendee:
    """A person with a browser of their own, who has launched and waits in JupyterLab.

    Args:
        browser: makes the browser's profile.
        release: where.
        profile: what is launched, by its title.
    """

    def __init__(self, browser: Browser, release: Installed, profile: str) -> None:
        self._release = release
        self.context = browser.new_context(base_url=release.url)
        self.context.set_default_timeout(60_000)
        self.lab = self.context.new_page()
        self.sockets = Sockets()
        self.lab.on("websocket", self.sockets.add)
        began = time.monotonic()
        until("a launch", lambda: self._launches(profile), patience=60)
        self.name = self.lab.url.split("/workspaces/")[1].partition("?")[0]
        self.lab.wait_for_url(re.compile(rf"/{self.name}/lab"), timeout=120_000)
        self.took = time.monotonic() - began
        """Seconds from the first look at the page to the notebook."""

    def _launches(self, profile: str) -> bool:
        """Open the page and click; again where the browser shows its own page instead of an answer.

        Until a proxy that crashed is left out, about a second, every other connection is refused.
        """
        try:
            self.lab.goto("/")
            progress = self.lab.get_by_text("See progress")
            if progress.count():  # the click came through, its answer did not
                self.lab.goto(progress.get_attribute("href") or "")
            else:
                self.lab.get_by_role("radio", name=profile).check()
                self.lab.get_by_role("button", name="Launch cluster").click()
            self.lab.wait_for_url(re.compile(rf"/workspaces/cluster-\w+\?launched=1|^{NO_ANSWER}"))
        except Error as error:
            if "ERR_CONNECTION_REFUSED" in error.message or NO_ANSWER in error.message:
                return False
            raise
        return not self.lab.url.startswith(NO_ANSWER)

    def sit_down(self) -> Notebook:
        """Open a notebook, and the workspace's page beside it."""
        expect(self.lab.locator(".jp-Launcher")).to_be_visible(timeout=90_000)
        # JupyterLab says so in a dialog when it could not reach the server just once.
        lost = self.lab.get_by_role("dialog", name="Server Connection Error")
        self.lab.add_locator_handler(lost, lambda dialog: dialog.get_by_role("button", name="Close").click())
        self.notebook = Notebook(self.lab)
        self.page = self.context.new_page()
        self.page.goto(f"/workspaces/{self.name}")
        expect(self.page.get_by_role("heading", name="Your workspace is ready")).to_be_visible()
        return self.notebook

    def compute(self) -> None:
        """Start a computation on the workspace's Dask cluster that goes on until it is told to end."""
        self.notebook.start(COMPUTING)

    def ends_well(self) -> None:
        """Tell it to end, and see what it says, in the same notebook, from the same kernel."""
        self._release.node.kubectl("exec", "-n", self.name, "notebook", "--", "touch", "/home/podium/enough")
        self.lab.bring_to_front()
        self.notebook.says("True", patience=120)

    def scales(self, workers: int) -> None:
        """Ask for workers on the page, and see there that they are ready."""
        card = self.page.locator("[data-framework=dask]")
        self.page.bring_to_front()
        box = card.get_by_role("spinbutton")
        box.fill(str(workers))
        box.press("Enter")
        sees_workers(self.page, workers)

    def leave(self) -> None:
        """Stop the workspace and close the browser."""
        self._release.node.kubectl("delete", "workspace", self.name, "-n", self._release.name, "--wait=false")
        self.context.close()


def sees_workers(page: Page, workers: int) -> None:
    """Wait until a workspace's page says how many Dask workers are ready."""
    said = re.compile(rf"(?<!of ){workers} workers? ready")
    expect(page.locator("[data-framework=dask]")).to_contain_text(said, timeout=90_000)
