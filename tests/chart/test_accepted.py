"""A real API server takes everything that the chart makes, and its pods at the level `restricted`.

The nodes do not exist, and their pods are ready at once: what the programs do is told on a real node.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import NAMESPACE, of, pods
from tests.chart.release import Release, new_release
from tests.chart.test_golden import GIVEN
from tests.cluster.access import Cluster, ClusterError

pytestmark = pytest.mark.cluster
UNKNOWN = ("HTTPRoute", "PodMonitor")
"""Kinds that a cluster has only by somebody else's definitions; `test_fits.py` looks at these."""
DRY = ("--dry-run=server", "--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def notes(release: Release) -> str:
    """What is said when a release was installed and all its pods, which do not exist, got ready."""
    return release.install({}, "--wait", "--timeout=100s")


@pytest.fixture(scope="module")
def release(bin: Path, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release that all tests here share."""
    with new_release(cluster, bin, tmp_path_factory.mktemp("helm")) as release:
        yield release


def test_a_release_says_what_to_do_next(notes, release):
    name = release.name
    assert f"kubectl --namespace {name} port-forward service/{name}-proxy 8000:80" in notes
    template = notes.partition("--template '")[2].partition("'")[0]
    token = release.cluster.kubectl("get", "secret", name, "-n", name, "--template", template)
    assert len(token) == 64, "the command that it names shows the token"


def test_every_pod_is_made(notes, release):
    """Which is what `helm install --wait` waited for, in a namespace that enforces `restricted`."""
    made = release.cluster.get("pods", "-n", release.name)["items"]
    counts = [pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in made]
    assert {name: counts.count(name) for name in counts} == {
        "web": 2,
        "controller": 2,
        "proxy": 2,
        "prepull": 2,
        "archive": 1,
    }


@pytest.mark.parametrize("name", ["defaults", *sorted(GIVEN)])
def test_the_server_knows_every_field_of_every_object(notes, release, helm, name):
    objects = [one for one in helm.template(GIVEN.get(name)) if one["kind"] not in UNKNOWN]
    assert len(objects) > 20
    text = yaml.safe_dump_all(objects).replace(f"namespace: {NAMESPACE}", f"namespace: {release.name}")
    said = release.cluster.kubectl("apply", *DRY, given=text)
    assert said.count("(server dry run)") == len(objects)


def test_the_server_does_refuse_a_field_that_it_does_not_know(release, objects):
    """Else the test above could not fail."""
    (service, *_) = copy.deepcopy(of(objects, "Service"))
    service["spec"]["sessionafinity"] = "None"
    service["metadata"]["namespace"] = release.name
    with pytest.raises(ClusterError, match=r'unknown field "spec\.sessionafinity"'):
        release.cluster.kubectl("apply", *DRY, given=json.dumps(service))


@pytest.mark.parametrize("name", ["defaults", "everything"])
def test_every_pod_is_restricted(notes, release, helm, name):
    made = pods(helm.template(GIVEN.get(name)))
    assert set(made) == {"web", "controller", "proxy", "archive", "prepull", "uninstall"}
    for component, template in made.items():
        assert "created" in _try(release, component, template)


@pytest.mark.parametrize(
    "path", [("containers", 0, "securityContext", "capabilities"), ("securityContext", "runAsNonRoot")]
)
def test_a_pod_that_is_not_restricted_is_refused(notes, release, objects, path):
    template = copy.deepcopy(pods(objects)["web"])
    *above, last = path
    del reduce(lambda node, key: node[key], above, template["spec"])[last]
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        _try(release, "web", template)


def _try(release: Release, name: str, template: dict[str, Any]) -> str:
    """Try to make a pod, without its account and class, which this namespace need not have."""
    left_out = ("serviceAccountName", "priorityClassName")
    spec = {key: value for key, value in template["spec"].items() if key not in left_out}
    metadata = {**template["metadata"], "name": name, "namespace": release.name}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return release.cluster.kubectl("create", *DRY, given=json.dumps(pod))
