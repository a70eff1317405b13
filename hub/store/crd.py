"""The custom resource definition of Workspaces, made from the types of `model.py`; pure.

`python -m hub.store.crd` writes it to where the chart and the tests take it from. Nothing here may add a
field that the model does not have: what is here are the rules between fields, and what `kubectl` shows.
Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from hub.model import NAME, Spec, Status
from hub.settings import FRAMEWORKS

FILE = Path(__file__).resolve().parent.parent.parent / "helm" / "files" / "crd.yaml"
TIMES = {"expires", "touched", "at", "lastActivity", "idleDeadline"}
RULES = [
    ("!has(oldSelf.owner) || oldSelf.owner == '' || self.owner == oldSelf.owner", "owner: cannot be changed"),
    ("self.profile == oldSelf.profile", "profile: cannot be changed"),
    ("!has(oldSelf.settings) || self.settings == oldSelf.settings", "settings: cannot be changed"),
    (
        "!has(self.settings) || !has(self.workers) || self.workers <= self.settings.maxWorkers",
        "workers: more than settings.maxWorkers",
    ),
    *(
        (
            f"!has(self.settings) || !has(self.clusters) || !has(self.clusters.{name})"
            f" || (self.settings.frameworks.exists(f, f == '{name}')"
            f" && (!has(self.clusters.{name}.workers)"
            f" || self.clusters.{name}.workers <= self.settings.maxWorkers))",
            f"clusters.{name}: not in settings.frameworks, or more workers than settings.maxWorkers",
        )
        for name in FRAMEWORKS
    ),
]
COLUMNS = [
    ("Owner", "string", ".spec.owner", 0),
    ("Profile", "string", ".spec.profile", 0),
    ("Phase", "string", ".status.phase", 0),
    ("Workers", "integer", ".status.workers", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("URL", "string", ".status.url", 0),
    ("Reason", "string", ".status.reason", 1),
    ("Message", "string", ".status.message", 1),
    ("Expires", "string", ".spec.expires", 1),  # kubectl shows ages alone as dates
]


def crd() -> dict[str, Any]:
    """The manifest."""
    names = {
        **{"kind": "Workspace", "listKind": "WorkspaceList", "plural": "workspaces"},
        **{"singular": "workspace", "shortNames": ["ws"], "categories": ["podium"]},
    }
    columns = [
        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
        for name, kind, path, priority in COLUMNS
    ]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _workspace()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.workers",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workspaces.podium.hub"},
        "spec": {"group": "podium.hub", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _workspace() -> dict[str, Any]:
    """The structural schema of the whole object."""
    (spec, status), components = msgspec.json.schema_components([Spec, Status], ref_template="{name}")
    asked, seen = (_structural(part, components) for part in (spec, status))
    asked["required"] = ["profile"]
    asked["x-kubernetes-validations"] = [{"rule": rule, "message": said} for rule, said in RULES]
    for name, part in asked["properties"].items():
        if name != "owner":
            part.pop("default", None)  # what is left out comes from the profile
    cluster = asked["properties"]["clusters"].pop("additionalProperties")
    asked["properties"]["clusters"]["properties"] = dict.fromkeys(FRAMEWORKS, cluster)
    return {
        "type": "object",
        "description": "One person's namespace, with a notebook and clusters that scale.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": asked,
            "status": _without_defaults(seen),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.matches('^{NAME}$')",
                "message": "the name must be `cluster-` and 6 to 8 lower-case letters and digits",
            }
        ],
    }


def _structural(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema as Kubernetes wants it: no references, no unions, types everywhere."""
    schema = dict(schema)
    if "$ref" in schema:
        schema = {**components[schema.pop("$ref")], **schema}
    if "anyOf" in schema:
        kinds = [part for part in schema.pop("anyOf") if part != {"type": "null"}]
        own = {key: value for key, value in schema.items() if value is not None}
        return {**_structural(kinds[0], components), **own, "nullable": True}
    for key in ("title", "propertyNames"):  # which Kubernetes does not have
        schema.pop(key, None)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "exclusiveMinimum" in schema:
        schema |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if "pattern" in schema:
        schema["pattern"] = schema["pattern"].replace(r"(?!\n)", "")
    if "enum" in schema:
        schema.setdefault("type", "string")
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(schema["additionalProperties"], components)
    if "items" in schema:
        schema["items"] = _structural(schema["items"], components)
    if "properties" in schema:
        schema["properties"] = {
            name: _structural(part, components) | ({"format": "date-time"} if name in TIMES else {})
            for name, part in schema["properties"].items()
        }
        if not schema.get("required"):
            schema.pop("required", None)
    if "type" not in schema or (
        schema["type"] == "object" and not {"properties", "additionalProperties"} & schema.keys()
    ):
        schema |= {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return schema


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Reports are whole, so the server need not fill them in."""
    schema = {key: value for key, value in schema.items() if key != "default"}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _without_defaults(schema[key])
    if "properties" in schema:
        schema["properties"] = {name: _without_defaults(part) for name, part in schema["properties"].items()}
    return schema


def text() -> str:
    """The manifest as a file; JSON, which is YAML too."""
    return json.dumps(crd(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
