"""Whatever is wrong with a launch or a change is refused with the field's name, and nothing is made."""

from __future__ import annotations

import pytest

from tests.web.refusing import CHANGES, HOSTILE, LAUNCHES, LONG, content, named, refused, send, spec
from tests.web.serving import Web

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
