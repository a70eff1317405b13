"""Helm as the tests of the chart use it, with the chart of this checkout.

Nothing here may know what is in the chart.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hub.tools import CHECKOUT

CHART = CHECKOUT / "helm"
RELEASE, NAMESPACE = "tea", "kitchen"
"""What the release is called that is only rendered, and its namespace."""

Objects = list[dict[str, Any]]


class HelmError(Exception):
    """Helm refused; the text is what it said."""


class Helm:
    """Helm with a home of its own.

    Args:
        program: its path.
        home: an empty folder, for what it keeps.
        kubeconfig: of the cluster, if there is one.
    """

    def __init__(self, program: Path, home: Path, kubeconfig: Path | None = None) -> None:
        self._program = program
        self._home = home
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Run it.

        Args:
            arguments: its arguments.
            values: settings of the chart, as a file of values has them.

        Returns:
            Its standard output.

        Raises:
            HelmError: when it fails.
        """
        env = {"HOME": str(self._home), "KUBECONFIG": str(self._kubeconfig or self._home / "none")}
        given = ["--values=-"] if values is not None else []
        done = subprocess.run(
            [self._program, *arguments, *given],
            input=json.dumps(values or {}),
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise HelmError(done.stderr.strip())
        return done.stdout

    def template(self, values: Mapping[str, Any] | None = None, *arguments: str) -> Objects:
        """The objects of a release with these settings, its hooks among them."""
        text = self(
            "template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *arguments, values=values or {}
        )
        return [one for one in yaml.safe_load_all(text) if one]


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    """The only object of a kind and a name."""
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def of(objects: Objects, *kinds: str) -> Objects:
    """All objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    """The pods that are made of these objects: component to the template of its pods."""
    runs = of(objects, "Deployment", "DaemonSet", "Job")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"] for one in runs}
