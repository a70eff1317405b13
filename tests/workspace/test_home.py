"""What becomes of the home folder and of the notebook: a real JupyterLab is archived, and starts again."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from hub import notebook
from tests.workspace.conftest import CONTEXT, Site, eventually, send
from tests.workspace.test_notebook import BASE, BEARER, HTTP, Page, answering, state

pytestmark = pytest.mark.slow

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(site: Site) -> Site:
    """A notebook."""
    site.start(notebook.notebook(CONTEXT, [], []))
    return site


@pytest.fixture
async def page(running: Site) -> AsyncIterator[Page]:
    """The hub, which has its token."""
    await answering(running)
    async with aiohttp.ClientSession(headers=BEARER) as session:
        yield Page(running, session)


async def archive(page: Page, query: str = "") -> tuple[int, bytes]:
    """Status and body."""
    async with page.session.get(page.url(f"podium/archive{query}")) as response:
        return response.status, await response.read()


async def test_a_notebook_in_which_nobody_worked_has_nothing_to_keep(page):
    kernel = await page.kernel()
    await kernel.execute("1 + 1")
    await kernel.close()
    assert await archive(page) == (204, b"")


async def test_what_somebody_made_is_in_the_archive(page):
    kernel = await page.kernel()
    await kernel.execute("open('work.txt', 'w').write('a day of work')")
    await kernel.close()
    status, body = await archive(page)
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        file = tar.extractfile("work.txt")
        assert file is not None
        assert file.read() == b"a day of work"


async def test_half_an_archive_never_looks_like_a_whole_one(page):
    (page.site.home / "large").write_bytes(os.urandom(40 * 2**20))
    async with page.session.get(page.url("podium/archive")) as response:
        await response.content.readexactly(1000)
        packers = [
            int(pid)
            for pid in os.listdir("/proc")
            if pid.isdecimal() and b"podium_workspace.archive" in _command(pid)
        ]
        ours = [pid for pid in packers if str(page.site.home).encode() in _command(str(pid))]
        assert len(ours) == 1
        os.kill(ours[0], 9)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    (page.site.home / "large").unlink()


def _command(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


async def test_nobody_else_gets_it_or_starts_it_again(running):
    async with aiohttp.ClientSession() as session:
        stranger = Page(running, session)
        assert (await stranger.get("podium/archive"))[0] == 403
        assert (await stranger.post("podium/restart", {"at": "now"}))[0] == 403
    assert (await state(running)).restarted == ""


async def test_a_limit_that_is_no_number_is_refused(page):
    assert (await archive(page, "?limit=-1"))[0] == 400


async def test_it_starts_again_in_its_place_with_what_is_in_its_home(page):
    kernel = await page.kernel()
    pid = page.site.pid("notebook")
    await _restart(page)

    async def another() -> bool:
        return page.site.running("notebook") and (await answering(page.site)).restarted == AT.isoformat()

    await eventually(another)
    assert page.site.pid("notebook") == pid, "its pod, and the home folder in it, stays"
    assert (await page.get("api/kernels"))[1] == "[]"
    assert (await page.get(f"api/kernels/{kernel.id}"))[0] == 404
    assert (page.site.home / "work.txt").read_text() == "a day of work"
    assert (await archive(page))[0] == 200, "what was there before it started is work all the same"


async def test_being_asked_the_same_again_changes_nothing(page):
    kernel = await page.kernel()
    await _restart(page)
    assert await kernel.execute("print(6 * 7)") == "42\n"
    await kernel.close()


async def _restart(page: Page) -> None:
    request = notebook.restart_request(CONTEXT, AT)
    assert request.path == f"{BASE}podium/restart"
    await send(page.site.url(HTTP), request, notebook.headers(CONTEXT.keys))
