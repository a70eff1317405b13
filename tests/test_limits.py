"""Token buckets: how much at once, how much in the long run, and for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.limits import MOST_KEYS, Limit, Rate, retry_after

RATE = Rate(burst=3, per_second=0.5)


def test_a_burst_is_taken_and_then_one_waits():
    limit = Limit(RATE)
    assert [limit.take("ada", 0) for _ in range(4)] == [0, 0, 0, 2]
    assert limit.take("ada", 1) == 1
    assert limit.take("ada", 2) == 0
    assert limit.take("ada", 2) == 2


def test_nobody_waits_for_anybody_else():
    limit = Limit(RATE)
    for _ in range(3):
        limit.take("ada", 0)
    assert limit.take("bob", 0) == 0


def test_to_ask_is_not_counted():
    limit = Limit(RATE)
    assert [limit.wait("ada", 0) for _ in range(10)] == [0] * 10
    for _ in range(3):
        limit.take("ada", 0)
    assert limit.wait("ada", 0) == 2


def test_a_pause_gives_no_more_than_a_burst():
    limit = Limit(RATE)
    limit.take("ada", 0)
    assert [limit.take("ada", 1e6) for _ in range(4)] == [0, 0, 0, 2]


def test_a_clock_that_goes_back_gives_nothing():
    limit = Limit(RATE)
    for _ in range(3):
        limit.take("ada", 100)
    assert limit.take("ada", 0) == 2


def test_only_so_many_are_remembered():
    limit = Limit(RATE)
    for number in range(MOST_KEYS + 10):
        limit.take(str(number), 0)
    assert len(limit._levels) == MOST_KEYS


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_in_no_time_more_gets_through_than_may(moments: list[float]):
    limit = Limit(RATE)
    moments.sort()
    taken = sum(limit.take("ada", moment) == 0 for moment in moments)
    assert taken <= RATE.burst + RATE.per_second * (moments[-1] - moments[0]) + 1e-6


@given(st.floats(0, 1000))
def test_who_waits_as_long_as_told_gets_through(moment: float):
    limit = Limit(RATE)
    for _ in range(3):
        limit.take("ada", moment)
    wait = limit.take("ada", moment)
    assert limit.take("ada", moment + wait + 1e-6) == 0


@pytest.mark.parametrize(("seconds", "said"), [(0.01, "1"), (1, "1"), (1.2, "2"), (60, "60")])
def test_a_header_never_says_too_few_seconds(seconds: float, said: str):
    assert retry_after(seconds) == said
