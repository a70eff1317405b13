"""By which names a hub answers, and to pages of which origin, wherever it is installed."""

from __future__ import annotations

import pytest

from hub.errors import ConfigurationError
from hub.web.address import PublicAddress

ANY, LOCAL = PublicAddress(), PublicAddress(local=True)
HTTPS = PublicAddress("https://podium.example.org")
HTTP = PublicAddress("http://Podium.example.org:8000/")

HOSTS = [
    # address, Host, allowed
    *[(ANY, host, True) for host in ("podium.example.org", "10.0.0.1:8000", "[fd00::1]", "[FD00::1]:80")],
    *[(ANY, host, True) for host in ("localhost", "A-b.c_d", "podium.example.org.", "x" * 63)],
    *[(ANY, host, False) for host in ("", " ", "a b", "a/b", "a?b", "a#b", "a@b", "a\\b", "a,b", "é.org")],
    *[(ANY, host, False) for host in ("a:", "a:b", "a:0", "a:65536", "a:80:80", ":80", "a:+1", "a\n", "a:٣")],
    *[(ANY, host, False) for host in ("[::1", "::1", "[::g]", "[a.b]", "a..b", ".a", "-a", "x" * 64)],
    *[(HTTPS, host, True) for host in ("podium.example.org", "Podium.Example.ORG", "podium.example.org:443")],
    *[(HTTPS, host, False) for host in ("podium.example.org:80", "podium.example.org:8443", "example.org")],
    *[(HTTPS, host, False) for host in ("evil.com", "podium.example.org.evil.com", "127.0.0.1", "localhost")],
    *[(HTTPS, host, False) for host in ("evil-podium.example.org", "a@podium.example.org", "", "10.0.0.1")],
    (HTTP, "podium.example.org:8000", True),
    (HTTP, "podium.example.org", False),
    (HTTP, "podium.example.org:80", False),
    (PublicAddress("http://podium"), "podium:80", True),
    (PublicAddress("http://[fd00:0::1]"), "[fd00::1]", True),
    (PublicAddress("https://podium.example.org", local=True), "podium.example.org", False),
    (PublicAddress("https://podium.example.org", local=True), "localhost:8000", True),
    *[(LOCAL, host, True) for host in ("127.0.0.1:8000", "LOCALHOST", "[::1]:8000", "127.9.9.9")],
    *[(LOCAL, host, False) for host in ("podium.example.org", "10.0.0.1", "localhost.", "0.0.0.0", "")],
]
OWN = "podium.example.org"
ORIGINS = [
    # address, Host, Origin, allowed
    *[(ANY, OWN, f"{scheme}://{OWN}", True) for scheme in ("http", "https", "HTTPS")],
    (ANY, OWN, None, True),
    (ANY, OWN, "https://PODIUM.example.org", True),
    (ANY, f"{OWN}:443", f"https://{OWN}", True),
    (ANY, f"{OWN}:443", f"http://{OWN}", False),
    (ANY, f"{OWN}:80", f"https://{OWN}", False),
    (ANY, f"{OWN}:8000", f"http://{OWN}:8000", True),
    (ANY, f"{OWN}:8000", f"http://{OWN}", False),
    (ANY, OWN, f"http://{OWN}:8000", False),
    (ANY, "[fd00::1]:8000", "http://[fd00::1]:8000", True),
    *[(ANY, OWN, origin, False) for origin in ("", "null", "file://", "https://", OWN, f"//{OWN}")],
    *[(ANY, OWN, f"{scheme}://{OWN}", False) for scheme in ("ftp", "ws", "wss", "javascript", "")],
    *[
        (ANY, OWN, f"https://{OWN}{end}", False)
        for end in (".evil.com", "@evil.com", "/", "/x", "?", " ", "\n")
    ],
    *[(ANY, OWN, f"https://{start}{OWN}", False) for start in ("evil.com@", "evil.com/", "evil", "a.", "/")],
    (ANY, OWN, f"https://{OWN} https://evil.com", False),
    (HTTPS, OWN, f"https://{OWN}", True),
    (HTTPS, OWN, f"https://{OWN}:443", True),
    (HTTPS, OWN, None, True),
    (HTTPS, OWN, f"http://{OWN}", False),
    (HTTPS, OWN, f"https://{OWN}:8443", False),
    (HTTPS, OWN, "https://evil.com", False),
    (HTTPS, OWN, "null", False),
    (HTTP, f"{OWN}:8000", f"http://{OWN}:8000", True),
    (HTTP, f"{OWN}:8000", f"https://{OWN}:8000", False),
    (LOCAL, "localhost:8000", "http://localhost:8000", True),
    (LOCAL, "localhost:8000", "https://localhost:8000", False),
    (LOCAL, "localhost:8000", "http://127.0.0.1:8000", False),
]


@pytest.mark.parametrize(("address", "host", "allowed"), HOSTS)
def test_hosts(address: PublicAddress, host: str, allowed: bool) -> None:
    assert address.host_allowed(host) is allowed


@pytest.mark.parametrize(("address", "host", "origin", "allowed"), ORIGINS)
def test_origins(address: PublicAddress, host: str, origin: str | None, allowed: bool) -> None:
    assert address.origin_allowed(origin, host) is allowed


@pytest.mark.parametrize(
    "url",
    [
        *(
            "podium.example.org",
            "//podium.example.org",
            "ftp://podium.example.org",
            "https://",
            "https:podium",
        ),
        *("https://podium.example.org/path", "https://a@b.org", "https://b.org?x", "https://b.org:0", "x y"),
    ],
)
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Podium\.public_url"):
        PublicAddress(url)


@pytest.mark.parametrize(
    ("address", "secure", "names"),
    [
        (ANY, False, "its own names"),
        (HTTPS, True, "https://podium.example.org"),
        (PublicAddress("HTTPS://podium.example.org"), True, "HTTPS://podium.example.org"),
        (HTTP, False, "http://Podium.example.org:8000/"),
        (LOCAL, False, "127.0.0.1 and localhost"),
        (PublicAddress("https://podium.example.org", local=True), False, "127.0.0.1 and localhost"),
    ],
)
def test_what_follows_from_an_address(address: PublicAddress, secure: bool, names: str) -> None:
    assert (address.secure, address.names) == (secure, names)
