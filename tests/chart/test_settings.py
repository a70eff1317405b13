"""Where the values of an operator land: the address, images, priorities, metrics, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hub.backends.kubernetes.policy import COMPONENTS
from hub.profiles import read_profiles
from tests.chart.helm import RELEASE, named, of, pods
from tests.chart.test_fits import chosen, configured, containers, ports
from tests.chart.test_golden import GIVEN
from tests.chart.values import defaults


class TestTheAddress:
    @pytest.mark.parametrize(
        ("values", "url"),
        [
            ({}, ""),
            ({"publicUrl": "https://a.example.org:8443"}, "https://a.example.org:8443"),
            ({"ingress": {"enabled": True, "host": "b.example.org"}}, "http://b.example.org"),
            (GIVEN["ingress"], "https://podium.example.org"),
            (GIVEN["gateway"], "https://podium.example.org"),
            ({"gateway": {**GIVEN["gateway"]["gateway"], "https": False}}, "http://podium.example.org"),
            ({**GIVEN["ingress"], "publicUrl": "https://a.example.org"}, "https://a.example.org"),
        ],
    )
    def test_is_what_people_open(self, helm, tmp_path: Path, values, url):
        app, _ = configured(helm.template(values), tmp_path)
        assert app.public_url == url

    def test_of_an_ingress_leads_to_the_proxy(self, helm):
        objects = helm.template(GIVEN["ingress"])
        ingress = named(objects, "Ingress", f"{RELEASE}-proxy")
        (rule,) = ingress["spec"]["rules"]
        ((backend),) = [path["backend"]["service"] for path in rule["http"]["paths"]]
        service = named(objects, "Service", backend["name"])
        assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
        assert ingress["spec"]["tls"] == [{"secretName": f"{RELEASE}-tls", "hosts": ["podium.example.org"]}]
        assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}

    def test_of_a_gateway_leads_to_the_proxy(self, helm):
        objects = helm.template(GIVEN["gateway"])
        route = named(objects, "HTTPRoute", f"{RELEASE}-proxy")["spec"]
        assert route["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
        assert route["hostnames"] == ["podium.example.org"]
        (rule,) = route["rules"]
        (backend,) = rule["backendRefs"]
        service = named(objects, "Service", backend["name"])
        assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
        assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}, "that is, none"

    def test_with_a_certificate_of_ones_own_asks_nobody_for_one(self, helm):
        given = {"ingress": {"enabled": True, "host": "a.example.org", "tls": {"secretName": "mine"}}}
        ingress = named(helm.template(given), "Ingress", f"{RELEASE}-proxy")
        assert ingress["spec"]["tls"][0]["secretName"] == "mine"
        assert "annotations" not in ingress["metadata"]


class TestImages:
    @pytest.mark.parametrize(
        ("images", "image"),
        [
            ({"hub": "podium-hub", "tag": "1.2"}, "podium-hub:1.2"),
            ({"registry": "localhost:5000/a", "tag": "1.2"}, "localhost:5000/a/podium-hub:1.2"),
            ({"registry": "localhost:5000/a/", "tag": "1.2"}, "localhost:5000/a/podium-hub:1.2"),
            ({"hub": "localhost:5000/b/hub", "tag": "1.2"}, "localhost:5000/b/hub:1.2"),
            (
                {"hub": "localhost/podium-hub:digest", "registry": "a", "tag": "1.2"},
                "localhost/podium-hub:digest",
            ),
            ({"hub": "b/hub@sha256:abc", "registry": "a"}, "b/hub@sha256:abc"),
        ],
    )
    def test_have_the_names_that_are_given(self, helm, images, image):
        made = pods(helm.template({"images": images}))
        assert {containers(made[name])[0]["image"] for name in ("web", "controller", "uninstall")} == {image}

    def test_of_all_profiles_are_pulled_before(self, helm):
        given = {"profiles": {"lab": {"image": "lab:1"}, "again": {"image": "lab:1"}}, "images": {"tag": "9"}}
        prepull = pods(helm.template(given))["prepull"]["spec"]
        pulled = [container["image"] for container in prepull["initContainers"]]
        assert pulled == ["podium-workspace:9", "lab:1"]
        assert [container["image"] for container in prepull["containers"]] == ["podium-workspace:9"]

    def test_are_pulled_with_the_secrets_that_are_given(self, helm):
        for pod in pods(helm.template({"images": {"pullSecrets": ["mine"]}})).values():
            assert pod["spec"]["imagePullSecrets"] == [{"name": "mine"}]

    def test_of_workspaces_have_a_secret_that_the_controller_hands_on(self, helm, tmp_path: Path):
        objects = helm.template({"images": {"pullSecrets": ["mine"], "workspacePullSecret": "theirs"}})
        app, _ = configured(objects, tmp_path)
        made = pods(objects)
        having = {}
        for name, pod in made.items():
            for volume in pod["spec"].get("volumes", []):
                if "secret" in volume:
                    having[name] = volume
        assert set(having) == {"controller"}, "nobody else may read it"
        volume = having["controller"]
        assert volume["secret"]["secretName"] == "theirs"
        (mount,) = [
            mount
            for mount in containers(made["controller"])[0]["volumeMounts"]
            if mount["name"] == volume["name"]
        ]
        (item,) = volume["secret"]["items"]
        assert app.registries == f"{mount['mountPath']}/{item['path']}"
        assert made["prepull"]["spec"]["imagePullSecrets"] == [{"name": "mine"}, {"name": "theirs"}]


class TestPriorities:
    def test_are_those_of_the_classes_that_are_made(self, helm, tmp_path: Path):
        objects = helm.template({"priorityClasses": {"create": True}})
        assert {one["metadata"]["name"] for one in of(objects, "PriorityClass")} == {
            f"{RELEASE}-podium",
            f"{RELEASE}-workspaces",
        }
        ours = {name: pod["spec"].get("priorityClassName") for name, pod in pods(objects).items()}
        assert {ours[name] for name in COMPONENTS} == {f"{RELEASE}-podium"}
        _, menu = configured(objects, tmp_path)
        assert {profile.kubernetes.priority_class for profile in menu.values()} == {f"{RELEASE}-workspaces"}

    def test_are_not_taken_from_a_profile_that_names_its_own(self, helm, tmp_path: Path):
        profile = {"kubernetes": {"priority_class": "own", "node_selector": {"a": "b"}}}
        given = {"priorityClasses": {"create": True}, "profiles": {"lab": profile}}
        _, menu = configured(helm.template(given), tmp_path)
        assert menu["lab"] == read_profiles({"lab": profile})["lab"]


class TestMetrics:
    def test_are_asked_for_where_the_pods_have_them(self, helm):
        objects = helm.template({"monitoring": {"podMonitor": {"enabled": True, "labels": {"a": "b"}}}})
        monitor = named(objects, "PodMonitor", RELEASE)
        asked = chosen(objects, monitor["spec"]["selector"]["matchLabels"])
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert {name for name, pod in asked.items() if endpoint["port"] in ports(pod)} == set(COMPONENTS)
        assert monitor["metadata"]["labels"]["a"] == "b"

    def test_have_a_dashboard_when_one_is_wanted(self, helm):
        objects = helm.template({"monitoring": {"dashboard": {"enabled": True}}})
        found = named(objects, "ConfigMap", f"{RELEASE}-dashboard")
        assert found["metadata"]["labels"].items() >= defaults()["monitoring"]["dashboard"]["labels"].items()
        assert yaml.safe_load(found["data"]["podium.json"])["title"]


def test_what_is_kept_is_marked_so_while_it_is_installed(helm):
    keep = "helm.sh/resource-policy"
    for values, kept in [
        ({}, set()),
        ({"crd": {"keep": True}}, {"CustomResourceDefinition"}),
        ({"uninstall": {"keepWorkspaces": True}}, {"CustomResourceDefinition", "Secret"}),
    ]:
        objects = helm.template(values)
        marked = {one["kind"] for one in objects if keep in one["metadata"].get("annotations", {})}
        assert marked == kept


def test_a_second_release_leaves_the_definition_to_the_first(helm):
    assert of(helm.template({"crd": {"install": False}}), "CustomResourceDefinition") == []
