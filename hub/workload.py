"""Workloads: things to run, described without naming any backend.

A command, an environment value or a file may hold references that only a backend can fill in:

    @{home}                         the home folder of the workspace
    @{scratch}                      a folder for what need not outlive the workspace
    @{files}                        the folder that holds this workload's own files
    @{instance}                     the instance's name, such as dask-worker-3
    @{host}                         the address at which others reach this instance
    @{dask-scheduler.host}          the address of another workload, or a name for it that holds in itself too
    @{dask-scheduler.comm}          a port of another workload (or of this one), by its name

`render` fills them in. All instances of a workload share its files, so that a file may hold neither
`@{instance}` nor `@{host}`. Nothing here may do I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hub.settings import Resources, Role

LEAVE = 25
"""Seconds in which an instance may hand over what it holds before it is ended from outside. A namespace waits
for half the longest time that a pod in it may take, so a longer one would make every stop long."""
REFERENCE = re.compile(r"@\{([a-z0-9.-]+)\}")


@dataclass(frozen=True)
class Probe:
    """How a backend tells that an instance is ready: a 2xx answer to anybody's GET, or a mere connection."""

    port: str
    path: str = ""


@dataclass(frozen=True)
class Workload:
    """One thing to run.

    Args:
        name: unique in its workspace, such as `dask-worker`.
        role: notebook, scheduler or worker.
        cluster: the framework it belongs to; empty for the notebook.
        command: the program and its arguments; no shell is involved.
        env: environment variables, added to those the backend sets itself.
        files: path, below `@{files}`, to text that is readable by the owner alone. What the notebook has
            below `home/` it copies into the home folder when it starts.
        ports: names and numbers of the ports it listens on. The numbers are used where every instance has
            an address of its own; a backend without such addresses puts its own in their place.
        resources: what one instance may use.
        replicas: how many instances are wanted.
        instances: their exact names, once `scaling.assign` has chosen them.
        probe: how readiness is told; without one an instance is ready when it runs.
        grace: seconds between the polite request to end and the kill.
        leave: what a backend runs in an instance, for at most `LEAVE` seconds, before it asks it to end
            without having drained it, as when a machine is taken away; without it, nothing.
    """

    name: str
    role: Role
    cluster: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    resources: Resources = Resources()
    replicas: int = 1
    instances: tuple[str, ...] = ()
    probe: Probe | None = None
    grace: int = 10
    leave: tuple[str, ...] = ()


def render(workload: Workload, lookup: Callable[[str], str]) -> Workload:
    """Fill in every reference of a workload.

    Args:
        workload: the workload as `desired` made it.
        lookup: from a reference, such as `dask-scheduler.comm`, to its value. References to a port of the
            workload itself come with the workload's name in front, as all others do.

    Raises:
        KeyError: when `lookup` does so, which is a mistake in `desired`, never in what a person sent.
    """

    def fill(text: str) -> str:
        return REFERENCE.sub(lambda match: lookup(match[1]), text)

    return replace(
        workload,
        command=tuple(fill(part) for part in workload.command),
        env={name: fill(value) for name, value in workload.env.items()},
        files={path: fill(text) for path, text in workload.files.items()},
        leave=tuple(fill(part) for part in workload.leave),
    )
