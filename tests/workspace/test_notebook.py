"""The notebook as a workspace runs it: a real JupyterLab, real kernels, real git."""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import notebook
from hub.clusters.dask import DASK
from hub.notebook import COOKIE, NotebookState, base
from hub.settings import Content
from tests.workspace.conftest import CONTEXT, Site, eventually, send

pytestmark = pytest.mark.slow

BEARER = dict(notebook.headers(CONTEXT.keys))
SIGNED_IN = {"Cookie": f"{COOKIE}={notebook.token(CONTEXT.keys)}"}
BASE = base(CONTEXT.name)
HTTP = "notebook.http"


class Page:
    """A browser tab, or whoever else has the credentials in its headers."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self.site = site
        self.session = session

    def url(self, path: str) -> str:
        return self.site.url(HTTP, BASE + path)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        async with self.session.get(self.url(path), allow_redirects=False) as response:
            return response.status, await response.text(errors="replace")

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.session.post(self.url(path), json=body or {}, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def kernel(self) -> Kernel:
        """Start a kernel and open its channels."""
        status, model = await self.post("api/kernels")
        assert status == 201, model
        return Kernel(self, model["id"], await self.channels(model["id"]))

    async def channels(self, kernel: str, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """The WebSocket that a notebook has to its kernel."""
        return await self.session.ws_connect(self.url(f"api/kernels/{kernel}/channels"), headers=headers)


class Kernel:
    """A kernel with one notebook open on it."""

    def __init__(self, page: Page, kernel: str, channel: aiohttp.ClientWebSocketResponse) -> None:
        self.page, self.id, self._channel = page, kernel, channel

    async def say(self, message: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send a message; returns its id."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": message, "session": "s", "username": "", "version": "5.3"}
        whole = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self._channel.send_json({**whole, "channel": channel})
        return number

    async def hear(self, to: str) -> str:
        """What the kernel wrote in answer to a message, once it is idle again."""
        text = ""
        while True:
            message = await self._channel.receive_json()
            if message["parent_header"].get("msg_id") != to:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                text += content["text"]
            elif message["msg_type"] == "error":
                text += f"{content['ename']}: {content['evalue']}"
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return text

    async def execute(self, code: str) -> str:
        """Run a cell."""
        return await self.hear(await self.say("execute_request", {"code": code, "silent": False}))

    async def close(self) -> None:
        """Close the notebook and shut the kernel down."""
        await self._channel.close()
        async with self.page.session.delete(self.page.url(f"api/kernels/{self.id}")) as response:
            assert response.status == 204


async def state(site: Site, since: str = "") -> NotebookState:
    """What the notebook says of itself."""
    return notebook.read_state(
        await send(site.url(HTTP), notebook.state_request(CONTEXT, since), notebook.headers(CONTEXT.keys))
    )


async def answering(site: Site) -> NotebookState:
    """Wait until the notebook answers."""

    async def answer() -> NotebookState | None:
        assert site.running("notebook"), site.log("notebook").read_text()
        try:
            return await state(site)
        except aiohttp.ClientConnectionError:
            return None

    answered = await eventually(answer)
    assert isinstance(answered, NotebookState)
    return answered


def git(*arguments: str, cwd: Path) -> None:
    """Run git as somebody."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with a tutorial in it."""
    folder = tmp_path_factory.mktemp("origin") / "course.git"
    folder.mkdir()
    git("init", "-b", "main", cwd=folder)
    (folder / "tutorial").mkdir()
    (folder / "tutorial" / "one.ipynb").write_text("{}")
    (folder / "notes.txt").write_text("first\n")
    git("add", ".", cwd=folder)
    git("commit", "-m", "one", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def running(site: Site, course: Path) -> Site:
    """A notebook with content: one repository that is there, one that is not, one without the branch."""
    content = (
        Content(git=f"file://{course}", path="tutorial"),
        Content(git="file:///nowhere/missing"),
        Content(git=f"file://{course}", ref="v2"),
    )
    site.start(DASK.scheduler(CONTEXT))
    site.start(DASK.worker(CONTEXT, 1), "dask-worker-1")
    site.start(notebook.notebook(CONTEXT, [DASK.notebook(CONTEXT)], content))
    return site


@pytest.fixture
async def page(running: Site) -> AsyncIterator[Page]:
    """The hub's own access; waits until the notebook answers."""
    await answering(running)
    async with aiohttp.ClientSession(headers=BEARER) as session:
        yield Page(running, session)


@pytest.fixture
async def tab(running: Site) -> AsyncIterator[Page]:
    """The owner's browser."""
    await answering(running)
    async with aiohttp.ClientSession(headers=SIGNED_IN) as session:
        yield Page(running, session)


@pytest.mark.parametrize(
    "headers", [{}, {"Cookie": f"{COOKIE}=wrong"}, {"Authorization": "Bearer wrong"}, {"Cookie": "x=y"}]
)
async def test_a_stranger_is_sent_to_the_hub_or_refused(page: Page, headers: dict[str, str]) -> None:
    kernel = await page.kernel()
    async with aiohttp.ClientSession(headers=headers) as session:
        stranger = Page(page.site, session)
        async with session.get(stranger.url("lab/tree/x?a=b"), allow_redirects=False) as response:
            assert response.status == 302
            assert response.headers["Location"] == (
                "/workspaces/cluster-abc123/open?next=%2Fcluster-abc123%2Flab%2Ftree%2Fx%3Fa%3Db"
            )
        for path in ("api/kernels", "api/contents", "podium/state", "dask/clusters"):
            assert (await stranger.get(path))[0] == 403, path
        for path in ("files/course/notes.txt", "proxy/22/", "cluster-abc123_dask/status", "metrics"):
            assert (await stranger.get(path))[0] in (302, 403), path
        assert (await stranger.get("api"))[0] == 200, "by which a backend tells that it is ready"
        assert (await stranger.post("api/kernels"))[0] == 403
        for path in (f"api/kernels/{kernel.id}/channels", "terminals/websocket/1", "lsp/ws/pylsp"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(stranger.url(path))
    await kernel.close()


async def test_no_token_in_an_address_is_taken(page: Page) -> None:
    async with aiohttp.ClientSession() as session:
        stranger = Page(page.site, session)
        token = notebook.token(CONTEXT.keys)
        assert (await stranger.get(f"api/kernels?token={token}"))[0] == 403
        assert (await stranger.get("api/kernels?token="))[0] == 403


async def test_the_owner_comes_in_by_cookie_and_the_hub_by_header(page: Page, tab: Page) -> None:
    for visitor in (page, tab):
        status, body = await visitor.get("lab")
        assert status == 200
        assert "JupyterLab" in body
        assert notebook.token(CONTEXT.keys) not in body
        assert (await visitor.get("api/kernels"))[0] == 200


async def test_a_cookie_alone_changes_nothing_without_the_xsrf_token(tab: Page) -> None:
    assert (await tab.post("api/kernels"))[0] == 403
    async with tab.session.get(tab.url("lab")) as response:
        xsrf = response.cookies["_xsrf"].value
    both = f"{SIGNED_IN['Cookie']}; _xsrf={xsrf}"
    status, model = await tab.post("api/kernels", Cookie=both, **{"X-XSRFToken": xsrf})
    assert status == 201
    async with tab.session.delete(
        tab.url(f"api/kernels/{model['id']}"), headers={"Cookie": both, "X-XSRFToken": xsrf}
    ) as response:
        assert response.status == 204


async def test_a_page_of_another_site_cannot_open_a_kernels_channels(page: Page, tab: Page) -> None:
    kernel = await page.kernel()
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await tab.channels(kernel.id, Origin="http://evil.example")
    own = await tab.channels(kernel.id, Origin=tab.site.url(HTTP))
    await own.close()
    await kernel.close()


async def test_a_page_behind_something_that_ends_tls_opens_a_kernels_channels(page: Page, tab: Page) -> None:
    """The browser says https of its page, and the request that comes here is of http."""
    secure = tab.site.url(HTTP).replace("http:", "https:")
    kernel = await page.kernel()
    own = await tab.channels(kernel.id, Origin=secure)
    await own.close()
    for foreign in (f"{secure}.evil.example", "https://evil.example", "null"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await tab.channels(kernel.id, Origin=foreign)
    await kernel.close()


async def test_a_name_that_is_not_this_machines_is_refused(tab: Page) -> None:
    async with tab.session.get(tab.url("lab"), headers={"Host": "rebound.example"}) as response:
        assert response.status == 403


async def test_a_bare_client_in_a_kernel_computes_on_the_cluster(page: Page) -> None:
    kernel = await page.kernel()
    said = await kernel.execute(
        "from distributed import Client\n"
        "client = Client()\n"
        "print(client.submit(sum, [1, 2, 39]).result(), client.dashboard_link)\n"
        "client.close()"
    )
    assert said == "42 /cluster-abc123_dask/status\n"
    await kernel.close()


async def test_a_kernel_has_no_secret_in_its_environment_and_talks_where_only_the_owner_can_listen(
    page: Page,
) -> None:
    kernel = await page.kernel()
    said = await kernel.execute("import os; print(dict(os.environ))")
    for secret in (notebook.token(CONTEXT.keys), CONTEXT.keys.token("dask")):
        assert secret not in said
    said = await kernel.execute(
        "import json\n"
        "from ipykernel.connect import get_connection_file\n"
        "folder = os.path.dirname(get_connection_file())\n"
        "print(json.load(open(get_connection_file()))['transport'], oct(os.stat(folder).st_mode & 0o777))"
    )
    assert said == "ipc 0o700\n"
    await kernel.close()


async def test_an_executing_kernel_makes_the_notebook_busy_until_it_is_done(page: Page) -> None:
    kernel = await page.kernel()
    before = await state(page.site)
    assert not before.busy
    cell = await kernel.say(
        "execute_request", {"code": "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)"}
    )
    during = await state(page.site, before.version)
    assert during.busy
    (page.site.home / "go").touch()
    await kernel.hear(cell)
    after = await state(page.site, during.version)
    assert not after.busy
    assert after.last_activity is not None
    assert during.last_activity is not None
    assert during.last_activity < after.last_activity <= datetime.now(UTC)
    await kernel.close()


async def test_an_open_tab_is_no_activity(page: Page, tab: Page) -> None:
    kernel = await page.kernel()
    await kernel.execute("1")
    _, terminal = await page.post("api/terminals")
    async with page.session.ws_connect(page.url(f"terminals/websocket/{terminal['name']}")) as channel:
        # A shell that has become something silent writes no prompt any more.
        await channel.send_json(["stdin", "exec sleep 1000\r"])
        seen = ""
        while "exec sleep 1000\r\n" not in seen:
            kind, *said = await channel.receive_json()
            seen += "".join(said) if kind == "stdout" else ""
    before = await state(page.site)
    assert before.last_activity is not None

    for path in ("kernels", f"kernels/{kernel.id}", "sessions", "terminals", "contents", "status", "me"):
        assert (await tab.get(f"api/{path}"))[0] == 200
    for path in ("lab", "lab/api/settings", "dask/clusters", "podium/state"):
        assert (await tab.get(path))[0] == 200
    # What JupyterLab sends when it opens a notebook, or comes back after the network was away.
    for message, channel in (
        ("kernel_info_request", "shell"),
        ("kernel_info_request", "control"),
        ("comm_info_request", "shell"),
        ("create_subshell_request", "control"),
        ("list_subshell_request", "control"),
    ):
        await kernel.hear(await kernel.say(message, {}, channel))
    again = await tab.channels(kernel.id)
    await again.close()
    await asyncio.sleep(1.5)  # longer than the notebook needs to look, so that it would be seen

    assert (await state(page.site)).last_activity == before.last_activity
    async with page.session.delete(page.url(f"api/terminals/{terminal['name']}")) as response:
        assert response.status == 204
    await kernel.close()


async def test_writing_in_a_terminal_is_activity_and_finds_the_workspaces_python(page: Page) -> None:
    _, terminal = await page.post("api/terminals")
    before = await state(page.site)
    async with page.session.ws_connect(page.url(f"terminals/websocket/{terminal['name']}")) as channel:
        await channel.send_json(["stdin", "python -c 'import distributed; print(40 + 2, \"here\")'\r"])
        seen = ""
        while "42 here" not in seen:
            seen += json.dumps(await channel.receive_json())

    async def later() -> bool:
        now = (await state(page.site)).last_activity
        return now is not None and (before.last_activity is None or now > before.last_activity)

    await eventually(later)
    async with page.session.delete(page.url(f"api/terminals/{terminal['name']}")) as response:
        assert response.status == 204


async def test_content_is_there_when_the_notebook_opens_and_what_failed_is_a_warning(
    page: Page, course: Path
) -> None:
    assert (page.site.home / "course" / "notes.txt").read_text() == "first\n"
    async with page.session.get(page.url(""), allow_redirects=False) as response:
        assert response.headers["Location"].rstrip("?") == f"{BASE}lab/tree/course/tutorial"
    assert not (page.site.home / "missing").exists()
    missing, branch = (await state(page.site)).warnings
    assert missing.startswith("Course material from file:///nowhere/missing could not be fetched: ")
    assert "'/nowhere/missing' does not" in missing
    assert branch == (
        f"Course material from file://{course} could not be fetched: it has no branch or tag v2."
    )


async def test_the_dask_extension_is_sent_to_the_dashboard_and_manages_no_clusters(tab: Page) -> None:
    settings = json.loads((await tab.get("lab/api/settings/dask-labextension:plugin"))[1])
    defaults = {name: entry["default"] for name, entry in settings["schema"]["properties"].items()}
    assert defaults["defaultURL"] == "/cluster-abc123_dask"
    assert defaults["hideClusterManager"] is True
    # It makes this of the default URL.
    for path in ("cluster-abc123_dask/status?x=1", "/cluster-abc123_dask/status?x=1"):
        async with tab.session.get(tab.url(path), allow_redirects=False) as response:
            assert response.status == 302
            assert response.headers["Location"] == "/cluster-abc123_dask/status?x=1"
    assert await tab.get("dask/clusters") == (200, "[]")
    assert (await tab.get("cluster-zzz999_dask/status"))[0] == 404


async def test_jupyterlab_asks_nobody_for_news_or_updates(tab: Page) -> None:
    body = (await tab.get("lab"))[1]
    assert '"news": {"disabled": true}' in body
    assert json.loads((await tab.get("lab/api/update"))[1])["notification"] is None


async def test_a_restart_keeps_what_was_changed_and_brings_what_is_new(page: Page, course: Path) -> None:
    mine = page.site.home / "course" / "notes.txt"
    mine.write_text("mine\n")
    (course / "notes.txt").write_text("second\n")
    (course / "new.txt").write_text("new\n")
    git("add", ".", cwd=course)
    git("commit", "-m", "two", cwd=course)
    assert page.site.end("notebook") == 0
    assert list((page.site.home.parent / "tmp").glob("podium-*")) == []
    content = (Content(git=f"file://{course}"),)
    page.site.start(notebook.notebook(CONTEXT, [DASK.notebook(CONTEXT)], content))
    assert (await answering(page.site)).warnings == ()
    assert mine.read_text() == "mine\n"
    assert (mine.parent / "new.txt").read_text() == "new\n"
