"""What workspaces cost: by what is set aside, for as long as it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub import cost
from hub.cost import Amount
from hub.model import ClusterSpec, Status
from hub.profiles import Profile
from hub.rules import Prices
from hub.settings import Requests, Resources, RoleResources
from tests.builders import NOW, SETTINGS, make_workspace, notebook, scheduler, seconds, worker

PRICES = Prices(currency="EUR", cpu_hour=0.04, memory_gib_hour=0.005, gpu_hour=2.0)
ROLES = RoleResources(
    notebook=Resources(cpu=2, memory="4Gi", requests=Requests(cpu=0.5, memory="2Gi")),
    scheduler=Resources(cpu=1, memory="1Gi"),
    worker=Resources(cpu=1, memory="512Mi", gpu=1),
)


def profile(**fields: object) -> Profile:
    """A menu's choice with these roles."""
    return Profile(**{"name": "workshop", "title": "Workshop", "resources": ROLES, "workers": 4, **fields})


def test_what_is_set_aside_counts_and_not_what_may_be_used():
    assert cost.of(ROLES.notebook) == Amount(0.5, 2.0, 0)


def test_every_program_counts_by_its_role_while_it_is_there():
    settings = SETTINGS.__class__(resources=ROLES)
    seen = [notebook(), scheduler(), worker(1), worker(2, running=False)]
    seen.append(worker(3, running=False, ready=False))
    assert cost.set_aside(settings, seen[:3]) == Amount(2.5, 3.5, 1)
    assert cost.set_aside(settings, seen[4:]) == Amount()


def test_usage_is_counted_on_with_what_was_set_aside_since():
    first = cost.used(None, Amount(1, 2, 0), NOW)
    assert (first.core_seconds, first.cores) == (0, 1)
    second = cost.used(first, Amount(4, 4, 1), NOW + seconds(100))
    assert (second.core_seconds, second.gib_seconds, second.gpu_seconds) == (100, 200, 0)
    assert cost.total_of(second, NOW + seconds(110)) == Amount(140, 240, 10)


def test_a_clock_that_goes_back_takes_nothing_off():
    first = cost.used(None, Amount(1, 1, 0), NOW)
    second = cost.used(first, Amount(1, 1, 0), NOW + seconds(60))
    third = cost.used(second, Amount(1, 1, 0), NOW - seconds(600))
    assert third.core_seconds == 60
    assert cost.total_of(third, NOW - seconds(500)).cores == 160


def test_a_workspace_that_nothing_was_told_of_used_nothing():
    assert cost.of_workspace(make_workspace(), NOW) == Amount()
    usage = cost.used(None, Amount(2, 0, 0), NOW)
    assert cost.of_workspace(make_workspace(status=Status(usage=usage)), NOW + seconds(5)).cores == 10


def test_money_is_by_the_hour():
    assert cost.money(Amount(3600, 7200, 1800), PRICES) == pytest.approx(0.04 + 0.01 + 1.0)
    assert cost.said(Amount(3600, 7200, 1800), PRICES) == "1.05 EUR"


def test_without_prices_what_it_is_made_of_is_told():
    assert cost.said(Amount(3600 * 150, 1800, 0), Prices()) == "150 core hours, 0.5 GiB hours"
    assert cost.said(Amount(0, 0, 3600), Prices()).endswith(", 1 GPU hours")


def test_an_estimate_is_for_a_class_that_launches_at_once():
    clusters = {"dask": ClusterSpec(), "spark": ClusterSpec(workers=1)}
    found = cost.estimate(profile(clusters=clusters), 100, 2, PRICES)
    assert found.aside == Amount(100 * (0.5 + 1 + 4 + 1 + 1), 100 * (2 + 1 + 2 + 1 + 0.5), 100 * 5)
    assert found.used == found.aside.times(7200)
    assert found.text == cost.said(found.used, PRICES) == "2066.50 EUR"


def test_an_estimate_comes_true_when_everybody_does_as_assumed():
    here = profile(clusters={"dask": ClusterSpec()})
    seen = [notebook(), scheduler(), *(worker(number) for number in range(1, 5))]
    usage = cost.used(None, cost.set_aside(here.settings, seen), NOW)
    hours = timedelta(hours=3)
    assert cost.total_of(usage, NOW + hours) == cost.estimate(here, 1, 3, PRICES).used
