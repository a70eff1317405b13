"""The queue holds names: each once, to one worker at a time, and again after a failure."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.workqueue import FIRST_PAUSE, LONGEST_PAUSE, WorkQueue
from tests.virtual import now, simulate


async def got(queue: WorkQueue) -> list[str]:
    """What can be had at once."""
    names = []
    while len(queue):
        names.append(await queue.get())
    return names


def test_a_name_is_in_it_once_and_names_come_in_order():
    async def dialogue():
        queue = WorkQueue()
        for name in ("b", "a", "b", "a", "c"):
            queue.add(name)
        assert len(queue) == 3
        assert await got(queue) == ["b", "a", "c"]

    simulate(dialogue())


def test_who_waits_is_woken():
    async def dialogue():
        queue = WorkQueue()
        waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
        await asyncio.sleep(0)
        queue.add("a")
        queue.add("b")
        assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]

    simulate(dialogue())


def test_a_name_is_never_with_two_workers():
    async def dialogue():
        queue = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0, "it is being looked at"
        queue.done("a")
        assert await got(queue) == ["a"], "and then wants another look, but only one"
        queue.done("a")
        assert len(queue) == 0

    simulate(dialogue())


def test_a_look_later():
    async def dialogue():
        queue = WorkQueue()
        queue.add_after("a", 10)
        assert (await queue.get(), now()) == ("a", 10)

    simulate(dialogue())


@pytest.mark.parametrize("pauses", [(5, 10), (10, 5), (5, 5)])
def test_of_several_looks_later_the_earliest_counts(pauses):
    async def dialogue():
        queue = WorkQueue()
        for pause in pauses:
            queue.add_after("a", pause)
        assert (await queue.get(), now()) == ("a", 5)
        queue.done("a")
        await asyncio.sleep(60)
        assert len(queue) == 0, "the later one is not needed any more"

    simulate(dialogue())


def test_a_look_now_takes_the_place_of_one_later():
    async def dialogue():
        queue = WorkQueue()
        queue.add_after("a", 10)
        queue.add("a")
        assert (await queue.get(), now()) == ("a", 0)
        queue.done("a")
        await asyncio.sleep(60)
        assert len(queue) == 0

    simulate(dialogue())


def test_a_look_later_that_comes_due_during_a_look_is_had_after_it():
    async def dialogue():
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add_after("a", 10)
        await asyncio.sleep(20)
        assert len(queue) == 0
        queue.done("a")
        assert await got(queue) == ["a"]

    simulate(dialogue())


def test_failures_are_tried_again_after_ever_longer_pauses():
    async def dialogue():
        queue = WorkQueue()
        queue.add("a")
        pauses = []
        for _ in range(10):
            before = now()
            await queue.get()
            pauses.append(now() - before)
            queue.done("a", failed=True)
        assert pauses == pytest.approx([0, *(min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(9))])
        await queue.get()
        queue.done("a")
        queue.add("a")
        await queue.get()
        before = now()
        queue.done("a", failed=True)
        await queue.get()
        assert now() - before == pytest.approx(FIRST_PAUSE), "a success forgives"

    simulate(dialogue())


def test_news_during_a_look_that_fails_do_not_shorten_the_pause():
    async def dialogue():
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.done("a", failed=True)
        assert len(queue) == 0
        assert (await queue.get(), now()) == ("a", pytest.approx(FIRST_PAUSE))

    simulate(dialogue())


def test_closing_drops_what_is_for_later():
    async def dialogue():
        queue = WorkQueue()
        queue.add_after("a", 1)
        queue.close()
        await asyncio.sleep(10)
        assert len(queue) == 0

    simulate(dialogue())


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "later", "get", "done", "fail", "wait"]), st.sampled_from("abc")),
    max_size=40,
)


@given(ACTIONS)
def test_no_name_is_lost_and_none_is_given_twice(actions):
    async def dialogue():
        queue = WorkQueue()
        active: set[str] = set()
        owed: set[str] = set()
        for action, name in actions:
            if action == "add":
                queue.add(name)
                owed.add(name)
            elif action == "later":
                queue.add_after(name, 5)
                owed.add(name)
            elif action == "get" and len(queue):
                taken = await queue.get()
                assert taken not in active
                active.add(taken)
                owed.discard(taken)
            elif action in ("done", "fail") and name in active:
                active.discard(name)
                queue.done(name, failed=action == "fail")
                owed |= {name} if action == "fail" else set()
            elif action == "wait":
                await asyncio.sleep(7)
        for name in active:
            queue.done(name)
        await asyncio.sleep(LONGEST_PAUSE)
        assert owed <= set(await got(queue))

    simulate(dialogue())


async def test_what_is_new_waits_behind_what_is_begun():
    queue = WorkQueue()
    queue.add("new", behind=True)
    queue.add("newer", behind=True)
    queue.add("begun")
    queue.add("newer")
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["begun", "newer", "new"]
    queue.add("begun", behind=True)
    queue.done("begun")
    assert await queue.get() == "begun", "and what is looked at now comes back"
