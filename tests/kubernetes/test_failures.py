"""What goes wrong is told in one sentence with what to do, at once; what is over is taken back by itself."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from hub import controller, status
from tests.cluster.access import ClusterError
from tests.kubernetes.menu import SMALL

AT_ONCE = 5.0
"""Seconds within which something is told once Kubernetes knows it."""
POD = {
    "image": "podium-workspace",
    "name": "main",
    "resources": {"limits": SMALL},
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
SAFE = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}


def container(state, last=None, restarts=0):
    """The status of a pod whose container is not well."""
    told = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": restarts}
    return {"phase": "Pending", "containerStatuses": [{**told, "state": state, "lastState": last or {}}]}


def waits(reason, message=""):
    """A container that waits for something."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code, reason="Error", said=""):
    """A container that ended, and the last lines that its machine kept."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": said}}


async def recovers(hub, name, pod="notebook"):
    """What a machine says once a pod of its own runs after all."""
    running = {"name": "main", "image": "", "imageID": "", "ready": True, "restartCount": 0}
    await hub.status_of(
        name,
        pod,
        {
            "phase": "Running",
            "podIP": hub.free_address(),
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{**running, "state": {"running": {}}, "lastState": {}}],
        },
    )
    await hub.phase(name, "Ready")


async def launch_held(hub):
    """A workspace whose notebook was given to a machine that has not said anything yet."""
    await hub.start()
    name = await hub.launch("held", clusters={})
    await hub.phase(name, "Starting", "StartingNotebook")
    await hub.until("it is on a machine", lambda: hub.pods(name)["notebook"].spec.node_name)
    return name


# Of the notebook, as machines tell it.


@pytest.mark.parametrize(
    ("waiting", "reason", "sentence"),
    [
        (
            waits("ErrImagePull", 'Head "https://r.example/v2/x": manifest unknown: not found'),
            "ImageMissing",
            "There is no image podium-workspace; the operator has to correct the profile, or make the image.",
        ),
        (
            waits("ErrImageNeverPull", 'Container image "x" is not present with pull policy of Never'),
            "ImageMissing",
            "There is no image podium-workspace; the operator has to correct the profile, or make the image.",
        ),
        (
            waits("ImagePullBackOff", "failed to authorize: unexpected status: 401 Unauthorized"),
            "ImageForbidden",
            "The image podium-workspace may not be fetched; "
            "the operator has to give the profile a pull secret.",
        ),
        (
            waits("CreateContainerConfigError", 'secret "own" not found'),
            "CannotStart",
            'The container of JupyterLab cannot be made; the operator has to look: secret "own" not found',
        ),
    ],
)
async def test_a_container_that_cannot_be_made(hub, waiting, reason, sentence):
    name = await launch_held(hub)
    await hub.status_of(name, "notebook", container(waiting))
    workspace = await hub.phase(name, "Starting", reason, AT_ONCE)
    assert workspace.status.message == sentence
    await recovers(hub, name)


async def test_a_crash_loop_is_told_with_the_last_lines(hub):
    name = await launch_held(hub)
    said = "one line\nImportError: no module named jupyterlab\n"
    await hub.status_of(
        name, "notebook", container(waits("CrashLoopBackOff"), ended(3, said=said), restarts=2)
    )
    workspace = await hub.phase(name, "Starting", "CrashLoop", AT_ONCE)
    assert workspace.status.message == ("JupyterLab ended 2 times, last with exit code 3; it is tried again.")
    assert workspace.status.log == ("one line", "ImportError: no module named jupyterlab")
    await recovers(hub, name)
    assert (await hub.get(name)).status.log == ()


async def test_a_launch_is_given_up_when_the_notebook_crashes_again_and_again(hub):
    name = await launch_held(hub)
    await hub.status_of(name, "notebook", container(waits("CrashLoopBackOff"), ended(1), restarts=3))
    workspace = await hub.phase(name, "Failed", "NotebookCrashed", AT_ONCE)
    assert workspace.status.message.startswith("JupyterLab ended 3 times while it was starting")
    await hub.until("its namespace is removed", lambda: name not in hub.namespaces())


async def test_out_of_memory(hub):
    name = await launch_held(hub)
    killed = container(waits("CrashLoopBackOff"), ended(137, "OOMKilled"), restarts=1)
    await hub.status_of(name, "notebook", killed)
    workspace = await hub.phase(name, "Starting", "OutOfMemory", AT_ONCE)
    assert workspace.status.message == (
        "JupyterLab needed more memory than it may use, and is started again. "
        "Use less at a time, or ask for a profile with more memory."
    )
    await recovers(hub, name)


async def test_a_worker_out_of_memory_is_told_with_its_cluster_and_the_rest_is_ready(hub):
    await hub.start()
    name = await hub.launch("held-workers", workers=1)
    await hub.phase(name, "Ready")
    await hub.status_of(name, "dask-worker-1", container(ended(137, "OOMKilled"), restarts=0))
    told = (
        "The worker dask-worker-1 needed more memory than it may use, and is started again. "
        "Use less at a time, or ask for a profile with more memory."
    )
    await hub.until("it is told", lambda: hub.counts(name, message=told), AT_ONCE)
    assert (await hub.get(name)).status.phase == "Ready"


# What the control plane decides.


async def test_quota_exceeded(hub):
    await hub.start()
    name = await hub.launch("tight", workers=1)
    await hub.ready(name, workers=1)
    await hub.ask(name, workers=2)
    workspace = await hub.until("it is told", lambda: hub.troubled(name), AT_ONCE)
    assert workspace.status.phase == "Ready"
    sentence = workspace.status.clusters["dask"].message
    assert sentence.startswith("The quota has no room for the worker dask-worker-2 (")
    assert "requested: pods=1, used: pods=3, limited: pods=3" in sentence
    assert sentence.endswith(
        "It starts as soon as there is; scale something down, or ask the operator for more."
    )
    await hub.ask(name, workers=1)
    await hub.until("nothing is wrong any more", lambda: hub.counts(name, message="", pending=0))


async def test_unschedulable_with_what_is_missing(hub):
    await hub.start()
    name = await hub.launch("huge", clusters={})
    workspace = await hub.phase(name, "Starting", "Unschedulable")
    assert workspace.status.message.startswith("No machine of the cluster has room for JupyterLab: ")
    assert "Insufficient cpu" in workspace.status.message
    assert "preemption" not in workspace.status.message
    assert workspace.status.message.endswith(
        "It starts as soon as there is room; ask for less, or ask the operator for more machines."
    )


async def test_a_machine_is_found_once_there_is_one_of_that_kind(hub):
    await hub.start()
    name = await hub.launch("picky", clusters={})
    workspace = await hub.phase(name, "Starting", "Unschedulable")
    assert "didn't match Pod's node affinity/selector" in workspace.status.message
    await hub.kubectl("label", "node", "fake-0", "podium.test/kind=special")
    await hub.phase(name, "Ready")
    await hub.kubectl("label", "node", "fake-0", "podium.test/kind-")


async def test_refused_by_an_admission_policy(hub, monkeypatch):
    monkeypatch.setattr(controller, "RESYNC", 0.5)
    policy = f"{hub.namespace}-signed"
    group = {"apiVersion": "admissionregistration.k8s.io/v1"}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selector = {"namespaceSelector": {"matchLabels": {"podium.hub/release": hub.release.name}}}
    refusal = {"expression": "false", "message": "images must be signed"}
    spec = {"matchConstraints": {"resourceRules": [pods]}, "validations": [refusal]}
    named = {"metadata": {"name": policy}}
    binding = {"policyName": policy, "validationActions": ["Deny"], "matchResources": selector}
    await hub.create({**group, "kind": "ValidatingAdmissionPolicy", **named, "spec": spec})
    await hub.create({**group, "kind": "ValidatingAdmissionPolicyBinding", **named, "spec": binding})
    probe = f"{hub.namespace}-probe"
    labels = {"podium.hub/release": hub.release.name}
    await hub.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": probe, "labels": labels}})

    async def in_force():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": probe}}
        try:
            pod["spec"] = {"securityContext": SAFE, "containers": [POD]}
            await hub.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(pod))
        except ClusterError as error:
            return "images must be signed" in str(error)

    await hub.until("the policy is in force", in_force)
    await hub.start()
    name = await hub.launch(clusters={})
    workspace = await hub.phase(name, "Starting", "Refused")
    message = workspace.status.message
    assert message.startswith("The cluster does not accept JupyterLab; the operator has to look: ")
    assert message.endswith("images must be signed")
    kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
    await hub.kubectl("delete", kinds, policy)
    await hub.kubectl("delete", "namespace", probe, "--wait=false")
    await hub.phase(name, "Ready")


async def test_a_namespace_that_cannot_end(hub, monkeypatch):
    monkeypatch.setattr(status, "STUCK_AFTER", timedelta(seconds=1))
    await hub.start()
    name = await hub.launch(clusters={})
    await hub.ready(name, workers=0)
    kept = {"name": "kept", "namespace": name, "finalizers": ["podium.test/never"]}
    await hub.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept})
    await hub.store.delete(name)
    workspace = await hub.phase(name, "Stopping", "Stuck")
    assert workspace.status.message.startswith(
        "The programs are being ended. Something in its namespace waits for a program that does not answer. "
        "Tell the operator. ("
    )
    assert "podium.test/never" in workspace.status.message
    free = '--patch={"metadata": {"finalizers": null}}'
    await hub.kubectl("patch", "configmap", "kept", "-n", name, "--type=merge", free)
    await hub.gone(name)


# A machine that is lost.


async def test_what_ran_on_a_lost_machine_is_made_again_on_another(impatient_hub):
    hub = impatient_hub
    await hub.start()
    name = await hub.launch(workers=4)
    await hub.ready(name, workers=4)
    before = hub.pods(name)
    machine = before["notebook"].spec.node_name
    lost = {key: pod.metadata.uid for key, pod in before.items() if pod.spec.node_name == machine}
    hub.fake.dead = set(lost.values())
    hub.fake.changed()
    await asyncio.to_thread(hub.cluster.lose_node, machine)
    workspace = await hub.phase(name, "Starting", "NodeLost")
    assert workspace.status.message.startswith(
        f"The machine {machine} that JupyterLab ran on does not answer; JupyterLab is started on another one "
    )
    await hub.ready(name, workers=4)
    after = hub.pods(name)
    assert hub.lives(name) == len(before) + len(lost), "what is elsewhere stays as it is"
    assert machine not in {pod.spec.node_name for pod in after.values()}
    await asyncio.to_thread(hub.cluster.find_node, machine)
    assert hub.uids(name) == {pod.metadata.uid for pod in after.values()}
