"""What the local backend alone promises: about processes, folders, ports and other hubs on the machine."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from hub.backends.local import LocalBackend
from hub.backends.site import KEPT_SECONDS, own_address
from hub.ports import HOST
from hub.processes import Mark, find, spawn
from hub.workload import Workload
from tests.builders import NAME
from tests.contract.benches import LocalBench, server, workers
from tests.contract.test_backend import ALL, CLUSTER, OTHER, gone, seen, settle
from tests.waiting import until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems allow neither")


def script(text: str, name: str = "notebook", **fields: object) -> Workload:
    """A workload of one shell script."""
    command = ("sh", "-c", text, "script", "@{home}", "@{files}", "@{host}", "@{instance}")
    defaults = {"name": name, "role": "notebook", "cluster": "", "instances": (name,), "grace": 1}
    return Workload(command=command, **{**defaults, **fields})


async def wrote(path: Path) -> str:
    """What a program wrote, once it has."""
    return await until(f"{path} is written", lambda: path.exists() and path.read_text())


# Ending.


@pytest.mark.parametrize("how", ["shrink", "remove", "close"])
async def test_descendants_that_fled_and_do_not_listen_end_too(local, how):
    await local.backend.apply(NAME, [server("notebook"), workers(1, behaviour="escaping")])
    await until(
        "one has fled", lambda: len(find(local.hub)) == 3 and (local.site(NAME) / "home/escaped").exists()
    )
    if how == "shrink":
        await local.backend.apply(NAME, [server("notebook")])
        await settle(local, {"notebook"})
        assert len(find(local.hub)) == 1
    elif how == "remove":
        await local.backend.apply(NAME, [])
        await gone(local)
    else:
        assert await local.backend.close(end=True) == 2
    assert [f for f in find(local.hub) if f.mark.workload == "dask-worker"] == []


async def test_descendants_of_a_program_that_was_killed_end_before_it_starts_again(local):
    await local.backend.apply(NAME, [workers(1, behaviour="escaping")])
    await until(
        "one has fled", lambda: len(find(local.hub)) == 2 and (local.site(NAME) / "home/escaped").exists()
    )
    before = {f.pid for f in find(local.hub)}
    local.kill(NAME, "dask-worker-1")
    await until("it runs again", lambda: local.running(NAME).get("dask-worker-1") not in (None, *before))
    assert not before & {f.pid for f in find(local.hub)}


async def test_descendants_left_by_a_program_that_died_while_no_hub_ran_end(local):
    await local.backend.apply(NAME, [workers(1, behaviour="escaping")])
    await until("one has fled", lambda: (local.site(NAME) / "home/escaped").exists())
    await local.backend.close(end=False)
    before = {f.pid for f in find(local.hub)}
    local.kill(NAME, "dask-worker-1")
    await until("it is dead", lambda: local.running(NAME) == {})
    assert len(find(local.hub)) == 1
    await local.restart()
    assert (await local.backend.observe(NAME)).instances == ()
    await local.backend.apply(NAME, [workers(1)])
    await settle(local, {"dask-worker-1"})
    assert not before & {f.pid for f in find(local.hub)}


async def test_the_proxy_of_the_same_hub_is_left_alone(local):
    await local.backend.apply(NAME, [workers(1)])
    await settle(local, {"dask-worker-1"})
    proxy = spawn(
        Mark(local.hub, "", "proxy", "proxy"),
        *(("sleep", "600"), {"PATH": os.environ["PATH"]}, local.root, local.root / "log"),
    )
    await until("it runs", lambda: proxy.pid in local.running("").values())
    await local.restart()
    assert await local.backend.names() == {NAME}
    await local.backend.apply(NAME, [])
    await gone(local)
    assert await local.backend.close(end=True) == 0
    assert proxy.running


async def test_programs_are_asked_politely_first(local):
    text = 'trap "echo bye > $1/bye; exit" TERM; echo here > $1/here; while :; do sleep 0.01; done'
    await local.backend.apply(NAME, [script(text), workers(1)])
    home = local.site(NAME) / "home"
    await wrote(home / "here")
    await local.backend.apply(NAME, [workers(1)])
    assert await wrote(home / "bye") == "bye\n"
    await settle(local, {"dask-worker-1"})


async def test_after_its_grace_a_program_is_killed(local):
    await local.backend.apply(NAME, [dataclasses.replace(server("notebook", "stubborn"), grace=0)])
    await settle(local, {"notebook"})
    await local.backend.apply(NAME, [workers(1)])
    await local.backend.apply(NAME, [workers(1)])
    await settle(local, {"dask-worker-1"})


async def test_nothing_of_a_second_life_begins_before_the_first_is_over(local):
    both = [server("notebook", "stubborn"), workers(1)]
    await local.backend.apply(NAME, both)
    before = await settle(local, {"notebook", "dask-worker-1"})
    await local.backend.apply(NAME, [])

    async def one_is_gone() -> bool:
        return "dask-worker-1" not in await seen(local)

    await until("the polite one is gone", one_is_gone)
    await local.backend.apply(NAME, both)
    assert (await seen(local)).keys() == {"notebook"}
    await gone(local)
    await local.backend.apply(NAME, both)
    assert not set(before.values()) & set((await settle(local, {"notebook", "dask-worker-1"})).values())


async def test_what_nobody_follows_any_more_ends_with_its_workspace(local):
    await local.backend.apply(NAME, [script("sleep 600 & wait")])
    await until("it has a child", lambda: len(find(local.hub)) == 2)
    (local.site(NAME).parent / "a file").touch()
    await local.restart()
    assert await local.backend.names() == {NAME}
    mark = Mark(local.hub, NAME, "dask-worker", "dask-worker-9")
    spawn(mark, ("sleep", "600"), {"PATH": os.environ["PATH"]}, local.root, local.root / "log")
    await until("it runs", lambda: "dask-worker-9" in local.running(NAME))
    await local.backend.apply(NAME, [])
    await gone(local)


async def test_closing_ends_every_process_and_keeps_the_folders(local):
    await local.backend.apply(NAME, CLUSTER)
    await settle(local, ALL)
    await local.restart()
    assert await local.backend.close(end=True) == 4
    assert find(local.hub) == []
    assert local.site(NAME).exists()
    await local.restart()
    assert await local.backend.names() == {NAME}
    assert (await local.backend.observe(NAME)).instances == ()
    await local.backend.apply(NAME, CLUSTER)
    await settle(local, ALL)


async def test_two_hubs_on_one_machine_do_not_touch_each_other(local, tmp_path):
    other = LocalBench(tmp_path / "other", f"{local.hub}x")
    await other.backend.start()
    try:
        for bench in (local, other):
            await bench.backend.apply(NAME, CLUSTER)
        await settle(local, ALL)
        before = await settle(other, ALL)
        await local.backend.apply(NAME, [])
        await gone(local)
        await local.restart()
        assert await local.backend.names() == set()
        assert await settle(other, ALL) == before
    finally:
        await other.close()
    assert find(other.hub) == []


async def test_a_removal_that_fails_is_made_good_at_the_next_try(local, monkeypatch, caplog):
    await local.backend.apply(NAME, [server("notebook")])
    await settle(local, {"notebook"})
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", lambda *_: 1 / 0)
        await local.backend.apply(NAME, [])
        await until("it fails", lambda: "could not be removed" in caplog.text)
    assert (await local.backend.observe(NAME)).exists, "what may still be there is not called gone"
    await local.backend.apply(NAME, [])
    await gone(local)


# Folders.


@pytest.mark.parametrize(("behaviour", "kept"), [("serve", True), ("crash", False)])
async def test_a_home_is_kept_only_if_somebody_can_have_worked_in_it(local, behaviour, kept):
    await local.backend.apply(NAME, [server("notebook", behaviour), workers(1)])
    (local.site(NAME) / "home" / "work.txt").write_text("a day's work")

    async def far_enough() -> bool:
        notebook = (await seen(local))["notebook"]
        return notebook.ready if kept else notebook.restarts > 0

    await until("it is as far as it gets", far_enough)
    await local.backend.apply(NAME, [])
    await gone(local)
    homes = list((local.root / "kept").glob("*")) if (local.root / "kept").exists() else []
    assert len(homes) == kept
    for home in homes:
        assert home.name.startswith(f"{NAME}-")
        assert (home / "work.txt").read_text() == "a day's work"
        assert home.parent.stat().st_mode & 0o777 == 0o700


async def test_a_kept_home_goes_after_a_week(local):
    kept = local.root / "kept"
    for name, age in (("old", KEPT_SECONDS + 60), ("new", KEPT_SECONDS - 60)):
        (kept / name / "deep").mkdir(parents=True)
        os.utime(kept / name, (time.time() - age, time.time() - age))
    await local.restart()
    assert [home.name for home in kept.iterdir()] == ["new"]


async def test_folders_and_files_are_private_and_whole(local):
    files = {"token": "secret", "home/.config/x.json": "{}", "lab/top": "@{home} @{files} @{scratch}"}
    await local.backend.apply(NAME, [script("sleep 600", files=files)])
    site = local.site(NAME)
    below = site / "files/notebook"
    assert (below / "token").read_text() == "secret"
    assert (below / "home/.config/x.json").read_text() == "{}"
    assert (below / "lab/top").read_text() == f"{site / 'home'} {below} {site / 'tmp'}"
    assert not list((site / "home").iterdir()), "the notebook itself fills its home folder"
    for path in [site, *site.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert not list(site.rglob("*.new"))


async def test_a_file_that_is_as_it_should_be_is_not_written_again(local):
    one = script("sleep 600", files={"a": "1", "b": "1"})
    await local.backend.apply(NAME, [one])
    files = local.site(NAME) / "files/notebook"
    before = {name: (files / name).stat().st_ino for name in "ab"}
    await local.restart()
    await local.backend.apply(NAME, [script("sleep 600", files={"a": "1", "b": "2"})])
    assert (files / "a").stat().st_ino == before["a"]
    assert (files / "b").read_text() == "2"


async def test_a_program_knows_its_folders_and_none_of_the_hubs_secrets(local, monkeypatch):
    for name in (
        "PODIUM_API_TOKEN",
        "DASK_X",
        "SPARK_HOME",
        "JUPYTER_TOKEN",
        "PYTHONPATH",
        "CONFIGPROXY_AUTH_TOKEN",
    ):
        monkeypatch.setenv(name, "of-the-hub")
    monkeypatch.setenv("LANG_OF_A_TEST", "x")
    backend = LocalBackend(
        local.root, local.hub, [Path("/first"), Path("/second")], {"JAVA_HOME": "/java"}, {}, local.ports
    )
    text = 'env > "$1/env.new"; mv "$1/env.new" "$1/env"; sleep 600'
    await backend.apply(NAME, [script(text, env={"MINE": "@{instance}"})])
    home = local.site(NAME) / "home"
    env = dict(line.split("=", 1) for line in (await wrote(home / "env")).splitlines())
    await backend.close(end=True)
    assert env["HOME"] == env["PWD"] == str(home)
    assert env["TMPDIR"] == str(local.site(NAME) / "tmp")
    assert env["PATH"].startswith(f"/first{os.pathsep}/second{os.pathsep}")
    assert (env["MINE"], env["JAVA_HOME"], env["LANG_OF_A_TEST"]) == ("notebook", "/java", "x")
    assert "of-the-hub" not in env.values()


# Ports and addresses.


@LINUX
async def test_ports_are_held_for_as_long_as_the_workspace_is_there(local):
    # One that never listens: a port that was used stays taken for a while after a connection.
    await local.backend.apply(NAME, [script("sleep 600", ports={"http": 8888})])
    await settle(local, {"notebook"})
    address = (await local.backend.observe(NAME)).addresses["notebook.http"]
    port = int(address.rpartition(":")[2])
    await local.backend.apply(NAME, [workers(1)])
    await settle(local, {"dask-worker-1"})
    assert not grab(port), "no other program gets it"
    await local.restart()
    assert not grab(port)
    assert (await local.backend.observe(NAME)).addresses["notebook.http"] == address
    await local.backend.apply(NAME, [])
    await gone(local)
    assert grab(port)


def grab(port: int) -> bool:
    with socket.socket() as program:
        try:
            program.bind((HOST, port))
        except OSError:
            return False
        return True


async def test_a_notebook_may_speak_of_a_cluster_that_comes_later(local):
    await local.backend.apply(
        NAME, [script("sleep 600", files={"x": "@{dask-scheduler.host}:@{dask-scheduler.http}"})]
    )
    told = (local.site(NAME) / "files/notebook/x").read_text()
    await local.backend.apply(NAME, [script("sleep 600"), server("dask-scheduler")])
    await settle(local, {"notebook", "dask-scheduler"})
    assert (await local.backend.observe(NAME)).addresses["dask-scheduler.http"] == told
    assert json.loads((local.site(NAME) / "ports.json").read_text())["dask-scheduler.http"] == int(
        told.split(":")[1]
    )


@LINUX
def test_each_worker_has_an_address_of_its_own():
    addresses = {own_address(NAME, f"dask-worker-{number}") for number in range(100)}
    assert len(addresses) > 95
    for address in addresses:
        with socket.create_server((address, 0)):
            pass
    assert own_address(NAME, "a") == own_address(NAME, "a") != own_address(OTHER, "a")


def test_where_there_is_only_one_address_all_workers_have_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert own_address(NAME, "a") == HOST


async def test_workers_are_told_their_address_and_others_the_machines(local):
    text = 'echo "$3" > "$1/$4.new"; mv "$1/$4.new" "$1/$4"; sleep 600'
    worker = script(text, "dask-worker", role="worker", cluster="dask", instances=("dask-worker-1",))
    await local.backend.apply(NAME, [script(text), worker])
    home = local.site(NAME) / "home"
    assert (await wrote(home / "notebook")).strip() == HOST
    assert (await wrote(home / "dask-worker-1")).strip() == own_address(NAME, "dask-worker-1")
