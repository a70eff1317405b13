"""A release that Helm installed on the real node, as its operator and the people who use it see it.

Nothing here may reach past the front door, but to break things as the operator can.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hub.tools import CHECKOUT
from tests.cluster.access import ClusterError, until
from tests.cluster.node import SOCKET, RealNode
from tests.running import ReachedHub

CHART = CHECKOUT / "helm"
COMPONENTS = ("web", "controller", "proxy")
ROLLOUT = 180.0
"""Seconds that pods of a release may take to be replaced, on a machine that does more than that."""
SMALL = {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.02, "memory": "64Mi"}}
PROFILES = {
    "workshop": {
        "title": "Workshop",
        "description": "Dask and IPyParallel at once.",
        "frameworks": ["dask", "ipyparallel"],
        "clusters": {"dask": {}},
        "workers": 2,
        "max_workers": 4,
        "resources": dict.fromkeys(("notebook", "scheduler", "worker"), SMALL),
    },
    "notebook": {
        "title": "Notebook",
        "description": "JupyterLab alone.",
        "frameworks": ["dask"],
        "clusters": {},
        "resources": dict.fromkeys(("notebook", "scheduler", "worker"), SMALL),
    },
}


class Installed(ReachedHub):
    """A release.

    Args:
        node: the cluster.
        name: of the release and of its namespace.
        directory: for the files of values.
    """

    def __init__(self, node: RealNode, name: str, directory: Path) -> None:
        super().__init__("", self._api_token, self.logs)
        self.node = node
        self.name = name
        self._directory = directory

    def helm(self, *arguments: str) -> str:
        """Run helm in the release's namespace. Returns its standard output; raises ClusterError."""
        command = [self.node.bin / "helm", f"--namespace={self.name}", *arguments]
        env = {
            "KUBECONFIG": str(self.node.kubeconfig),
            "PATH": str(self.node.bin),
            "HOME": str(self._directory),
        }
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        if done.returncode:
            raise ClusterError(f"helm {' '.join(arguments)}: {done.stderr.strip()}\n{self.logs()}")
        return done.stdout

    def values(self, **more: Any) -> dict[str, Any]:
        """What an operator would write into a file, for this node."""
        few = {"requests": {"cpu": "10m", "memory": "64Mi"}}
        return {
            "images": {
                "hub": self.node.hub_image,
                "proxy": self.node.proxy_image,
                "workspace": self.node.image,
            },
            "profiles": {**PROFILES, "spark": None},
            **{part: {"resources": few} for part in (*COMPONENTS, "archive")},
            **more,
        }

    def file(self, **more: Any) -> str:
        """A file of these values."""
        path = self._directory / "values.json"  # which is YAML, too
        path.write_text(json.dumps(self.values(**more)))
        return str(path)

    def install(self, **more: Any) -> None:
        """Install, wait until everything of it is ready, and find its address."""
        self.node.kubectl("create", "namespace", self.name)
        label = "pod-security.kubernetes.io/enforce=restricted"
        self.node.kubectl("label", "namespace", self.name, label)
        self.install_again(**more)

    def install_again(self, **more: Any) -> None:
        """The same in a namespace that is there."""
        # Other tests on this node have brought the definition of Workspaces by hand.
        options = ("--take-ownership", "--wait", "--timeout=3m")
        self.helm("install", self.name, str(CHART), f"--values={self.file(**more)}", *options)
        self.url = (
            f"http://{self.node.get('service', f'{self.name}-proxy', '-n', self.name)['spec']['clusterIP']}"
        )

    def upgrade(self, **more: Any) -> None:
        """Change the release and wait until everything of it is ready."""
        self.helm("upgrade", self.name, str(CHART), f"--values={self.file(**more)}", "--wait", "--timeout=3m")

    def next_version(self) -> None:
        """Upgrade to images of other names, as the next version has them: every pod is replaced."""
        images = {"hub": self.node.hub_image, "proxy": self.node.proxy_image}
        names = {what: f"localhost/podium-{what}:next" for what in images}
        for what, image in images.items():
            tag = ["ctr", f"--address={SOCKET}", "--namespace=k8s.io", "images", "tag", "--force"]
            subprocess.run([*tag, image, names[what]], check=True, capture_output=True)
        self.upgrade(images={**names, "workspace": self.node.image})

    def _api_token(self) -> str:
        data = self.node.get("secret", self.name, "-n", self.name)["data"]
        return base64.b64decode(data["api-token"]).decode()

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of `web`, `controller` or `proxy`, those that are ending left out."""
        selector = f"--selector=app.kubernetes.io/component={component}"
        found = self.node.get("pods", "-n", self.name, selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def names(self, component: str) -> list[str]:
        """Their names."""
        return sorted(pod["metadata"]["name"] for pod in self.pods(component))

    def leader(self) -> str:
        """The name of the pod whose controller acts; empty while none does."""
        lease = self.node.get("lease", f"{self.name}-controller", "-n", self.name)
        holder = str(lease["spec"].get("holderIdentity") or "")
        return next((pod for pod in self.names("controller") if holder.startswith(pod)), "")

    def settled(self, component: str) -> list[str]:
        """Wait until both pods of a component are ready; gives their names."""

        def both() -> list[str]:
            ready = [pod for pod in self.pods(component) if is_ready(pod)]
            return [pod["metadata"]["name"] for pod in ready] if len(ready) == 2 else []

        return until(f"two pods of {component} are ready", both, ROLLOUT)

    def delete(self, pod: str) -> None:
        """Delete a pod as an operator does, without waiting for its end."""
        self.node.kubectl("delete", "pod", pod, "-n", self.name, "--wait=false")

    def kill(self, pod: str, program: str) -> None:
        """Kill a program of a pod as a crash would, whose container then starts again."""
        others = f'[ ${{p#/proc/}} = $$ ] || ! grep -qa "{program}" $p/cmdline || kill -9 ${{p#/proc/}}'
        script = f"for p in /proc/[0-9]*; do {others}; done"
        with contextlib.suppress(ClusterError):  # the shell may have ended with the rest
            self.node.kubectl("exec", "-n", self.name, pod, "--", "sh", "-c", script)

    def restarts(self) -> int:
        """How often containers of the release were started again."""
        pods = self.node.get("pods", "-n", self.name)["items"]
        return sum(state["restartCount"] for pod in pods for state in pod["status"]["containerStatuses"])

    def logs(self) -> str:
        """The last lines of every pod of the release."""
        arguments = ("logs", "-n", self.name, "--selector=app.kubernetes.io/name=podium", "--prefix")
        try:
            pods = self.node.kubectl("get", "pods,events", "-n", self.name, "-o", "wide")
            return pods[-3000:] + self.node.kubectl(*arguments, "--tail=30", "--max-log-requests=20")
        except ClusterError as error:
            return str(error)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is."""
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@contextlib.contextmanager
def installed(node: RealNode, directory: Path, name: str, **values: Any) -> Iterator[Installed]:
    """A release that is there for a while."""
    release = Installed(node, name, directory)
    try:
        release.install(**values)
        yield release
    finally:
        release.helm("uninstall", name, "--wait", "--timeout=3m", "--ignore-not-found")
        node.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
