"""What is made of the answers of Spark's master, workers and drivers, where that is hard to bring about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from podium_workspace.spark_cluster import PATIENCE, Cluster, parse
from podium_workspace.spark_scheduler import redirected


class Pages:
    """Spark's pages, as far as they are asked for: whatever is not here does not answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"/json/": {"workers": [], "activeapps": []}}
        self.posted: list[tuple[str, Mapping[str, str]]] = []
        self.now = 1000.0
        self.cluster = Cluster(self.get, self.post, lambda: self.now)

    async def get(self, path: str) -> Any:
        """An answer."""
        try:
            return self.answers[path]
        except KeyError:
            raise OSError(path) from None

    async def post(self, path: str, form: Mapping[str, str]) -> None:
        """Note what was sent."""
        self.posted.append((path, form))

    def worker(self, id: str, host: str, state: str = "ALIVE") -> None:
        """The master lists a worker."""
        self.answers["/json/"]["workers"].append({"id": id, "host": host, "state": state})

    def application(self, id: str, jobs: list[Any], tasks_at: Mapping[str, int]) -> None:
        """An application with executors, by worker."""
        self.answers["/json/"]["activeapps"].append({"id": id})
        pages = f"/proxy/{id}/api/v1/applications/{id}"
        self.answers[f"{pages}/jobs?status=running"] = jobs
        self.answers[f"{pages}/executors"] = [{"executorLogs": {}, "activeTasks": 0}] + [
            {"executorLogs": {"stdout": f"/x_spark/proxy/{worker}/logPage?appId={id}"}, "activeTasks": tasks}
            for worker, tasks in tasks_at.items()
        ]

    async def state(self) -> dict[str, Any]:
        """What the hub is told."""
        await self.cluster.once()
        return {
            name: value for name, value in (await self.cluster.state.answer("")).items() if name != "version"
        }


@pytest.fixture
def pages() -> Pages:
    return Pages()


def said(instance: str, *words: str) -> dict[str, Any]:
    """A worker's state, those words true."""
    return {"instance": instance} | {word: word in words for word in ("busy", "draining", "drained")}


async def test_before_the_master_answers_nothing_is_known(pages: Pages) -> None:
    del pages.answers["/json/"]
    await pages.state()
    assert not pages.cluster.known


async def test_what_was_known_stays_when_the_master_does_not_answer(pages: Pages) -> None:
    pages.worker("spark-worker-1.2026.a.1", "a")
    before = await pages.state()
    del pages.answers["/json/"]
    assert await pages.state() == before
    assert pages.cluster.known


async def test_an_instance_is_its_newest_worker_and_dead_ones_are_nobody(pages: Pages) -> None:
    pages.worker("spark-worker-1.20260101000002.a.1", "a")
    pages.worker("spark-worker-1.20260101000001.a.1", "a", "DECOMMISSIONED")
    pages.worker("spark-worker-2.20260101000001.b.1", "b", "DEAD")
    assert await pages.state() == {"busy": False, "workers": [said("spark-worker-1")]}


async def test_a_worker_is_busy_with_tasks_and_a_cluster_with_jobs(pages: Pages) -> None:
    pages.worker("spark-worker-1.1.a.1", "a")
    pages.worker("spark-worker-2.1.b.1", "b")
    pages.application("app-1", [{}], {"spark-worker-1.1.a.1": 1, "spark-worker-2.1.b.1": 0})
    workers = [said("spark-worker-1", "busy"), said("spark-worker-2")]
    assert await pages.state() == {"busy": True, "workers": workers}


async def test_a_session_that_is_only_open_is_no_work_but_a_driver_that_is_silent_may_be(
    pages: Pages,
) -> None:
    pages.application("app-1", [], {})
    assert not (await pages.state())["busy"]
    del pages.answers["/proxy/app-1/api/v1/applications/app-1/jobs?status=running"]
    assert (await pages.state())["busy"]


async def test_a_decommissioned_worker_is_drained_when_it_says_that_it_is_empty(pages: Pages) -> None:
    pages.worker("spark-worker-1.1.a.1", "a", "DECOMMISSIONED")
    assert (await pages.state())["workers"] == [said("spark-worker-1", "draining")], "it says nothing"
    pages.answers["/proxy/spark-worker-1.1.a.1/json/"] = {"executors": [{}]}
    assert (await pages.state())["workers"] == [said("spark-worker-1", "draining")]
    pages.answers["/proxy/spark-worker-1.1.a.1/json/"] = {"executors": []}
    assert (await pages.state())["workers"] == [said("spark-worker-1", "draining", "drained")]


async def test_a_worker_with_a_host_of_its_own_is_decommissioned(pages: Pages) -> None:
    pages.worker("spark-worker-1.1.a.1", "a")
    pages.worker("spark-worker-2.1.b.1", "b")
    await pages.state()
    await pages.cluster.drain({"spark-worker-2", "spark-worker-9"})
    assert pages.posted == [("/workers/kill/", {"host": "b"})]


async def test_workers_that_share_a_host_are_decommissioned_only_together(pages: Pages) -> None:
    for number in (1, 2, 3):
        pages.worker(f"spark-worker-{number}.1.a.{number}", "a")
    pages.application("app-1", [{}], {"spark-worker-2.1.a.2": 1, "spark-worker-1.1.a.1": 1})
    await pages.state()
    await pages.cluster.drain({"spark-worker-2", "spark-worker-3"})
    one = said("spark-worker-1", "busy")
    three = said("spark-worker-3", "draining", "drained")
    assert pages.posted == []
    assert (await pages.state())["workers"] == [one, said("spark-worker-2", "busy", "draining"), three]

    pages.now += PATIENCE
    await pages.cluster.drain({"spark-worker-2"})  # asking again does not begin anew
    pages.now += 1
    over = said("spark-worker-2", "busy", "draining", "drained")
    assert (await pages.state())["workers"] == [one, over, three]

    await pages.cluster.drain({"spark-worker-1", "spark-worker-2", "spark-worker-3"})
    assert pages.posted == [("/workers/kill/", {"host": "a"})]


async def test_a_worker_that_comes_after_one_that_was_asked_to_leave_was_not_asked(pages: Pages) -> None:
    pages.worker("spark-worker-1.1.a.1", "a")
    pages.worker("spark-worker-2.1.a.2", "a")
    await pages.state()
    await pages.cluster.drain({"spark-worker-2"})
    pages.answers["/json/"]["workers"].pop()
    await pages.state()
    pages.worker("spark-worker-2.2.a.2", "a")
    assert (await pages.state())["workers"] == [said("spark-worker-1"), said("spark-worker-2")]


def test_a_page_of_an_error_is_no_answer() -> None:
    with pytest.raises(OSError, match="no JSON"):
        parse(b"<html>")


@pytest.mark.parametrize(
    ("location", "becomes"),
    [
        ("http://127.0.0.1:8081/app/?appId=app-1", "/x_spark/app/?appId=app-1"),
        ("/", "/x_spark/"),
        ("/x_spark/proxy/app-1/jobs/", "/x_spark/proxy/app-1/jobs/"),
        ("https://spark.apache.org/", "https://spark.apache.org/"),
    ],
)
def test_a_redirect_stays_where_the_browser_can_reach_it(location: str, becomes: str) -> None:
    assert redirected(location, "http://127.0.0.1:8081", "/x_spark") == becomes
