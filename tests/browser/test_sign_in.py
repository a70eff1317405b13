"""Getting in and out, in a real browser: by link and name, by password, at a provider; and in every tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hub.web.auth import Person, SignIn
from hub.web.class_sign_in import ClassSignIn
from tests.browser.browsing import browser, chromium, look
from tests.builders import HUB_KEY
from tests.dex import PASSWORD, provider
from tests.web.elsewhere import Elsewhere, serving_elsewhere
from tests.web.serving import COOKIE_SECRET, MINE, TOKEN
from tests.web.test_oidc import way

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

CLASS = ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, "password of the instructors")
INVITATION = CLASS.invitation(0)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@contextmanager
def site(directory: Path, sign_in: SignIn | None = None) -> Iterator[Elsewhere]:
    """A web tier where people sign in."""
    with serving_elsewhere(directory) as elsewhere:
        if sign_in is not None:
            elsewhere.web.change_site(sign_in=sign_in)
        yield elsewhere


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Elsewhere]:
    """A class."""
    with site(tmp_path, CLASS) as elsewhere:
        yield elsewhere


@pytest.fixture
def ada(chrome: Browser) -> Iterator[BrowserContext]:
    with chrome.new_context() as context:
        yield context


@pytest.fixture
def grace(chrome: Browser) -> Iterator[BrowserContext]:
    with chrome.new_context() as context:
        yield context


def visit(context: BrowserContext, web: Elsewhere, path: str) -> Page:
    page = context.new_page()
    page.goto(web.web.url + path)
    return page


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


class TestClass:
    def test_joins_by_the_link_with_no_more_than_a_name(self, course: Elsewhere, ada: BrowserContext) -> None:
        page = visit(ada, course, f"/join#{INVITATION.secret}")
        expect(page.get_by_label("Join code")).to_be_hidden()
        page.get_by_label("Your name").first.fill("Ada Lovelace")
        button(page, "Join").click()
        expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()
        expect(page.get_by_text("Ada Lovelace")).to_be_visible()

    def test_joins_by_the_code_that_is_read_aloud(self, course: Elsewhere, ada: BrowserContext) -> None:
        page = visit(ada, course, "/")
        look(page, "sign-in-class")
        page.get_by_label("Your name").first.fill("علي")
        page.get_by_label("Join code").fill("abcd-efgh")
        button(page, "Join").click()
        expect(page.get_by_role("alert")).to_contain_text("That is not the join code.")
        expect(page.get_by_label("Your name").first).to_have_value("علي")
        look(page, "sign-in-class-wrong")
        page.get_by_label("Join code").fill(INVITATION.code.upper())
        button(page, "Join").click()
        expect(page.get_by_text("علي")).to_be_visible()

    def test_a_link_of_yesterday_asks_for_the_code_of_today(
        self, course: Elsewhere, ada: BrowserContext
    ) -> None:
        page = visit(ada, course, f"/join#{CLASS.invitation(7).secret}")
        page.get_by_label("Your name").first.fill("Ada")
        button(page, "Join").click()
        expect(page.get_by_role("alert")).to_contain_text("That is not the join code.")
        page.get_by_label("Join code").fill(INVITATION.code)
        button(page, "Join").click()
        expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()

    def test_comes_back_with_the_return_code(self, course: Elsewhere, ada: BrowserContext) -> None:
        owner = Person("class-ada", "Ada")
        course.run(course.web.add(owner=owner.name, spec={"display_name": "Ada"}))
        page = visit(ada, course, f"/workspaces/{MINE}")
        page.get_by_text("I have been here before").click()
        part = page.locator("details", has_text="I have been here before")
        part.get_by_label("Your name").fill("ada")
        part.get_by_label("Return code").fill(CLASS.return_code(owner))
        button(page, "Come back").click()
        expect(page).to_have_url(f"{course.web.url}/workspaces/{MINE}")

    def test_an_instructor_comes_to_the_room(self, course: Elsewhere, grace: BrowserContext) -> None:
        page = visit(grace, course, "/")
        page.get_by_text("I teach this class").click()
        part = page.locator("details", has_text="I teach this class")
        part.get_by_label("Your name").fill("Grace")
        part.get_by_label("Instructors' password").fill("a guess of it")
        part.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("That is not the password.")
        look(page, "sign-in-instructor")
        part.get_by_label("Instructors' password").fill("password of the instructors")
        part.get_by_role("button").click()
        expect(page).to_have_url(f"{course.web.url}/room")

    def test_a_name_with_markup_is_a_name(self, course: Elsewhere, ada: BrowserContext) -> None:
        said: list[str] = []
        page = visit(ada, course, f"/join#{INVITATION.secret}")
        page.on("dialog", lambda dialog: said.append(dialog.message) or dialog.dismiss())
        name = "<img src=x onerror=alert(1)> 👩‍🏫"
        page.get_by_label("Your name").first.fill(name)
        button(page, "Join").click()
        expect(page.get_by_text(name)).to_be_visible()
        assert said == []


class TestOut:
    def test_of_every_tab_at_once(self, course: Elsewhere, ada: BrowserContext) -> None:
        page = visit(ada, course, f"/join#{INVITATION.secret}")
        page.get_by_label("Your name").first.fill("Ada")
        button(page, "Join").click()
        expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()
        others = [visit(ada, course, "/") for _ in range(2)]
        button(page, "Sign out").click()
        for each in (page, *others):
            expect(each).to_have_url(re.compile(f"^{re.escape(course.web.url)}/sign-in"))
        assert {cookie["name"] for cookie in ada.cookies()} == {"podium-xsrf"}


class TestProvider:
    @pytest.fixture
    def provided(self, tmp_path: Path) -> Iterator[tuple[Elsewhere, Any]]:
        """A hub whose people sign in at a provider, and that."""
        with site(tmp_path) as elsewhere, provider([f"{elsewhere.web.url}/sign-in/back"]) as dex:
            elsewhere.web.change_site(sign_in=way(dex.issuer))
            yield elsewhere, dex

    def sign_in(self, context: BrowserContext, web: Elsewhere, login: str) -> Page:
        """As a person does it. Returns the page that they come to."""
        page = visit(context, web, "/")
        page.get_by_role("link", name="Sign in").click()
        page.get_by_placeholder("username").fill(login)
        page.get_by_placeholder("password").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        return page

    def test_two_people_are_two_people(
        self, provided: tuple[Elsewhere, Any], ada: BrowserContext, grace: BrowserContext
    ) -> None:
        web, _ = provided
        page = visit(ada, web, "/")
        look(page, "sign-in-oidc")
        attendee = self.sign_in(ada, web, "ada@example.org")
        teacher = self.sign_in(grace, web, "grace@example.org")
        expect(attendee.get_by_text("Ada Lovelace")).to_be_visible()
        expect(teacher.get_by_text("Grace Hopper")).to_be_visible()
        assert attendee.goto(f"{web.web.url}/room").status == 403
        assert teacher.goto(f"{web.web.url}/room").status == 200

    def test_out_means_that_one_is_asked_again(
        self, provided: tuple[Elsewhere, Any], ada: BrowserContext
    ) -> None:
        web, _ = provided
        page = self.sign_in(ada, web, "ada@example.org")
        button(page, "Sign out").click()
        page.goto(web.web.url)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    def test_a_provider_that_is_away_is_told_plainly(
        self, provided: tuple[Elsewhere, Any], ada: BrowserContext
    ) -> None:
        web, dex = provided
        dex.process.kill()
        dex.process.wait()
        page = visit(ada, web, "/sign-in")
        page.get_by_role("link", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("The sign-in service does not answer now.")
        look(page, "sign-in-oidc-away")
