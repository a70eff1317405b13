"""The whole story as a person lives it: click, compute on three clusters, look, scale, extend, stop."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from hub import tools
from tests.browser.browsing import Notebook, browser, chromium, follow_links, look, photograph
from tests.running import RunningHub, running_hub

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

CONFIG = """
c = get_config()
HOUR = 3600
c.Podium.profiles = {{
    "workshop": {{
        "title": "Workshop",
        "description": "Dask and IPyParallel at once; Spark is one click away.",
        "clusters": {{"dask": {{}}, "ipyparallel": {{}}}},
        "workers": 2,
        "max_workers": 6,
        "resources": {{"worker": {{"cpu": 1, "memory": "1Gi"}}}},
        "content": [{{"git": "{course}"}}, {{"git": "file:///nowhere/at-all"}}],
        "wall_time": 8 * HOUR,
        "idle_time": 2 * HOUR,
    }},
    "notebook": {{"title": "Notebook", "description": "JupyterLab alone."}},
}}
"""

DASK = """
from distributed import Client
client = Client()
squares = client.gather(client.map(lambda x: x * x, range(100)))
print("dask says", sum(squares), len(client.scheduler_info()["workers"]))
"""
IPYPARALLEL = """
import ipyparallel as ipp
engines = ipp.Client()
print("engines say", sum(engines[:].map_sync(lambda x: x * x, range(100))), len(engines))
"""
SPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rdd = spark.sparkContext.parallelize(range(100), 4)
print("spark says", rdd.map(lambda x: x * x).sum(), spark.sparkContext.master)
"""
SERVER = """
import subprocess, sys, pathlib
pathlib.Path("site").mkdir(exist_ok=True)
pathlib.Path("site/index.html").write_text("<title>mine</title><h1>My own program</h1>")
command = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "site"]
server = subprocess.Popen(command)
print("server started")
"""
COMPUTE = """
import time
from distributed import get_worker
def slow(x):
    time.sleep(0.25)
    get_worker().log_event("runs", x)
    return x * x
kept = client.scatter({"key": "survives"})
futures = client.map(slow, range(120), key=[f"slow-{x}" for x in range(120)])
print("compute", sum(client.gather(futures)), kept["key"].result(), len(client.get_events("runs")))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of course material in a git repository."""
    return f"file://{make_course(tmp_path_factory.mktemp('material') / 'course')}"


def make_course(folder: Path) -> Path:
    """A git repository with a lesson in it."""
    folder.mkdir()
    (folder / "lesson.md").write_text("# Lesson one\n")
    git = ("git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "a lesson")):
        subprocess.run([*git, *command], check=True)
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, course: str) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("story"), CONFIG.format(course=course)) as hub:
        yield hub


@pytest.fixture(scope="module")
def context(hub: RunningHub) -> Iterator[BrowserContext]:
    with browser() as started:
        context = started.new_context(base_url=hub.url)
        yield context
        for number, page in enumerate(context.pages):
            photograph(page, f"at-the-end-{number}")


def test_the_whole_story(hub: RunningHub, context: BrowserContext) -> None:
    page = context.new_page()
    name = click_launch(page)
    same_workspace_everywhere(context, name)
    notebook = Notebook(page)
    notebook.run(DASK, "dask says 328350 2")
    notebook.run(IPYPARALLEL, "engines say 328350 2")
    content_is_there(notebook)
    workspace = context.new_page()
    workspace.goto(f"/workspaces/{name}")
    expect(workspace.get_by_role("heading", name="Your workspace is ready")).to_be_visible()
    expect(workspace.get_by_label("Notes")).to_contain_text("at-all")
    look(workspace, "workspace")
    dask_dashboard(context, name)
    lab_extension(page)
    engine_view(context, name)
    own_program(context, notebook, name, hub)
    scale_while_computing(workspace, notebook)
    if tools.java().path:
        add(workspace, "spark", 2)
        notebook.run(SPARK, "spark says 328350 spark://", patience=150)
        spark_pages(context, name)
    else:
        expect(card(workspace, "spark")).to_contain_text("Not available here")
    remove(workspace, "ipyparallel")
    extend(workspace, hub, name)
    stop(workspace)
    assert {found.mark.instance for found in hub.processes()} == {"proxy"}


def click_launch(page: Page) -> str:
    """Click the button and wait for JupyterLab. Returns the workspace's name."""
    page.goto("/")
    expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()
    look(page, "home")
    page.get_by_role("radio", name="Workshop").focus()
    page.get_by_role("button", name="Launch cluster").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/workspaces/cluster-\w+\?launched=1"))
    name = page.url.split("/workspaces/")[1].partition("?")[0]
    photograph(page, "launching")
    page.wait_for_url(re.compile(rf"/{name}/lab"), timeout=120_000)
    expect(page.locator(".jp-Launcher")).to_be_visible(timeout=60_000)
    photograph(page, "jupyterlab")
    return name


def same_workspace_everywhere(context: BrowserContext, name: str) -> None:
    """A second tab, and one without scripts, lead to the same workspace."""
    tab = context.new_page()
    tab.goto("/")
    expect(tab.get_by_role("link", name="Open notebook")).to_have_attribute(
        "href", f"/workspaces/{name}/open"
    )
    look(tab, "home-with-workspace")
    tab.close()
    assert context.browser is not None
    plain = context.browser.new_context(
        base_url=str(context.pages[0].url).partition("/cluster")[0], java_script_enabled=False
    )
    other = plain.new_page()
    other.goto(f"/workspaces/{name}")
    expect(other.locator("main noscript .note")).to_be_visible()
    photograph(other, "workspace-without-scripts")
    plain.close()


def content_is_there(notebook: Notebook) -> None:
    """The good repository is in the home folder."""
    notebook.run(
        "import pathlib; print(pathlib.Path.home().joinpath('course/lesson.md').read_text())", "Lesson one"
    )


def dask_dashboard(context: BrowserContext, name: str) -> None:
    """The status page draws plots from a WebSocket, and every page that it links to answers."""
    page = context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"/{name}_dask/status")
    expect(page.locator("canvas").first).to_be_visible(timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.bk-Figure, .bk-Column').length > 3", timeout=60_000)
    assert any(f"/{name}_dask/status/ws" in url for url in sockets)
    photograph(page, "dask-status")
    statuses = follow_links(page, f"/{name}_dask/")
    assert len(statuses) > 8
    assert {url: status for url, status in statuses.items() if status != 200} == {}
    page.goto(f"/{name}_dask/workers")
    expect(page.get_by_text("dask-worker-1").first).to_be_visible(timeout=60_000)
    photograph(page, "dask-workers")
    page.close()


def lab_extension(page: Page) -> None:
    """The Dask panel in JupyterLab shows the dashboard that runs."""
    page.get_by_role("tab", name=re.compile("Dask")).click()
    button = page.locator(".dask-DashboardItem, .dask-DashboardListing-item").first
    expect(button).to_be_visible(timeout=30_000)
    expect(button).to_be_enabled(timeout=30_000)
    photograph(page, "lab-dask-panel")
    page.get_by_role("tab", name=re.compile("File Browser")).click()


def engine_view(context: BrowserContext, name: str) -> None:
    """The view of the engines shows them."""
    page = context.new_page()
    page.goto(f"/{name}_ipyparallel/")
    expect(page.get_by_text("ipyparallel-worker-2").first).to_be_visible()
    look(page, "ipyparallel")
    page.close()


def own_program(context: BrowserContext, notebook: Notebook, name: str, hub: RunningHub) -> None:
    """A web program started in the notebook is at its port's address."""
    from tests.running import free_port

    port = free_port()
    notebook.run(SERVER.format(port=port), "server started")
    page = context.new_page()
    hub.wait("the program answers", lambda: page.goto(f"/{name}_{port}/").ok or None)  # type: ignore[union-attr]
    expect(page.get_by_role("heading", name="My own program")).to_be_visible()
    page.close()


def card(page: Page, framework: str) -> Locator:
    return page.locator(f"[data-framework={framework}]")


def scale(page: Page, framework: str, workers: int) -> None:
    """Type a number of workers and wait until they are ready."""
    field = card(page, framework).get_by_role("spinbutton")
    field.fill(str(workers))
    field.press("Enter")
    ready(page, framework, workers)


def ready(page: Page, framework: str, workers: int) -> None:
    expect(card(page, framework)).to_contain_text(
        re.compile(rf"(?<!of ){workers} workers? ready"), timeout=90_000
    )


def scale_while_computing(page: Page, notebook: Notebook) -> None:
    """From 2 to 6 and back while tasks run: results right, nothing finished is done again, keys survive."""
    notebook.start(COMPUTE)
    slider = card(page, "dask").get_by_role("slider")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    ready(page, "dask", 6)
    look(page, "workspace-scaled")
    scale(page, "dask", 2)
    notebook.says("compute 568820 survives 120")


def add(page: Page, framework: str, workers: int) -> None:
    """Add a framework with a click and wait for its workers."""
    card(page, framework).get_by_role("button", name=re.compile("^Add")).click()
    ready(page, framework, workers)


def spark_pages(context: BrowserContext, name: str) -> None:
    """Master, workers and the running application: every page and every link."""
    page = context.new_page()
    page.goto(f"/{name}_spark/")
    expect(page.get_by_text("2 Alive")).to_be_visible()
    photograph(page, "spark-master")
    page.locator("a[href*='/proxy/spark-worker']").first.click()
    expect(page.get_by_text("Spark Worker at")).to_be_visible()
    photograph(page, "spark-worker")
    page.goto(f"/{name}_spark/")
    page.locator("a[href*='/proxy/app-']").first.click()
    expect(page.get_by_text("Spark Jobs").first).to_be_visible()
    photograph(page, "spark-application")
    statuses = follow_links(page, f"/{name}_spark/", most=40)
    assert len(statuses) > 8
    assert {url: status for url, status in statuses.items() if status != 200} == {}
    page.close()


def remove(page: Page, framework: str) -> None:
    """Remove a framework; its dialog asks first."""
    card(page, framework).get_by_role("button", name=re.compile("^Remove")).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(card(page, framework).get_by_role("button", name=re.compile("^Add"))).to_be_visible(timeout=30_000)


def extend(page: Page, hub: RunningHub, name: str) -> None:
    """A click gives the full time again."""
    before = hub.get(name)["spec"]["expires"]
    page.get_by_role("button", name=re.compile("^Extend to")).first.click()
    hub.until(name, "ends later", lambda w: w["spec"]["expires"] > before)
    expect(page.get_by_text("At most")).to_be_visible()


def stop(page: Page) -> None:
    """Stop, confirm, and arrive at the home page."""
    page.get_by_role("button", name="Stop", exact=True).click()
    photograph(page, "stop-dialog")
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    page.wait_for_url(re.compile(r"/(\?.*)?$"), timeout=60_000)
    expect(page.get_by_role("button", name="Launch cluster")).to_be_visible()
