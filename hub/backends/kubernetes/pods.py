"""One instance of a workload as a pod, at the `restricted` Pod Security level. Nothing here may do I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from hub.backends.kubernetes.names import FILES, HOME, SCRATCH, Release, digest, labels
from hub.clusters import CLUSTERS
from hub.clusters.base import Context
from hub.desired import BEGINNING
from hub.keys import Keys
from hub.settings import KubernetesSettings, Resources, Settings, SharedVolume
from hub.wire import plain_object
from hub.workload import LEAVE, Probe, Workload, render

CONTAINER = "main"
USER = 1000
DISK = "20Gi"
"""Of a folder that is gone with its pod; a pod that fills it is evicted, not its node."""


def pod(
    workspace: str, workload: Workload, instance: str, settings: Settings, release: Release, secret: str
) -> dict[str, Any]:
    """The pod of one instance, which is named as the instance.

    Args:
        workload: as `desired` made it.
        secret: the name of the Secret that holds the workload's files.
    """
    own = settings.kubernetes
    spec: dict[str, Any] = {
        "restartPolicy": "Always",
        "serviceAccountName": own.service_account.name,
        "automountServiceAccountToken": False,
        # They would set variables such as SPARK_MASTER_PORT=tcp://…
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": workload.grace + (LEAVE if workload.leave else 0),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_scheduling(own, release),
        "containers": [_container(workload, instance, settings, release)],
        "volumes": _volumes(workload, own, secret),
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": instance,
            "namespace": workspace,
            "labels": labels(workspace, release) | labels_of(workload),
        },
        "spec": spec,
    }
    result: dict[str, Any] = patched(body, getattr(own.pod_patch, workload.role))
    return result


def labels_of(workload: Workload) -> dict[str, str]:
    """What tells the pods of one workload from the others of their workspace."""
    own = {"podium.hub/workload": workload.name, "podium.hub/role": workload.role}
    return own | ({"podium.hub/cluster": workload.cluster} if workload.cluster else {})


def files(workload: Workload) -> dict[str, str]:
    """Path below `@{files}` to text, for every instance the same."""
    return dict(render(replace(workload, command=(), env={}, leave=()), _same_for_all(workload)).files)


def key(text: str) -> str:
    """Where a text is in the Secret: what several workloads have in common is there once."""
    return digest(text)


def patched(target: Any, patch: Any) -> Any:
    """Apply a profile's patch and return the result; neither argument is changed.

    A JSON merge patch (RFC 7396), save that a list of named things, such as containers, volumes or env, is
    merged by name (volumeMounts by mountPath) as Kubernetes does it, and not replaced: `{"spec":
    {"containers": [{"name": "main", "tty": true}]}}` changes nothing else of that container.
    """
    if isinstance(patch, Mapping):
        result = dict(target) if isinstance(target, Mapping) else {}
        for name, value in patch.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = patched(result.get(name), value)
        return result
    if isinstance(patch, list | tuple) and isinstance(target, list):
        by = _merge_key([*target, *patch])
        if by:
            items = {item[by]: item for item in target}
            for item in patch:
                items[item[by]] = patched(items.get(item[by]), item)
            return list(items.values())
    return patch


def _merge_key(items: list[Any]) -> str:
    """What the items of a list are told apart by; empty if nothing does."""
    for name in ("mountPath", "name"):
        if all(isinstance(item, Mapping) and name in item for item in items):
            return name
    return ""


def _scheduling(own: KubernetesSettings, release: Release) -> dict[str, Any]:
    """Where pods may run, who goes first, and who pulls images, as far as profile and release say."""
    tolerations = [
        {name: value for name, value in plain_object(item).items() if value not in ("", None)}
        for item in own.tolerations
    ]
    said = {
        "imagePullSecrets": [
            {"name": name} for name in (release.pull_secret, *own.image_pull_secrets) if name
        ],
        "nodeSelector": dict(own.node_selector),
        "tolerations": tolerations,
        "priorityClassName": own.priority_class,
    }
    return {name: value for name, value in said.items() if value}


def _container(workload: Workload, instance: str, settings: Settings, release: Release) -> dict[str, Any]:
    same = _same_for_all(workload)

    def lookup(reference: str) -> str:
        return instance if reference == "instance" else same(reference)

    # Kubernetes fills in $(NAME) in commands and variables, and reads $$ as $; what we wrote stands as it is.
    filled = render(
        replace(
            workload,
            command=tuple(escaped(part) for part in workload.command),
            env={name: escaped(value) for name, value in workload.env.items()},
            files={},
            leave=(),
        ),
        lambda reference: "$(POD_IP)" if reference == "host" else lookup(reference),
    )
    env = {
        "HOME": HOME,
        "TMPDIR": SCRATCH,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **filled.env,
    }
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image or release.image,
        "imagePullPolicy": settings.kubernetes.image_pull_policy,
        # Not `command`: an image's entry point reaps orphans and sets up its environment.
        "args": list(filled.command),
        "workingDir": HOME,
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            *({"name": name, "value": value} for name, value in env.items()),
        ],
        "resources": resources(workload.resources, settings.kubernetes.gpu_resource),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The last lines of a program that failed are then in the pod's status, with no further request.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(workload, settings.kubernetes),
    }
    if workload.probe:
        number = workload.ports[workload.probe.port]
        container["ports"] = [{"name": workload.probe.port, "containerPort": number, "protocol": "TCP"}]
        container["readinessProbe"] = _readiness(workload.probe, number)
    if workload.leave:
        leave = render(replace(workload, command=(), env={}, files={}), lookup).leave
        container["lifecycle"] = {"preStop": {"exec": {"command": list(leave)}}}
    return container


def escaped(text: str) -> str:
    """A text that comes out of Kubernetes as it is: every `$` doubled, for `$$` stands for one.

    Source: `third_party/forked/golang/expansion` in Kubernetes.
    """
    return text.replace("$", "$$")


def _same_for_all(workload: Workload) -> Callable[[str], str]:
    """What references stand for in all instances. Raises KeyError for `host` and `instance`."""
    folders = {"home": HOME, "scratch": SCRATCH, "files": FILES}
    own = {f"{workload.name}.{name}": str(number) for name, number in workload.ports.items()}
    return {**_services(), **folders, **own}.__getitem__


@cache
def _services() -> dict[str, str]:
    """`dask-scheduler.host` and the like to its value, also for clusters that do not run yet.

    A notebook is told of every cluster that may be added later, so this is asked of the frameworks and not
    of the workloads; what a scheduler's ports are depends on no workspace.
    """
    anyone = Context("cluster-000000", Settings(), Keys(b"", ""), BEGINNING)
    result = {}
    for framework in CLUSTERS.values():
        scheduler = framework.scheduler(anyone)
        result[f"{scheduler.name}.host"] = scheduler.name
        result |= {f"{scheduler.name}.{name}": str(number) for name, number in scheduler.ports.items()}
    return result


def resources(own: Resources, gpu: str) -> dict[str, dict[str, str]]:
    """Limits and requests. GPUs cannot be requested without being the limit too, so that says all.

    Args:
        gpu: the name of the GPUs as a resource.
    """
    cpu, memory = own.requested
    limits = {"cpu": cores(own.cpu), "memory": own.memory} | ({gpu: str(own.gpu)} if own.gpu else {})
    return {"limits": limits, "requests": {"cpu": cores(cpu), "memory": memory}}


def cores(number: float) -> str:
    """CPU as a quantity, with what is finer than a thousandth rounded up."""
    thousandths = max(1, round(number * 1000))
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def _readiness(probe: Probe, number: int) -> dict[str, Any]:
    """Looked at every second, but forgiving: a notebook that computes answers late and is still ready."""
    how = {"httpGet": {"path": probe.path, "port": number}} if probe.path else {"tcpSocket": {"port": number}}
    return how | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 6}


def _volumes(workload: Workload, own: KubernetesSettings, secret: str) -> list[dict[str, Any]]:
    empty = {"emptyDir": {"sizeLimit": DISK}}
    kept = own.home and workload.role == "notebook"
    home = {"persistentVolumeClaim": {"claimName": "home"}} if kept else empty
    result: list[dict[str, Any]] = [{"name": "home", **home}, {"name": "scratch", **empty}]
    texts = files(workload)
    if texts:
        items = [{"key": key(text), "path": path} for path, text in sorted(texts.items())]
        source = {"secretName": secret, "defaultMode": 0o440, "items": items}
        result.append({"name": "files", "secret": source})
    return result + [{"name": shared_name(volume), **_shared(volume)} for volume in own.shared]


def shared_name(volume: SharedVolume) -> str:
    """The name of a shared volume, and of the claim it may be from."""
    return f"shared-{volume.name}"


def _shared(volume: SharedVolume) -> dict[str, Any]:
    if volume.csi is None:
        return {"persistentVolumeClaim": {"claimName": shared_name(volume), "readOnly": True}}
    source = {"driver": volume.csi.driver, "readOnly": True, "volumeAttributes": dict(volume.csi.attributes)}
    return {"csi": source}


def _mounts(workload: Workload, own: KubernetesSettings) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = [
        {"name": "home", "mountPath": HOME},
        {"name": "scratch", "mountPath": SCRATCH},
        # For what does not heed TMPDIR, as Java does not.
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - of the pod alone
    ]
    if workload.files:
        result.append({"name": "files", "mountPath": FILES, "readOnly": True})
    return result + [
        {"name": shared_name(volume), "mountPath": volume.path, "readOnly": True} for volume in own.shared
    ]
