"""What the operator decides for the class as a whole, as it is read from the configuration."""

from __future__ import annotations

import pytest

from hub.errors import ConfigurationError
from hub.rules import PoolRule, Rules, read_rules


def test_nothing_is_limited_and_nothing_held_unless_somebody_says_so():
    assert read_rules({}, {}) == Rules()


def test_a_pool_may_have_hours_in_its_place():
    pool = {"timezone": "Europe/Berlin", "schedule": [{"start": "08:45", "end": "09:30", "size": 100}]}
    rule = read_rules({"pool": {"workshop": pool}}, {"workshop": None}).pool["workshop"]
    assert (rule.size, rule.schedule[0].size) == (PoolRule().size, 100)


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        ({"lunch": {"size": 1}}, "there is no profile 'lunch'"),
        ({"workshop": {"timezone": "Mars/Base"}}, "there is no time zone 'Mars/Base'"),
        ({"workshop": {"timezone": "../etc"}}, "there is no time zone '../etc'"),
        ({"workshop": {"size": -1}}, "expected int >= 0"),
    ],
)
def test_what_does_not_fit_is_named(pool, told):
    with pytest.raises(ConfigurationError, match=told):
        read_rules({"pool": pool}, {"workshop": None})
