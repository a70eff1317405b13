"""What earlier releases stored stays good: a definition may allow more than the one before, never less.

Each folder of golden/releases holds what a release installed and an example of what it stored. They are
added when a release is made, and never changed. tests/kubernetes/test_evolution.py reads them back from a
real API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.store import crd

RELEASES = sorted((Path(__file__).parent / "golden" / "releases").iterdir())
LEAST = ("minimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "maxLength", "maxItems", "maxProperties")


def schema(definition: Any) -> Any:
    """The schema of the version that is stored."""
    stored = [version for version in definition["spec"]["versions"] if version["storage"]]
    return stored[0]["schema"]["openAPIV3Schema"]


def narrower(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Every place at which `now` refuses, or silently drops, what `before` allowed."""
    for word in ("type", "format", "pattern", "x-kubernetes-int-or-string"):
        if word in now and now.get(word) != before.get(word):
            yield f"{where}: {word}"
    if "enum" in now and not set(before.get("enum", [None])) <= set(now["enum"]):
        yield f"{where}: enum"
    for word in LEAST:
        if now.get(word, 0) > before.get(word, 0):
            yield f"{where}: {word}"
    for word in MOST:
        if word in now and now[word] < before.get(word, float("inf")):
            yield f"{where}: {word}"
    for name in set(now.get("required", [])) - set(before.get("required", [])):
        yield f"{where}.{name}: required"
    rules = {rule["rule"] for rule in before.get("x-kubernetes-validations", [])}
    for rule in now.get("x-kubernetes-validations", []):
        if rule["rule"] not in rules:
            yield f"{where}: rule {rule['rule']}"
    known = now.get("properties", {})
    open_to_all = now.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in now
    for name, inner in before.get("properties", {}).items():
        if name in known:
            yield from narrower(inner, known[name], f"{where}.{name}")
        elif not open_to_all:
            yield f"{where}.{name}: gone"
    for word in ("items", "additionalProperties"):
        if isinstance(before.get(word), dict) and isinstance(now.get(word), dict):
            yield from narrower(before[word], now[word], f"{where}[]")


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_what_a_release_allowed_is_allowed(release: Path) -> None:
    before = yaml.safe_load((release / "crd.yaml").read_text())
    assert list(narrower(schema(before), schema(crd.crd()))) == []


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_the_version_that_a_release_stored_is_served(release: Path) -> None:
    before = yaml.safe_load((release / "crd.yaml").read_text())
    stored = {version["name"] for version in before["spec"]["versions"] if version["storage"]}
    assert stored <= {version["name"] for version in crd.crd()["spec"]["versions"] if version["served"]}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"type": "string"}, {"type": "integer"}, ": type"),
        ({"type": "string"}, {"type": "string", "maxLength": 5}, ": maxLength"),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, ": enum"),
        ({"properties": {"a": {}}}, {"properties": {}}, ".a: gone"),
        ({"properties": {"a": {}}}, {"properties": {"a": {}}, "required": ["a"]}, ".a: required"),
        ({"items": {"minimum": 0}}, {"items": {"minimum": 1}}, "[]: minimum"),
        ({}, {"x-kubernetes-validations": [{"rule": "self > 1"}]}, ": rule self > 1"),
    ],
)
def test_what_would_be_told(before: Any, now: Any, told: str) -> None:
    assert list(narrower(before, now)) == [told]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"enum": ["a"]}, {"enum": ["a", "b"]}),
        ({"maxLength": 5}, {"maxLength": 6}),
        ({"pattern": "^a$"}, {}),
        ({"properties": {}}, {"properties": {"a": {"type": "string"}}}),
        ({"properties": {"a": {}}, "required": ["a"]}, {"properties": {"a": {}}}),
    ],
)
def test_what_is_more_room(before: Any, now: Any) -> None:
    assert list(narrower(before, now)) == []
