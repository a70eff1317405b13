"""What one object of the chart says of another is true: names, ports, labels, keys, addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.app import Podium
from hub.backends.kubernetes.policy import COMPONENTS
from hub.configuration import (
    KEY_VARIABLE,
    OIDC_VARIABLE,
    PASSWORD_VARIABLE,
    PROXY_VARIABLE,
    TOKEN_VARIABLE,
)
from tests.chart.helm import NAMESPACE, RELEASE, Objects, named, of, pods
from tests.chart.test_golden import GIVEN


@pytest.fixture(scope="module", params=["defaults", *sorted(GIVEN)])
def release(request: pytest.FixtureRequest, helm: Any) -> Objects:
    """Each set of values in turn."""
    objects: Objects = helm.template(GIVEN.get(request.param))
    return objects


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def ports(template: dict[str, Any]) -> dict[str, int]:
    """The ports of a pod by their names."""
    return {
        port["name"]: port["containerPort"]
        for container in containers(template)
        for port in container.get("ports", [])
    }


def chosen(objects: Objects, selector: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The pods that labels select."""
    made = pods(objects).items()
    return {name: pod for name, pod in made if selector.items() <= pod["metadata"]["labels"].items()}


def test_everything_is_labelled_as_a_part_of_the_release(release):
    for one in release:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "podium"
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_everything_has_a_name_that_begins_with_the_releases(release):
    for one in release:
        name = one["metadata"]["name"]
        assert (
            name == RELEASE
            or name.startswith(f"{RELEASE}-")
            or name in ("rooms.podium.hub", "workspaces.podium.hub")
        )


def test_a_service_leads_to_one_component_at_a_port_that_it_has(release):
    for service in of(release, "Service"):
        ((_, pod),) = chosen(release, service["spec"]["selector"]).items()
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports(pod)


def test_a_deployment_selects_its_own_pods_and_a_budget_too(release):
    for kind in ("Deployment", "DaemonSet", "PodDisruptionBudget"):
        for one in of(release, kind):
            component = one["metadata"]["labels"]["app.kubernetes.io/component"]
            assert list(chosen(release, one["spec"]["selector"]["matchLabels"])) == [component]


def test_a_drain_is_never_blocked(release):
    for budget in of(release, "PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1


def test_an_update_never_has_fewer_pods_than_asked_for(release):
    for deployment in of(release, "Deployment"):
        strategy = deployment["spec"]["strategy"]
        if deployment["metadata"]["name"] == f"{RELEASE}-archive":  # its claim is one pod's at a time
            assert strategy == {"type": "Recreate"}
        else:
            assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_every_account_is_there(release):
    accounts = {account["metadata"]["name"] for account in of(release, "ServiceAccount")}
    assert {pod["spec"]["serviceAccountName"] for pod in pods(release).values()} == accounts


def test_only_what_asks_the_api_server_has_a_token(release):
    having = {name for name, pod in pods(release).items() if pod["spec"]["automountServiceAccountToken"]}
    assert having - {"uninstall"} == {"web", "controller"}


def test_every_volume_is_there_and_is_mounted(release):
    maps = {one["metadata"]["name"] for one in of(release, "ConfigMap")}
    for pod in pods(release).values():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        mounts = {mount["name"] for one in containers(pod) for mount in one.get("volumeMounts", [])}
        assert set(volumes) == mounts
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps


def secrets(pod: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each variable from a Secret: its name, the Secret's, and the key."""
    for variable in (one for container in containers(pod) for one in container.get("env", [])):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            source = variable["valueFrom"]["secretKeyRef"]
            yield variable["name"], source["name"], source["key"]


def test_every_pod_has_the_secrets_that_it_needs_and_no_others(objects):
    key, token = (KEY_VARIABLE, RELEASE, "hub-key"), (TOKEN_VARIABLE, RELEASE, "api-token")
    proxy = (PROXY_VARIABLE, RELEASE, "proxy-token")
    assert {name: set(secrets(pod)) for name, pod in pods(objects).items()} == {
        "web": {key, token},
        "controller": {key, proxy},
        "proxy": {proxy},
        "archive": {key},
        "prepull": set(),
        "uninstall": {key},
    }
    assert set(named(objects, "Secret", RELEASE)["data"]) == {"hub-key", "api-token", "proxy-token"}


def test_with_a_class_web_has_the_instructors_password_too(helm):
    objects = helm.template({"config": {"sign_in": "class"}})
    password = (PASSWORD_VARIABLE, RELEASE, "instructor-password")
    having = {name for name, pod in pods(objects).items() if password in set(secrets(pod))}
    assert having == {"web"}
    assert "instructor-password" in named(objects, "Secret", RELEASE)["data"]


def test_with_a_provider_web_has_its_secret_and_a_way_to_it(helm):
    provider = {"issuer": "https://login.example.org:8443/dex", "client_id": "podium"}
    given = {"config": {"sign_in": "oidc", "oidc": provider}, "secret": {"oidc": "theirs"}}
    objects = helm.template(given)
    secret = (OIDC_VARIABLE, "theirs", "client-secret")
    assert {name for name, pod in pods(objects).items() if secret in set(secrets(pod))} == {"web"}
    egress = named(objects, "NetworkPolicy", f"{RELEASE}-web")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 8443}]} in egress


def test_a_secret_that_exists_is_taken_in_place_of_a_new_one(helm):
    objects = helm.template({"secret": {"existing": "mine"}})
    assert of(objects, "Secret") == []
    assert {name for pod in pods(objects).values() for _, name, _ in secrets(pod)} == {"mine"}


def test_the_components_are_those_that_workspaces_let_in(objects):
    assert {one["metadata"]["name"] for one in of(objects, "Deployment")} == {
        f"{RELEASE}-{component}" for component in COMPONENTS
    }


class TestTheConfiguration:
    def test_is_one_that_podium_takes(self, release, tmp_path: Path):
        app, menu = configured(release, tmp_path)
        assert (app.backend, app.namespace, app.release) == ("kubernetes", NAMESPACE, RELEASE)
        assert menu

    def test_names_services_that_there_are_and_ports_that_they_have(self, release, tmp_path: Path):
        app, _ = configured(release, tmp_path)
        for address in (app.web_address, app.proxy_address, app.archive_address):
            if not address:  # where nothing is kept
                assert "archive" not in pods(release)
                continue
            url = urlsplit(address)
            name, namespace, kind = str(url.hostname).split(".")
            assert (namespace, kind) == (NAMESPACE, "svc")
            assert (url.port or 80) in {
                port["port"] for port in named(release, "Service", name)["spec"]["ports"]
            }
        api = named(release, "Service", app.proxy_service)["spec"]
        assert (api["clusterIP"], api["publishNotReadyAddresses"]) == ("None", True)
        assert [port["name"] for port in api["ports"]] == ["api"]

    def test_listens_where_the_pods_say_so(self, release, tmp_path: Path):
        app, _ = configured(release, tmp_path)
        assert ports(pods(release)["web"]) == {"http": app.web_port, "metrics": app.metrics_port}
        assert ports(pods(release)["controller"]) == {"metrics": app.metrics_port}

    def test_has_the_profiles_of_the_checkouts_own(self, objects, tmp_path: Path):
        app = Podium()
        assert configured(objects, tmp_path)[1] == app.configure([])

    def test_has_the_menu_in_the_order_that_is_asked_for(self, helm, tmp_path: Path):
        given = {"menu": ["lab", "spark"], "profiles": {"lab": {}, "atelier": {}, "notebook": None}}
        _, menu = configured(helm.template(given), tmp_path)
        assert list(menu) == ["lab", "spark", "atelier", "workshop"]

    def test_changes_the_pods_that_read_it(self, helm, objects):
        other = pods(helm.template({"profiles": {"lab": {}}}))
        same = {name for name, pod in pods(objects).items() if pod == other[name]}
        assert same == {"proxy", "prepull", "uninstall"}


def configured(objects: Objects, directory: Path) -> tuple[Any, dict[str, Any]]:
    """Podium with the configuration of a release, and its menu."""
    path = directory / "config.yaml"
    path.write_text(named(objects, "ConfigMap", f"{RELEASE}-config")["data"]["config.yaml"])
    app = Podium()
    return app, app.configure(["web", f"--config={path}"])
