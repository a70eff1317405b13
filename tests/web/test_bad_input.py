"""Whatever is wrong with a launch or a change is refused with the field's name, and nothing is made or changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.web.api import MOST_BYTES
from hub.wiring import MOST_BODY
from tests.web.serving import MINE, XSRF, Answer, Web

LONG = "x" * 10_000
LAUNCHES = "/api/workspaces"
CHANGES = f"/api/workspaces/{MINE}"
HOSTILE = [
    LONG,
    "<script>alert(1)</script>",
    "; rm -rf / #",
    "$(id)",
    "a\x00b",
    "a\x1b[2Jb",
    "a\nb",
    "a\n",
    "\u202eabc",
    "..",
    "",
    " ",
]


def named(value: Any) -> str:
    """A short name for a row."""
    text = json.dumps(value) if not isinstance(value, bytes) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."


async def send(web: Web, path: str, body: object) -> Answer:
    """Launch or change, with exactly this JSON or these bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    method = "POST" if path == LAUNCHES else "PATCH"
    return await web.ask(method, path, "session", headers={"Content-Type": "application/json"}, data=data)


async def refused(web: Web, path: str, body: object, field: str, status: int = 400) -> Answer:
    """Send what must be refused: with the field's name, in bounds, and without any effect."""
    await web.add(THERE if path == LAUNCHES else MINE, owner="bob" if path == LAUNCHES else "ada")
    before = await web.everything()
    answer = await send(web, path, body)
    assert answer.status == status
    assert field in answer.message
    assert len(answer.body) < 2_000
    assert await web.everything() == before
    return answer


THERE = "cluster-before"


def spec(**fields: Any) -> dict[str, Any]:
    """The body of a launch."""
    return {"spec": {"profile": "workshop", **fields}}


def content(**fields: Any) -> dict[str, Any]:
    """The body of a launch with course material."""
    return spec(content=[{"git": "https://example.org/x.git", **fields}])


NUMBERS = [-1, 1001, 10**9, 10**30, 2.0, 2.5, -0.5, 1e300, True, False, "2", "", "two", [2], {"a": 2}]
NOT_OBJECTS = [None, 0, 2.5, True, "text", [], [{}]]
LAUNCH_ROWS: list[tuple[object, str]] = [
    *((spec(workers=value), "spec.workers") for value in [*NUMBERS, 9, 1000, None]),
    *((spec(clusters={"dask": {"workers": value}}), "spec.clusters") for value in [*NUMBERS, 9]),
    *((spec(clusters=value), "spec.clusters") for value in NOT_OBJECTS),
    *((spec(clusters={"dask": value}), "spec.clusters") for value in NOT_OBJECTS),
    *((spec(clusters={value: {}}), "spec.clusters") for value in [*HOSTILE, "Dask", "ray", "notebook"]),
    (spec(clusters={"dask": {"worker": 2}}), "worker"),
    ({"spec": {"profile": "notebook", "clusters": {"spark": {}}}}, "spec.clusters.spark"),
    ({"spec": {"profile": "notebook", "workers": 5}}, "spec.workers"),
    *(
        ({"spec": {"profile": value}}, "spec.profile")
        for value in [*HOSTILE, "work", "Workshop", None, 1, [], {}]
    ),
    ({"spec": {}}, "profile"),
    ({}, "spec"),
    *(({"spec": value}, "spec") for value in NOT_OBJECTS),
    *((value, "object") for value in NOT_OBJECTS),
    *(
        (spec(**{name: "x"}), name)
        for name in (
            "owner",
            "expires",
            "touched",
            "settings",
            "image",
            "resources",
            "wallTime",
            "Workers",
            "x",
        )
    ),
    *(({**spec(), name: {}}, name) for name in ("metadata", "status", "kind", "apiVersion", "x")),
    (spec(settings={"maxWorkers": 1000}), "settings"),
    (spec(content={}), "spec.content"),
    (spec(content=None), "spec.content"),
    (spec(content=["https://example.org"]), "spec.content[0]"),
    (spec(content=[{}]), "spec.content[0]"),
    (spec(content=[{"git": "https://example.org/x.git"}] * 9), "spec.content"),
    (content(branch="main"), "branch"),
    *((content(git=value), "spec.content[0].git") for value in [*HOSTILE, None, 1, []]),
    *(
        (content(git=value), "spec.content[0].git")
        for value in (
            *(
                "ext::sh -c touch% /tmp/x",
                "ext::sh",
                "--upload-pack=touch x",
                "-u",
                "/etc",
                "~/x",
                "example.org:x.git",
            ),
            *(
                "https://a b/",
                "https://a/\n--upload-pack=x",
                "https://a/\r\nb",
                "fd::17",
                "http://",
                "gopher://x/y",
            ),
            *(
                "ssh://-oProxyCommand=id/x",
                "https://" + "a" * 2048,
                'https://a/"b"',
                "https://a/`id`",
                "https://a/\\b",
            ),
            *(
                " https://example.org/x.git",
                "HTTPS://example.org/x.git\n",
                "https:example.org",
                "javascript:alert(1)",
            ),
        )
    ),
    *(
        (content(ref=value), "spec.content[0].ref")
        for value in (
            *[h for h in HOSTILE if h],
            "-x",
            "--upload-pack=x",
            ".",
            "../x",
            "a b",
            "a;b",
            "a~1",
            None,
            5,
        )
    ),
    *(
        (content(path=value), "spec.content[0].path")
        for value in (
            *[h for h in HOSTILE if h and h != LONG],
            *(
                "/etc",
                "../x",
                "a/../b",
                "a/..",
                "./a",
                "a//b",
                "-x",
                "a/-x",
                "~",
                "a\\b",
                "x" * 513,
                "a/.git",
                None,
                5,
            ),
        )
    ),
]


@pytest.mark.parametrize(("body", "field"), LAUNCH_ROWS, ids=named)
async def test_a_launch(web: Web, body: object, field: str) -> None:
    await refused(web, LAUNCHES, body, field)


TIMES = [
    *("2020-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2036-01-01T00:00:00"),
    *(
        "2036-13-01T00:00:00Z",
        "2036-02-30T00:00:00Z",
        "2036-01-01",
        "tomorrow",
        "",
        LONG,
        "10000-01-01T00:00:00Z",
    ),
    *(
        "-2036-01-01T00:00:00Z",
        "2036-01-01T25:00:00Z",
        "2036-01-01T00:00:00+99:00",
        "NaN",
        "2036-01-01T00:00:00Z\n",
    ),
    *(0, -1, 1e300, True, [], {}, None),
]
CHANGE_ROWS: list[tuple[object, str]] = [
    *(({"spec": {"workers": value}}, "spec.workers") for value in [*NUMBERS, 9, 1000]),
    ({"spec": {"workers": None}}, "workers"),
    *(
        ({"spec": {"clusters": {"dask": {"workers": value}}}}, "spec.clusters")
        for value in [*NUMBERS[:-1], 9]
    ),
    *(({"spec": {"clusters": value}}, "clusters") for value in NOT_OBJECTS),
    *(
        ({"spec": {"clusters": {"dask": value}}}, "spec.clusters")
        for value in NOT_OBJECTS
        if value is not None
    ),
    *(({"spec": {"clusters": {value: {}}}}, "spec.clusters") for value in [*HOSTILE, "ray"]),
    ({"spec": {"clusters": {"dask": {"replicas": 2}}}}, "replicas"),
    *(({"spec": {"expires": value}}, "expires") for value in TIMES),
    *(
        ({"spec": {name: None}}, f"spec.{name}")
        for name in ("owner", "profile", "content", "settings", "touched", "x", "<b>", "a\x1bb")
    ),
    ({"spec": {"owner": "bob"}}, "spec.owner"),
    ({"spec": {"settings": {"maxWorkers": 1000}}}, "spec.settings"),
    *(({"spec": value}, "spec") for value in NOT_OBJECTS),
    ({}, "spec"),
    *((value, "object") for value in NOT_OBJECTS),
    *(
        ({name: {}, "spec": {"workers": 3}}, name)
        for name in ("metadata", "status", "kind", "apiVersion", "x", "")
    ),
    ({"spec": {LONG: 1}}, "spec.xxx"),
    ({LONG: 1}, "xxx"),
    # Nothing is changed when one of two wishes cannot be granted.
    ({"spec": {"workers": 3, "expires": "tomorrow"}}, "expires"),
    ({"spec": {"workers": 3, "clusters": {"dask": {"workers": 9}}}}, "spec.clusters.dask.workers"),
]


@pytest.mark.parametrize(("body", "field"), CHANGE_ROWS, ids=named)
async def test_a_change(web: Web, body: object, field: str) -> None:
    await refused(web, CHANGES, body, field)


async def test_a_framework_that_the_profile_leaves_out(web: Web) -> None:
    await web.ask("POST", LAUNCHES, json={"spec": {"profile": "notebook"}})
    before = await web.everything()
    answer = await send(web, f"{LAUNCHES}/{before[0].name}", {"spec": {"clusters": {"spark": {}}}})
    assert answer.status == 400
    assert answer.message == "spec.clusters.spark: not in the profile notebook."
    assert await web.everything() == before


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
        assert (await response.content.readuntil(b"\n\n")).startswith(b"retry: ")
        assert (await response.content.readuntil(b"\n\n")).startswith(b"event: workspace\n")
