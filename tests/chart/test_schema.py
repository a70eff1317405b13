"""Values that make no sense are refused before anything is installed, naming the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.app import Podium
from tests.chart.helm import Helm, HelmError
from tests.chart.profiles import SCHEMA as FILE
from tests.chart.profiles import definitions
from tests.chart.values import defaults, values

SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
SET_BY_CHART = {
    *("backend", "namespace", "release", "image", "ip", "public_url", "profiles", "registries"),
    *("proxy_address", "proxy_service", "web_address", "archive_address", "archive_limit"),
}
FIXED = {"port", "web_port", "metrics_port", "proxy_api", "state", "config_file", "archive_directory"}
"""What pods have no choice in, or what is for one machine."""
LONG = "x" * 64


def refused(helm: Helm, **given: Any) -> str:
    """What Helm says to values."""
    with pytest.raises(HelmError) as error:
        helm.template(given)
    return str(error.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"replicas": 2}, "at '': additional properties 'replicas' not allowed"),
        ({"web": {"replica": 3}}, "at '/web': additional properties 'replica' not allowed"),
        ({"web": {"replicas": 0}}, "at '/web/replicas': minimum: got 0, want 1"),
        ({"web": {"replicas": "two"}}, "at '/web/replicas': got string, want integer"),
        ({"web": {"resources": {"request": {}}}}, "at '/web/resources': additional properties 'request'"),
        ({"publicUrl": "podium.example.org"}, "at '/publicUrl': 'podium.example.org' does not match pattern"),
        ({"publicUrl": "https://podium.example.org/"}, "at '/publicUrl'"),
        ({"images": {"pullPolicy": "Sometimes"}}, "at '/images/pullPolicy': value must be one of"),
        ({"images": {"hub": ""}}, "at '/images/hub': minLength"),
        ({"images": {"tag": "a tag"}}, "at '/images/tag'"),
        ({"images": {"pullSecrets": "ours"}}, "at '/images/pullSecrets': got string, want array"),
        ({"config": {"ip": "127.0.0.1"}}, "at '/config': additional properties 'ip' not allowed"),
        (
            {"config": {"sign_in": "local"}},
            "at '/config/sign_in': value must be one of 'guest', 'class', 'oidc'",
        ),
        ({"menu": ["workshop", "workshop"]}, "at '/menu': items at 0 and 1 are equal"),
        ({"profiles": {"Workshop": {}}}, "at '/profiles': additional properties 'Workshop' not allowed"),
        ({"profiles": {LONG: {}}}, f"at '/profiles': additional properties '{LONG}'"),
        ({"profiles": dict.fromkeys(defaults()["profiles"])}, "at '/profiles': minProperties: got 0, want 1"),
        ({"profiles": {"lab": {"maxWorkers": 3}}}, "at '/profiles/lab': additional properties 'maxWorkers'"),
        ({"profiles": {"lab": {"name": "tab"}}}, "at '/profiles/lab': additional properties 'name'"),
        (
            {"profiles": {"lab": {"clusters": {"dsk": {}}}}},
            "at '/profiles/lab/clusters': additional properties 'dsk'",
        ),
        (
            {"profiles": {"lab": {"resources": {"worker": {"memory": "1 GB"}}}}},
            "at '/profiles/lab/resources/worker/memory'",
        ),
        (
            {"profiles": {"lab": {"kubernetes": {"home": {"sise": "1Gi"}}}}},
            "at '/profiles/lab/kubernetes/home': additional properties 'sise' not allowed",
        ),
        ({"proxy": {"service": {"type": "Ingress"}}}, "at '/proxy/service/type': value must be one of"),
        ({"pods": {"tolerations": [{"effect": "Never"}]}}, "at '/pods/tolerations/0/effect'"),
        ({"pods": {"nodeSelector": {"big": True}}}, "at '/pods/nodeSelector/big': got boolean, want string"),
        ({"ingress": {"enabled": True}}, "at '/ingress/host': minLength"),
        ({"ingress": {"host": "https://podium.example.org"}}, "at '/ingress/host'"),
        ({"ingress": {"tls": {"issuer": {"kind": "issuer"}}}}, "at '/ingress/tls/issuer/kind'"),
        ({"gateway": {"enabled": True, "host": "podium.example.org"}}, "at '/gateway/parentRefs': minItems"),
        (
            {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}},
            "at '/gateway/host': minLength: got 0, want 1",
        ),
        (
            {"gateway": {"parentRefs": [{"namespace": "public"}]}},
            "at '/gateway/parentRefs/0': missing property",
        ),
        ({"networkPolicy": {"metricsFrom": [{}]}}, "at '/networkPolicy/metricsFrom/0': minProperties"),
        ({"networkPolicy": {"apiServerPorts": []}}, "at '/networkPolicy/apiServerPorts': minItems"),
        ({"priorityClasses": {"podium": 2 * 10**9}}, "at '/priorityClasses/podium': maximum"),
        ({"uninstall": {"timeout": "5m"}}, "at '/uninstall/timeout': got string, want integer"),
        ({"monitoring": {"podMonitor": {"interval": 30}}}, "at '/monitoring/podMonitor/interval'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_is_refused_by_name(helm, given, said):
    assert said in refused(helm, **given)


def test_all_mistakes_are_told_at_once(helm):
    said = refused(helm, web={"replicas": 0}, crd={"instal": False})
    assert "/web/replicas" in said
    assert "/crd" in said


def objects_of(schema: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every part of the schema that describes a mapping."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects_of(item, path)]
    if not isinstance(schema, dict):
        return []
    own = [(path, schema)] if schema.get("type") == "object" else []
    return own + [
        found
        for key, part in schema.items()
        if key not in ("if", "then")
        for found in objects_of(part, f"{path}/{key}")
    ]


def test_no_mapping_takes_just_anything():
    """But those whose content is Kubernetes', and what Helm itself puts there for a chart within a chart."""
    free = {path for path, schema in objects_of(SCHEMA) if "additionalProperties" not in schema}
    peers = "/properties/networkPolicy/properties/metricsFrom/items/properties"
    patches = "/$defs/PodPatch/properties"
    assert free == {
        "/properties/global",
        *(f"{peers}/{kind}" for kind in ("podSelector", "namespaceSelector", "ipBlock")),
        *(f"{patches}/{role}" for role in ("notebook", "scheduler", "worker")),
    }


def test_every_value_is_in_the_schema_and_the_other_way_round():
    def paths(node: dict[str, Any], above: str = "") -> set[str]:
        parts = node.get("properties", {}).items()
        return {path for key, part in parts for path in paths(part, f"{above}.{key}")} or {above[1:]}

    leaves = {value.path for value in values()}
    assert paths(SCHEMA) - {"global"} == leaves


def test_a_profile_is_what_the_hub_takes_for_one():
    same = {name: SCHEMA["$defs"].get(name) for name in definitions()}
    assert same == definitions(), "run: python -m tests.chart.profiles"


def test_every_setting_of_podium_is_a_value_or_is_the_charts_to_set():
    settings = set(SCHEMA["properties"]["config"]["properties"])
    own = set(Podium.class_own_traits(config=True))
    assert own - SET_BY_CHART - FIXED == settings - {"log_level"}
    assert "log_level" in Podium.class_trait_names(config=True)
