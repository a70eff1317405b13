"""Which routes the proxy should have, and what to change to get there. Nothing here may do I/O.

A route is a path on the proxy and where it goes. Only notebooks have routes of their own; everything
else, dashboards included, goes to web by the default route, because web checks who may see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.model import Workspace
from hub.observed import Observed

DEFAULT = "/"
SENTINEL = "/podium-sentinel"
"""A route that is put in last: a proxy that has it has all others."""


@dataclass(frozen=True)
class Changes:
    """Args:
    add: path to target, for what is missing or leads elsewhere.
    remove: paths that nothing wants.
    """

    add: Mapping[str, str]
    remove: tuple[str, ...]


def routes(workspace: Workspace, observed: Observed) -> dict[str, str]:
    """What should be reachable of a workspace: path to target."""
    target = observed.addresses.get("notebook.http")
    if workspace.deleting or target is None or not observed.ready("notebook"):
        return {}
    return {f"/{workspace.name}": f"http://{target}"}


def diff(present: Mapping[str, str], wanted: Mapping[str, str]) -> Changes:
    """What to change so that `present` becomes `wanted`.

    A route that is right is never put again, because that would reset the proxy's clock for it.
    """
    return Changes(
        add={path: target for path, target in wanted.items() if present.get(path) != target},
        remove=tuple(path for path in present if path not in wanted),
    )
