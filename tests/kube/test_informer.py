"""What an informer knows and tells of, as the server lists, watches, falls silent and forgets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from hub.kube import informer as module
from hub.kube.api import Api
from hub.kube.informer import Informer, Named
from tests.kube.server import Asked, Server
from tests.waiting import until

PATH = "/api/v1/teas"
LINE = f"GET {PATH}"


class Tea(Struct, frozen=True, kw_only=True):
    """What the server has here."""

    metadata: Named
    sort: str = ""


def tea(name: str, version: int, sort: str = "green") -> dict[str, Any]:
    """A tea as the server writes it, with more than anybody reads."""
    metadata = {"name": name, "namespace": "pot", "uid": f"{name}-1", "resourceVersion": str(version)}
    return {"kind": "Tea", "metadata": {**metadata, "labels": {"a": "b"}}, "sort": sort, "spec": {"x": [1]}}


def page(version: int, *items: dict[str, Any], more: str = "") -> dict[str, Any]:
    """An answer to a list."""
    place = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return {"kind": "TeaList", "metadata": place, "items": list(items)}


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """One line of a watch."""
    return {"type": kind, "object": body}


def bookmark(version: int) -> dict[str, Any]:
    """Tells no more than how far the watch is."""
    return event("BOOKMARK", {"kind": "Tea", "metadata": {"resourceVersion": str(version)}})


class Listener:
    """An informer that runs, and what it tells."""

    def __init__(self, api: Api, **options: Any) -> None:
        self.told: list[tuple[str, str]] = []
        self.informer = Informer(api, PATH, Tea, options.pop("labels", ""), self._hear, **options)

    def _hear(self, before: Tea | None, now: Tea | None) -> None:
        one = now or before
        assert one is not None
        was, is_ = (thing.sort if thing else "-" for thing in (before, now))
        self.told.append((one.metadata.name, f"{was} > {is_}"))

    @property
    def known(self) -> dict[str, str]:
        """Name to sort of all that is there."""
        return {name: thing.sort for (_, name), thing in self.informer.objects.items()}

    def note(self, body: dict[str, Any]) -> None:
        """What the server answered to a write of ours."""
        self.informer.note(Tea(metadata=_named(body), sort=body["sort"]))

    async def hears(self, *told: tuple[str, str]) -> None:
        """Wait for exactly this to be told, since the last time."""
        await until(f"{told} is told", lambda: len(self.told) >= len(told))
        assert self.told == list(told)
        self.told.clear()


def _named(body: dict[str, Any]) -> Named:
    metadata = body["metadata"]
    return Named(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)


@pytest_asyncio.fixture
async def listening(api: Api) -> AsyncIterator[Callable[..., Listener]]:
    """Starts an informer."""
    running: list[asyncio.Task[None]] = []

    def start(**options: Any) -> Listener:
        listener = Listener(api, **options)
        running.append(asyncio.create_task(listener.informer.run()))
        return listener

    yield start
    for task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def listed(server: Server, listener: Listener, *items: dict[str, Any], version: int = 100) -> Asked:
    """Answer a list, and take the watch that follows."""
    (await server.asked(LINE, limit="500")).answer(page(version, *items))
    watch = await server.asked(LINE, watch="1", resourceVersion=str(version))
    listener.told.clear()
    return watch


class TestAList:
    async def test_is_what_there_is(self, server, listening):
        listener = listening()
        (await server.asked(LINE, limit="500")).answer(page(100, tea("assam", 7, "black"), tea("sencha", 9)))
        await listener.hears(("assam", "- > black"), ("sencha", "- > green"))
        assert listener.known == {"assam": "black", "sencha": "green"}
        assert listener.informer.get("pot", "sencha") is not None
        assert listener.informer.get("pot", "mate") is None

    async def test_comes_in_pages_of_one_moment(self, server, listening):
        listener = listening()
        first = await server.asked(LINE, limit="500")
        assert "continue" not in first.query
        first.answer(page(100, tea("assam", 7), more="next"))
        second = await server.asked(LINE, limit="500", **{"continue": "next"})
        assert (listener.told, listener.informer.synced.is_set()) == ([], False)  # half of it is not known
        second.answer(page(100, tea("sencha", 9)))
        await listener.hears(("assam", "- > green"), ("sencha", "- > green"))
        assert listener.informer.synced.is_set()
        await server.asked(LINE, watch="1", resourceVersion="100")

    async def test_begins_anew_when_its_pages_are_too_old(self, server, listening):
        listener = listening()
        (await server.asked(LINE)).answer(page(100, tea("assam", 7), more="next"))
        (await server.asked(LINE, **{"continue": "next"})).refuse(410, "Expired")
        again = await server.asked(LINE, limit="500")
        assert "continue" not in again.query
        again.answer(page(200, tea("sencha", 150)))
        await listener.hears(("sencha", "- > green"))

    @pytest.mark.parametrize("items", [None, []])
    async def test_may_be_empty(self, server, listening, items):
        listener = listening()
        (await server.asked(LINE)).answer({"metadata": {"resourceVersion": "100"}, "items": items})
        await server.asked(LINE, watch="1", resourceVersion="100")
        assert (listener.known, listener.informer.synced.is_set()) == ({}, True)

    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    async def test_that_is_refused_is_asked_for_again(self, server, listening, status):
        listener = listening()
        (await server.asked(LINE)).refuse(status, "Why")
        again = await server.asked(LINE, limit="500")
        assert not listener.informer.synced.is_set()  # nothing is known, which is not: there is nothing
        again.answer(page(100))
        await server.asked(LINE, watch="1")

    async def test_that_is_cut_or_no_json_is_asked_for_again(self, server, listening):
        listener = listening()
        (await server.asked(LINE)).hang_up()
        (await server.asked(LINE)).answer("<html>a proxy</html>")
        (await server.asked(LINE)).answer({"metadata": {}, "items": [{"no": "metadata"}]})
        (await server.asked(LINE, limit="500")).answer(page(100, tea("assam", 7)))
        await listener.hears(("assam", "- > green"))

    async def test_and_watch_are_of_the_wanted_labels_alone(self, server, listening):
        listening(labels="podium.hub/release=tea")
        (await server.asked(LINE, labelSelector="podium.hub/release=tea")).answer(page(100))
        watch = await server.asked(LINE, watch="1", labelSelector="podium.hub/release=tea")
        assert watch.query["allowWatchBookmarks"] == "1" or watch.query["allowWatchBookmarks"] == "true"

    async def test_may_ask_for_metadata_alone(self, server, listening):
        listener = listening(metadata_only=True)
        asked = await server.asked(LINE)
        assert "as=PartialObjectMetadataList" in asked.request.headers["Accept"]
        asked.answer(page(100))
        watch = await server.asked(LINE, watch="1")
        assert "as=PartialObjectMetadata;" in watch.request.headers["Accept"]
        await watch.say(event("ADDED", {"metadata": tea("assam", 101)["metadata"]}))
        await listener.hears(("assam", "- > "))


class TestAWatch:
    async def test_tells_what_was_and_what_is(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7, "black"))
        await watch.say(
            event("ADDED", tea("sencha", 101)),
            event("MODIFIED", tea("assam", 102, "smoked")),
            event("DELETED", tea("sencha", 103)),
        )
        await listener.hears(("sencha", "- > green"), ("assam", "black > smoked"), ("sencha", "green > -"))
        assert listener.known == {"assam": "smoked"}

    async def test_tells_nothing_twice(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 90, "black"))
        await watch.say(
            event("MODIFIED", tea("assam", 90, "black")), event("MODIFIED", tea("assam", 80, "white"))
        )
        await watch.say(event("ADDED", tea("sencha", 101)))
        await listener.hears(("sencha", "- > green"))
        assert listener.known["assam"] == "black"

    async def test_is_read_in_whatever_pieces_it_comes(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        long = tea("long", 101, "x" * 300_000)
        text = (
            json.dumps(event("ADDED", tea("assam", 101))) + "\n\n" + json.dumps(event("ADDED", long)) + "\n"
        )
        await watch.write(text[:40])
        await watch.write(text[40:200_000])
        await watch.write(text[200_000:])
        await listener.hears(("assam", "- > green"), ("long", f"- > {'x' * 300_000}"))

    async def test_that_ends_goes_on_from_where_it_was(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        await watch.say(event("ADDED", tea("assam", 105)))
        watch.end()
        watch = await server.asked(LINE, watch="1", resourceVersion="105")
        await watch.say(event("DELETED", tea("assam", 106)))
        await listener.hears(("assam", "- > green"), ("assam", "green > -"))

    async def test_goes_on_from_a_bookmark(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        await watch.say(event("ADDED", tea("assam", 105)), bookmark(2000))
        watch.end()
        await server.asked(LINE, watch="1", resourceVersion="2000")
        await listener.hears(("assam", "- > green"))

    async def test_that_is_cut_in_the_middle_of_a_line_goes_on(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        await watch.say(event("ADDED", tea("assam", 105)))
        await watch.write(json.dumps(event("ADDED", tea("sencha", 106)))[:30])
        await listener.hears(("assam", "- > green"))
        watch.hang_up()
        watch = await server.asked(LINE, watch="1", resourceVersion="105")
        await watch.say(event("ADDED", tea("sencha", 106)))
        await listener.hears(("sencha", "- > green"))

    async def test_that_falls_silent_goes_on_without_a_list(self, server, listening, monkeypatch):
        listener = listening()
        monkeypatch.setattr(module, "SILENCE", 0.1)
        watch = await listed(server, listener, tea("assam", 7))
        await watch.say(bookmark(150))
        watch = await server.asked(LINE, watch="1", resourceVersion="150")  # the other one was given up
        assert listener.known == {"assam": "green"}
        await watch.say(event("MODIFIED", tea("assam", 151, "black")))
        await listener.hears(("assam", "green > black"))

    @pytest.mark.parametrize("status", [403, 500])
    async def test_that_is_refused_is_asked_for_again(self, server, listening, status):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        watch.refuse(status)
        await server.asked(LINE, watch="1", resourceVersion="100")
        assert listener.known == {"assam": "green"}

    async def test_that_cannot_be_read_begins_anew(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        await watch.write('{"type": "MODIFIED", "object": {"metadata": 3}}\n')
        (await server.asked(LINE, limit="500")).answer(page(200, tea("assam", 180, "black")))
        await listener.hears(("assam", "green > black"))


class TestAPlaceThatIsForgotten:
    @pytest.mark.parametrize("how", ["by an event", "by its status"])
    async def test_is_listed_anew_and_what_differs_is_told(self, server, listening, how):
        listener = listening()
        there = tea("assam", 7), tea("mate", 8), tea("sencha", 9)
        watch = await listed(server, listener, *there)
        if how == "by an event":
            await watch.say(event("ERROR", {"kind": "Status", "code": 410, "message": "too old"}))
        else:
            watch.refuse(410, "Expired", "too old")
        now = tea("assam", 7), tea("sencha", 150, "roast"), tea("oolong", 160)
        (await server.asked(LINE, limit="500")).answer(page(200, *now))
        await listener.hears(("mate", "green > -"), ("sencha", "green > roast"), ("oolong", "- > green"))
        await server.asked(LINE, watch="1", resourceVersion="200")

    async def test_is_known_as_it_was_until_then(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        watch.refuse(410)
        await server.asked(LINE, limit="500")
        assert (listener.known, listener.informer.synced.is_set()) == ({"assam": "green"}, True)


class TestWhatAWriteWasAnswered:
    async def test_is_known_before_the_watch_tells_it(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        listener.note(tea("sencha", 105))
        assert listener.told == [("sencha", "- > green")]
        await watch.say(event("ADDED", tea("sencha", 105)), event("MODIFIED", tea("assam", 106, "black")))
        await listener.hears(("sencha", "- > green"), ("assam", "green > black"))

    async def test_is_old_when_the_watch_has_told_more(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        await watch.say(event("ADDED", tea("sencha", 105)), event("DELETED", tea("sencha", 106)))
        await listener.hears(("sencha", "- > green"), ("sencha", "green > -"))
        listener.note(tea("sencha", 105))
        assert (listener.told, listener.known) == ([], {})

    async def test_is_not_undone_by_older_news(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        listener.note(tea("assam", 107, "smoked"))
        await watch.say(event("MODIFIED", tea("assam", 105, "black")), event("ADDED", tea("sencha", 108)))
        await listener.hears(("assam", "green > smoked"), ("sencha", "- > green"))
        assert listener.known["assam"] == "smoked"

    async def test_is_not_undone_by_the_end_of_one_that_had_its_name(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        listener.note(tea("assam", 110, "black"))  # made again, while the end of the first is yet to be told
        await watch.say(event("DELETED", tea("assam", 109)), event("ADDED", tea("sencha", 111)))
        await listener.hears(("assam", "green > black"), ("sencha", "- > green"))
        assert listener.known["assam"] == "black"

    async def test_is_not_undone_by_a_list_of_an_earlier_moment(self, server, listening):
        listener = listening()
        watch = await listed(server, listener, tea("assam", 7))
        watch.refuse(410)
        listing = await server.asked(LINE, limit="500")
        listener.note(tea("sencha", 205))  # made while the list is on its way
        listing.answer(page(200, tea("assam", 7)))
        watch = await server.asked(LINE, watch="1", resourceVersion="200")
        assert listener.known == {"assam": "green", "sencha": "green"}
        await watch.say(event("ADDED", tea("sencha", 205)), event("DELETED", tea("sencha", 206)))
        await listener.hears(("sencha", "- > green"), ("sencha", "green > -"))

    async def test_is_taken_before_there_is_a_list(self, server, listening):
        listener = listening()
        listing = await server.asked(LINE)
        listener.note(tea("sencha", 90))
        listing.answer(page(100))  # it was deleted meanwhile
        await listener.hears(("sencha", "- > green"), ("sencha", "green > -"))


class TestContact:
    async def test_is_not_lost_when_a_watch_is_cut_and_goes_on(self, server, listening):
        contact = (listener := listening()).informer.contact
        watch = await listed(server, listener)
        watch.hang_up()
        watch = await server.asked(LINE, watch="1")
        assert not contact.lost
        await watch.say(bookmark(150))
        await until("it is as if nothing had happened", lambda: not contact._failures)

    @pytest.mark.parametrize("status", [500, 503])
    async def test_is_lost_when_the_next_one_fails_too_and_back_with_the_first_that_is_begun(
        self, server, listening, status
    ):
        contact = (listener := listening()).informer.contact
        turned = asyncio.create_task(contact.turned())
        watch = await listed(server, listener)
        for _ in range(2):
            assert not contact.lost
            watch.refuse(status)
            watch = await server.asked(LINE, watch="1", resourceVersion="100")
        assert contact.lost
        await turned
        turned = asyncio.create_task(contact.turned())
        await watch.say(bookmark(150))
        await turned
        assert not contact.lost

    async def test_is_not_lost_to_a_server_that_refuses(self, server, listening):
        """It answers, after all; an operator has to look, and the log says at what."""
        contact = (listener := listening()).informer.contact
        watch = await listed(server, listener)
        for _ in range(4):
            watch.refuse(403, "Forbidden")
            watch = await server.asked(LINE, watch="1", resourceVersion="100")
        assert not contact.lost

    async def test_is_looked_at_anew_when_somebody_doubts(self, server, listening):
        listener = listening()
        watch = await listed(server, listener)
        await watch.say(bookmark(150))
        await until("the watch has begun", lambda: listener.informer._watched)
        listener.informer.doubt()
        watch = await server.asked(LINE, watch="1", resourceVersion="150")
        listener.informer.doubt()  # while it is being looked at, this changes nothing
        await watch.say(event("ADDED", tea("assam", 151)))
        await listener.hears(("assam", "- > green"))

    async def test_is_lost_to_a_server_that_takes_requests_and_says_nothing(
        self, server, listening, monkeypatch
    ):
        monkeypatch.setattr(module, "OPENING", 0.05)
        contact = (listener := listening()).informer.contact
        await listed(server, listener)
        await server.asked(LINE, watch="1", resourceVersion="100")
        await until("it is lost", lambda: contact.lost)
