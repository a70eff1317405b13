"""Marked processes: started, told apart, found again by anyone, and ended with all their descendants."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from hub.processes import Mark, Process, find, spawn, sweep
from tests.waiting import until

PATH = {"PATH": os.environ["PATH"]}
PYTHON = sys.executable
SLEEP = ("sleep", "600")
# A child that leaves its parent's session and does not mind being asked to end.
ESCAPING = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(hub_id, tmp_path):
    """Start a program of an instance."""

    def start(*command, instance="worker-1", env=None, hub=hub_id, **more):
        mark = Mark(hub, "cluster-aaaaaa", "worker", instance)
        return spawn(mark, command, {**PATH, **(env or {})}, tmp_path, tmp_path / f"{instance}.log", **more)

    return start


def pids(hub, instance="worker-1"):
    return [found.pid for found in find(hub) if found.mark.instance == instance]


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15)]
)
async def test_how_it_ended_is_known(start, script, code):
    process = start("sh", "-c", script)
    assert await process.ended() == code
    assert await process.ended() == code
    assert not process.running


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", -9)])
async def test_how_it_ended_is_known_where_the_kernel_does_not_tell(start, monkeypatch, script, code):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert await start("sh", "-c", script).ended() == code


async def test_a_program_that_is_not_there_ends_with_127_and_says_so(start, tmp_path):
    assert await start("no-such-program").ended() == 127
    assert "no-such-program" in (tmp_path / "worker-1.log").read_text()


async def test_a_directory_that_is_not_there_is_an_error(hub_id, tmp_path):
    with pytest.raises(FileNotFoundError):
        spawn(Mark(hub_id, "", "x", "x"), SLEEP, PATH, tmp_path / "missing", tmp_path / "log")


async def test_output_goes_to_a_private_log_that_is_appended_to(start, tmp_path):
    await start("sh", "-c", "echo one; echo two >&2").ended()
    await start("echo", "three").ended()
    log = tmp_path / "worker-1.log"
    assert log.read_text() == "one\ntwo\nthree\n"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_it_has_the_given_environment_and_nothing_of_ours(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HUB", "x")
    await start("env", env={"A": "spaces and 'quotes'"}).ended()
    names = {line.partition("=")[0] for line in (tmp_path / "worker-1.log").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        *("PATH", "A", "PODIUM_PID"),
        *("PODIUM_HUB", "PODIUM_WORKSPACE", "PODIUM_WORKLOAD", "PODIUM_INSTANCE"),
    }


async def test_arguments_arrive_as_they_are(start, tmp_path):
    arguments = ["", "a b", "$HOME", "*", "'\"", "-x", "\n", "ü"]
    await start(PYTHON, "-c", "import sys; print(ascii(sys.argv[1:]))", *arguments).ended()
    assert (tmp_path / "worker-1.log").read_text().strip() == ascii(arguments)


async def test_it_has_no_input_and_a_session_of_its_own(start, tmp_path):
    process = start(
        PYTHON, "-c", "import os; print(ascii(input), os.getsid(0) == os.getpid(), os.read(0, 9))"
    )
    await process.ended()
    assert (tmp_path / "worker-1.log").read_text().strip().endswith("True b''")


async def test_it_may_have_to_yield(start):
    polite, other = start(*SLEEP, nice=7), start(*SLEEP, instance="worker-2")
    mine = os.nice(0)
    await until("it yields", lambda: psutil.Process(polite.pid).nice() == min(19, mine + 7))
    assert psutil.Process(other.pid).nice() == mine
    for process in (polite, other):
        process.signal(signal.SIGKILL)
        await process.ended()


async def test_a_running_process_is_found_by_its_marks(start, hub_id):
    process = start(*SLEEP)
    assert process.running
    (found,) = await until("it is found", lambda: [f for f in find(hub_id) if f.main])
    assert found.pid == process.pid
    assert found.mark == Mark(hub_id, "cluster-aaaaaa", "worker", "worker-1")
    assert found.env["PATH"] == PATH["PATH"]
    process.signal(signal.SIGTERM)
    assert await process.ended() == -signal.SIGTERM
    assert find(hub_id) == []
    process.signal(signal.SIGTERM)


async def test_descendants_carry_the_marks_but_are_not_the_main_process(start, hub_id):
    process = start("sh", "-c", "sleep 600 & sleep 600 & wait")
    await until("there are three", lambda: len(find(hub_id)) == 3)
    assert [found.pid for found in find(hub_id) if found.main] == [process.pid]
    await sweep(hub_id, "cluster-aaaaaa", "worker-1")
    assert find(hub_id) == []


def elsewhere(hub, *command):
    """A process that carries the marks, yet was not started by `spawn`."""
    mark = Mark(hub, "cluster-aaaaaa", "worker", "worker-1")
    return subprocess.Popen(command, env=PATH | mark.environment())


async def test_one_that_has_ended_is_not_found_though_nobody_has_asked_for_its_end(hub_id):
    zombie = elsewhere(hub_id, "sleep", "0")
    await until("it is a zombie", lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    assert find(hub_id) == []
    zombie.wait()


@pytest.mark.parametrize("told", [True, False])
async def test_one_that_somebody_else_started_can_be_followed(hub_id, monkeypatch, told):
    if not told:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with elsewhere(hub_id, *SLEEP) as other:
        process = Process(other.pid)
        waiting = asyncio.create_task(process.ended())
        await asyncio.sleep(0)
        assert process.running
        process.signal(signal.SIGKILL)
        assert await waiting is None, "how it ended is not ours to know"
        other.wait()
        assert await Process(other.pid).ended() is None, "one that is gone already has ended"


async def test_giving_up_waiting_does_not_end_the_watch(start):
    process = start(*SLEEP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.ended(), 0.01)
    process.signal(signal.SIGKILL)
    assert await process.ended() == -9


@pytest.mark.usefixtures("may_abandon")
async def test_one_that_is_let_go_of_runs_on(start, hub_id):
    process = start(*SLEEP)
    process.forget()
    await until("it is found", lambda: pids(hub_id) == [process.pid])


async def test_a_sweep_ends_all_of_an_instance_wherever_it_went(start, hub_id, tmp_path):
    process = start(PYTHON, "-c", ESCAPING)
    await until("all are there", lambda: (tmp_path / "worker-1.log").read_text().count("ready") == 2)
    escaped = [pid for pid in pids(hub_id) if pid != process.pid]
    assert len(escaped) == 1
    assert os.getsid(escaped[0]) != process.pid
    await sweep(hub_id, "cluster-aaaaaa", "worker-1")
    assert await process.ended() == -9
    assert find(hub_id) == []
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in escaped)


async def test_a_sweep_leaves_others_alone(start, hub_id):
    one, other = start(*SLEEP), start(*SLEEP, instance="worker-2")
    stranger = start(*SLEEP, hub=f"{hub_id}x", instance="worker-1")
    await until("all are there", lambda: len(find(hub_id)) == 2 and len(find(f"{hub_id}x")) == 1)
    await sweep(hub_id, "cluster-aaaaaa", "worker-1")
    await sweep(hub_id, "cluster-bbbbbb", "worker-2")
    await sweep(hub_id, "cluster-aaaaaa", "worker-9")
    assert not one.running or await one.ended() == -9
    assert other.running
    assert stranger.running
    await sweep(hub_id, "cluster-aaaaaa", "worker-2")
    await sweep(f"{hub_id}x", "cluster-aaaaaa", "worker-1")
    assert await asyncio.gather(one.ended(), other.ended(), stranger.ended()) == [-9, -9, -9]
