"""The menu of the hubs of these tests, each entry named for what it is used for. Nothing here may do I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

SMALL = {"cpu": 0.1, "memory": "64Mi"}
SOON = {"spec": {"terminationGracePeriodSeconds": 1}}
"""Kubernetes removes a namespace no sooner than half the longest grace period of the pods in it."""
PROFILE = {
    "workers": 2,
    "clusters": {"dask": {}},
    "max_workers": 100,
    "resources": {"notebook": SMALL, "scheduler": SMALL, "worker": SMALL},
    "kubernetes": {"pod_patch": {"notebook": SOON, "scheduler": SOON, "worker": SOON}},
}
HELD = {"metadata": {"annotations": {"podium.test/held": ""}}}
"""A patch for pods whose status a test writes itself."""


def profile(held: str = "", resources: Mapping[str, Any] | None = None, **kubernetes: Any) -> dict[str, Any]:
    """The profile of these tests with something changed.

    Args:
        held: the role whose pods are left to the test.
        resources: role to what it needs.
        kubernetes: settings of the profile of that name.
    """
    patch = {role: SOON | (HELD if role == held else {}) for role in ("notebook", "scheduler", "worker")}
    needs = {**cast(dict[str, Any], PROFILE["resources"]), **(resources or {})}
    return {**PROFILE, "resources": needs, "kubernetes": {"pod_patch": patch, **kubernetes}}


PROFILES = {
    "workshop": PROFILE,
    "held": profile(held="notebook"),
    "held-workers": profile(held="worker"),
    "kept": profile(home={"size": "1Gi"}),
    "passing": profile(namespace_lost="remove"),
    "tight": profile(quota={"pods": "3"}),
    "huge": profile(resources={"notebook": {"cpu": 700, "memory": "64Mi"}}),
    "picky": profile(node_selector={"podium.test/kind": "special"}),
}
