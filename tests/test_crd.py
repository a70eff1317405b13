"""The definition of Workspaces that is installed is the one that the types of the model give."""

from __future__ import annotations

import json

from hub.model import Spec, Status
from hub.settings import FRAMEWORKS
from hub.store import crd


def properties(part: str) -> set[str]:
    """The fields of a part of a Workspace, as the definition has them."""
    version = crd.crd()["spec"]["versions"][0]
    return set(version["schema"]["openAPIV3Schema"]["properties"][part]["properties"])


def test_the_file_is_what_the_types_give():
    assert crd.FILE.read_text() == crd.text(), "run: python -m hub.store.crd"


def test_every_field_of_the_model_is_there_by_its_name_on_the_wire():
    assert properties("spec") == set(Spec.__struct_encode_fields__)
    assert properties("status") == set(Status.__struct_encode_fields__)


def test_a_cluster_is_one_of_those_that_there_are():
    version = crd.crd()["spec"]["versions"][0]
    clusters = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["clusters"]
    assert set(clusters["properties"]) == set(FRAMEWORKS)
    assert "additionalProperties" not in clusters


def test_there_is_nothing_that_a_structural_schema_may_not_have():
    text = json.dumps(crd.crd())
    for word in ("$ref", "anyOf", "propertyNames", "(?!"):
        assert word not in text
