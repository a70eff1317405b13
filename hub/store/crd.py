"""The custom resource definitions, of Workspaces and of the Room, made from the types of the objects; pure.

`python -m hub.store.crd` writes them to where the chart and the tests take it from. Nothing here may add a
field that the model does not have: what is here are the rules between fields, and what `kubectl` shows.
Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from hub.model import NAME, Spec, Status
from hub.room import NAME as ROOM
from hub.room import RoomSpec, RoomStatus
from hub.settings import FRAMEWORKS

FILE = Path(__file__).resolve().parent.parent.parent / "helm" / "files" / "crd.yaml"
TIMES = {
    *{"expires", "touched", "claimedAt", "queuedAt", "helpWanted", "restartedAt"},
    *{"at", "eta", "lastActivity", "idleDeadline"},
    *{"until", "start", "launched", "ended"},
}
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
    """The manifest for Workspaces."""
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
    return _definition(names, version)


def room_crd() -> dict[str, Any]:
    """The manifest for the Room."""
    names = {
        **{"kind": "Room", "listKind": "RoomList", "plural": "rooms", "singular": "room"},
        "categories": ["podium"],
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _room()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Open", "type": "boolean", "jsonPath": ".spec.open"},
            {"name": "Queued", "type": "integer", "jsonPath": ".status.queued"},
            {"name": "Message", "type": "string", "jsonPath": ".spec.message.text"},
        ],
    }
    return _definition(names, version)


def _definition(names: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.podium.hub"},
        "spec": {"group": "podium.hub", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _room() -> dict[str, Any]:
    """The structural schema of the Room."""
    (spec, status), components = msgspec.json.schema_components([RoomSpec, RoomStatus], ref_template="{name}")
    return _object(
        "A class as a whole: who may join, what is said to everybody, what is held ready, and what ended.",
        _structural(spec, components),
        _without_defaults(_structural(status, components)),
        (f"self.metadata.name == '{ROOM}'", f"there is one room, and its name is {ROOM}"),
    )


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
    return _object(
        "One person's namespace, with a notebook and clusters that scale.",
        asked,
        _without_defaults(seen),
        (
            f"self.metadata.name.matches('^{NAME}$')",
            "the name must be `cluster-` and 6 to 8 lower-case letters and digits",
        ),
    )


def _object(
    description: str, spec: dict[str, Any], status: dict[str, Any], rule: tuple[str, str]
) -> dict[str, Any]:
    """The schema of an object; `rule` is what its name has to fit, and what is said where it does not."""
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": [{"rule": rule[0], "message": rule[1]}],
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
    """The manifests as a file; JSON, which is YAML too."""
    manifests = {"apiVersion": "v1", "kind": "List", "items": [crd(), room_crd()]}
    return json.dumps(manifests, indent=2) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
