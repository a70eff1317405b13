"""The real node, for tests that run on it: `make test-node` makes it around them.

Elsewhere nothing here is collected.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.node import RealNode, here

HERE = Path(__file__).parent
collect_ignore_glob = [] if here() else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "node: needs the real node of `make test-node`")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("node")


@pytest.fixture(scope="session")
def node() -> RealNode:
    """The cluster, as its administrator sees it: `.kubeconfig`, `.kubectl()`, `.image`."""
    cluster = here()
    assert cluster is not None, "nothing is collected elsewhere"
    return cluster


@pytest.fixture
def restricted(node: RealNode) -> Iterator[str]:
    """The name of an empty namespace that takes nothing but pods of the `restricted` level."""
    with restricted_namespace(node) as name:
        yield name


@contextlib.contextmanager
def restricted_namespace(node: RealNode) -> Iterator[str]:
    """Make such a namespace, and remove it in the end."""
    name = f"podium-test-{uuid.uuid4().hex[:8]}"
    node.kubectl("create", "namespace", name)
    node.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    # It ends by itself: what the test made there may take its grace period.
    node.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
