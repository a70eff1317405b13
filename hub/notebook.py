"""The notebook of a workspace: JupyterLab, with what every framework puts into it.

What runs is `podium_workspace.notebook`: it fetches the content, then is JupyterLab, and tells of itself
at `podium/state`. Nothing here may do I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.clusters.base import Context, NotebookPart, Request
from hub.keys import Keys
from hub.settings import Content
from hub.workload import Probe, Workload

COOKIE = "podium-notebook"
"""The cookie that signs its bearer in to the notebook; its value is `token`, its path `base(name)`."""

LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"},
}
LAB_PAGE = {"buildAvailable": False, "buildCheck": False}
"""JupyterLab would start Node.js at every load, for seconds, to see whether it should build itself."""


@dataclass(frozen=True)
class NotebookState:
    """What a notebook says of itself.

    Args:
        busy: whether a kernel is executing.
        last_activity: when a kernel last executed or a terminal was last used, if ever.
        warnings: what went wrong without stopping the launch, in sentences.
        version: opaque; given back by `state_request` so that the notebook answers at the next change.
        restarted: the last `restart_request` that it followed; empty for none.
    """

    busy: bool = False
    last_activity: datetime | None = None
    warnings: tuple[str, ...] = ()
    version: str = ""
    restarted: str = ""


class _State(msgspec.Struct, frozen=True, rename="camel"):
    version: str
    busy: bool
    last_activity: datetime | None
    warnings: tuple[str, ...]
    restarted: str = ""


def notebook(
    context: Context,
    parts: Sequence[NotebookPart],
    content: Sequence[Content],
    restarted: datetime | None = None,
) -> Workload:
    """The notebook's workload.

    Args:
        context: the workspace.
        parts: what the frameworks put into it, whether or not their clusters run.
        content: course material to have in the home folder before JupyterLab starts.
        restarted: when somebody last asked for a new start, which one that is made now need not follow.
    """
    env: dict[str, str] = {} if restarted is None else {"PODIUM_RESTARTED": restarted.isoformat()}
    files: dict[str, str] = {
        "notebook/token": token(context.keys),
        "notebook/content.json": msgspec.json.encode(content).decode(),
        "lab/overrides.json": msgspec.json.encode(LAB_SETTINGS).decode(),
        "lab/page_config.json": msgspec.json.encode(LAB_PAGE).decode(),
    }
    for part in parts:
        env |= part.env
        files |= part.files
    return Workload(
        name="notebook",
        role="notebook",
        cluster="",
        command=(
            *("python", "-P", "-m", "podium_workspace.notebook", "--name", context.name),
            *("--home", "@{home}", "--files", "@{files}", "--host", "@{host}", "--port", "@{notebook.http}"),
        ),
        env=env,
        files=files,
        ports={"http": 8888},
        resources=context.settings.resources.notebook,
        probe=Probe("http", f"{base(context.name)}api"),
    )


def base(name: str) -> str:
    """Where a workspace's notebook is on the proxy, and where it takes itself to be."""
    return f"/{name}/"


def token(keys: Keys) -> str:
    """What the cookie and the header carry."""
    return keys.token("notebook")


def headers(keys: Keys) -> Mapping[str, str]:
    """The credentials that the notebook wants with every request that has no cookie."""
    return {"Authorization": f"Bearer {token(keys)}"}


def state_request(context: Context, version: str) -> Request:
    """Ask for the state; held for at most 20 seconds while it is still `version`."""
    return Request("GET", f"{base(context.name)}podium/state?since={version}")


def read_state(body: bytes) -> NotebookState:
    """Read the answer to `state_request`. Raises ValueError when it is not one."""
    state = msgspec.json.decode(body, type=_State)
    return NotebookState(state.busy, state.last_activity, state.warnings, state.version, state.restarted)


def restart_request(context: Context, at: datetime) -> Request:
    """Ask it to start again; one that has followed this request already does nothing."""
    return Request("POST", f"{base(context.name)}podium/restart", json={"at": at.isoformat()})
