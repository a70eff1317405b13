"""What is no JSON, no name, too large or of the wrong type is refused, and nothing is made or changed."""

from __future__ import annotations

import json

import pytest

from hub.web.api import MOST_BYTES
from hub.web.server import MOST_BODY
from tests.web.refusing import CHANGES, LAUNCHES, LONG, THERE, named, refused, send, spec
from tests.web.serving import MINE, XSRF, Web

TEXTS = [
    b"",
    b" ",
    b"{",
    b"{}}",
    b'{"spec": {"profile": "workshop"}} x',
    b"{'spec': {'profile': 'workshop'}}",
    b'{"spec": {"profile": "workshop",}}',
    b'{"spec": {"profile": workshop}}',
    b'{"spec": {"profile": "workshop", "workers": NaN}}',
    b'{"spec": {"profile": "workshop", "workers": Infinity}}',
    b'{"spec": {"profile": "workshop", "workers": -Infinity}}',
    b'{"spec": {"profile": "workshop", "workers": 0x2}}',
    b'{"spec": {"profile": "workshop", "workers": 02}}',
    b'{"spec": {"profile": "workshop", "workers": ' + b"9" * 5000 + b"}}",
    b'{"spec": {"profile": "work\nshop"}}',
    b'{"spec": {"profile": "work\xffshop"}}',
    b'{"spec": {"profile": "\\ud800", "\\ud800": 1}}',
    b'{"\\ud800": {"profile": "workshop"}}',
    b'{"spec": {"profile": "workshop", "clusters": {"\\udfff": {}}}}',
    b'{"spec": {"profile": "\\ud800"}}',
    b'{"spec": {"expires": "\\udc00\\ud800"}}',
    b"profile=workshop",
    b"<spec/>",
    b"\x00",
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"[" * 21 + b"]" * 21,
    b'{"spec": ' * 21 + b"1" + b"}" * 21,
]


@pytest.mark.parametrize("path", [LAUNCHES, CHANGES])
@pytest.mark.parametrize("text", TEXTS, ids=named)
async def test_what_is_not_json(web: Web, text: bytes, path: str) -> None:
    await refused(web, path, text, "body")


TWICE = [
    (b'{"spec": {"profile": "workshop", "profile": "workshop"}}', "profile"),
    (b'{"spec": {"workers": 3, "workers": 1000}}', "workers"),
    (b'{"spec": {"profile": "workshop", "clusters": {"dask": {"workers": 1, "workers": 2}}}}', "workers"),
    (b'{"spec": {}, "spec": {"profile": "workshop"}}', "spec"),
    (b'{"' + b"x" * 10_000 + b'": 1, "' + b"x" * 10_000 + b'": 2}', "xxx"),
]


@pytest.mark.parametrize("path", [LAUNCHES, CHANGES])
@pytest.mark.parametrize(("text", "field"), TWICE, ids=named)
async def test_what_is_there_twice(web: Web, text: bytes, field: str, path: str) -> None:
    """One of the two would be taken, and nobody could say which."""
    await refused(web, path, text, field)


@pytest.mark.parametrize("path", [LAUNCHES, CHANGES])
@pytest.mark.parametrize(
    "kind",
    [
        *("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"),
        *(
            "application/octet-stream",
            "",
            "json",
            "application/json-patch+json",
            "é",
            "text/plain; application/json",
        ),
    ],
)
async def test_a_type_that_is_not_json(web: Web, kind: str, path: str) -> None:
    await web.add(THERE if path == LAUNCHES else MINE, owner="bob" if path == LAUNCHES else "ada")
    before = await web.everything()
    method, body = ("POST", spec()) if path == LAUNCHES else ("PATCH", {"spec": {"workers": 3}})
    answer = await web.ask(method, path, headers={"Content-Type": kind}, data=json.dumps(body).encode())
    assert answer.status == 415
    assert "Content-Type" in answer.message
    assert await web.everything() == before


async def test_a_form_in_parts(web: Web) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await web.ask("POST", LAUNCHES, headers=kind, data=json.dumps(spec()).encode())
    assert answer.status in (400, 415)
    assert await web.everything() == []


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_a_type_that_is_json(web: Web, kind: str) -> None:
    await web.add()
    sent = json.dumps({"spec": {"workers": 3}}).encode()
    answer = await web.ask("PATCH", CHANGES, headers={"Content-Type": kind}, data=sent)
    assert answer.json["spec"]["workers"] == 3


class TestSize:
    @pytest.mark.parametrize("path", [LAUNCHES, CHANGES])
    async def test_one_byte_too_many(self, web: Web, path: str) -> None:
        most = json.dumps(spec() if path == LAUNCHES else {"spec": {"workers": 3}}).encode().ljust(MOST_BYTES)
        answer = await refused(web, path, most + b" ", "body", 413)
        assert answer.json["error"]["code"] == "too-large"
        assert (await send(web, path, most)).status < 400

    async def test_more_than_the_server_takes_at_all(self, web: Web) -> None:
        """It is refused by its declared length, so nothing of it has to be read."""
        head = f"POST {LAUNCHES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        answer = await web.raw(f"{head}Content-Length: {MOST_BODY + 1}\r\n\r\n".encode())
        assert answer.split()[1] in (b"400", b"413")
        assert await web.everything() == []

    async def test_a_launch_by_form(self, web: Web) -> None:
        before = await web.everything()
        answer = await web.ask("POST", "/launch", "session", data={"profile": LONG, "_xsrf": XSRF})
        assert answer.status == 400
        assert "spec.profile" in answer.text
        assert len(answer.body) < 10_000
        assert await web.everything() == before

    async def test_an_address_without_end(self, web: Web) -> None:
        answer = await web.ask("GET", f"/{LONG}?{LONG}={LONG}", "nobody")
        assert answer.status == 404
        assert LONG not in answer.text


@pytest.mark.parametrize(
    "name",
    [
        *(
            "cluster-",
            "cluster-abc",
            "cluster-ABCDEF",
            "cluster-toolongname",
            "clusters-abc123",
            "..",
            "%2e%2e",
            "%00",
        ),
        *(
            "cluster-abc123%0a",
            "cluster-abc123%00",
            "cluster-abc12é",
            "cluster-abc123/",
            "*",
            "cluster-abc123;x",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_what_is_no_name(web: Web, method: str, name: str) -> None:
    body = {"json": {"spec": {"workers": 3}}} if method == "PATCH" else {}
    answer = await web.ask(method, f"/api/workspaces/{name}", **body)
    assert answer.status == 404
    assert answer.json["error"]["code"] == "not-found"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
async def test_what_cannot_be_done_with_all_of_them(web: Web, method: str) -> None:
    await web.add()
    before = await web.everything()
    assert (await web.ask(method, LAUNCHES, json=spec())).status == 405
    assert await web.everything() == before


@pytest.mark.parametrize("value", ["x" * 10_000, "\u00e9", "-1", "None", "0; DROP"])
async def test_a_last_event_id_that_is_none(web: Web, value: str) -> None:
    """What was seen last is only compared, so anything but the present version gets the present state."""
    await web.add()
    sent = {**web.credentials("token"), "Last-Event-ID": value}
    async with web.browser.get(f"{web.url}{CHANGES}/events", headers=sent) as response:
        assert response.status == 200
        for begin in (b"retry: ", b"event: alive\n", b"event: workspace\n"):
            assert (await response.content.readuntil(b"\n\n")).startswith(begin)
