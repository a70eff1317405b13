"""What the chart makes of its values.

`tests/golden/chart/defaults.yaml` has every object of a release whose operator sets nothing, and each other
file there has what is different with the values of that name in `values/`. `GOLDEN=update make test
ARGS=tests/chart/test_golden.py` writes them again; what then changed is to be read before it is committed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.store import crd
from tests.chart.helm import CHART, Helm, Objects
from tests.chart.values import Value, defaults, values

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "chart"
GIVEN = {file.stem: yaml.safe_load(file.read_text()) for file in Path(__file__).parent.glob("values/*.yaml")}
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


@pytest.mark.parametrize("name", ["defaults", *sorted(GIVEN)])
def test_every_object_is_as_it_was_when_somebody_last_read_it(helm, objects, name):
    text = readable(helm.template(GIVEN[name]), objects) if name in GIVEN else readable(objects, [])
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("GOLDEN") == "update":
        file.write_text(text)
    assert text == file.read_text(), "see the top of this file"


def readable(objects: Objects, ordinary: Objects) -> str:
    """The objects as YAML, but those that are as ordinary, and without what is new each time."""
    told = [_short(one) for one in objects]
    usual = [_short(one) for one in ordinary]
    text = "".join(f"---\n{_yaml(one)}" for one in told if one not in usual)
    names = {_name(one) for one in told}
    missing = [f"# There is no {_name(one)}.\n" for one in usual if _name(one) not in names]
    return re.sub(rf"\b{re.escape(VERSION)}\b", "<version>", "".join(missing) + text)


def _short(one: dict[str, Any]) -> dict[str, Any]:
    """An object without secrets and hashes, and without what another test compares."""
    if one["kind"] == "CustomResourceDefinition":
        assert one["spec"] in [ours["spec"] for ours in json.loads(crd.FILE.read_text())["items"]]
        return {**one, "spec": "<files/crd.yaml>"}
    if one["kind"] == "Secret":
        return {**one, "data": dict.fromkeys(one["data"], "<made>")}
    if "podium.json" in one.get("data", {}):
        return {**one, "data": {"podium.json": "<dashboards/podium.json>"}}
    annotations = one.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
    if "checksum/config" in annotations:
        annotations["checksum/config"] = "<hash>"
    return one


def _name(one: dict[str, Any]) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines are written as such, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(one: dict[str, Any]) -> str:
    return yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=100)


def test_there_is_a_set_of_values_with_another_for_every_setting():
    every = GIVEN["everything"]
    same = [value.path for value in values() if at(every, value) == at(defaults(), value)]
    # Either is what makes the rest of its part show, or there is no other.
    assert same == [
        *("archive.enabled", "networkPolicy.enabled", "prepull.enabled", "crd.install"),
        "uninstall.keepWorkspaces",
    ]


def at(tree: Any, value: Value) -> Any:
    """What a file of values says at the place of a value."""
    for key in value.path.split("."):
        tree = tree[key]
    return tree


def test_the_chart_passes_helms_own_check(helm: Helm):
    helm("lint", "--strict", str(CHART))
    for given in GIVEN.values():
        helm("lint", "--strict", str(CHART), values=given)
