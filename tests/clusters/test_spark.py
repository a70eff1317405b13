"""What Podium says of Spark, without any of it running."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace as changed

import pytest

from hub.clusters.base import ClusterState, Context, Request, WorkerState
from hub.clusters.spark import SPARK, heap, ui_token
from hub.keys import Keys
from hub.settings import Resources, RoleResources, Settings
from tests.builders import NOW

SETTINGS = Settings(
    max_workers=5,
    resources=RoleResources(notebook=Resources(memory="2Gi"), worker=Resources(cpu=2.5, memory="4Gi")),
)
CONTEXT = Context("cluster-abc123", SETTINGS, Keys(b"k" * 32, "cluster-abc123/1"), NOW)


def settings(text: str) -> dict[str, str]:
    """What a `spark-defaults.conf` sets."""
    lines = (line.partition(" ") for line in text.splitlines())
    return {name: value for name, _, value in lines}


SCHEDULER = SPARK.scheduler(CONTEXT)
WORKER = SPARK.worker(CONTEXT, 3)
NOTEBOOK = SPARK.notebook(CONTEXT)
OF_SCHEDULER, OF_WORKER, OF_NOTEBOOK = (
    settings(part.files["spark/spark-defaults.conf"]) for part in (SCHEDULER, WORKER, NOTEBOOK)
)


@pytest.mark.parametrize("of_one", [OF_SCHEDULER, OF_WORKER, OF_NOTEBOOK])
def test_master_workers_and_drivers_agree_on_secrets_and_on_where_the_pages_are(
    of_one: dict[str, str],
) -> None:
    same = {
        name for name in OF_SCHEDULER if OF_SCHEDULER[name] == OF_WORKER.get(name) == OF_NOTEBOOK.get(name)
    }
    assert same >= {
        "spark.authenticate",
        "spark.authenticate.secret",
        "spark.network.crypto.enabled",
        "spark.ui.filters",
        "spark.org.apache.spark.ui.JWSFilter.param.secretKey",
        "spark.ui.reverseProxy",
        "spark.ui.reverseProxyUrl",
    }
    assert of_one["spark.ui.reverseProxyUrl"] == "/cluster-abc123_spark"


def test_the_pages_token_is_signed_with_the_key_that_the_pages_have() -> None:
    head, claims, signature = ui_token(CONTEXT.keys).split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    key = OF_NOTEBOOK["spark.org.apache.spark.ui.JWSFilter.param.secretKey"]
    right = hmac.new(base64.urlsafe_b64decode(key + "="), f"{head}.{claims}".encode(), hashlib.sha256)
    assert base64.urlsafe_b64decode(signature + "=") == right.digest()
    assert SCHEDULER.files["spark/ui-token"] == ui_token(CONTEXT.keys)


def test_no_command_has_a_secret_and_all_secrets_differ() -> None:
    secrets = {
        OF_SCHEDULER["spark.authenticate.secret"],
        OF_SCHEDULER["spark.org.apache.spark.ui.JWSFilter.param.secretKey"],
        SPARK.headers(CONTEXT.keys)["Authorization"].removeprefix("Bearer "),
        ui_token(CONTEXT.keys),
    }
    assert len(secrets) == 4
    for secret in secrets:
        assert secret not in " ".join((*SCHEDULER.command, *WORKER.command, *WORKER.leave))
    for workload in (SCHEDULER, WORKER):
        assert secrets.isdisjoint(workload.env.values())


def test_one_application_gets_half_of_what_there_may_be_at_most() -> None:
    assert OF_SCHEDULER["spark.deploy.defaultCores"] == "6", "three of five workers, with two cores each"
    none = changed(CONTEXT, settings=Settings(max_workers=0))
    of_none = settings(SPARK.scheduler(none).files["spark/spark-defaults.conf"])
    assert of_none["spark.deploy.defaultCores"] == "1", "Spark refuses to start with 0"


def test_an_executor_is_as_large_as_a_worker() -> None:
    assert OF_NOTEBOOK["spark.executor.cores"] == "2"
    assert OF_NOTEBOOK["spark.executor.memory"] == "2688m"
    at = WORKER.command.index("--cores")
    assert WORKER.command[at : at + 4] == ("--cores", "2", "--memory", "2688m")
    assert OF_NOTEBOOK["spark.driver.memory"] == "1254m"


@pytest.mark.parametrize(("memory", "mebibytes"), [("256Mi", 512), ("1Gi", 537), ("16Gi", 11289)])
def test_a_heap_leaves_room_for_python_and_is_never_too_small_to_start(memory: str, mebibytes: int) -> None:
    assert heap(Resources(memory=memory)) == mebibytes


def test_the_notebook_finds_the_master_and_takes_no_fixed_port() -> None:
    assert OF_NOTEBOOK["spark.master"] == "spark://@{spark-scheduler.host}:@{spark-scheduler.rpc}"
    assert NOTEBOOK.env["SPARK_CONF_DIR"] == "@{files}/spark"
    assert NOTEBOOK.env["SPARK_LOCAL_HOSTNAME"] == "@{host}", "by which executors find the driver"
    assert OF_NOTEBOOK["spark.ui.port"] == "0"
    assert "logger.shell.level = error" in NOTEBOOK.files["spark/log4j2.properties"]


def test_the_master_says_of_itself_what_others_call_it_so_that_they_find_the_next_one_too() -> None:
    at = SCHEDULER.command.index("--rpc-host")
    assert SCHEDULER.command[at + 1] == "@{spark-scheduler.host}"
    assert WORKER.command[3:5] == ("@{spark-scheduler.host}", "@{spark-scheduler.rpc}")


def test_names_of_workers_are_in_their_environment() -> None:
    assert "@{instance}" in WORKER.env["SPARK_WORKER_OPTS"]
    assert (WORKER.name, WORKER.role, WORKER.replicas) == ("spark-worker", "worker", 3)


def test_the_state_is_asked_for_by_version_and_read() -> None:
    assert SPARK.state_request(CONTEXT, "a-7") == Request("GET", "/podium/state?since=a-7")
    body = (
        b'{"version": "a-8", "busy": false, "workers": ['
        b'{"instance": "spark-worker-1", "busy": false, "draining": true, "drained": false}]}'
    )
    assert SPARK.read_state(body) == ClusterState(
        (WorkerState("spark-worker-1", draining=True),), version="a-8"
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"version": "1", "workers": [{"busy": true}]}']
)
def test_anything_else_is_no_state(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        SPARK.read_state(body)


def test_a_drain_names_the_workers_and_none_is_no_request() -> None:
    assert SPARK.drain_requests(CONTEXT, ()) == ()
    (request,) = SPARK.drain_requests(CONTEXT, ("spark-worker-2",))
    assert request == Request("POST", "/podium/drain", json={"workers": ["spark-worker-2"]})
