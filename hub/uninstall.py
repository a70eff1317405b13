"""The end of a release: every workspace goes before the controller does, or its namespace would stay.

Nothing here may touch anything but Workspace objects.
"""

from __future__ import annotations

import contextlib

from hub import ending
from hub.ending import Kept
from hub.errors import Conflict, NotFound
from hub.store.base import Store

NOT_KEPT = Kept(message="Podium was uninstalled.")


async def clear(store: Store) -> None:
    """Delete every object, those that come meanwhile, too, until there is none; and tell of it."""
    left = {workspace.name for workspace in await store.list()}
    if not left:
        return
    print(f"Ending {len(left)} workspaces …", flush=True)
    async for event in store.watch():
        name = event.workspace.name
        if event.gone:
            left.discard(name)
            print(f"{name} is gone; {len(left)} left.", flush=True)
        else:
            left.add(name)
            if not event.workspace.deleting:
                with contextlib.suppress(NotFound, Conflict):
                    # What keeps home folders goes with the release, so nothing waits for it.
                    await store.update(ending.noted(event.workspace, NOT_KEPT))
                    await store.delete(name)
        if not left:
            return
