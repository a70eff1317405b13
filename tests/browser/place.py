"""A web tier, the line to it, and a browser at the other end, signed in as somebody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tornado.web
from playwright.sync_api import Browser, BrowserContext, Page

from hub.web.auth import SESSION_COOKIE, Person, SignIn
from tests.browser.line import Line
from tests.web.elsewhere import Elsewhere, serving_elsewhere
from tests.web.serving import COOKIE_SECRET, PERSON


class Place:
    """Where a test happens.

    Args:
        elsewhere: the web tier.
        line: what is between.
        context: the browser's.
    """

    def __init__(self, elsewhere: Elsewhere, line: Line, context: BrowserContext) -> None:
        self.line, self.context = line, context
        self.web = elsewhere.web
        self.run = elsewhere.run

    def open(self, path: str) -> Page:
        """A page that is connected."""
        before = len(self.line.streams)
        page = self.context.new_page()
        page.goto(self.line.url + path)
        self.connected(page, before)
        return page

    def connected(self, page: Page, before: int) -> None:
        """Wait until there is another event stream than so many."""
        while len(self.line.streams) <= before:
            page.wait_for_timeout(20)

    def tell(self, message: str) -> None:
        """Let the controller report something."""
        self.run(self.web.report(message=message))


@contextmanager
def a_place(
    directory: Path,
    chrome: Browser,
    person: Person = Person(PERSON),  # noqa: B008 - it cannot change
    sign_in: SignIn | None = None,
    **how: Any,
) -> Iterator[Place]:
    """A place, while the context lasts.

    Args:
        directory: for what is kept.
        chrome: the browser.
        person: who is signed in.
        sign_in: the way of signing in; None for that of one machine.
        how: more for `serving`.
    """
    with ExitStack() as stack:
        elsewhere = stack.enter_context(serving_elsewhere(directory, **how))
        if sign_in is not None:
            elsewhere.web.change_site(sign_in=sign_in)
        line = Line(elsewhere.web.url)
        serving = line.serve()
        elsewhere.run(serving.__aenter__())
        stack.callback(lambda: elsewhere.run(serving.__aexit__(None, None, None)))
        context = stack.enter_context(chrome.new_context())
        session = elsewhere.web.site.sign_in.session(person)
        value = tornado.web.create_signed_value(COOKIE_SECRET, SESSION_COOKIE, session).decode()
        context.add_cookies([{"name": SESSION_COOKIE, "value": value, "url": line.url}])
        yield Place(elsewhere, line, context)
