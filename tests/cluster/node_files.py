"""The configurations of what runs on the real node, and its volumes. This module must not do I/O."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STORAGE: dict[str, Any] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
}


def containerd(root: Path, socket: Path, pause: str, networks: Path) -> str:
    """containerd's.

    Args:
        root: the folder with the images.
        socket: where it listens.
        pause: the image of the container that holds a pod's namespaces.
        networks: the folder with the pods' network.
    """
    return f"""
version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Where root lacks CAP_SYS_RESOURCE, as in many containers, the wish to be killed last would be an error.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{networks}"
"""


def network(pods: str) -> dict[str, Any]:
    """The pods' network: a bridge, and addresses of the range `pods`."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "/run/cni",
        },
    }
    return {"cniVersion": "0.4.0", "name": "podium", "plugins": [bridge]}


def kubelet(folder: Path, authority: Path, dns: str, socket: Path) -> dict[str, Any]:
    """kubelet's.

    Args:
        folder: the node's; its name is also that of the cgroup for all pods.
        authority: who vouches for the API server.
        dns: the address of CoreDNS.
        socket: where containerd listens.
    """
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.name}",
        "clusterDNS": [dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{socket}",
        # The disk and the memory are the machine's, and so is the care for them.
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": False,
        "maxPods": 250,
        "nodeStatusUpdateFrequency": "2s",
        "oomScoreAdj": 0,
        "protectKernelDefaults": True,
        "resolvConf": str(folder / "resolv.conf"),
        "serializeImagePulls": False,
        "volumePluginDir": str(folder / "plugins"),
    }


def kube_proxy(kubeconfig: Path, node: str, pods: str) -> dict[str, Any]:
    """kube-proxy's.

    Args:
        kubeconfig: its rights.
        node: the node's name.
        pods: the range of the pods' addresses.
    """
    return {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": pods,
        # These would be the machine's and not the namespace's.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
        "hostnameOverride": node,
        "iptables": {"minSyncPeriod": "50ms"},
        "mode": "iptables",
    }


def coredns(address: str, kubeconfig: Path) -> str:
    """CoreDNS's: outside of the cluster nothing has a name.

    Args:
        address: where it listens.
        kubeconfig: its rights.
    """
    return f"""
cluster.local {{
    bind {address}
    ready 127.0.0.1:8181
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
. {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def volume(path: Path) -> dict[str, Any]:
    """A persistent volume that is a folder of the node."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{path.name}"},
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "capacity": {"storage": "100Gi"},
            "hostPath": {"path": str(path)},
            "storageClassName": "standard",
        },
    }
