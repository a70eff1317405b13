"""The room page in a real browser: two hundred live tiles, and everything an instructor does there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

import hub.errors
import hub.wire
from hub.model import Workspace
from hub.room import PoolStatus
from hub.store.base import amend_status
from hub.store.files import FileStore
from tests.browser.browsing import browser, chromium, look
from tests.browser.crowd import Crowd, cluster_name, person
from tests.browser.frames import CATEGORIES, frames, said
from tests.web.elsewhere import Elsewhere, serving_elsewhere
from tests.web.serving import PERSON, session_cookie

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

MANY, CHANGES_PER_SECOND, WATCHED = 200, 50.0, 6.0


class Refusing(FileStore):
    """A store that does not take a change of some workspaces."""

    refuses: tuple[str, ...] = ()

    async def update(self, workspace: Workspace) -> Workspace:
        if workspace.name in self.refuses:
            raise hub.errors.BadInput("The quota is used up.", "Ask the operator.")
        return await super().update(workspace)


class Class:
    """A class, the web tier it is in, and its instructor's browser."""

    def __init__(self, elsewhere: Elsewhere, context: BrowserContext) -> None:
        self.elsewhere, self.context = elsewhere, context
        self.web, self.run = elsewhere.web, elsewhere.run
        self.crowd = Crowd(self.web)

    def come(self, count: int) -> None:
        self.run(self.crowd.come(count))

    def open(self, path: str = "/room") -> Page:
        """The page, with a tile for everybody who is there."""
        page = self.context.new_page()
        page.goto(self.web.url + path)
        if path == "/room":
            expect(page.locator("#empty")).not_to_have_text("Connecting…")
            expect(page.locator(".tile")).to_have_count(len(self.crowd.names))
        return page

    def get(self, number: int) -> Workspace:
        """Somebody's workspace, as it is kept."""
        found = self.run(self.web.store.get(cluster_name(number)))
        assert found is not None
        return found

    def all(self) -> list[Workspace]:
        return self.run(self.web.everything())

    def change(self, number: int, **spec: Any) -> None:
        """Let somebody change their own."""
        present = self.get(number)
        self.run(
            self.web.store.update(hub.wire.replace(present, spec=hub.wire.replace(present.spec, **spec)))
        )


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def room(tmp_path: Path, chrome: Browser) -> Iterator[Class]:
    with serving_elsewhere(tmp_path, make_store=Refusing) as elsewhere:
        context = chrome.new_context(viewport={"width": 1366, "height": 768})
        name, _, value = session_cookie(PERSON).partition("=")
        context.add_cookies([{"name": name, "value": value, "url": elsewhere.web.url}])
        yield Class(elsewhere, context)
        context.close()


def tile(page: Page, number: int) -> Any:
    return page.locator(f"#{cluster_name(number)}")


def job(page: Page, text: str) -> None:
    """Wait until a job says something."""
    expect(page.locator(".job-title").first).to_have_text(text, timeout=20_000)


def workers(workspaces: list[Workspace], framework: str) -> set[int | None]:
    return {w.spec.clusters[framework].workers for w in workspaces if framework in w.spec.clusters}  # type: ignore[index]


class TestTiles:
    def test_two_hundred_are_live_without_lag(
        self, room: Class, chrome: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        room.come(MANY)
        page = room.open()
        chrome.start_tracing(page=page, categories=CATEGORIES)
        with room.elsewhere.beside(room.crowd.live(CHANGES_PER_SECOND, WATCHED)):
            page.wait_for_timeout(WATCHED * 1000)
        drawn = frames(chrome.stop_tracing())
        with capsys.disabled():
            print(f"\n  {MANY} tiles, {room.crowd.written} changes in {WATCHED:g} s: {said(drawn)}")
        # Changes are drawn by the handful, so there are far fewer pictures than changes.
        assert 0 < len(drawn) < WATCHED * 10
        # In the end every tile says what its object does.
        for workspace in room.all():
            if workspace.status.phase == "Ready":
                dask = workspace.status.clusters["dask"]
                text = f"Dask {dask.ready}" + ("" if dask.ready == dask.workers else f"/{dask.workers}")
                expect(page.locator(f"#{workspace.name} .meter").first).to_have_text(text)

    def test_say_what_an_instructor_has_to_know(self, room: Class) -> None:
        room.come(40)
        page = room.open()
        expect(tile(page, 5)).to_contain_text("3 min")  # the hand
        expect(tile(page, 3)).to_contain_text("The image registry.example.org/own:2 does not exist.")
        expect(tile(page, 9)).to_contain_text("1st in line")
        expect(tile(page, 0)).to_contain_text("Dask")
        expect(page.locator("[data-kind=help] b")).to_have_text("1")

    def test_names_are_text_whatever_they_hold(self, room: Class) -> None:
        room.come(110)
        page = room.open()
        assert person(107) == "<b>Bob</b> & Co"
        expect(tile(page, 107).locator(".who")).to_have_text("<b>Bob</b> & Co")
        assert page.locator("b", has_text="Bob").count() == 0

    def test_come_and_go(self, room: Class) -> None:
        page = room.open()
        expect(page.locator("#empty")).to_have_text("Nobody is here yet. Share the invitation.")
        room.come(2)
        expect(page.locator(".tile")).to_have_count(2)
        room.run(room.web.store.delete(cluster_name(0)))
        expect(tile(page, 0)).to_have_attribute("data-face", "stopping")
        room.run(room.web.finish(cluster_name(0)))
        expect(page.locator(".tile")).to_have_count(1)

    def test_a_hand_goes_up_while_one_looks(self, room: Class) -> None:
        room.come(3)
        page = room.open()
        room.change(1, help_wanted=datetime.now(UTC))
        expect(tile(page, 1).locator(".hand")).to_have_text("0 s")
        expect(page.locator("#announcer")).to_have_text(f"{person(1)} raised a hand.")
        expect(page).to_have_title("(1) Room · Podium")

    def test_are_found_by_kind_and_by_word(self, room: Class) -> None:
        room.come(60)
        page = room.open()
        page.locator("[data-kind=trouble]").click()
        expect(page.locator(".tile:visible")).to_have_count(3)
        expect(page.locator("#target")).to_have_text("All 3 shown")
        page.keyboard.press("Tab")
        page.locator("[data-kind=all]").click()
        page.keyboard.press("/")
        page.keyboard.type("grace")
        expect(page.locator(".tile:visible")).to_have_count(3)
        page.keyboard.press("Escape")
        expect(page.locator(".tile:visible")).to_have_count(60)

    def test_who_needs_a_look_is_first_if_one_likes(self, room: Class) -> None:
        room.come(60)
        page = room.open()
        page.locator("#order").select_option("attention")
        names = page.locator(".tile .who").all_inner_texts()
        assert set(names[:2]) == {person(5), person(42)}
        assert set(names[2:5]) == {person(3), person(11), person(32)}


class TestActions:
    def test_for_everybody_with_a_way_back(self, room: Class) -> None:
        room.come(30)
        before = room.all()
        page = room.open()
        page.locator("#to-dask").fill("7")
        page.locator(".frame[data-framework=dask] [data-action=scale]").click()
        job(page, "Dask to 7 workers: 29 workspaces")  # one launch failed
        assert workers([w for w in room.all() if w.status.phase != "Failed"], "dask") == {7}
        page.get_by_role("button", name="Undo").click()
        job(page, "Undone: Dask to 7 workers: 29 workspaces")
        assert [w.spec.clusters for w in room.all()] == [w.spec.clusters for w in before]

    def test_for_a_selection_by_keys_alone(self, room: Class) -> None:
        room.come(9)
        page = room.open()
        page.locator("#tiles").focus()
        for key in ("ArrowRight", "Space", "Shift+ArrowRight", "Shift+ArrowRight"):
            page.keyboard.press(key)
        expect(page.locator("#target")).to_have_text("3 selected")
        page.keyboard.press("Enter")
        expect(page.locator("#to-dask")).to_be_focused()
        page.keyboard.type("1")
        page.keyboard.press("Enter")
        job(page, "Dask to 1 worker: 3 workspaces")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#target")).to_have_text("Everybody (9)")

    def test_a_failure_has_its_reason_and_a_second_try(self, room: Class) -> None:
        room.come(3)
        store = room.web.store
        assert isinstance(store, Refusing)
        store.refuses = (cluster_name(1),)
        page = room.open()
        page.locator(".frame[data-framework=spark] [data-action=add]").click()
        job(page, "Add Spark: 1 of 2 workspaces")
        expect(page.locator(".job li")).to_have_text(f"{person(1)} The quota is used up. Ask the operator.")
        store.refuses = ()
        page.get_by_role("button", name="Try again").click()
        job(page, "Add Spark: 1 workspace")
        assert all("spark" in w.spec.clusters for w in room.all())

    def test_more_time(self, room: Class) -> None:
        room.come(1)
        before = room.get(0).spec.expires
        page = room.open()
        tile(page, 0).click()
        expect(page.locator("#target")).to_have_text(person(0))
        page.get_by_role("button", name="+15 min").click()
        job(page, "More time: 1 workspace")
        assert 890 < (room.get(0).spec.expires - before).total_seconds() < 910

    def test_restart_and_stop_can_be_called_back(self, room: Class) -> None:
        room.come(2)
        page = room.open()
        for name in ("Restart notebook", "Stop"):
            tile(page, 0).click()
            page.locator("#controls").get_by_role("button", name=name).click()
            page.get_by_role("button", name="Do not").click()
            expect(page.locator(".job")).to_have_count(0)
            page.locator("[data-clear]").click()
        assert room.get(0).spec.restarted_at is None
        assert not room.get(0).deleting

    def test_stop_for_all_is_asked_twice_and_done(self, room: Class) -> None:
        room.come(3)
        page = room.open()
        page.locator("#controls").get_by_role("button", name="Stop").click()
        expect(page.locator("#ask-title")).to_have_text("Stop 3 workspaces?")
        page.locator("[data-yes]").click()
        job(page, "Stop: 3 workspaces")
        assert all(w.deleting for w in room.all())

    def test_move_up_in_line_and_lower_the_hands(self, room: Class) -> None:
        room.come(43)
        page = room.open()
        tile(page, 39).click()
        page.get_by_role("button", name="Move to the front").click()
        job(page, "Move to the front: 1 workspace")
        moved = room.get(39).spec.queued_at
        assert moved is not None
        assert all(moved < room.get(n).metadata.creation_timestamp for n in (9, 19, 29))  # type: ignore[operator]
        page.locator("[data-clear]").click()
        page.get_by_role("button", name="Lower 2 hands").click()
        job(page, "Lower the hand: 2 workspaces")
        assert not any(w.spec.help_wanted for w in room.all())


class TestRoom:
    def test_a_message_is_sent_and_taken_back(self, room: Class) -> None:
        page = room.open()
        page.keyboard.press("m")
        page.keyboard.type("Break until 10:30 <b>sharp</b>")
        page.keyboard.press("Enter")
        expect(page.locator("#said q")).to_have_text("Break until 10:30 <b>sharp</b>")
        message = room.run(room.web.site.room.get()).spec.message
        assert message is not None
        assert message.by == PERSON
        page.get_by_role("button", name="Take back").click()
        expect(page.locator("#said")).to_be_hidden()
        page.get_by_role("button", name="Undo").first.click()
        expect(page.locator("#said q")).to_have_text("Break until 10:30 <b>sharp</b>")

    def test_holds_workspaces_ready(self, room: Class) -> None:
        page = room.open()
        page.locator("[data-opens=pool]").click()
        page.locator("#pool-workshop").fill("40")
        page.locator("[data-profile=workshop] [data-pool=set]").click()
        expect(page.locator("[data-profile=workshop] [data-pool=drop]")).to_be_visible()
        pool = room.run(room.web.site.room.get()).spec.pool["workshop"]
        assert pool.size == 40
        assert pool.until is not None
        filling = PoolStatus(wanted=40, ready=7, starting=3, message="The cluster's quota is used up.")
        room.run(
            amend_status(
                room.web.site.room,
                lambda r: hub.wire.replace(r, status=hub.wire.replace(r.status, pool={"workshop": filling})),
            )
        )
        state = page.locator("[data-profile=workshop] [data-state]")
        expect(state).to_contain_text("7 of 40 ready until")
        expect(state).to_contain_text("3 starting. The cluster's quota is used up.")
        page.locator("[data-profile=workshop] [data-pool=drop]").click()
        expect(page.locator("[data-profile=workshop] [data-pool=drop]")).to_be_hidden()

    def test_projector_shows_the_way_in_and_nobody(self, room: Class) -> None:
        room.come(40)
        page = room.open("/room/projector")
        expect(page.locator("#seats")).to_have_text("33 notebooks are ready, 2 starting, 4 in line")
        expect(page.locator("[data-address]")).to_have_text(room.web.url.removeprefix("http://"))
        picture = page.locator("[data-qr]")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0
        assert not any(person(number) in page.inner_text("body") for number in range(40))
        look(page, "projector")

    def test_looks_well_everywhere(self, room: Class) -> None:
        room.come(60)
        page = room.open()
        look(page, "room")
        tile(page, 3).click()
        look(page, "room-one")
        for opens in ("invite", "pool", "keys"):
            page.locator(f"[data-opens={opens}]").click()
            look(page, f"room-{opens}")
            page.keyboard.press("Escape")

    def test_comes_back_after_its_stream_was_cut(self, room: Class) -> None:
        room.come(2)
        page = room.open()
        room.run(asyncio.sleep(0))
        page.context.set_offline(True)
        room.come(1)
        page.context.set_offline(False)
        expect(page.locator(".tile")).to_have_count(3)
