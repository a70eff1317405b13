"""How a workspace ends: whether its home is still to be kept, and what is told of it when it is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub import cost, ending
from hub.cost import Amount
from hub.desired import desired
from hub.ending import Kept
from hub.model import Status, Workspace
from hub.observed import Observed
from hub.room import MOST_ENDED, ArchiveNote, Ended, Room, RoomStatus
from hub.settings import Claim, KubernetesSettings
from hub.status import status
from hub.wire import replace
from tests.builders import (
    HUB_KEY,
    NAME,
    NOW,
    SETTINGS,
    been,
    make_workspace,
    notebook,
    saw,
    scheduler,
    seconds,
)


def ending_one(**fields: object) -> Workspace:
    """A workspace that somebody worked in, and that was asked to end."""
    return make_workspace(**{"deleting": True, "status": been("Queued", "Starting", "Ready"), **fields})


def gone(uid: str, **fields: object) -> Ended:
    """One that is gone."""
    known = {"name": NAME, "uid": uid, "owner": "ada", "profile": "workshop", "launched": NOW, "ended": NOW}
    return Ended(**{**known, **fields})


def test_the_notebook_stays_until_its_home_is_kept():
    workspace = ending_one()
    assert ending.waits(workspace, saw(notebook(), scheduler()))
    assert [one.name for one in desired(workspace, HUB_KEY, (), keeping=True)] == ["notebook"]
    assert desired(workspace, HUB_KEY) == []
    noted = ending.noted(workspace, Kept(bytes=10, until=NOW))
    assert not ending.waits(noted, saw(notebook()))


@pytest.mark.parametrize(
    ("why", "workspace", "seen"),
    [
        ("nobody asked for its end", ending_one(deleting=False), saw(notebook())),
        ("nobody can have worked in it", ending_one(status=been("Queued", "Starting")), saw(notebook())),
        ("it was of the pool, and nobody's", ending_one(owner=""), saw(notebook())),
        ("nothing is to be kept", ending_one(settings=replace(SETTINGS, archive_time=0)), saw(notebook())),
        ("its namespace is going already", ending_one(), saw(notebook(), ending=True)),
        ("there is nothing", ending_one(), Observed()),
        ("its home went with its pod", ending_one(), saw(scheduler())),
        ("its home goes with its pod", ending_one(), saw(notebook(terminating=True))),
        ("it does not run", ending_one(), saw(notebook(running=False))),
    ],
)
def test_nothing_waits_where_nothing_can_be_kept(why, workspace, seen):
    assert not ending.waits(workspace, seen), why


def test_a_home_in_a_claim_waits_for_a_notebook_that_is_made_again():
    settings = replace(SETTINGS, kubernetes=KubernetesSettings(home=Claim()))
    assert ending.waits(ending_one(settings=settings), saw())


def test_people_are_told_that_their_files_are_being_kept():
    told = status(ending_one(), saw(notebook(), keeping=True), {}, NOW)
    assert (told.phase, told.reason) == ("Stopping", "KeepingFiles")
    assert told.message.startswith("Keeping your files")


def test_what_became_of_a_home_is_noted_on_the_object():
    workspace = ending_one(stopped="idle")
    assert ending.dealt_with(workspace) is None
    kept = Kept(bytes=7, until=NOW, message="")
    noted = ending.noted(workspace, kept)
    assert ending.dealt_with(noted) == kept
    assert noted.metadata.annotations["podium.hub/stopped"] == "idle"


def test_what_somebody_else_wrote_there_is_no_answer():
    workspace = ending_one()
    for text in ("", "yes", "[]", '{"bytes": "many"}'):
        metadata = replace(workspace.metadata, annotations={ending.ARCHIVED: text})
        assert ending.dealt_with(replace(workspace, metadata=metadata)) is None


def test_a_home_is_its_owners_for_as_long_as_the_profile_says():
    home = ending.home(ending_one(), NOW)
    assert (home.key, home.owner, home.until) == (f"{NAME}-1", "ada", NOW + timedelta(days=7))
    assert ending.home(ending_one(settings=replace(SETTINGS, archive_time=0)), NOW).until is None


def test_what_is_remembered_of_a_workspace():
    usage = cost.used(None, Amount(1, 2, 0), NOW)
    workspace = ending_one(stopped="time", display_name="Ada", status=Status(usage=usage))
    told = ending.ended(workspace, Kept(bytes=5, until=NOW + seconds(60)), NOW + seconds(10))
    assert (told.name, told.owner, told.display_name, told.why) == (NAME, "ada", "Ada", "time")
    assert (told.launched, told.ended) == (NOW, NOW + seconds(10))
    assert (told.core_seconds, told.gib_seconds) == (10, 20)
    assert told.archive == ArchiveNote(bytes=5, until=NOW + seconds(60))
    claimed = ending.ended(ending_one(claimed_at=NOW + seconds(5)), Kept(message="no room"), NOW)
    assert (claimed.launched, claimed.archive) == (NOW + seconds(5), None)
    assert claimed.archive_message == "no room"
    bare = make_workspace(created=None)
    assert ending.ended(bare, Kept(bytes=5), NOW).launched == bare.spec.touched


def test_each_workspace_is_remembered_once_and_the_oldest_forgotten():
    room = ending.remembered(Room(), [gone("1"), gone("2")])
    assert [one.uid for one in room.status.ended] == ["1", "2"]
    assert ending.remembered(room, [gone("2")]) is room, "who was killed after writing writes it again"
    many = ending.remembered(room, [gone(str(number)) for number in range(3, MOST_ENDED + 3)])
    assert len(many.status.ended) == MOST_ENDED
    assert many.status.ended[0].uid == "3"


def test_what_is_left_behind_is_written_when_it_changes():
    room = ending.left_behind(Room(), {"b", "a"})
    assert room.status.left == ("a", "b")
    assert ending.left_behind(room, {"a", "b"}) is room


def test_somebody_finds_their_own_archives_until_their_time_is_over():
    note = ArchiveNote(bytes=5, until=NOW + seconds(60))
    ended = (gone("11111111-2", archive=note), gone("2", archive=note, owner="eve"), gone("3"))
    room = Room(status=RoomStatus(ended=(*ended, gone("4", archive=note))))
    assert [one.uid for one in ending.archives_of(room, "ada", NOW)] == ["4", "11111111-2"]
    assert ending.archives_of(room, "ada", NOW + seconds(60)) == []
    assert ending.link(ended[0]) == f"/archives/{NAME}-11111111.tar.gz"


def test_a_restart_is_due_until_the_notebook_has_followed_it():
    assert not ending.restart_due(make_workspace(), "")
    asked = make_workspace(restarted_at=NOW)
    assert ending.restart_due(asked, "")
    assert ending.restart_due(asked, (NOW + seconds(600)).isoformat()), "whatever the clocks say"
    assert not ending.restart_due(asked, NOW.isoformat())
    env = desired(asked, HUB_KEY)[0].env
    assert env["PODIUM_RESTARTED"] == NOW.isoformat(), "one that is made now need not start again"
    assert "PODIUM_RESTARTED" not in desired(make_workspace(), HUB_KEY)[0].env
