"""How a dashboard is confined that is shown to somebody other than its owner, who has it in hand; pure.

It runs at the hub's own address, so all that keeps it from acting in the name of whoever looks at it is a
policy that lets it ask for nothing but what is below its own path. Nothing here may relay anything.
Source: Content Security Policy Level 3, sections 6.3.2 (sandbox) and 6.7.2.8 (the path of a source counts for
a request, and not for where that is redirected to).
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit


def confinement(host: str, prefix: str) -> str:
    """The policy of a dashboard that is shown to somebody other than its owner."""
    own = " ".join(f"{scheme}://{host}{prefix}/" for scheme in ("http", "https", "ws", "wss"))
    return (
        "sandbox allow-scripts allow-same-origin; default-src 'none'; "
        f"script-src {own} 'unsafe-inline' 'unsafe-eval'; style-src {own} 'unsafe-inline'; "
        f"img-src {own} data: blob:; font-src {own} data:; connect-src {own}; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def stays(location: str, path: str, prefix: str) -> bool:
    """Whether a redirect leads to what is below a prefix, however a browser reads it.

    Args:
        location: the header.
        path: where it was sent from.
        prefix: without a slash at its end.
    """
    if not location.isascii() or not location.isprintable() or re.search(r"\\|\.\.|%2e", location, re.I):
        return False
    try:
        parts = urlsplit(urljoin(path, location))
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc and parts.path.startswith(f"{prefix}/")
