"""From what the API server tells of pods to what the rest of the hub knows, and to sentences for people.

The types name the few fields that are read. Nothing here may do I/O or ask what should be.
Source: Kubernetes API reference, Pod v1; "Pod Lifecycle".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime

from msgspec import Struct, field

from hub.kube.objects import Named
from hub.observed import Instance

WORKLOAD = "podium.hub/workload"
LETTERS = 300
"""Characters of somebody else's message that are passed on."""
MOST_LINES, MOST_LETTERS = 12, 500


class Condition(Struct, frozen=True, kw_only=True):
    """One condition of a pod, a node or a namespace."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class _Detail(Struct, frozen=True, kw_only=True, rename="camel"):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class ContainerState(Struct, frozen=True, kw_only=True):
    """What a container does, or did before it was started again."""

    waiting: _Detail | None = None
    running: _Detail | None = None
    terminated: _Detail | None = None


class ContainerStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """The one container of a pod."""

    image: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class _PodMetadata(Named, frozen=True, kw_only=True, rename="camel"):
    labels: dict[str, str] = {}
    deletion_timestamp: datetime | None = None


class _Port(Struct, frozen=True, kw_only=True, rename="camel"):
    container_port: int
    name: str = ""


class _Container(Struct, frozen=True, kw_only=True):
    image: str = ""
    ports: tuple[_Port, ...] = ()


class _PodSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()


class _PodStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = field(name="podIP", default="")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Struct, frozen=True, kw_only=True):
    """A pod, as far as anybody here wants to know."""

    metadata: _PodMetadata
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    @property
    def workload(self) -> str:
        """What it is an instance of."""
        return self.metadata.labels.get(WORKLOAD, "")

    @property
    def terminating(self) -> bool:
        """Whether it was asked to end."""
        return self.metadata.deletion_timestamp is not None

    @property
    def over(self) -> bool:
        """Whether it will never run again, as one that was evicted."""
        return self.status.phase in ("Failed", "Succeeded")

    @property
    def container(self) -> ContainerStatus:
        """What its one container does; nothing is known before it was given to a node."""
        return self.status.container_statuses[0] if self.status.container_statuses else ContainerStatus()

    @property
    def image(self) -> str:
        """The image, as the profile names it."""
        return self.spec.containers[0].image if self.spec.containers else ""

    def condition(self, kind: str) -> Condition | None:
        """The condition of a kind, if there is one."""
        return next((c for c in self.status.conditions if c.type == kind), None)


class _NodeStatus(Struct, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()


class Node(Struct, frozen=True, kw_only=True):
    """A machine of the cluster."""

    metadata: Named
    status: _NodeStatus = _NodeStatus()

    @property
    def lost(self) -> bool:
        """Whether Kubernetes no longer hears of it; a node that was never ready is not lost."""
        return any(c.type == "Ready" and c.status == "Unknown" for c in self.status.conditions)


class _NamespaceStatus(Struct, frozen=True, kw_only=True):
    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class _NamespaceMetadata(_PodMetadata, frozen=True, kw_only=True, rename="camel"):
    annotations: dict[str, str] = {}


class Namespace(Struct, frozen=True, kw_only=True):
    """The namespace of a workspace."""

    metadata: _NamespaceMetadata
    status: _NamespaceStatus = _NamespaceStatus()

    @property
    def ending(self) -> bool:
        """Whether it was asked to go."""
        return self.metadata.deletion_timestamp is not None

    @property
    def stuck(self) -> str:
        """One sentence on what keeps it from going, once Kubernetes says so."""
        told = {condition.type: condition for condition in self.status.conditions}
        for kind, sentence in STUCK.items():
            condition = told.get(kind)
            # That something is left is no failure while its pods are still ending.
            if condition is not None and condition.status == "True" and LEFT not in condition.message:
                return f"{sentence} Tell the operator. ({_short(condition.message)})"
        return ""


LEFT = "unexpected items still remain"
STUCK = {
    "NamespaceFinalizersRemaining": "Something in its namespace waits for a program that does not answer.",
    "NamespaceDeletionContentFailure": "Kubernetes cannot delete something in its namespace.",
    "NamespaceDeletionDiscoveryFailure": "Kubernetes cannot tell what is in its namespace.",
    "NamespaceDeletionGroupVersionParsingFailure": "Kubernetes cannot tell what is in its namespace.",
}
PULLING = {
    *("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"),
    *("SignatureValidationFailed", "ErrImageNeverPull", "InvalidImageName"),
}
FORBIDDEN = re.compile(r"unauthori[sz]ed|forbidden|denied|authentication|\b40[13]\b", re.IGNORECASE)
MISSING = re.compile(r"not found|not exist|manifest unknown|no such host|not present", re.IGNORECASE)


def instance(pod: Pod, lost: Collection[str], ended: bool = False) -> Instance:
    """What the hub knows of a pod.

    Args:
        pod: as the API server has it.
        lost: the names of nodes that Kubernetes no longer hears of.
        ended: whether we asked it to end, which the API server need not have told yet.
    """
    container = pod.container
    away = pod.spec.node_name in lost
    ready_condition = pod.condition("Ready")
    ready = ready_condition is not None and ready_condition.status == "True" and not away
    well = ready or (ended and not away)
    reason, message = ("", "") if well else trouble(pod, away)
    return Instance(
        name=pod.metadata.name,
        workload=pod.workload,
        running=container.state.running is not None and not away,
        ready=ready,
        terminating=pod.terminating or ended,
        restarts=container.restart_count,
        reason=reason,
        message=message,
        log=() if ready else last_lines(pod.container),
    )


def last_lines(container: ContainerStatus) -> tuple[str, ...]:
    """What a program wrote last before it ended with an error, as the kubelet keeps it of such a program.

    Source: Kubernetes, "Determine the Reason for Pod Failure", `FallbackToLogsOnError`.
    """
    last = container.state.terminated or container.last_state.terminated
    lines = last.message.splitlines() if last is not None else []
    return tuple(line[:MOST_LETTERS] for line in lines[-MOST_LINES:])


def trouble(pod: Pod, away: bool) -> tuple[str, str]:
    """What is wrong with a pod that is not ready: a word and a sentence; empty when nothing is."""
    who = subject(pod.metadata.name)
    if away:
        then = "if it stays away" if not pod.terminating else "as soon as Kubernetes gives it up"
        return "NodeLost", (
            f"The machine {pod.spec.node_name} that {who} ran on does not answer; {who} is started on "
            f"another one {then}."
        )
    if pod.terminating:
        return "", ""  # somebody asked for its end, so however it ends is right
    if pod.over:
        why = _short(pod.status.message) or pod.status.reason or "its machine gave it up"
        return "Evicted", f"{who[:1].upper()}{who[1:]} was ended by its machine and is started again: {why}"
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable":
        return "Unschedulable", (
            f"No machine of the cluster has room for {who}: {missing(scheduled.message)}. It starts as soon "
            "as there is room; ask for less, or ask the operator for more machines."
        )
    waiting = pod.container.state.waiting
    if waiting is not None and waiting.reason in PULLING:
        return _pulling(pod, waiting)
    last = pod.container.last_state.terminated or pod.container.state.terminated
    if last is not None and last.reason == "OOMKilled":
        return "OutOfMemory", (
            f"{who[:1].upper()}{who[1:]} needed more memory than it may use, and is started again. "
            "Use less at a time, or ask for a profile with more memory."
        )
    if waiting is not None and waiting.reason == "CrashLoopBackOff":
        code = last.exit_code if last else 0
        return "CrashLoop", (
            f"{who[:1].upper()}{who[1:]} ended {pod.container.restart_count} times, last with exit code "
            f"{code}; it is tried again."
        )
    if waiting is not None and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
        return "CannotStart", (
            f"The container of {who} cannot be made; the operator has to look: {_short(waiting.message)}"
        )
    return "", ""


def _pulling(pod: Pod, waiting: _Detail) -> tuple[str, str]:
    image = pod.image or pod.container.image
    if FORBIDDEN.search(waiting.message):
        return "ImageForbidden", (
            f"The image {image} may not be fetched; the operator has to give the profile a pull secret."
        )
    if waiting.reason in ("ErrImageNeverPull", "InvalidImageName") or MISSING.search(waiting.message):
        return "ImageMissing", (
            f"There is no image {image}; the operator has to correct the profile, or make the image."
        )
    return "ImagePullFailed", (
        f"The image {image} could not be fetched; it is tried again: {_short(waiting.message)}"
    )


def refusal(instance_name: str, status: int, message: str) -> tuple[str, str]:
    """What to say when the API server does not want a pod, or what it needs.

    Args:
        instance_name: the pod.
        status: the HTTP status of the answer.
        message: Kubernetes' sentence.
    """
    who = subject(instance_name)
    if "exceeded quota" in message:
        figures = message.partition("exceeded quota: ")[2]
        return "QuotaExceeded", (
            f"The quota has no room for {who} ({_short(figures)}). It starts as soon as there is; scale "
            "something down, or ask the operator for more."
        )
    if status == 403 and "cannot" in message and "resource" in message:
        return "NotAllowed", (
            f"Podium may not make {who}; the operator has to give it the rights that come with it: "
            f"{_short(message)}"
        )
    return "Refused", f"The cluster does not accept {who}; the operator has to look: {_short(message)}"


def missing(message: str) -> str:
    """What the scheduler found missing, without its advice on claims and preemption.

    >>> missing("0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: …")
    '2 Insufficient cpu'
    """
    told = message.partition("nodes are available: ")[2] or message
    return _short(told.partition(". ")[0])


def subject(name: str) -> str:
    """An instance in a sentence: `JupyterLab`, `the Dask scheduler`, `the worker dask-worker-3`."""
    if name == "notebook":
        return "JupyterLab"
    titles = {"dask": "Dask", "spark": "Spark", "ipyparallel": "IPyParallel"}
    framework, _, rest = name.partition("-")
    if rest == "scheduler" and framework in titles:
        return f"the {titles[framework]} scheduler"
    return f"the worker {name}"


def addresses(pods: Collection[Pod]) -> Mapping[str, str]:
    """`workload.port` to `host:port`, of those that have named ports and an address of their own."""
    found = {}
    for pod in pods:
        if pod.status.pod_ip and not pod.terminating and not pod.over:
            host = f"[{pod.status.pod_ip}]" if ":" in pod.status.pod_ip else pod.status.pod_ip
            for port in pod.spec.containers[0].ports if pod.spec.containers else ():
                found[f"{pod.workload}.{port.name}"] = f"{host}:{port.container_port}"
    return found


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
