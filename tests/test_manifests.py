"""What is in a namespace: every manifest, and where each setting of a profile lands.

`tests/golden` has all manifests of one workspace of each kind. `GOLDEN=update make test
ARGS=tests/test_manifests.py` writes them again; what then changed is to be read before it is committed.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from hub import model
from hub.backends.kubernetes import manifests
from hub.backends.kubernetes.names import COLLECTIONS, FILES, HASH, HOME, SCRATCH
from hub.backends.kubernetes.pods import files, key
from hub.profiles import TAKEN
from hub.settings import (
    FRAMEWORKS,
    Claim,
    KubernetesSettings,
    Resources,
    RoleResources,
    Settings,
    SharedVolume,
    mebibytes,
)
from hub.wire import convert
from hub.workload import Workload
from tests.builders import NAME, make_workspace
from tests.namespaces import RELEASE, WORKSPACES, named, objects, path_of, pods, workloads

GOLDEN = Path(__file__).parent / "golden"
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
NAME_OF_PORT = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def with_settings(**settings: Any) -> model.Workspace:
    """A workspace of no cluster whose profile says this, in the wire's spelling."""
    return make_workspace(clusters={}, settings=convert(settings, Settings))


def kubernetes(**settings: Any) -> model.Workspace:
    return with_settings(kubernetes=settings)


@pytest.mark.parametrize("kind", WORKSPACES)
def test_every_manifest_is_as_it_was_when_somebody_last_read_it(kind):
    workspace = WORKSPACES[kind]
    text = readable([one.body for one in objects(workspace)] + pods(workspace), workspace)
    file = GOLDEN / f"{kind}.yaml"
    if os.environ.get("GOLDEN") == "update":
        file.write_text(text)
    assert text == file.read_text(), "see the top of this file"


def readable(bodies: list[dict[str, Any]], workspace: model.Workspace) -> str:
    """The manifests as YAML, with what a text is in place of the text and of its hash."""
    sources: dict[str, str] = {}
    for workload in workloads(workspace):
        for path, content in files(workload).items():
            sources.setdefault(key(content), f"<{workload.name}: {path}>")
    for place, body in enumerate(bodies):
        if body["kind"] == "Secret":
            texts = sorted(body["stringData"], key=sources.__getitem__)
            bodies[place] = {**body, "stringData": dict.fromkeys(texts, "...")}
    text = yaml.safe_dump_all(json.loads(json.dumps(bodies)), sort_keys=False, width=100)
    for hashed, source in sources.items():
        text = text.replace(hashed, source)
    text = re.sub("files-[0-9a-f]{16}", "files-<hash>", text)
    return re.sub(rf"{HASH}: \S+", f"{HASH}: <hash>", text)


def test_the_workspace_with_every_setting_has_every_setting():
    """So that none is forgotten in what is golden and in what a real API server is shown."""
    said: dict[tuple[str, str], list[object]] = {}

    def look(value: object) -> None:
        if isinstance(value, tuple):
            for item in value:
                look(item)
        elif isinstance(value, Struct):
            for name in value.__struct_fields__:
                said.setdefault((type(value).__name__, name), []).append(getattr(value, name))
                look(getattr(value, name))

    own = WORKSPACES["everything"].spec.settings.kubernetes
    look(own)
    assert not [field for field, values in said.items() if not any(values)]
    bare = KubernetesSettings()
    assert not [name for name in own.__struct_fields__ if getattr(own, name) == getattr(bare, name)]


def test_the_namespace_comes_first_and_what_pods_need_before_them():
    kinds = [one.kind for one in objects(WORKSPACES["everything"])]
    assert kinds == [
        *("Namespace", "ResourceQuota", "LimitRange", "NetworkPolicy", "ServiceAccount"),
        *("PersistentVolumeClaim", "PersistentVolumeClaim", "Secret", "Service"),
    ]


@pytest.mark.parametrize("kind", WORKSPACES)
def test_everything_is_made_in_the_workspaces_own_namespace_and_says_whose_it_is(kind):
    workspace = WORKSPACES[kind]
    for manifest in objects(workspace):
        body = manifest.body
        assert manifest.path == path_of(body)
        assert body["metadata"].get("namespace", "" if manifest.kind == "Namespace" else None) in ("", NAME)
        assert manifest.name == (NAME if manifest.kind == "Namespace" else body["metadata"]["name"])
    for body in [one.body for one in objects(workspace)] + pods(workspace):
        assert body["metadata"]["labels"].items() >= {
            ("app.kubernetes.io/managed-by", "podium"),
            ("podium.hub/release", "class"),
            ("podium.hub/workspace", NAME),
        }
        assert "ada" not in body["metadata"]["labels"].values(), "many may read labels; they last in logs"


def test_an_outdated_object_is_told_by_its_hash():
    before = objects(kubernetes())
    again = objects(kubernetes())
    after = objects(kubernetes(quota={"pods": "1"}))
    hashes = [
        {one.kind: one.body["metadata"]["annotations"][HASH] for one in made if one.kind != "Secret"}
        for made in (before, again, after)
    ]
    assert hashes[0] == hashes[1]
    assert {kind for kind in hashes[0] if hashes[0][kind] != hashes[2][kind]} == {"ResourceQuota"}


def test_the_hash_is_of_annotations_too():
    hashes = {
        named(objects(kubernetes(serviceAccount={"annotations": {"a": value}})), "ServiceAccount")[
            "metadata"
        ]["annotations"][HASH]
        for value in ("1", "2")
    }
    assert len(hashes) == 2


def test_what_images_are_pulled_with_is_in_every_namespace_of_the_release():
    workspace = WORKSPACES["workshop"]
    release = replace(RELEASE, registries='{"auths": {}}')
    secrets = [one.body for one in objects(workspace, release) if one.kind == "Secret"]
    assert [secret["type"] for secret in secrets] == ["Opaque", "kubernetes.io/dockerconfigjson"]
    assert secrets[1]["stringData"] == {".dockerconfigjson": '{"auths": {}}'}
    name = secrets[1]["metadata"]["name"]
    for pod in pods(workspace, release):
        assert pod["spec"]["imagePullSecrets"] == [{"name": name}]
    other = replace(RELEASE, registries='{"auths": {"r": {}}}')
    assert other.pull_secret != name


def test_files_are_in_a_secret_once_and_with_other_content_it_is_another_secret():
    def secret(*workloads: Workload) -> dict[str, Any]:
        return manifests.files_secret(NAME, workloads, RELEASE).body

    one = Workload("one", "notebook", "", ("run",), files={"a": "same", "b": "other"})
    two = Workload("two", "worker", "dask", ("run",), files={"c": "same"})
    both = secret(one, two)
    assert sorted(both["stringData"].values()) == ["other", "same"]
    assert both["immutable"] is True
    assert both["metadata"]["name"] == secret(one)["metadata"]["name"] == secret(two, one)["metadata"]["name"]
    assert both["metadata"]["name"] != secret(two)["metadata"]["name"]


@pytest.mark.parametrize("frameworks", [(), ("dask",), FRAMEWORKS])
def test_adding_a_cluster_adds_its_service_and_changes_nothing_else_that_is_there(frameworks):
    """So that a running workspace needs few requests for it."""

    def hashes(clusters):
        made = objects(make_workspace(clusters=dict.fromkeys(clusters)))
        return {
            (one.kind, one.name): one.body["metadata"]["annotations"][HASH]
            for one in made
            if one.kind != "Secret"
        }

    less, more = hashes(()), hashes(frameworks)
    assert less.items() <= more.items()
    assert set(more) - set(less) == {("Service", f"{name}-scheduler") for name in frameworks}


def test_a_service_leads_to_its_schedulers_pod_on_every_port():
    workspace = WORKSPACES["workshop"]
    for workload in workloads(workspace):
        if workload.role != "scheduler":
            continue
        spec = named(objects(workspace), "Service", workload.name)["spec"]
        assert {port["name"]: (port["port"], port["targetPort"]) for port in spec["ports"]} == {
            name: (number, number) for name, number in workload.ports.items()
        }
        selected = [
            pod["metadata"]["name"]
            for pod in pods(workspace)
            if spec["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        assert selected == [workload.name]


# What a profile says, the kind and name of the object where it lands, and what is there.
LANDS = [
    ({"kubernetes": {"quota": {"pods": "9"}}}, "ResourceQuota", "", "spec.hard.pods", "9"),
    (
        {"kubernetes": {"quota": {"count/jobs.batch": "1"}}},
        "ResourceQuota",
        "",
        ("spec", "hard", "count/jobs.batch"),
        "1",
    ),
    (
        {"kubernetes": {"serviceAccount": {"name": "student"}}},
        "ServiceAccount",
        "student",
        "metadata.name",
        "student",
    ),
    (
        {"kubernetes": {"serviceAccount": {"annotations": {"role": "reader"}}}},
        *("ServiceAccount", "", "metadata.annotations.role", "reader"),
    ),
    (
        {"kubernetes": {"home": {"size": "5Gi"}}},
        *("PersistentVolumeClaim", "home", "spec"),
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    ),
    (
        {"kubernetes": {"home": {"storageClass": "fast", "accessMode": "ReadWriteMany"}}},
        *("PersistentVolumeClaim", "home", "spec"),
        {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": "fast",
        },
    ),
    (
        {"kubernetes": {"shared": [{"name": "d", "path": "/d", "claim": {"size": "1Gi"}}]}},
        *("PersistentVolumeClaim", "shared-d", "spec.accessModes"),
        ["ReadOnlyMany"],
    ),
    ({"resources": {"worker": {"cpu": 3}}}, "LimitRange", "", ("spec", "limits", 0, "max", "cpu"), "3"),
    (
        {"resources": {"worker": {"memory": "3Gi"}}},
        "LimitRange",
        "",
        ("spec", "limits", 0, "max", "memory"),
        "3Gi",
    ),
]


@pytest.mark.parametrize(("settings", "kind", "name", "path", "value"), LANDS)
def test_what_a_profile_says_lands_in_the_namespace(settings, kind, name, path, value):
    found: Any = named(objects(with_settings(**settings)), kind, name)
    for step in path.split(".") if isinstance(path, str) else path:
        found = found[step]
    assert found == value


QUOTAS = [
    # A notebook alone.
    ({"frameworks": []}, {"pods": "1", "requests.cpu": "1", "limits.memory": "1Gi"}),
    # A cluster at its largest twice over, for what ends counts too; its scheduler once.
    ({"frameworks": ["dask"], "maxWorkers": 10}, {"pods": "22", "limits.cpu": "22"}),
    (
        {"frameworks": ["dask", "spark"], "maxWorkers": 10},
        {"pods": "43", "limits.cpu": "43"},
    ),
    # Requests and limits, each role's own.
    (
        {
            "frameworks": ["dask"],
            "maxWorkers": 2,
            "resources": {
                "notebook": {"cpu": 2, "memory": "3Gi", "requests": {"cpu": 0.1}},
                "scheduler": {"cpu": 0.5, "memory": "512Mi"},
                "worker": {"cpu": 1.5, "memory": "1Gi", "gpu": 1, "requests": {"memory": "256Mi"}},
            },
        },
        {
            "requests.cpu": "6600m",
            "limits.cpu": "8500m",
            "requests.memory": "4608Mi",
            "limits.memory": "7680Mi",
            "requests.nvidia.com/gpu": "4",
        },
    ),
    ({"kubernetes": {"gpuResource": "amd.com/gpu"}}, {"requests.amd.com/gpu": "0"}),
    ({}, {"persistentvolumeclaims": "0", "requests.storage": "0"}),
    ({}, {"services.loadbalancers": "0", "services.nodeports": "0"}),
    (
        {
            "kubernetes": {
                "home": {"size": "1Gi"},
                "shared": [
                    {"name": "a", "path": "/a", "claim": {"size": "512Mi"}},
                    {"name": "b", "path": "/b", "csi": {"driver": "x"}},
                ],
            }
        },
        {"persistentvolumeclaims": "2", "requests.storage": "1536Mi"},
    ),
]


@pytest.mark.parametrize(("settings", "hard"), QUOTAS)
def test_the_quota_is_what_the_profile_needs_at_its_largest(settings, hard):
    quota = manifests.quota(convert(settings, Settings))
    assert quota.items() >= hard.items()


MEBIBYTES = st.integers(1, 4096).map(lambda number: f"{number}Mi")
CORES = st.integers(1, 64_000).map(lambda number: number / 1000)
RESOURCES = st.builds(Resources, cpu=CORES, memory=MEBIBYTES)


@given(
    st.builds(RoleResources, notebook=RESOURCES, scheduler=RESOURCES, worker=RESOURCES), st.integers(0, 50)
)
def test_the_limits_refuse_no_pod_of_ours_and_fit_the_quota(resources, max_workers):
    settings = Settings(resources=resources, max_workers=max_workers)
    item = manifests.limits(settings)
    hard = manifests.quota(settings)
    workspace = make_workspace(clusters=dict.fromkeys(FRAMEWORKS), settings=settings)
    used = 0.0
    for body in pods(workspace):
        own = body["spec"]["containers"][0]["resources"]
        assert cpu(own["requests"]["cpu"]) <= cpu(own["limits"]["cpu"]) <= cpu(item["max"]["cpu"])
        assert mebibytes(own["limits"]["memory"]) <= mebibytes(item["max"]["memory"])
        used += cpu(own["limits"]["cpu"]) * (max_workers if body["metadata"]["name"].endswith("-1") else 1)
    assert used <= cpu(hard["limits.cpu"]) + 0.001
    for name in ("cpu", "memory"):
        amount = cpu if name == "cpu" else mebibytes
        assert (
            amount(item["defaultRequest"][name]) <= amount(item["default"][name]) <= amount(item["max"][name])
        )


def cpu(quantity: str) -> float:
    """A quantity of CPU as a number of cores."""
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


CLAIMS = st.builds(Claim)
VOLUMES = st.builds(
    SharedVolume,
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", fullmatch=True),
    path=st.from_regex(r"(/[A-Za-z0-9_][A-Za-z0-9._-]{0,9}){1,3}", fullmatch=True),
    claim=st.none() | CLAIMS,
)


@given(
    name=st.from_regex("cluster-[a-z0-9]{6,8}", fullmatch=True),
    shared=st.lists(VOLUMES, max_size=3, unique_by=lambda volume: volume.name),
    home=st.none() | CLAIMS,
)
def test_every_name_is_one_that_kubernetes_takes(name, shared, home):
    own = KubernetesSettings(shared=tuple(shared), home=home)
    workspace = make_workspace(
        name=name, clusters=dict.fromkeys(FRAMEWORKS), settings=Settings(kubernetes=own)
    )
    made = objects(workspace)
    assert len({(one.kind, one.name) for one in made}) == len(made)
    claims = {one.name for one in made if one.kind == "PersistentVolumeClaim"}
    for body in [one.body for one in made] + pods(workspace):
        kind = LABEL if body["kind"] in ("Namespace", "Service", "Pod") else SUBDOMAIN
        assert kind.fullmatch(body["metadata"]["name"])
        assert all(LABEL_VALUE.fullmatch(value) for value in body["metadata"]["labels"].values())
        for port in body.get("spec", {}).get("ports", ()):
            assert LABEL.fullmatch(port["name"])
        assert all(SECRET_KEY.fullmatch(key) for key in body.get("stringData", ()))
    for body in pods(workspace):
        volumes = {volume["name"]: volume for volume in body["spec"]["volumes"]}
        [container] = body["spec"]["containers"]
        assert len(volumes) == len(body["spec"]["volumes"])
        assert all(LABEL.fullmatch(name) for name in volumes)
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        used = {volume.get("persistentVolumeClaim", {}).get("claimName") for volume in volumes.values()}
        assert used - {None} <= claims
        for port in container.get("ports", ()):
            assert NAME_OF_PORT.fullmatch(port["name"])
            assert len(port["name"]) <= 15


def test_a_profile_may_not_hide_the_folders_that_pods_have():
    assert set(TAKEN) == {HOME, SCRATCH, FILES, "/tmp"}


def test_there_is_a_path_for_every_kind_and_the_pods():
    assert {one.kind for one in objects(WORKSPACES["everything"])} | {"Pod"} == set(COLLECTIONS)
