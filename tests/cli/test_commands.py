"""What each command does, says and ends with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from hub.model import ClusterStatus
from tests.cli.podium import Podium, complaint, said
from tests.waiting import until
from tests.web.serving import MINE, Web


async def becomes_ready(web: Web, name: str) -> None:
    """Each step is told before the next one comes."""
    for message in ("Making folders and keys.", "Starting the notebook.", "Starting the notebook."):
        await web.heard()
        await web.report(name, phase="Starting", message=message)
    await web.heard()
    await web.report(name, phase="Ready", message="")


async def fails(web: Web, name: str) -> None:
    await web.heard()
    await web.report(name, phase="Failed", message="The notebook ended.", log=("one", "two: no memory"))


class TestLaunch:
    def test_says_each_step_once(self, podium: Podium) -> None:
        result = podium.with_controller(becomes_ready, "launch")
        (workspace,) = podium.hub.run(podium.hub.web.everything())
        assert result.stderr.splitlines() == [
            *("Waiting to be started.", "Making folders and keys.", "Starting the notebook.")
        ]
        address = f"http://127.0.0.1:{podium.hub.web.port}/workspaces/{workspace.name}/open"
        assert said(result) == f"{workspace.name} is ready: {address}\n"
        assert workspace.spec.profile == "workshop"  # the first of the menu

    def test_as_json_prints_the_object_alone(self, podium: Podium) -> None:
        result = podium.with_controller(becomes_ready, "launch", "--profile", "notebook", "--json")
        made = json.loads(said(result))
        assert (made["spec"]["profile"], made["status"]["phase"]) == ("notebook", "Ready")
        assert result.stderr == ""

    def test_without_waiting(self, podium: Podium) -> None:
        text = said(podium("launch", "--no-wait"))
        (workspace,) = podium.hub.run(podium.hub.web.everything())
        assert text == f"{workspace.name} is on its way: {podium.hub.web.url}/workspaces/{workspace.name}\n"

    def test_a_second_time_finds_the_first(self, podium: Podium) -> None:
        first = json.loads(said(podium("launch", "--no-wait", "--json")))
        assert json.loads(said(podium("launch", "--no-wait", "--json"))) == first

    def test_of_what_is_ready_already_says_so_at_once(self, podium: Podium) -> None:
        name = json.loads(said(podium("launch", "--no-wait", "--json")))["metadata"]["name"]
        podium.hub.run(podium.hub.web.report(name, phase="Ready"))
        result = podium("launch")
        assert said(result).startswith(f"{name} is ready")
        assert result.stderr == ""

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_that_fails_says_why_with_the_last_lines(self, podium: Podium, options: list[str]) -> None:
        result = podium.with_controller(fails, "launch", *options)
        assert result.exit_code == 1
        assert result.stderr.endswith("The notebook ended.\none\ntwo: no memory\n")
        assert "is ready" not in result.stdout
        if options:
            assert json.loads(result.stdout)["status"]["phase"] == "Failed"

    def test_that_somebody_stops_meanwhile(self, podium: Podium) -> None:
        async def stopped(web: Web, name: str) -> None:
            await web.heard()
            await web.store.delete(name)
            await web.finish(name)

        result = podium.with_controller(stopped, "launch")
        assert result.exit_code == 4
        assert result.stderr.splitlines()[-1].endswith("was stopped.")

    def test_while_the_hub_goes_away(self, podium: Podium) -> None:
        async def cut(web: Web, name: str) -> None:
            await web.heard()
            await web.cut()

        result = podium.with_controller(cut, "launch")
        assert result.exit_code == 3
        assert "podium: " in result.stderr

    def test_of_what_is_not_on_the_menu(self, podium: Podium) -> None:
        text = complaint(podium("launch", "--profile", "lunch"), 4)
        assert (
            text == "podium: spec.profile: there is no profile 'lunch'.\nChoose one of: workshop, notebook.\n"
        )


class TestList:
    def test_none(self, podium: Podium) -> None:
        assert said(podium("list")).split() == ["NAME", "PROFILE", "PHASE", "WORKERS", "ENDS", "IN"]
        assert json.loads(said(podium("list", "--json"))) == []

    def test_a_line_for_each(self, podium: Podium) -> None:
        ends = {"expires": datetime.now(UTC) + timedelta(hours=2, minutes=5, seconds=1)}
        podium.add(spec=ends)
        podium.add("cluster-other0", phase="Starting", clusters={}, spec={"expires": datetime.now(UTC)})
        clusters = {"dask": ClusterStatus(workers=4, ready=3), "spark": ClusterStatus(workers=1, ready=1)}
        podium.hub.run(podium.hub.web.report(clusters=clusters))
        _, first, second = said(podium("list")).splitlines()
        assert first.split() == [MINE, "workshop", "Ready", "dask=3/4", "spark=1/1", "2", "h", "5", "min"]
        assert second.split() == ["cluster-other0", "workshop", "Starting", "-", "0", "min"]

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        assert json.loads(said(podium("list", "--json"))) == [podium.get()]


class TestScale:
    def test_to_a_number(self, podium: Podium) -> None:
        podium.add()
        assert said(podium("scale", MINE, "dask", "5")) == f"{MINE}: dask is going to 5 workers.\n"
        assert podium.get()["spec"]["clusters"]["dask"] == {"workers": 5}

    def test_adds_what_is_not_there(self, podium: Podium) -> None:
        podium.add(clusters={})
        changed = json.loads(said(podium("scale", MINE, "ipyparallel", "1", "--json")))
        assert changed["spec"]["clusters"] == {"ipyparallel": {"workers": 1}}
        assert podium.get() == changed

    def test_beyond_the_limit(self, podium: Podium) -> None:
        podium.add()
        before = podium.get()
        text = complaint(podium("scale", MINE, "dask", "9"), 4)
        assert text.startswith("podium: spec.clusters.dask.workers: 9 is more than 8.\n")
        assert podium.get() == before

    @pytest.mark.parametrize(
        "arguments",
        [
            *([MINE, "dask"], [MINE], [], [MINE, "dask", "x"], [MINE, "dask", "1001"], [MINE, "dask", "2.5"]),
            *(
                [MINE, "ray", "2"],
                [MINE, "Dask", "2"],
                [MINE, "dask", "2", "3"],
                [MINE, "dask", "2", "--force"],
            ),
        ],
    )
    def test_wrong_usage(self, podium: Podium, arguments: list[str]) -> None:
        podium.add()
        before = podium.get()
        assert "Usage: podium scale" in podium("scale", *arguments).stderr
        said(podium("scale", *arguments), 2)
        assert podium.get() == before

    @pytest.mark.parametrize(
        "name",
        ["cluster-nowhere", "a b", "", "../profiles", "a\nb", "é", "%2e%2e", "x" * 5000, "a?b#c", "\udcff"],
    )
    def test_a_workspace_that_is_not_there(self, podium: Podium, name: str) -> None:
        result = podium("scale", name, "dask", "2")
        assert complaint(result, 4).startswith("podium: There is no ")


class TestExtend:
    def test_the_only_one(self, podium: Podium) -> None:
        podium.add(spec={"expires": datetime.now(UTC) + timedelta(minutes=1)})
        assert said(podium("extend")) == f"{MINE} ends in 8 h 0 min.\n"
        left = datetime.fromisoformat(podium.get()["spec"]["expires"]) - datetime.now(UTC)
        assert timedelta(hours=7, minutes=59) < left <= timedelta(hours=8)

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        assert json.loads(said(podium("extend", MINE, "--json"))) == podium.get()

    def test_which_of_none(self, podium: Podium) -> None:
        assert "There is no workspace. Launch one first." in complaint(podium("extend"), 2)

    def test_which_of_two(self, podium: Podium) -> None:
        podium.add()
        podium.add("cluster-other0")
        text = complaint(podium("extend"), 2)
        assert f"There are 2 workspaces. Name one: {MINE}, cluster-other0" in text

    def test_one_that_is_stopping(self, podium: Podium) -> None:
        podium.add()
        podium.hub.run(podium.hub.web.store.delete(MINE))
        text = complaint(podium("extend", MINE), 4)
        assert text == "podium: The workspace is being stopped.\nLaunch a new one.\n"


async def goes(web: Web, name: str) -> None:
    """What is being stopped goes, once somebody waits for that."""
    await until("it is being stopped", lambda: web.followers)
    await web.finish(name)


class TestStop:
    def test_waits_until_it_is_gone(self, podium: Podium) -> None:
        podium.add()
        assert said(podium.with_controller(goes, "stop", MINE)) == f"{MINE} is gone.\n"
        assert podium.hub.run(podium.hub.web.everything()) == []

    def test_without_waiting(self, podium: Podium) -> None:
        podium.add()
        assert said(podium("stop", "--no-wait")) == f"{MINE} is being stopped.\n"
        assert podium.get()["metadata"]["deletionTimestamp"]

    def test_as_json(self, podium: Podium) -> None:
        podium.add()
        stopped = json.loads(said(podium.with_controller(goes, "stop", "--json")))
        assert stopped["metadata"]["deletionTimestamp"]

    def test_what_is_gone_at_once(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the request to stop it and the look at what becomes of it, it has gone already."""
        podium.add()
        delete, web = podium.hub.web.store.delete, podium.hub.web

        async def delete_and_finish(name: str) -> None:
            await delete(name)
            await web.finish(name)

        monkeypatch.setattr(podium.hub.web.store, "delete", delete_and_finish)
        assert said(podium("stop", MINE)) == f"{MINE} is gone.\n"

    def test_what_is_not_there(self, podium: Podium) -> None:
        assert complaint(podium("stop", MINE), 4).startswith(f"podium: There is no workspace {MINE}.\n")

    def test_while_the_hub_goes_away(self, podium: Podium) -> None:
        async def cut(web: Web, name: str) -> None:
            await until("somebody follows", lambda: web.followers)
            await web.cut()

        podium.add()
        text = complaint(podium.with_controller(cut, "stop", MINE), 3)
        assert "is gone" not in text


class TestProfiles:
    def test_as_a_table(self, podium: Podium) -> None:
        head, first, second = said(podium("profiles")).splitlines()
        assert head.split() == ["NAME", "STARTS", "MAY", "RUN", "WORKERS", "DESCRIPTION"]
        assert first.split() == ["workshop", "dask,ipyparallel", "dask,ipyparallel,spark", "0-8"]
        assert second.split() == ["notebook", "-", "dask", "0-4"]

    def test_as_json(self, podium: Podium) -> None:
        items = json.loads(said(podium("profiles", "--json")))
        assert [item["name"] for item in items] == ["workshop", "notebook"]
