"""The proxy's process: started, found again by the next hub, replaced when it dies, ended without a trace."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import aiohttp
import pytest
import pytest_asyncio

from hub.errors import ConfigurationError
from hub.ports import HOST, Ports
from hub.processes import Mark, find, spawn
from hub.tools import configurable_http_proxy
from proxy.chp import ProxyClient
from proxy.process import ProxyProcess
from proxy.routes import SENTINEL
from tests.proxy.keeping import FIXED, WEB, A, keeping
from tests.proxy.real import TOKEN
from tests.waiting import until


@pytest_asyncio.fixture
async def ports():
    held = Ports()
    yield held
    held.close()


@pytest.fixture
def make(hub_id, ports, tmp_path):
    """Proxies of one hub, one after the other."""

    def make(port, hub=hub_id, command=None, log="proxy.log"):
        return ProxyProcess(
            command or configurable_http_proxy(),
            hub,
            f"{HOST}:{port}",
            TOKEN,
            tmp_path / log,
            ports,
        )

    return make


def nothing() -> None:
    """Told when the proxy was started again, by those who do not mind."""


def pids(hub):
    return [found.pid for found in find(hub) if found.main]


async def test_it_serves_on_its_port_and_takes_routes_with_its_token(make, ports, session, hub_id):
    port = ports.take()
    proxy = make(port)
    await proxy.start(nothing)
    client = ProxyClient(session, proxy.api, TOKEN)
    await client.add("/x", WEB)
    assert await client.routes() == {"/x": WEB}
    async with session.get(f"http://{HOST}:{port}/nothing") as response:
        assert response.status == 503
        assert "<html" in (await response.text()).lower()
    assert len(pids(hub_id)) == 1
    await proxy.end()
    assert find(hub_id) == []


async def test_it_says_nothing_to_those_without_the_token(make, ports, session):
    proxy = make(ports.take())
    await proxy.start(nothing)
    async with session.get(f"{proxy.api}/api/routes") as response:
        assert response.status == 403
    await proxy.end()


@pytest.mark.usefixtures("may_abandon")
async def test_the_next_hub_finds_it_with_all_its_routes(make, ports, session, hub_id, tmp_path):
    port = ports.take()
    first = make(port)
    await first.start(nothing)
    await ProxyClient(session, first.api, TOKEN).add(SENTINEL, WEB)
    before = pids(hub_id)
    first.abandon()
    mark = Mark(hub_id, "cluster-aaaaaa", "notebook", "notebook")
    notebook = spawn(mark, ("sleep", "600"), {"PATH": os.environ["PATH"]}, tmp_path, tmp_path / "log")
    await until("the notebook runs", lambda: notebook.pid in pids(hub_id))
    second = make(port)
    await second.start(nothing)
    assert pids(hub_id) == [*before, notebook.pid]
    assert second.api == first.api
    assert await ProxyClient(session, second.api, TOKEN).routes() == {SENTINEL: WEB}
    await second.end()
    assert pids(hub_id) == [notebook.pid], "it ends nothing but itself"


@pytest.mark.usefixtures("may_abandon")
async def test_one_that_was_found_is_replaced_when_it_dies(make, ports, hub_id):
    port = ports.take()
    first = make(port)
    await first.start(nothing)
    first.abandon()
    second = make(port)
    told = []
    await second.start(lambda: told.append(True))
    (old,) = pids(hub_id)
    os.kill(old, signal.SIGKILL)
    await until("it is started again", lambda: told)
    (new,) = pids(hub_id)
    assert new != old
    await second.end()


async def test_killed_it_comes_back_with_all_routes(make, ports, session, hub_id):
    proxy = make(ports.take())
    async with keeping(session) as kept:
        await proxy.start(kept.keeper.restarted)
        kept.keeper.set_replicas([proxy.api])
        client = ProxyClient(session, proxy.api, TOKEN)
        await kept.keeper.put("cluster-aaaaaa", A)
        kept.keeper.tried()
        (old,) = pids(hub_id)
        os.kill(old, signal.SIGKILL)
        await until("it is started again", lambda: pids(hub_id) not in ([], [old]))

        async def full():
            with contextlib.suppress(aiohttp.ClientError):
                return await client.routes() == {**FIXED, **A}

        await until("it has every route", full)
    await proxy.end()


@pytest.mark.usefixtures("may_abandon")
async def test_one_that_serves_another_port_is_ended_first(make, ports, hub_id):
    first = make(ports.take())
    await first.start(nothing)
    before = pids(hub_id)
    first.abandon()
    second = make(ports.take())
    await second.start(nothing)
    (pid,) = pids(hub_id)
    assert pid not in before
    await second.end()


async def test_two_hubs_have_a_proxy_each(make, ports, hub_id):
    one, other = make(ports.take()), make(ports.take(), hub=f"{hub_id}x", log="other.log")
    await one.start(nothing)
    await other.start(nothing)
    try:
        assert one.api != other.api
        await one.end()
        assert pids(hub_id) == []
        assert len(pids(f"{hub_id}x")) == 1
    finally:
        await other.end()
    assert find(f"{hub_id}x") == []


async def test_a_port_that_is_taken_is_named(make):
    with contextlib.closing(socket.create_server((HOST, 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} cannot be used") as refused:
            await make(port).start(nothing)
        assert f"PORT={port + 1}" in refused.value.hint


async def test_a_program_that_cannot_run_is_told_with_its_last_words(make, ports, hub_id):
    port = ports.take()
    with pytest.raises(ConfigurationError, match=rf":{port}\.\nno such luck"):
        await make(port, command=["sh", "-c", "echo no such luck; exit 3"]).start(nothing)
    assert find(hub_id) == []


async def test_one_that_was_never_started_can_be_ended_and_let_go_of(make, ports):
    proxy = make(ports.take())
    await proxy.end()
    proxy.abandon()
