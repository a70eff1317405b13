"""The rights that the chart grants are those of `helm/files/rights`, which an API server is asked about."""

from __future__ import annotations

import pytest
import yaml

from hub.backends.kubernetes.names import Release
from tests.chart.helm import NAMESPACE, RELEASE, Objects, of
from tests.chart.test_golden import GIVEN
from tests.kubernetes.identities import manifests

RIGHTS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def bare(objects: Objects) -> list[str]:
    """Objects without their labels, in an order of their own."""
    shown = [{**one, "metadata": {**one["metadata"], "labels": None}} for one in objects]
    return sorted(yaml.safe_dump(one) for one in shown)


@pytest.mark.parametrize("name", ["defaults", *sorted(GIVEN)])
def test_nothing_else_is_granted(helm, name):
    granted = of(helm.template(GIVEN.get(name)), *RIGHTS)
    text = "---\n".join(manifests(part, Release(RELEASE, NAMESPACE)) for part in ("controller", "web"))
    written = [one for one in yaml.safe_load_all(text) if one]
    assert bare(granted) == bare(of(written, *RIGHTS))
    assert len(granted) == 6
