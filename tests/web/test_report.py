"""The report after a class, and the files that people take home, at the real web tier."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import sys
import tarfile
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest

from hub import cost
from hub.archives.base import NoArchives
from hub.archives.local import LocalArchives
from hub.archives.remote import RemoteArchives
from hub.cost import Amount
from hub.ending import Home
from hub.ground.local import WORKSPACE_CODE
from hub.room import ArchiveNote, Ended, Room, RoomStatus
from hub.rules import Prices, Rules
from hub.store.base import amend_status
from hub.web.auth import LocalSignIn, Person
from hub.web.report import length
from hub.wire import replace
from tests.builders import NAME, NOW
from tests.waiting import until
from tests.web.serving import CODE, COOKIE_SECRET, PERSON, TOKEN, Web

KEY = f"{NAME}-11111111"
PACKER = (sys.executable, "-P", "-m", "podium_workspace.archive")
HOUR = timedelta(hours=1)


def gone(number: int, **fields: object) -> Ended:
    """Somebody's workspace, which is gone."""
    known = {
        "name": NAME,
        "uid": f"{number}" * 8,
        "owner": f"class-{number}",
        "profile": "workshop",
        "launched": NOW,
        "ended": NOW + HOUR,
        "core_seconds": 7200.0,
        "gib_seconds": 3600.0,
    }
    return Ended(**{**known, **fields})


async def remember(web: Web, *ended: Ended, left: tuple[str, ...] = ()) -> None:
    """Let the Room remember who is gone."""

    def change(room: Room) -> Room:
        return replace(room, status=RoomStatus(ended=ended, left=left))

    await amend_status(web.site.room, change)


async def table(web: Web) -> list[list[str]]:
    """The rows of the report as a spreadsheet has them, without its head."""
    answer = await web.ask("GET", "/report.csv")
    assert answer.status == 200
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))[1:]


def said(text: str) -> str:
    """A page's text, its white space and marks of HTML taken away."""
    return " ".join(html.unescape(text).split())


async def test_every_workspace_is_in_it_those_that_are_gone_and_those_that_are_there(web):
    note = ArchiveNote(bytes=2_000_000, until=NOW + 24 * HOUR)
    lost = gone(2, launched=NOW + HOUR, archive_message="There was no room.", why="idle")
    await remember(web, gone(1, display_name="Ada", why="time", archive=note), lost)
    await web.add(usage=cost.used(None, Amount(1, 1, 0), NOW))
    page = said((await web.ask("GET", "/report")).text)
    assert "Nothing is left behind" in page
    assert "Sunday, 01 March 2026" in page
    for text in (
        "Ada",
        "its time was up",
        "nobody used it",
        "There was no room.",
        "still there",
        "2 MB until",
    ):
        assert text in page, text
    rows = await table(web)
    assert len(rows) == 3
    by_name = {row[1]: row for row in rows}
    assert by_name["Ada"][5:9] == [
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T13:00:00+00:00",
        "60.0",
        "its time was up",
    ]
    assert by_name["Ada"][9:14] == ["2.0000", "1.0000", "0.0000", "", ""]
    assert by_name[PERSON][8] == "still there"
    assert by_name["class-2"][-1] == "There was no room."


async def test_what_it_cost_is_told_in_money_where_there_are_prices(web):
    prices = Prices(currency="EUR", cpu_hour=0.5, memory_gib_hour=0.25)
    web.change_site(rules=Rules(prices=prices))
    await remember(web, gone(1), gone(2))
    page = said((await web.ask("GET", "/report")).text)
    assert "1.25 EUR" in page
    assert "2.50 EUR" in page
    assert [row[12:14] for row in await table(web)] == [["1.2500", "EUR"]] * 2


async def test_what_is_left_behind_is_named(web):
    await remember(web, left=("cluster-left00",))
    page = (await web.ask("GET", "/report")).text
    assert "cluster-left00" in page
    assert "Nothing is left behind" not in page
    assert "No workspace was launched yet" in page


async def test_each_day_has_sums_of_its_own_and_the_last_comes_first(web):
    await remember(web, gone(1), gone(2), gone(3, launched=NOW + 24 * HOUR, ended=NOW + 25 * HOUR))
    page = (await web.ask("GET", "/report")).text
    assert page.index("Monday, 02 March") < page.index("Sunday, 01 March")
    assert page.count("<details") == 2
    assert page.count('<details class="panel day" open') == 1


async def test_a_name_is_text_wherever_it_is_shown(web):
    await remember(web, gone(1, display_name="<b>x</b>"), gone(2, display_name="=1+1"), gone(3, owner=""))
    page = (await web.ask("GET", "/report")).text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert [row[1] for row in await table(web)] == ["<b>x</b>", "'=1+1", "nobody (held ready)"]


@pytest.mark.parametrize("path", ["/report", "/report.csv"])
async def test_it_is_for_instructors(web, path):
    web.change_site(sign_in=LocalSignIn(Person(PERSON), TOKEN, CODE, COOKIE_SECRET, web.port, web.port))
    assert (await web.ask("GET", path)).status == 403


def test_a_length_is_said_in_hours_and_minutes():
    assert length(timedelta(minutes=59.4)) == "59 min"
    assert length(timedelta(minutes=61)) == "1 h 01 min"


# Files.


@pytest.fixture
async def archives(web: Web, tmp_path: Path) -> LocalArchives:
    """Archives with one home of the person who asks."""
    archives = LocalArchives(tmp_path, PACKER, {"PYTHONPATH": str(WORKSPACE_CODE)})
    home = tmp_path / "kept" / f"{NAME}-20260301T120000"
    home.mkdir(parents=True)
    (home / "work.txt").write_text("a day's work")
    await archives.keep(Home(NAME, KEY, PERSON, NOW + 24 * HOUR))
    web.change_site(archives=archives)
    return archives


async def test_somebody_takes_their_files_home(web, archives):
    answer = await web.ask("GET", f"/archives/{KEY}.tar.gz")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/gzip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{KEY}.tar.gz"'
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        file = tar.extractfile("work.txt")
        assert file is not None
        assert file.read() == b"a day's work"


async def test_nobody_else_does_an_instructor_no_more_than_others(web, archives):
    other = Person("eve", role="operator")
    web.change_site(sign_in=LocalSignIn(other, TOKEN, CODE, COOKIE_SECRET, web.port, web.port))
    assert (await web.ask("GET", f"/archives/{KEY}.tar.gz")).status == 404
    assert (await web.ask("GET", f"/archives/{KEY}.tar.gz", "nobody")).status == 302


@pytest.mark.parametrize(
    "key", ["cluster-abc123", f"{NAME}-../x", "..%2f..%2fetc", f"{NAME}-", f"{NAME}-1%00"]
)
async def test_what_is_no_key_leads_nowhere(web, archives, key):
    assert (await web.ask("GET", f"/archives/{key}.tar.gz")).status == 404


async def test_where_nothing_is_kept_there_is_nothing(web):
    web.change_site(archives=NoArchives())
    assert (await web.ask("GET", f"/archives/{KEY}.tar.gz")).status == 404


async def test_an_archive_part_that_is_away_is_told_plainly(web):
    web.change_site(archives=RemoteArchives(web.site.session, "http://127.0.0.1:9", TOKEN))
    answer = await web.ask("GET", f"/archives/{KEY}.tar.gz")
    assert answer.status == 503
    assert "The archive does not answer now." in answer.text


async def test_half_an_archive_never_looks_like_a_whole_one(web, archives, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nhead -c 1000000 /dev/zero\nexit 1\n")
    broken.chmod(0o755)
    web.change_site(archives=LocalArchives(tmp_path, (str(broken),), {}))
    with pytest.raises(aiohttp.ClientPayloadError):
        await web.ask("GET", f"/archives/{KEY}.tar.gz")


async def test_who_leaves_a_download_leaves_nothing_running(web, archives, tmp_path):
    pid = tmp_path / "pid"
    endless = tmp_path / "endless"
    endless.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec cat /dev/zero\n")
    endless.chmod(0o755)
    web.change_site(archives=LocalArchives(tmp_path, (str(endless),), {}))
    asked = asyncio.create_task(web.ask("GET", f"/archives/{KEY}.tar.gz"))
    await until("it has begun", lambda: pid.exists() and pid.read_text().strip())
    number = int(pid.read_text())
    assert psutil.pid_exists(number)
    asked.cancel()
    await until("nothing runs", lambda: not psutil.pid_exists(number))
