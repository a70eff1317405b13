"""What the doctor's probe makes in a cluster, as it is sent to the API server. Nothing here may do I/O.

All is as a workspace of the profile has it, so that what the probe finds holds for workspaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub import admission
from hub.backends.kubernetes.manifests import namespace_objects
from hub.backends.kubernetes.names import Manifest, Release, manifest
from hub.backends.kubernetes.pods import labels_of, patched, pod
from hub.backends.kubernetes.policy import DNS_PEERS, DNS_PORTS
from hub.desired import desired
from hub.model import Workspace
from hub.profiles import Profile
from hub.settings import Requests, Settings
from hub.wire import replace as changed
from hub.workload import Probe, Workload

PORTS = {"open": 8081, "guarded": 8082, "far": 8083}
"""Of the visited pod: the first is open, its own policy forbids the second, the visitor's the third."""
VISITED, VISITOR = "doctor-visited", "doctor-visitor"
EVERYTHING = {"privileged": True, "allowPrivilegeEscalation": True}
PRIVILEGED = {"spec": {"containers": [{"name": "main", "securityContext": EVERYTHING}]}}


@dataclass(frozen=True)
class Plan:
    """Everything that the probe sends.

    Args:
        namespace: it; all else is in it.
        tried: what a workspace has besides, which is not made.
        made: what has to be there before pods.
        pods: of a workspace, one of each role; not made.
        privileged: a pod that has to be refused.
        visited: a pod that listens.
        image: what both run.
    """

    namespace: Manifest
    tried: tuple[Manifest, ...]
    made: tuple[Manifest, ...]
    pods: tuple[dict[str, Any], ...]
    privileged: dict[str, Any]
    visited: dict[str, Any]
    image: str
    _program: str
    _settings: Settings
    _release: Release

    def visitor(self, address: str) -> dict[str, Any]:
        """The pod that connects.

        Args:
            address: of the visited pod.
        """
        numbers = [str(number) for number in PORTS.values()]
        command = ("python", "-c", self._program, VISITED, address, *numbers)
        return _pod(self.namespace.name, VISITOR, command, {}, self._settings, self._release)


def plan(
    name: str, profile: Profile, release: Release, programs: Mapping[str, str], key: bytes, now: datetime
) -> Plan:
    """The probe of a profile.

    Args:
        name: of the namespace.
        profile: whose image, nodes and rules are tried.
        release: whose image is used when the profile names none.
        programs: what the pods `VISITED` and `VISITOR` run, as the text of a Python program.
        key: stands for the hub's key, for files that no program will read.
        now: the time, with a zone.
    """
    # The controller takes what has its own label and belongs to no Workspace for something left behind.
    release = replace(release, name=f"{release.name}-doctor")
    workspace = _workspace(name, profile, now)
    settings = workspace.spec.settings
    workloads = desired(workspace, key)
    objects = namespace_objects(name, workloads, settings, release)
    files = next(one.name for one in objects if one.kind == "Secret")
    pods = tuple(
        pod(name, one, f"{one.name}-0" if one.role == "worker" else one.name, settings, release, files)
        for one in workloads
    )
    # Claims and volumes are not there for the probe, which needs none.
    bare = changed(settings, kubernetes=changed(settings.kubernetes, home=None, shared=()))
    numbers = [str(number) for number in PORTS.values()]
    command = ("python", "-c", programs[VISITED], "@{host}", *numbers)
    listening = _pod(name, VISITED, command, PORTS, bare, release)
    real = {"Namespace", "LimitRange", "ServiceAccount"}
    return Plan(
        namespace=objects[0],
        tried=tuple(one for one in objects if one.kind not in real),
        made=(*(one for one in objects[1:] if one.kind in real), *_network(name, release)),
        pods=pods,
        privileged=patched(listening, PRIVILEGED),
        visited=listening,
        image=settings.image or release.image,
        _program=programs[VISITOR],
        _settings=bare,
        _release=release,
    )


def _workspace(name: str, profile: Profile, now: datetime) -> Workspace:
    """A workspace of the profile with every cluster that it may have."""
    clusters: dict[str, dict[str, Any]] = {framework: {} for framework in profile.frameworks}
    body = {"spec": {"profile": profile.name, "clusters": clusters}}
    return admission.launch(body, {profile.name: profile}, "podium doctor", name, now)


def _workload(name: str, ports: Mapping[str, int], command: tuple[str, ...], settings: Settings) -> Workload:
    own = settings.resources.worker
    small = changed(own, gpu=0, requests=Requests(cpu=min(0.05, own.cpu), memory="32Mi"))
    probe = Probe("open") if ports else None
    return Workload(name, "worker", "", command, ports=ports, resources=small, probe=probe, grace=1)


def _pod(
    namespace: str,
    name: str,
    command: tuple[str, ...],
    ports: Mapping[str, int],
    settings: Settings,
    release: Release,
) -> dict[str, Any]:
    workload = _workload(name, ports, command, settings)
    body = pod(namespace, workload, name, settings, release, "")
    return body | {"spec": body["spec"] | {"restartPolicy": "Never"}}


def _network(name: str, release: Release) -> tuple[Manifest, ...]:
    """A Service of the visited pod, and one policy for each pod."""

    def selector(pod_name: str) -> dict[str, str]:
        return labels_of(Workload(pod_name, "worker", "", ()))

    def ports(*names: str) -> list[dict[str, object]]:
        return [{"protocol": "TCP", "port": PORTS[one]} for one in names]

    def policy(pod_name: str, kind: str, rules: list[dict[str, Any]]) -> Manifest:
        spec = {
            "podSelector": {"matchLabels": selector(pod_name)},
            "policyTypes": [kind],
            kind.lower(): rules,
        }
        return manifest("NetworkPolicy", pod_name, name, release, spec=spec)

    dns = [{"protocol": protocol, "port": port} for port in DNS_PORTS for protocol in ("UDP", "TCP")]
    everybody: list[dict[str, Any]] = [{"podSelector": {}}]
    service = {
        "selector": selector(VISITED),
        "ports": [{"name": "open", "protocol": "TCP", "port": PORTS["open"]}],
    }
    return (
        manifest("Service", VISITED, name, release, spec=service),
        policy(VISITED, "Ingress", [{"from": everybody, "ports": ports("open", "far")}]),
        policy(
            VISITOR,
            "Egress",
            [
                {"to": list(DNS_PEERS), "ports": dns},
                {"to": everybody, "ports": ports("open", "guarded")},
            ],
        ),
    )
