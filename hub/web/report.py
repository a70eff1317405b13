"""What came of a class: every workspace there was, what is left of any, and what all of it cost.

It is what the Room remembers, and what there is now. Nothing here may change anything.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from hub.cost import Amount, money, of_workspace, said
from hub.model import Workspace
from hub.room import Ended, Room
from hub.rules import Prices
from hub.web.api import ApiHandler
from hub.web.pages import PageHandler, size
from hub.web.room_api import harmless

COLUMNS = (
    *("day", "name", "identity", "workspace", "profile", "launched", "ended", "minutes", "why ended"),
    *("core hours", "GiB hours", "GPU hours", "cost", "currency", "archive bytes", "archive until", "remark"),
)
WHY = {"time": "its time was up", "idle": "nobody used it", "lost": "its namespace was deleted"}
HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """One workspace.

    Args:
        gone: what is remembered of it; for one that is still there, what would be if it ended now.
        there: whether it is still there.
    """

    gone: Ended
    there: bool = False

    @property
    def day(self) -> date:
        """When it was launched, in UTC."""
        return self.gone.launched.date()

    @property
    def used(self) -> Amount:
        """What it used."""
        return Amount(self.gone.core_seconds, self.gone.gib_seconds, self.gone.gpu_seconds)

    @property
    def length(self) -> timedelta:
        """How long it was there."""
        return max(timedelta(), self.gone.ended - self.gone.launched)

    @property
    def who(self) -> str:
        """Whose it was."""
        return self.gone.display_name or self.gone.owner or "nobody (held ready)"

    @property
    def end(self) -> str:
        """How it ended."""
        if self.there:
            return "still there"
        return WHY.get(self.gone.why, "stopped")

    @property
    def files(self) -> str:
        """What became of the home folder."""
        archive = self.gone.archive
        if archive is not None:
            return f"{size(archive.bytes)} until {archive.until:%d %b}"
        return self.gone.archive_message

    @property
    def lost(self) -> bool:
        """Whether files were to be kept, and are not."""
        return bool(self.gone.archive_message)


@dataclass(frozen=True)
class Day:
    """All that was launched on one day."""

    date: date
    rows: Sequence[Row]

    @property
    def people(self) -> int:
        """How many had one; neither the pool nor a preflight is somebody."""
        return len({row.gone.owner for row in self.rows} - {"", "preflight"})

    @property
    def there(self) -> int:
        """How many are still there."""
        return sum(row.there for row in self.rows)

    @property
    def kept(self) -> int:
        """How many home folders are kept."""
        return sum(row.gone.archive is not None for row in self.rows)

    @property
    def lost(self) -> int:
        """How many could not be."""
        return sum(row.lost for row in self.rows)

    def cost(self, prices: Prices) -> str:
        """What all of it cost."""
        return said(total(self.rows), prices)


def total(rows: Iterable[Row]) -> Amount:
    """What workspaces used together."""
    return sum((row.used for row in rows), Amount())


def days(room: Room, workspaces: Iterable[Workspace], now: datetime) -> list[Day]:
    """Everything, the newest day first, and in each what was launched first."""
    present = {workspace.metadata.uid: workspace for workspace in workspaces}
    rows = [Row(one) for one in room.status.ended if one.uid not in present]
    rows += [Row(as_if_ended(workspace, now), there=True) for workspace in present.values()]
    rows.sort(key=lambda row: (row.day, row.gone.launched, row.gone.name))
    return [Day(day, tuple(same)) for day, same in groupby(rows, key=lambda row: row.day)][::-1]


def as_if_ended(workspace: Workspace, now: datetime) -> Ended:
    """What would be remembered of a workspace that ended now."""
    spec, used = workspace.spec, of_workspace(workspace, now)
    return Ended(
        name=workspace.name,
        uid=workspace.metadata.uid,
        owner=spec.owner,
        display_name=spec.display_name,
        profile=spec.profile,
        launched=spec.claimed_at or workspace.metadata.creation_timestamp or spec.touched,
        ended=now,
        core_seconds=used.cores,
        gib_seconds=used.gib,
        gpu_seconds=used.gpus,
    )


def as_csv(found: Iterable[Day], prices: Prices) -> str:
    """All rows. A name that begins like a formula is made harmless, for a spreadsheet would run it."""
    text = io.StringIO()
    text.write("\ufeff")  # or Excel would take it for another encoding
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for day in found:
        for row in day.rows:
            gone, archive = row.gone, row.gone.archive
            cells = (
                *(day.date.isoformat(), row.who, gone.owner, gone.name, gone.profile),
                gone.launched.isoformat(timespec="seconds"),
                "" if row.there else gone.ended.isoformat(timespec="seconds"),
                f"{row.length.total_seconds() / 60:.1f}",
                row.end,
                *(f"{part / HOUR:.4f}" for part in (gone.core_seconds, gone.gib_seconds, gone.gpu_seconds)),
                f"{money(row.used, prices):.4f}" if prices.currency else "",
                prices.currency,
                archive.bytes if archive else "",
                archive.until.isoformat(timespec="seconds") if archive else "",
                gone.archive_message,
            )
            writer.writerow(harmless(str(cell)) for cell in cells)
    return text.getvalue()


class ReportHandler(PageHandler):
    """The report, for instructors."""

    least = "instructor"

    async def get(self) -> None:
        """Show it."""
        room, now = await self.site.room.get(), self.now()
        self.page(
            "report.html",
            days=days(room, await self.site.store.list(), now),
            left=room.status.left,
            prices=self.site.rules.prices,
            said=said,
            length=length,
        )


class ReportTableHandler(ApiHandler):
    """The same for spreadsheets."""

    least = "instructor"

    async def get(self) -> None:
        """Send it as CSV. Source: RFC 4180."""
        room = await self.site.room.get()
        found = days(room, await self.site.store.list(), self.now())
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="report.csv"')
        self.finish(as_csv(found, self.site.rules.prices))


def length(span: timedelta) -> str:
    """A length of time for people.

    >>> length(timedelta(minutes=61))
    '1 h 01 min'
    """
    minutes = round(span.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


ROUTES = [(r"/report", ReportHandler), (r"/report\.csv", ReportTableHandler)]
