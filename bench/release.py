"""What a release that Helm installed costs, on the real node: `make bench ARGS=release`.

Prints a table and writes `artefacts/bench-release.json`. Nothing here may assert anything.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hub.tools import CHECKOUT
from tests.cluster.access import until
from tests.cluster.node import RealNode, here
from tests.node.installed import COMPONENTS, Installed, installed

OUT = CHECKOUT / "artefacts" / "bench-release.json"
WORKSPACES = 20
WHILE = 30.0
"""Seconds over which processor time is taken."""
MIB = 2**20


def main() -> int:
    """Measure, print, write. Returns the exit code."""
    node = here()
    if node is None:
        print("podium: this is measured on the real node: make bench ARGS=release", file=sys.stderr)
        return 2
    figures: dict[str, float] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, installed(node, Path(folder), "podium") as release:
        figures["helm install to all ready, s"] = time.monotonic() - began
        name = release.launch("notebook")
        figures["helm install to first usable notebook, s"] = time.monotonic() - began
        release.node.kubectl("delete", "workspace", name, "-n", release.name)
        figures |= costs(node, release, "idle")
        launch_many(release)
        figures |= costs(node, release, f"{WORKSPACES} workspaces")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2))
    for what, value in figures.items():
        print(f"{what:<60} {value:8.1f}")
    return 0


def launch_many(release: Installed) -> None:
    """Launch workspaces of a notebook, a Dask scheduler and two workers, and wait until all are ready."""
    objects = [
        {
            "apiVersion": "podium.hub/v1",
            "kind": "Workspace",
            "metadata": {"name": f"cluster-bench{number:02}", "namespace": release.name},
            "spec": {"owner": f"person-{number}", "profile": "workshop", "clusters": {"dask": {}}},
        }
        for number in range(WORKSPACES)
    ]
    release.node.create(*objects)

    def ready() -> bool:
        found = release.node.get("workspaces", "-n", release.name)["items"]
        return sum(item.get("status", {}).get("phase") == "Ready" for item in found) == WORKSPACES

    until("all are ready", ready, 600)


def costs(node: RealNode, release: Installed, when: str) -> dict[str, float]:
    """What each pod of the release takes: memory, and processor time while nobody asks anything."""
    first, began = usage(node, release), time.monotonic()
    time.sleep(WHILE)
    last, took = usage(node, release), time.monotonic() - began
    found: dict[str, float] = {}
    for component in COMPONENTS:
        for number, pod in enumerate(release.names(component), 1):
            cores = (last[pod][1] - first[pod][1]) / 1e9 / took
            found[f"{component} {number}, {when}: memory, MiB"] = last[pod][0] / MIB
            found[f"{component} {number}, {when}: thousandths of a core"] = 1000 * cores
    return found


def usage(node: RealNode, release: Installed) -> dict[str, tuple[int, int]]:
    """Pod to the bytes of its working set, and its nanoseconds of processor time, as kubelet tells them."""
    machine = node.get("nodes")["items"][0]["metadata"]["name"]
    summary: Any = json.loads(node.kubectl("get", "--raw", f"/api/v1/nodes/{machine}/proxy/stats/summary"))
    return {
        pod["podRef"]["name"]: (
            pod["containers"][0]["memory"]["workingSetBytes"],
            pod["containers"][0]["cpu"]["usageCoreNanoSeconds"],
        )
        for pod in summary["pods"]
        if pod["podRef"]["namespace"] == release.name and pod.get("containers")
    }


if __name__ == "__main__":
    sys.exit(main())
