"""What is told of pods: facts for the hub, and one sentence for people when something is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.backends.kubernetes.observed import (
    Namespace,
    Node,
    Pod,
    addresses,
    instance,
    missing,
    refusal,
    subject,
    trouble,
)

READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False"}
RUNS = {"running": {"startedAt": "2026-03-01T12:00:00Z"}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(reason: str, code: int = 1) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code}}


def pod(
    name: str = "notebook",
    *conditions: dict[str, str],
    state: dict[str, Any] | None = None,
    last: dict[str, Any] | None = None,
    restarts: int = 0,
    metadata: dict[str, Any] | None = None,
    **status: Any,
) -> Pod:
    """A pod as the API server tells of it."""
    workload = name.rpartition("-")[0] if name[-1].isdecimal() else name
    port = {"name": "http" if name == "notebook" else "dashboard", "containerPort": 8888}
    container = {"image": "k8s.local/x", "restartCount": restarts, "ready": READY in conditions}
    told = {
        "metadata": {"name": name, "namespace": "n", "labels": {"podium.hub/workload": workload}}
        | (metadata or {}),
        "spec": {"nodeName": "m1", "containers": [{"image": "course:1", "ports": [port]}]},
        "status": {
            "podIP": "10.0.0.9",
            "conditions": list(conditions),
            "containerStatuses": [container | {"state": state or {}, "lastState": last or {}}],
            **status,
        },
    }
    return msgspec.json.decode(msgspec.json.encode(told), type=Pod)


def test_a_pod_that_is_ready_is_an_instance_that_is_ready():
    seen = instance(pod("dask-worker-3", READY, state=RUNS, restarts=2), ())
    assert (seen.name, seen.workload) == ("dask-worker-3", "dask-worker")
    assert (seen.running, seen.ready, seen.terminating, seen.restarts) == (True, True, False, 2)
    assert (seen.reason, seen.message, seen.log) == ("", "", ())


def test_a_pod_that_nobody_gave_to_a_node_yet_is_nothing_to_worry_about():
    bare = msgspec.json.decode(b'{"metadata": {"name": "notebook", "namespace": "n"}}', type=Pod)
    seen = instance(bare, ())
    assert (seen.running, seen.ready, seen.reason, bare.image) == (False, False, "", "")
    assert addresses([bare]) == {}


def test_what_we_asked_to_end_is_ending_before_the_server_tells():
    assert instance(pod("notebook", READY), (), ended=True).terminating
    assert instance(
        pod("notebook", READY, metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}), ()
    ).terminating


def test_a_pod_of_a_lost_node_is_not_ready_whatever_was_last_heard_of_it():
    seen = instance(pod("notebook", READY, state=RUNS), {"m1"})
    assert (seen.running, seen.ready, seen.reason) == (False, False, "NodeLost")
    assert seen.message == (
        "The machine m1 that JupyterLab ran on does not answer; "
        "JupyterLab is started on another one if it stays away."
    )


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2",
}


@pytest.mark.parametrize(
    ("seen", "reason", "sentence"),
    [
        (
            pod("dask-worker-1", UNREADY, UNSCHEDULABLE),
            "Unschedulable",
            "No machine of the cluster has room for the worker dask-worker-1: 2 Insufficient cpu.",
        ),
        (
            pod(state=waiting("ImagePullBackOff", "manifest unknown: not found")),
            "ImageMissing",
            "There is no image course:1; the operator has to correct the profile, or make the image.",
        ),
        (
            pod(
                state=waiting(
                    "ErrImageNeverPull", 'Container image "x" is not present with pull policy of Never'
                )
            ),
            "ImageMissing",
            "There is no image course:1",
        ),
        (
            pod(state=waiting("ErrImagePull", "401 Unauthorized")),
            "ImageForbidden",
            "The image course:1 may not be fetched; the operator has to give the profile a pull secret.",
        ),
        (
            pod(state=waiting("ErrImagePull", "connection reset by peer")),
            "ImagePullFailed",
            "The image course:1 could not be fetched; it is tried again: connection reset by peer",
        ),
        (
            pod(
                "spark-scheduler", state=waiting("CrashLoopBackOff"), last=ended("OOMKilled", 137), restarts=2
            ),
            "OutOfMemory",
            "The Spark scheduler needed more memory than it may use, and is started again.",
        ),
        (
            pod(state=ended("OOMKilled", 137)),
            "OutOfMemory",
            "JupyterLab needed more memory than it may use, and is started again.",
        ),
        (
            pod(state=waiting("CrashLoopBackOff"), last=ended("Error", 3), restarts=4),
            "CrashLoop",
            "JupyterLab ended 4 times, last with exit code 3; it is tried again.",
        ),
        (
            pod(state=waiting("CrashLoopBackOff"), restarts=1),
            "CrashLoop",
            "JupyterLab ended 1 times, last with exit code 0; it is tried again.",
        ),
        (
            pod(state=waiting("CreateContainerConfigError", 'secret "files-1" not found')),
            "CannotStart",
            "The container of JupyterLab cannot be made; the operator has to look: secret",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "Evicted",
            "JupyterLab was ended by its machine and is started again: The node was low on resource: memory",
        ),
        (
            pod(phase="Failed"),
            "Evicted",
            "JupyterLab was ended by its machine and is started again: its machine",
        ),
        (pod(state=waiting("ContainerCreating")), "", ""),
    ],
)
def test_each_trouble_has_a_word_and_a_sentence(seen: Pod, reason: str, sentence: str):
    told = instance(seen, ())
    assert told.reason == reason
    assert told.message.startswith(sentence)
    assert bool(told.message) == bool(sentence)


def test_the_last_lines_are_told_of_a_program_that_ended():
    said = {"terminated": {"reason": "Error", "exitCode": 1, "message": "\n".join(map(str, range(99)))}}
    crashing = pod(state=waiting("CrashLoopBackOff"), last=said, restarts=1)
    assert instance(crashing, ()).log == tuple(map(str, range(87, 99)))
    assert instance(pod("notebook", state=said), ()).log[-1] == "98"
    assert instance(pod("notebook", READY, last=said, restarts=1), ()).log == ()


def test_a_pod_that_kubernetes_gave_up_with_its_node_is_told_so():
    going = pod(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})
    assert trouble(going, away=True)[1].endswith("on another one as soon as Kubernetes gives it up.")


@pytest.mark.parametrize(
    ("status", "message", "reason", "sentence"),
    [
        (
            403,
            'pods "notebook" is forbidden: exceeded quota: workspace, requested: pods=1, used: pods=3',
            "QuotaExceeded",
            "The quota has no room for JupyterLab (workspace, requested: pods=1, used: pods=3).",
        ),
        (
            403,
            'User "system:serviceaccount:a:b" cannot create resource "pods" in API group ""',
            "NotAllowed",
            "Podium may not make JupyterLab; the operator has to give it the rights",
        ),
        (
            403,
            'pods "notebook" is forbidden: violates PodSecurity "restricted:latest": privileged',
            "Refused",
            "The cluster does not accept JupyterLab; the operator has to look: pods",
        ),
        (
            422,
            "spec.containers[0].image: Required value",
            "Refused",
            "The cluster does not accept JupyterLab",
        ),
    ],
)
def test_a_refusal_says_who_can_do_what(status: int, message: str, reason: str, sentence: str):
    assert refusal("notebook", status, message)[0] == reason
    assert refusal("notebook", status, message)[1].startswith(sentence)


def test_a_long_message_is_cut():
    assert refusal("notebook", 422, "x" * 5000)[1].endswith("x…")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("notebook", "JupyterLab"),
        ("dask-scheduler", "the Dask scheduler"),
        ("ipyparallel-worker-12", "the worker ipyparallel-worker-12"),
        ("else-scheduler", "the worker else-scheduler"),
    ],
)
def test_instances_have_names_that_people_know(name: str, told: str):
    assert subject(name) == told


def test_what_is_missing_is_told_even_in_words_that_nobody_foresaw():
    assert missing("no nodes available to schedule pods") == "no nodes available to schedule pods"


def test_an_address_is_that_of_a_pod_which_is_there_to_stay():
    going = pod(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})
    assert addresses([pod()]) == {"notebook.http": "10.0.0.9:8888"}
    assert addresses([pod("dask-scheduler", podIP="fd00::9")]) == {
        "dask-scheduler.dashboard": "[fd00::9]:8888"
    }
    assert addresses([going, pod("dask-scheduler", phase="Failed")]) == {}


@pytest.mark.parametrize(("status", "lost"), [("Unknown", True), ("False", False), ("True", False)])
def test_a_node_is_lost_when_kubernetes_does_not_hear_of_it(status: str, lost: bool):
    told = {"metadata": {"name": "m1"}, "status": {"conditions": [{"type": "Ready", "status": status}]}}
    assert msgspec.convert(told, Node).lost is lost


def test_a_namespace_that_does_not_go_says_why():
    condition = {
        "type": "NamespaceFinalizersRemaining",
        "status": "True",
        "message": "kept by example.org/x.",
    }
    told = {"metadata": {"name": "n", "deletionTimestamp": "2026-03-01T12:00:00Z"}, "status": {}}
    assert msgspec.convert(told, Namespace).stuck == ""
    left = {
        "type": "NamespaceDeletionContentFailure",
        "status": "True",
        "message": "unexpected items still remain",
    }
    told["status"] = {"conditions": [left]}
    assert msgspec.convert(told, Namespace).stuck == "", "which is how it is while pods end"
    told["status"] = {
        "conditions": [left, {"type": "NamespaceContentRemaining", "status": "True"}, condition]
    }
    going = msgspec.convert(told, Namespace, strict=False)
    assert going.ending
    assert going.stuck == (
        "Something in its namespace waits for a program that does not answer. "
        "Tell the operator. (kept by example.org/x)"
    )


@pytest.mark.parametrize("state", [ended("Error", 143), ended("OOMKilled", 137)])
def test_an_end_that_somebody_asked_for_is_no_trouble(state):
    gone = {"deletionTimestamp": "2026-03-01T12:00:00Z"}
    by_us = pod("dask-worker-3", UNREADY, state=state, phase="Failed")
    by_others = pod("dask-worker-3", UNREADY, state=state, phase="Failed", metadata=gone)
    assert instance(by_us, (), ended=True).reason == ""
    assert instance(by_others, ()).reason == ""
    assert instance(by_us, ()).reason == "Evicted"
