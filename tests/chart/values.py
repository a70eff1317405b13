"""What `helm/values.yaml` says of each value, as a table: `python -m tests.chart.values` prints it.

Nothing here may know any value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from hub.tools import CHECKOUT

FILE = CHECKOUT / "helm" / "values.yaml"
LONG = 40
"""Letters of a default that is still worth a place in a table."""


class Value(NamedTuple):
    """A value: where it is, such as `ingress.tls.secretName`, its default, and what its comment says."""

    path: str
    default: Any
    comment: str

    @property
    def row(self) -> str:
        """Its row of a table in Markdown."""
        said = json.dumps(self.default, ensure_ascii=False)
        said = f"`{said}`" if len(said) <= LONG else "see [values.yaml](values.yaml)"
        return f"| `{self.path}` | {said} | {self.comment} |"


def values() -> list[Value]:
    """Every value, in the order of the file: whatever has a comment of its own above it."""
    comments = _comments(FILE.read_text())
    return [Value(path, default, comments[path]) for path, default in _leaves(defaults(), comments)]


def defaults() -> dict[str, Any]:
    """All of them."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def table() -> str:
    """All rows, with a head."""
    return "\n".join(["| value | default | |", "| --- | --- | --- |", *(value.row for value in values())])


def _leaves(
    node: Mapping[str, Any], comments: Mapping[str, str], above: str = ""
) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        path = f"{above}.{key}" if above else key
        if path in comments:
            yield path, value
        elif isinstance(value, dict):
            yield from _leaves(value, comments, path)
        else:
            raise ValueError(f"{path}: has no comment")


def _comments(text: str) -> dict[str, str]:
    """The comment above each key, by the key's path."""
    found, said = {}, list[str]()
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := re.match(r" *# ?(.*)", line):
            said.append(match[1])
            continue
        if match := re.match(r"( *)([A-Za-z_]+):", line):
            depth = len(match[1])
            path = [*((at, key) for at, key in path if at < depth), (depth, match[2])]
            if said:
                found[".".join(key for _, key in path)] = " ".join(said)
        said = []
    return found


if __name__ == "__main__":
    print(table())
