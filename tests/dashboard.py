"""The Grafana dashboard as its queries: what each of them asks for. Nothing here may judge it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
from promql_parser import AggModifierType, AggregateExpr, MatrixSelector, VectorSelector

FILE = Path(__file__).resolve().parent.parent / "helm" / "dashboards" / "podium.json"
GRAFANA = {"$__rate_interval": "5m", "$__range": "3h"}
"""What Grafana puts in place of these, for example."""
TARGET = {"namespace", "pod", "container", "job", "instance"}
"""The labels that Prometheus adds to everything that it reads from a pod."""


def board() -> dict[str, Any]:
    """The dashboard."""
    read = json.loads(FILE.read_text())
    assert isinstance(read, dict)
    return read


def panels() -> list[dict[str, Any]]:
    """What is on it, without the headings."""
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Every query, as it is sent."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def parse(query: str) -> Any:
    """A query as Prometheus understands it. Raises ValueError when it does not."""
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    return promql_parser.parse(query)


def asked(expression: Any, by: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """The series that a query reads, each with the labels that have to be there for it.

    Args:
        by: the labels that what is around the expression needs.
    """
    if isinstance(expression, MatrixSelector):
        expression = expression.vector_selector
    if isinstance(expression, VectorSelector):
        yield str(expression.name), by | {matcher.name for matcher in expression.matchers.matchers}
        return
    if isinstance(expression, AggregateExpr) and expression.modifier is not None:
        assert expression.modifier.type == AggModifierType.By
        by = frozenset(expression.modifier.labels)
    for part in ("expr", "lhs", "rhs"):
        if hasattr(expression, part):
            yield from asked(getattr(expression, part), by)
    for argument in getattr(expression, "args", ()):
        yield from asked(argument, by)
