"""What a preflight says of what it sees: the hub's own settings, and the way in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.doctor.judge import Finding
from hub.preflight import judge
from hub.preflight.judge import Shown, Tried
from hub.preflight.steps import Class
from hub.profiles import read_profiles
from hub.room import PoolStatus
from hub.rules import Capacity

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
GIB = 2.0**30
SEAT = [{"cpu": 0.5, "memory": GIB, "pods": 1.0}, {"cpu": 0.25, "memory": GIB, "pods": 1.0}]
URL = "https://podium.example.org"


def course(seats: int = 100, hours: float = 3, held: int = 0, **profile: object) -> Class:
    """A class of a profile with these settings."""
    made = read_profiles({"course": profile})["course"]
    return Class(made, seats, NINE, hours, held)


class TestSignIn:
    @pytest.mark.parametrize(
        ("mode", "seats", "is_open", "state", "said"),
        [
            ("local", 1, True, OK, "One person"),
            ("local", 2, True, FAILED, "the one person of this machine"),
            ("guest", 30, True, WARNING, "nobody has a name"),
            ("class", 30, True, OK, "join code"),
            ("class", 30, False, FAILED, "The room is closed"),
            ("oidc", 30, True, OK, "their own account"),
            ("oidc", 30, False, FAILED, "The room is closed"),
        ],
    )
    def test_of_each_kind(self, mode, seats, is_open, state, said):
        check = judge.sign_in(course(seats), mode, is_open, Shown())
        assert (check.name, check.title, check.state) == ("sign-in", "Sign-in", state)
        assert said in check.message
        assert bool(check.hint) == (state != OK)

    @pytest.mark.parametrize("wrong", [Shown(wrong="it has expired"), Shown(unreachable="it has expired")])
    def test_by_a_provider_that_is_away(self, wrong):
        check = judge.sign_in(course(), "oidc", True, wrong)
        assert (check.state, check.message) == (
            FAILED,
            "The provider that people sign in at is away: it has expired.",
        )


class TestKeptFiles:
    @pytest.mark.parametrize(
        ("days", "there", "wrong", "state", "said"),
        [
            (7, True, "", OK, "for 7 days"),
            (7, False, "", WARNING, "Nothing keeps"),
            (7, True, "connection refused", FAILED, "does not answer: connection refused."),
            (0, True, "", SKIPPED, "The profile course keeps nothing."),
        ],
    )
    def test_after_the_end(self, days, there, wrong, state, said):
        check = judge.archive(course(archive_time=days * 86400), there, wrong)
        assert (check.state, said in check.message) == (state, True), check


class TestCapacity:
    @pytest.mark.parametrize(
        ("limit", "state", "said"),
        [
            (Capacity(), OK, "no limit of its own"),
            (Capacity(workspaces=100), OK, "lets in 100 at once, and 100 come"),
            (Capacity(workspaces=99), FAILED, "99 of 100 people get in at once"),
            (Capacity(cpu=75), OK, "lets in 100"),
            (Capacity(cpu=74), FAILED, "98 of 100"),
            (Capacity(memory="200Gi"), OK, "lets in 100"),
            (Capacity(memory="199Gi"), FAILED, "99 of 100"),
            (Capacity(workspaces=500, cpu=400, memory="20Gi"), FAILED, "10 of 100"),
        ],
    )
    def test_of_each_kind(self, limit, state, said):
        check = judge.capacity(course(), limit, SEAT)
        assert (check.state, said in check.message) == (state, True), check

    @pytest.mark.parametrize(
        ("limit", "said"),
        [
            (
                Capacity(workspaces=1),
                "capacity.workspaces in the configuration, or the number on the room page",
            ),
            (Capacity(cpu=1), "capacity.cpu in the configuration."),
            (Capacity(memory="1Gi"), "capacity.memory in the configuration."),
        ],
    )
    def test_what_to_do(self, limit, said):
        assert said in judge.capacity(course(), limit, SEAT).hint


class TestPool:
    DAY_BEFORE, AT_NINE = NINE - timedelta(days=1), NINE - timedelta(minutes=5)

    @pytest.mark.parametrize(
        ("size", "status", "now", "state", "said"),
        [
            (0, PoolStatus(), DAY_BEFORE, WARNING, "No workspaces are held ready"),
            (60, PoolStatus(), DAY_BEFORE, WARNING, "60 of 100 find a workspace"),
            (100, PoolStatus(), DAY_BEFORE, OK, "100 workspaces are to wait for people"),
            (100, PoolStatus(ready=100), AT_NINE, OK, "100 workspaces are ready."),
            (100, PoolStatus(ready=70), AT_NINE, WARNING, "70 of 100 workspaces are ready."),
            (100, PoolStatus(ready=70, message="Out of quota."), AT_NINE, FAILED, "ready. Out of quota."),
        ],
    )
    def test_of_each_size(self, size, status, now, state, said):
        check = judge.pool(course(), size, status, now)
        assert (check.state, said in check.message) == (state, True), check
        assert bool(check.hint) == (state != OK)

    def test_one_person_needs_none(self):
        assert judge.pool(course(seats=1), 0, PoolStatus(), NINE).state == SKIPPED


class TestLength:
    @pytest.mark.parametrize(
        ("hours", "profile", "state"),
        [
            (3, {"wall_time": 3 * 3600}, OK),
            (3.5, {"wall_time": 3 * 3600}, WARNING),
            (3.5, {"wall_time": 3 * 3600, "extendable": False}, FAILED),
            (0.25, {"wall_time": 1000}, OK),
        ],
    )
    def test_of_the_class_and_its_workspaces(self, hours, profile, state):
        check = judge.length(course(hours=hours, **profile))
        assert check.state == state
        assert ("wall_time of the profile course" in check.hint) == (state != OK)

    @pytest.mark.parametrize(("seconds", "said"), [(3600, "1 h"), (5400, "1.5 h"), (1000, "17 min")])
    def test_is_said_for_people(self, seconds, said):
        assert judge.span(seconds) == said


class TestProxies:
    @pytest.mark.parametrize(
        ("proxies", "webs", "state", "said"),
        [
            (2, 2, OK, "2 proxies and 2 pods of web"),
            (0, 2, FAILED, "No pod of proxy"),
            (2, 0, FAILED, "No pod of web"),
            (1, 2, WARNING, "one pod of proxy"),
            (2, 1, WARNING, "one pod of web"),
            (1, 0, FAILED, "No pod of web"),
            (None, 2, SKIPPED, "do not run as pods"),
            (2, None, SKIPPED, "do not run as pods"),
        ],
    )
    def test_that_are_ready(self, proxies, webs, state, said):
        check = judge.proxies(proxies, webs)
        assert (check.state, said in check.message) == (state, True), check


class TestAddress:
    LONG, SHORT = NINE + timedelta(days=60), NINE + timedelta(hours=2)

    @pytest.mark.parametrize(
        ("url", "shown", "local", "state", "said"),
        [
            ("http://127.0.0.1:8000", Shown(), True, OK, "Only this machine"),
            ("", Shown(), False, WARNING, "not configured"),
            (URL, Shown(unreachable="Connection refused"), False, WARNING, "the hub: Connection refused"),
            ("http://podium.example.org", Shown(), False, WARNING, "not encrypted"),
            (
                URL,
                Shown(wrong="certificate has expired"),
                False,
                FAILED,
                "refuse https://podium.example.org: c",
            ),
            (
                URL,
                Shown(until=SHORT),
                False,
                FAILED,
                "expires on 2026-03-02 11:00 UTC, before the class ends",
            ),
            (URL, Shown(until=LONG), False, OK, "is good until 2026-05-01 09:00 UTC"),
        ],
    )
    def test_that_people_open(self, url, shown, local, state, said):
        check = judge.address(course(), url, shown, local)
        assert (check.state, said in check.message) == (state, True), check
        assert bool(check.hint) == (state != OK)

    def test_a_certificate_that_lasts_till_the_end_of_the_class(self):
        check = judge.address(course(hours=2), URL, Shown(until=self.SHORT), local=False)
        assert check.state == OK

    def test_a_command_is_a_line_of_its_own(self):
        hint = judge.address(course(), URL, Shown(wrong="unknown issuer"), local=False).hint
        assert hint.splitlines()[-1].startswith("$ kubectl describe certificates")


class TestLaunch:
    WELL = Tried(seconds=(4.25, 9.5), workers=4, way=URL)

    @pytest.mark.parametrize(
        ("tried", "public", "state", "said"),
        [
            (
                WELL,
                URL,
                OK,
                f"answered at {URL} after 4.2 s, over HTTP and WebSocket, and all 4 workers were",
            ),
            (replace(WELL, workers=1), URL, OK, "and its worker was ready after 9.5 s. It is removed"),
            (
                Tried(way=URL, launched=False),
                URL,
                OK,
                f"of the pool answered at {URL}, over HTTP and WebSocket. The",
            ),
            (WELL, "", WARNING, "That is not the way people take"),
            (WELL, "https://elsewhere.example.org", WARNING, "https://elsewhere.example.org is out of reach"),
            (Tried(seconds=(4.25, 4.25), way=URL), URL, OK, "WebSocket. It is removed again."),
            (Tried(seconds=(4.25, 4.25), way=URL, left=True), URL, WARNING, "its end takes long"),
            (Tried(problem="It failed.", hint="Look."), URL, FAILED, "It failed."),
        ],
    )
    def test_that_was_tried(self, tried, public, state, said):
        check = judge.launch(tried, public)
        assert (check.state, said in check.message) == (state, True), check
        assert bool(check.hint) == (state != OK)


@pytest.mark.parametrize(("level", "state"), [("good", OK), ("bad", FAILED), ("unknown", WARNING)])
def test_what_the_doctor_finds_is_said_here_too(level, state):
    check = judge.found("nodes", Finding(level, "Nodes", "none of 3 takes pods.", "Look."))
    assert (check.name, check.state, check.message) == ("nodes", state, "None of 3 takes pods.")
    assert check.hint == "Look."
