"""Pods of the `restricted` level with a read-only root, as all of ours are."""

from __future__ import annotations

from typing import Any

from tests.cluster.node import RealNode


def pod(image: str, name: str, *args: str, **more: Any) -> dict[str, Any]:
    """A pod with the folders of a workspace's.

    Args:
        image: of its one container.
        name: the pod's, and the value of its label `app`.
        args: what is given to the image's entry point.
        more: settings of the container.
    """
    folders = {"home": "/home/podium", "scratch": "/scratch"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": list(args),
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    "volumeMounts": [{"name": key, "mountPath": path} for key, path in folders.items()],
                    **more,
                }
            ],
            "volumes": [{"name": key, "emptyDir": {}} for key in folders],
        },
    }


def start(node: RealNode, namespace: str, made: dict[str, Any]) -> None:
    """Make a pod, and wait until it is ready."""
    node.create({**made, "metadata": {**made["metadata"], "namespace": namespace}})
    name = made["metadata"]["name"]
    node.kubectl("wait", f"--namespace={namespace}", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def execute(node: RealNode, namespace: str, name: str, *command: str) -> str:
    """What a program says in a pod; raises ClusterError when it fails."""
    return node.kubectl("exec", f"--namespace={namespace}", name, "--", *command).strip()
