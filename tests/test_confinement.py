"""What a dashboard may reach that is shown to somebody other than its owner."""

from __future__ import annotations

import pytest

from hub.web.confinement import confinement, stays

PREFIX = "/cluster-mine00_dask"


@pytest.mark.parametrize(
    "location",
    [f"{PREFIX}/status", "status", "?a=b", "./workers", f"{PREFIX}/a?next=/room#b", "#here", ""],
)
def test_a_redirect_that_stays(location: str) -> None:
    assert stays(location, f"{PREFIX}/status", PREFIX)


@pytest.mark.parametrize(
    "location",
    [
        "/",
        "/api/room",
        "../api/room",
        f"{PREFIX}/../api/room",
        f"{PREFIX}/%2e%2E/api/room",
        f"{PREFIX}/.%2e/api/room",
        f"{PREFIX}/..\\api\\room",
        "\\api\\room",
        PREFIX,
        f"{PREFIX}2/status",
        "//evil.example/",
        "https://evil.example/",
        "http://127.0.0.1:8000/api/room",
        "http:/api/room",
        "http:api/room",
        "javascript:alert(1)",
        "data:,x",
        "//[",
        f"{PREFIX}/a\tb",
        f"{PREFIX}/\u2025/api/room",
    ],
)
def test_a_redirect_that_leads_elsewhere(location: str) -> None:
    assert not stays(location, f"{PREFIX}/status", PREFIX)


def test_the_policy_lets_it_ask_for_nothing_but_its_own() -> None:
    policy = confinement("podium.example.org", PREFIX)
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    assert set(parts["sandbox"].split()) == {"allow-scripts", "allow-same-origin"}
    for kind in ("connect-src", "script-src"):
        addresses = [source for source in parts[kind].split() if not source.startswith("'")]
        assert addresses
        assert all(address.endswith(f"://podium.example.org{PREFIX}/") for address in addresses)
    assert "'self'" not in policy
