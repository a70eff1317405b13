"""What a test does with a cluster, whoever started it: kubectl, and kubeconfigs of service accounts.

Nothing here may start or stop anything.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.certificates import kubeconfig

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds after which something that does not come is taken to never do so."""


class ClusterError(Exception):
    """The cluster did not do what it was asked to; the text says what it said."""


class Cluster:
    """A cluster that runs, as its administrator sees it.

    Args:
        kubeconfig: the administrator's.
        bin: the folder in which kubectl is.
        cache: a folder for what kubectl remembers of the cluster.
    """

    def __init__(self, kubeconfig: Path, bin: Path, cache: Path) -> None:
        self.kubeconfig = kubeconfig
        self.bin = bin
        self._cache = cache

    def kubectl(self, *arguments: str, given: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl.

        Args:
            arguments: its arguments.
            given: its standard input.
            kubeconfig: whose rights it has, the administrator's if none is named.

        Returns:
            Its standard output.

        Raises:
            ClusterError: with its standard error, when it fails.
        """
        options = [f"--kubeconfig={kubeconfig or self.kubeconfig}", f"--cache-dir={self._cache}"]
        done = subprocess.run(
            [self.bin / "kubectl", *options, *arguments], input=given or "", capture_output=True, text=True
        )
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """What `kubectl get -o json` gives, decoded."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    def create(self, *objects: dict[str, Any]) -> None:
        """Make objects, in one request each."""
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("create", "-f", "-", given=json.dumps(items))

    def config(self) -> Any:
        """The kubeconfig, complete in itself, decoded."""
        return json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))

    def kubeconfig_of(self, account: str, path: Path) -> Path:
        """Write a kubeconfig with the rights of a service account, good for an hour.

        Args:
            account: `namespace/name`.
            path: the file to write.
        """
        namespace, _, name = account.partition("/")
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=1h").strip()
        return kubeconfig(path, self.config()["clusters"][0]["cluster"], {"token": token})


def until(what: str, get: Callable[[], T], patience: float = PATIENCE) -> T:
    """Look until `get` gives something true, and return that; raises ClusterError when it never does.

    Args:
        what: what is waited for.
        get: looks.
        patience: seconds.
    """
    end = time.monotonic() + patience
    while not (value := get()):
        if time.monotonic() > end:
            raise ClusterError(f"never, in {patience:.0f} s: {what}")
        time.sleep(0.05)
    return value
