"""A release from its first day to its last, on a real API server: what changes, what stays, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.release import DEFINITION, DEFINITIONS, Release, new_release
from tests.cluster.access import Cluster, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def release(bin: Path, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    """A release that is not installed yet."""
    with new_release(cluster, bin, tmp_path) as release:
        yield release


def test_secrets_are_made_once(release):
    release.install()
    made = release.secret
    assert set(made) == {"hub-key", "api-token", "proxy-token"}
    assert len(set(made.values())) == 3
    release.upgrade({"web": {"replicas": 1}})
    assert release.secret == made
    release.helm("rollback", release.name, "1")
    assert release.secret == made


def test_a_key_that_is_missing_is_made_and_the_others_stay(release):
    release.install()
    made = release.secret
    patch = '[{"op": "remove", "path": "/data/proxy-token"}]'
    release.cluster.kubectl(
        "patch", "secret", release.name, "-n", release.name, "--type=json", f"--patch={patch}"
    )
    release.upgrade({})
    assert {key: value for key, value in release.secret.items() if made[key] == value}.keys() == {
        "hub-key",
        "api-token",
    }
    assert release.secret["proxy-token"]


def test_pods_are_replaced_when_what_they_read_changed_and_only_then(release):
    release.install()
    before = release.templates()
    release.upgrade({"profiles": {"workshop": {"max_workers": 9}}})
    after = release.templates()
    assert {name for name in before if before[name] != after[name]} == {"web", "controller"}
    assert "max_workers: 9" in release.config
    release.helm("rollback", release.name, "1")
    assert release.templates() == before
    assert "max_workers: 9" not in release.config


def test_an_upgrade_brings_the_definition_of_workspaces(release):
    release.install()
    patch = '[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]'
    release.cluster.kubectl("patch", *DEFINITION, "--type=json", f"--patch={patch}")
    release.upgrade({})
    assert release.cluster.get(*DEFINITION)["spec"]["versions"][0]["additionalPrinterColumns"]


def test_nothing_is_left(release):
    release.install({"priorityClasses": {"create": True}})
    assert len(release.left()) > 25
    release.uninstall()
    until("nothing is left", lambda: not release.left())


def test_what_is_to_be_kept_is_left_and_found_again(release):
    release.install({"uninstall": {"keepWorkspaces": True}})
    made = release.secret
    workspace = {
        "apiVersion": "podium.hub/v1",
        "kind": "Workspace",
        "metadata": {"name": "cluster-abc123", "namespace": release.name},
        "spec": {"profile": "workshop", "owner": "ada"},
    }
    until("Workspaces can be made", lambda: _established(release.cluster))
    release.cluster.create(workspace)
    release.uninstall()
    definitions = {f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in DEFINITIONS[1:]}
    kept = {f"secret/{release.name}", *definitions}
    until("only what is kept is left", lambda: release.left() == kept)
    release.install()
    assert release.secret == made
    assert release.cluster.get("workspace", "cluster-abc123", "-n", release.name)["spec"]["owner"] == "ada"


def _established(cluster: Cluster) -> bool:
    conditions = cluster.get(*DEFINITION).get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def test_a_second_release_of_a_cluster_says_that_the_definition_is_taken(release, bin, cluster, tmp_path):
    release.install()
    home = tmp_path / "second"
    home.mkdir()
    with new_release(cluster, bin, home) as second:
        with pytest.raises(Exception, match=r"CustomResourceDefinition .* exists and cannot be imported"):
            second.install()
        second.install({"crd": {"install": False}})
        assert second.secret != release.secret
