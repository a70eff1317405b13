"""By which names a hub may be asked, and from which pages: the Host and the Origin of a request; pure.

A name that somebody else owns may lead here (DNS rebinding), and any page may make a browser send a request.
Nothing here may look at who is asking.
Source: RFC 9110, section 7.2 (Host); RFC 6454, section 4 (what an origin is); RFC 3986, section 3.2.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from hub.errors import ConfigurationError

DEFAULT_PORTS = {"http": 80, "https": 443}
LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*\.?\Z")


@dataclass(frozen=True)
class PublicAddress:
    """Where people find a hub.

    Args:
        url: such as `https://podium.example.org`: the only name that is answered to. Empty for any name.
        local: whether only names of this machine are answered to, whatever `url` is.

    Raises:
        ConfigurationError: when `url` is not a scheme with a host, and perhaps a port.
    """

    url: str = ""
    local: bool = False

    def __post_init__(self) -> None:
        if self.url and _origin(self.url.rstrip("/")) is None:
            raise ConfigurationError(
                f"Podium.public_url: {self.url!r} is not an address.",
                "For example https://podium.example.org",
            )

    @property
    def secure(self) -> bool:
        """Whether browsers are told to send cookies over TLS alone."""
        return not self.local and self.url.lower().startswith("https:")

    @property
    def names(self) -> str:
        """What is answered to, for people."""
        return "127.0.0.1 and localhost" if self.local else self.url or "its own names"

    def host_allowed(self, host: str) -> bool:
        """Whether a request with this Host header is answered."""
        given = _host(host)
        if given is None:
            return False
        if self.local:
            return given[0] == "localhost" or _is_loopback(given[0])
        own = _origin(self.url.rstrip("/"))
        return own is None or _with_port(own[0], given) == own

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from a page of this hub, or from no page at all.

        A proxy that ends TLS passes on what the browser says of its page, so the scheme may be another than
        the one that the hub is asked by.

        Args:
            origin: the Origin header, if there is one.
            host: the Host header, which was allowed.
        """
        if origin is None:
            return True
        page = _origin(origin)
        if page is None or (self.local and page[0] != "http"):
            return False
        if self.url and not self.local:
            return page == _origin(self.url.rstrip("/"))
        asked = _host(host)
        return asked is not None and page == _with_port(page[0], asked)


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin, or None for what is none."""
    scheme, separator, rest = text.partition("://")
    scheme, host = scheme.lower(), _host(rest)
    if scheme not in DEFAULT_PORTS or not separator or host is None:
        return None
    return _with_port(scheme, host)


def _with_port(scheme: str, host: tuple[str, int | None]) -> tuple[str, str, int]:
    name, port = host
    return scheme, name, DEFAULT_PORTS[scheme] if port is None else port


def _host(text: str) -> tuple[str, int | None] | None:
    """Name, in lower case, and port, if one is said; or None for what is not a host."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?", text, re.ASCII)
    if found is None:
        return None
    name, port = found[1].lower(), int(found[2]) if found[2] else None
    try:
        if name.startswith("["):
            name = str(ipaddress.IPv6Address(name[1:-1]))
    except ValueError:
        return None
    fits = ":" in name or NAME.match(name)
    if not fits or (port is not None and not 0 < port < 65536):
        return None
    return name, port


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
