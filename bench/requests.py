"""How many requests an API server was sent, by whoever, as its own metrics tell.

Nothing here may start anything.
"""

from __future__ import annotations

import re
from collections import Counter

from hub.kube.api import Api

LINE = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


async def requests(api: Api) -> Counter[str]:
    """Requests so far, by `VERB resource`, without leases and watches, and without this very question."""
    text = (await api.fetch("GET", "/metrics", accept="text/plain")).decode()
    found: Counter[str] = Counter()
    for line in LINE.finditer(text):
        labels = dict(LABEL.findall(line[1]))
        if labels["resource"] in ("", "leases") or labels["verb"] in ("WATCH", "CONNECT"):
            continue
        sub = f"/{labels['subresource']}" if labels["subresource"] else ""
        code = f" {labels['code']}" if labels["code"] >= "300" else ""
        found[f"{labels['verb']} {labels['resource']}{sub}{code}"] += int(float(line[2]))
    return found
