"""The controller and the web tier may do what they do, and nothing else; asked and tried as themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.backends.kubernetes.names import Release
from hub.doctor import rights
from hub.doctor.rights import Right
from hub.kube.api import Api, ApiError
from tests.kubernetes.identities import RIGHTS, manifests

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *rights.EVERYWHERE,
    *rights.IN_RELEASE,
    *("configmaps", "endpoints", "serviceaccounts/token", "pods/exec", "pods/eviction", "pods/portforward"),
    *("deployments.apps", "daemonsets.apps", "jobs.batch", "persistentvolumes", "nodes/proxy"),
    *("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"),
    *("clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"),
    *("customresourcedefinitions.apiextensions.k8s.io", "csidrivers.storage.k8s.io"),
    *("mutatingwebhookconfigurations.admissionregistration.k8s.io", "workspaces.podium.hub/scale"),
)
"""What anybody might want: all that Podium works with, and what leads to more rights."""
ELSEWHERE = "kube-system"
WEB = {
    "workspaces.podium.hub": "get list watch create patch delete",
    "rooms.podium.hub": "get list watch create patch",
}
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def granted(part: str, kind: str) -> Iterator[tuple[str, str, str]]:
    """What a file of rights grants by a `Role` or a `ClusterRole`: verb, resource and the name it is for."""
    for body in yaml.safe_load_all(RIGHTS.joinpath(f"{part}.yaml").read_text()):
        for rule in body.get("rules", ()) if body["kind"] == kind else ():
            assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
            names = rule.get("resourceNames", [""])
            for verb, resource, group, name in product(
                rule["verbs"], rule["resources"], rule["apiGroups"], names
            ):
                whole, slash, below = resource.partition("/")
                yield verb, f"{whole}{'.' * bool(group)}{group}{slash}{below}", name


def table(verbs: dict[str, str]) -> set[tuple[str, str]]:
    """Verb and resource of each entry."""
    return {(verb, resource) for resource, words in verbs.items() for verb in words.split()}


class TestTheFiles:
    def test_grant_the_controller_what_it_needs_and_no_more(self):
        everywhere, own = (list(granted("controller", kind)) for kind in ("ClusterRole", "Role"))
        assert {(verb, resource) for verb, resource, _ in everywhere} == table(dict(rights.EVERYWHERE))
        assert {(verb, resource) for verb, resource, _ in own} == table(dict(rights.IN_RELEASE))
        assert {name for _, _, name in everywhere} == {""}
        named = {(verb, resource): name for verb, resource, name in own if name}
        lease = "leases.coordination.k8s.io"
        assert named == dict.fromkeys([("get", lease), ("update", lease)], "podium-controller")

    def test_grant_web_its_own_namespace_alone(self):
        assert list(granted("web", "ClusterRole")) == []
        assert {(verb, resource) for verb, resource, _ in granted("web", "Role")} == table(WEB)

    @pytest.mark.parametrize("part", ["controller", "web"])
    def test_name_no_other_release_once_they_are_filled_in(self, part):
        text = manifests(part, Release("tea", "kitchen"))
        bodies = [body for body in yaml.safe_load_all(text) if body]
        assert {body["metadata"]["name"] for body in bodies} == {f"tea-{part}"}
        spaces = {body["metadata"].get("namespace") for body in bodies}
        assert spaces - {None} == {"kitchen"}
        for body in bodies:
            if body["kind"].endswith("Binding"):
                assert body["roleRef"]["name"] == f"tea-{part}"
                [subject] = body["subjects"]
                assert (subject["name"], subject["namespace"]) == (f"tea-{part}", "kitchen")
            for rule in body.get("rules", ()):
                assert rule.get("resourceNames", ["tea-controller"]) == ["tea-controller"]


async def allowed(kubeconfig: Path, wanted: list[Right]) -> set[Right]:
    """Which of these somebody may do, as the API server sees it."""
    api = await Api.connect(kubeconfig)
    found = set()
    try:
        for right in wanted:
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": right.attributes},
            }
            if (await api.call("POST", REVIEW, body))["status"]["allowed"]:
                found.add(right)
    finally:
        await api.close()
    return found


def asked(namespace: str) -> list[Right]:
    """Every verb on every resource, in the release's namespace and in another one."""
    places = (namespace, ELSEWHERE)
    return [Right(verb, resource, place) for verb, resource, place in product(VERBS, RESOURCES, places)]


class TestTheTable:
    """Verbs by resources, in the release's namespace and in one that is not."""

    async def test_of_the_controller(self, workspaces, release, controller_kubeconfig):
        everywhere, own = table(dict(rights.EVERYWHERE)), table(dict(rights.IN_RELEASE))
        expected = {
            Right(verb, resource, place)
            for verb, resource in everywhere
            for place in (release.namespace, ELSEWHERE)
        }
        expected |= {Right(verb, resource, release.namespace) for verb, resource in own}
        lease = "leases.coordination.k8s.io"
        expected -= {Right(verb, lease, release.namespace) for verb in ("get", "update")}  # only by its name
        assert await allowed(controller_kubeconfig, asked(release.namespace)) == expected

    async def test_of_the_controllers_lease(self, workspaces, release, controller_kubeconfig):
        lease, own = "leases.coordination.k8s.io", f"{release.name}-controller"
        wanted = [
            Right(verb, lease, release.namespace, name)
            for verb in ("get", "update", "delete")
            for name in (own, "kube-scheduler")
        ]
        assert await allowed(controller_kubeconfig, wanted) == {
            Right(verb, lease, release.namespace, own) for verb in ("get", "update")
        }

    async def test_of_web(self, workspaces, release, web_kubeconfig):
        expected = {Right(verb, resource, release.namespace) for verb, resource in table(WEB)}
        assert await allowed(web_kubeconfig, asked(release.namespace)) == expected

    async def test_what_the_doctor_asks_for_is_what_the_controller_has(
        self, workspaces, release, controller_kubeconfig
    ):
        wanted = list(rights.controller(release.name, release.namespace))
        assert await allowed(controller_kubeconfig, wanted) == set(wanted)


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}, "spec": {"containers": []}}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podium-test-mine"}}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "podium-test-mine"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
}
WORKSPACE = {
    "apiVersion": "podium.hub/v1",
    "kind": "Workspace",
    "metadata": {"name": "cluster-abc123"},
    "spec": {"profile": "workshop"},
}
WORKSPACES = "/apis/podium.hub/v1/namespaces/{}/workspaces"
PATCH = "application/merge-patch+json"
FORBIDDEN_TO_WEB = [
    ("GET", "/api/v1/namespaces/{}/secrets/keys", None),
    ("GET", "/api/v1/namespaces/{}/secrets", None),
    ("GET", "/api/v1/secrets", None),
    ("POST", "/api/v1/namespaces/{}/pods", POD),
    ("GET", "/api/v1/namespaces/{}/pods", None),
    ("POST", "/api/v1/namespaces", NAMESPACE),
    ("PATCH", WORKSPACES + "/cluster-abc123/status", {"status": {"phase": "Ready"}}),
    ("PUT", WORKSPACES + "/cluster-abc123/status", WORKSPACE),
    ("GET", "/apis/podium.hub/v1/workspaces", None),
    ("PUT", "/apis/podium.hub/v1/namespaces/{}/rooms/room/status", {}),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", ROLE),
]
FORBIDDEN_TO_THE_CONTROLLER = [
    ("GET", "/api/v1/namespaces/{}/secrets", None),
    ("GET", "/api/v1/namespaces/{}/secrets/keys", None),
    ("GET", "/api/v1/secrets", None),
    ("PATCH", "/api/v1/namespaces/{}/secrets/keys", {"stringData": {"key": "theirs"}}),
    ("DELETE", "/api/v1/namespaces/{}/secrets/keys", None),
    ("POST", "/api/v1/namespaces/{}/pods/mine/exec", None),
    ("POST", "/api/v1/namespaces/{}/serviceaccounts/default/token", {}),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", ROLE),
]


@pytest.fixture
def contents(cluster, workspaces, release) -> None:
    """A Secret and a Workspace in the release's namespace."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "stringData": {"key": "ours"},
    }
    for body in (secret, WORKSPACE):
        metadata = {**body["metadata"], "namespace": release.namespace}  # type: ignore[dict-item]
        cluster.create({**body, "metadata": metadata})


async def refusal(kubeconfig: Path, method: str, path: str, body: Any) -> ApiError:
    """How a request is refused."""
    api = await Api.connect(kubeconfig)
    content_type = PATCH if method == "PATCH" else "application/json"
    try:
        with pytest.raises(ApiError) as refused:
            await api.call(method, path, body, content_type=content_type)
    finally:
        await api.close()
    return refused.value


class TestWeb:
    async def test_is_refused(self, contents, release, web_kubeconfig):
        for method, path, body in FORBIDDEN_TO_WEB:
            error = await refusal(web_kubeconfig, method, path.format(release.namespace), body)
            assert (error.status, error.reason) == (403, "Forbidden"), path
            assert f"{release.name}-web" in error.message

    async def test_cannot_write_a_status_with_the_object_either(
        self, cluster, contents, release, web_kubeconfig
    ):
        api = await Api.connect(web_kubeconfig)
        path = WORKSPACES.format(release.namespace) + "/cluster-abc123"
        body = {"spec": {"workers": 3}, "status": {"phase": "Ready"}}
        try:
            answer = await api.call("PATCH", path, body, content_type=PATCH)
        finally:
            await api.close()
        assert answer["spec"]["workers"] == 3
        assert "status" not in answer


class TestTheController:
    async def test_is_refused(self, contents, release, controller_kubeconfig):
        for method, path, body in FORBIDDEN_TO_THE_CONTROLLER:
            error = await refusal(controller_kubeconfig, method, path.format(release.namespace), body)
            assert (error.status, error.reason) == (403, "Forbidden"), path
            assert f"{release.name}-controller" in error.message

    async def test_makes_a_secret_that_it_cannot_read(
        self, cluster, contents, release, controller_kubeconfig
    ):
        api = await Api.connect(controller_kubeconfig)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new"}}
        path = f"/api/v1/namespaces/{release.namespace}/secrets"
        try:
            assert (await api.call("POST", path, secret))["metadata"]["name"] == "new"
        finally:
            await api.close()
        assert (await refusal(controller_kubeconfig, "GET", f"{path}/new", None)).status == 403
        assert "new" in json.dumps(cluster.get("secrets", "-n", release.namespace))
