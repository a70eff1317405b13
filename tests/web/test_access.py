"""Who gets through on one machine; `test_rights.py` has every route, asked by everybody there is."""

from __future__ import annotations

import pytest

from tests.web.serving import MINE, Web

STRANGERS = ("nobody", "wrong token", "forged cookie", "cookie of another")
OWNER = ("token", "session")


@pytest.mark.parametrize("suffix", ["dask", "spark", "9000"])
@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_opens_no_websocket(web: Web, who: str, suffix: str) -> None:
    await web.add()
    web.own_ports.add(9000)
    assert await shake(web, who, f"/{MINE}_{suffix}/ws") in (302, 401)
    assert web.upstream.seen == []


@pytest.mark.parametrize("who", OWNER)
async def test_the_owner_opens_a_websocket(web: Web, who: str) -> None:
    await web.add()
    assert await shake(web, who, f"/{MINE}_dask/ws") == 101


async def shake(web: Web, who: str, path: str) -> int:
    """The status that a WebSocket's handshake is answered with."""
    return await web.handshake(path, web.credentials(who))


@pytest.mark.parametrize("scheme", ["Basic", "bearer ", "Token", "Bearer Bearer"])
async def test_a_header_that_is_no_token_is_not_passed_over(web: Web, scheme: str) -> None:
    # Falling back to the cookie would let a page of another origin choose who is asked for.
    sent = {**web.credentials("session"), "Authorization": f"{scheme} eDp5"}
    assert (await web.ask("GET", "/api/workspaces", "nobody", headers=sent)).status == 401


async def test_a_token_needs_no_second_proof_and_no_exact_case(web: Web) -> None:
    answer = await web.ask("POST", "/api/workspaces", xsrf=None, json={"spec": {"profile": "notebook"}})
    assert answer.status == 201
    lower = {"Authorization": web.credentials("token")["Authorization"].replace("Bearer", "bearer")}
    assert (await web.ask("GET", "/api/workspaces", "nobody", headers=lower)).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_says_nothing_of_anybody(web: Web, path: str) -> None:
    await web.add()
    assert (await web.ask("GET", path, "nobody")).json == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthzz", "/readyz/x", "/healthz%7C/readyz"])
async def test_only_the_exact_path_is_health(web: Web, path: str) -> None:
    assert (await web.ask("GET", path, "nobody")).status == 404


async def test_the_notebooks_own_path_says_nothing_to_strangers(web: Web) -> None:
    await web.add()
    mine = await web.ask("GET", f"/{MINE}/lab", "nobody")
    assert mine.status == (await web.ask("GET", "/cluster-nowhere/lab", "nobody")).status == 404
    led = await web.ask("GET", f"/{MINE}/lab", "session")
    assert (led.status, led.location) == (302, f"/workspaces/{MINE}/open?next=/{MINE}/lab")
    let_in = {"Cookie": f"{web.credentials('session')['Cookie']}; podium-notebook=x"}
    led = await web.ask("GET", f"/{MINE}/lab", "nobody", headers=let_in)
    assert (led.status, led.location) == (302, f"/workspaces/{MINE}?launched=1")
