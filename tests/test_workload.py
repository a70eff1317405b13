"""References in workloads are filled in wherever they may stand, and nowhere else."""

from __future__ import annotations

import pytest

from hub.settings import Resources
from hub.workload import Workload, render

VALUES = {"home": "/h", "host": "10.0.0.1", "dask-scheduler.comm": "4000", "instance": "dask-worker-3"}
WORKLOAD = Workload(
    name="dask-worker",
    role="worker",
    cluster="dask",
    command=("run", "tls://@{host}:@{dask-scheduler.comm}", "--name", "@{instance}"),
    env={"WHERE": "@{home}/x", "SHELL_LIKE": "${home} @home @{}"},
    files={"a@{home}": "home = @{home}\n"},
    leave=("leave", "@{instance}"),
    resources=Resources(cpu=2),
    replicas=3,
    instances=("dask-worker-3",),
)


def test_references_are_filled_in():
    rendered = render(WORKLOAD, VALUES.__getitem__)
    assert rendered.command == ("run", "tls://10.0.0.1:4000", "--name", "dask-worker-3")
    assert rendered.env == {"WHERE": "/h/x", "SHELL_LIKE": "${home} @home @{}"}
    assert rendered.files == {"a@{home}": "home = /h\n"}, "paths have no references"
    assert rendered.leave == ("leave", "dask-worker-3")


def test_everything_else_stays():
    rendered = render(WORKLOAD, VALUES.__getitem__)
    for name in ("name", "role", "cluster", "ports", "resources", "replicas", "instances", "probe", "grace"):
        assert getattr(rendered, name) == getattr(WORKLOAD, name)


def test_a_value_that_looks_like_a_reference_is_not_filled_in_again():
    assert render(WORKLOAD, lambda reference: "@{home}").env["WHERE"] == "@{home}/x"


def test_an_unknown_reference_is_a_mistake():
    with pytest.raises(KeyError):
        render(WORKLOAD, {"home": "/h"}.__getitem__)
