"""A real cluster of one node: containerd, kubelet, kube-proxy and CoreDNS beside the real control plane.

    python -m tests.cluster.node -- CMD …

runs a command where it can reach all of it by kubectl, by the addresses of Pods and Services and by nothing
else, and leaves nothing. NetworkPolicies are accepted there and not enforced. Nothing here may know what the
cluster is for, nor run outside of an enclosure.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from hub.tools import CHECKOUT, ToolError
from tests.cluster import binaries, enclosure, images
from tests.cluster import node_files as files
from tests.cluster.access import Cluster, ClusterError, until
from tests.cluster.control_plane import COMPONENTS, SERVICES, ControlPlane
from tests.cluster.program import Program

ADDRESS = "10.63.0.1"
PODS = "10.64.0.0/16"
NAME = "node"
SOCKET = Path("/run/containerd.sock")
VOLUMES = 10
"""How many claims of persistent volumes can be met."""
FOLDER = "PODIUM_NODE"
IMAGES = ("PODIUM_NODE_IMAGE", "PODIUM_NODE_HUB_IMAGE", "PODIUM_NODE_PROXY_IMAGE")
"""How a command inside is told of the node's folder, and of the images."""


class RealNode(Cluster):
    """The cluster, as a command inside sees it.

    Args:
        folder: the enclosure's.
        names: of the images that the node has; `image` is that of workspaces.
        bin: the folder in which kubectl is.
    """

    def __init__(self, folder: Path, names: images.Images, bin: Path) -> None:
        super().__init__(folder / "control-plane" / "admin.kubeconfig", bin, folder / "kubectl")
        self.folder = folder
        self.image, self.hub_image, self.proxy_image = names

    @property
    def pids(self) -> dict[str, int]:
        """The number of each program of the cluster, by its name."""
        numbers: dict[str, int] = json.loads((self.folder / "pids").read_text())
        return numbers


def here() -> RealNode | None:
    """The cluster that this process is in, if it is in one."""
    if FOLDER not in os.environ:
        return None
    kubectl = shutil.which("kubectl")
    assert kubectl is not None
    names = images.Images(*(os.environ[name] for name in IMAGES))
    return RealNode(Path(os.environ[FOLDER]), names, Path(kubectl).parent)


class Node:
    """A node that joins a control plane in the same network namespace.

    Args:
        folder: the enclosure's; its name is also that of the cgroup for everything on the node.
        bin: where kubelet, kube-proxy and CoreDNS are.
        plane: the control plane, which runs.
    """

    def __init__(self, folder: Path, bin: Path, plane: ControlPlane) -> None:
        self.folder = folder
        self._bin = bin
        self._plane = plane
        self._programs: dict[str, Program] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The number of each running program, by its name."""
        return {name: program.pid for name, program in self._programs.items()}

    def start(self) -> None:
        """Start everything and wait until pods can run; raises ClusterError when that does not come."""
        self._start_containerd()
        self._start_proxy()
        self._start_dns()
        self._start_kubelet()
        self._provide_volumes()
        until("kubelet answers", self._kubelet_answers)
        until("CoreDNS is ready", lambda: self._answers("coredns", "http://127.0.0.1:8181/ready"))
        until("kube-proxy is ready", lambda: self._answers("kube-proxy", "http://127.0.0.1:10256/healthz"))
        until("the node is ready", self._ready)

    def _start_containerd(self) -> None:
        root = self.folder / "containerd"
        images.copy(root)
        networks = self._write("cni/podium.conflist", files.network(PODS))
        config = self.folder / "containerd.toml"
        config.write_text(files.containerd(root, SOCKET, images.pause(), networks.parent))
        self._run("containerd", "containerd", f"--config={config}")
        until("containerd listens", lambda: SOCKET.exists() or not self._programs["containerd"].running)

    def _start_kubelet(self) -> None:
        # No pod is told to ask anybody but CoreDNS.
        (self.folder / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
        authority = self._plane.directory / "authority.crt"
        config = self._write("kubelet.json", files.kubelet(self.folder, authority, ADDRESS, SOCKET))
        self._run(
            "kubelet",
            self._bin / "kubelet",
            f"--config={config}",
            f"--kubeconfig={self._plane.kubeconfig_for('kubelet', f'system:node:{NAME}', ['system:nodes'])}",
            f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet-certificates'}",
        )

    def _start_proxy(self) -> None:
        kubeconfig = self._plane.kubeconfig_for("kube-proxy", "system:kube-proxy")
        config = self._write("kube-proxy.json", files.kube_proxy(kubeconfig, NAME, PODS))
        self._run("kube-proxy", self._bin / "kube-proxy", f"--config={config}")

    def _start_dns(self) -> None:
        config = self.folder / "Corefile"
        config.write_text(files.coredns(ADDRESS, self._plane.kubeconfig))
        self._run("coredns", self._bin / "coredns", f"-conf={config}")

    def _provide_volumes(self) -> None:
        paths = [self.folder / "volumes" / str(number) for number in range(VOLUMES)]
        for path in paths:
            path.mkdir(parents=True)
            path.chmod(0o777)  # a pod's group is given to no volume of this kind
        self._plane.create(files.STORAGE, *map(files.volume, paths))

    def _write(self, name: str, value: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=2))
        return path

    def _run(self, name: str, *command: str | Path) -> None:
        self._programs[name] = Program(command, self.folder / f"{name}.log")

    def _answers(self, name: str, url: str) -> bool:
        self._check(name)
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return True
        return False

    def _kubelet_answers(self) -> bool:
        """Whether kubelet is up; one that came before containerd was, which listens first, starts again."""
        kubelet = self._programs["kubelet"]
        if not kubelet.running and "is not initialized yet" in kubelet.log.read_text(errors="replace"):
            kubelet.stop()
            self._start_kubelet()
        return self._answers("kubelet", "http://127.0.0.1:10248/healthz")

    def _ready(self) -> bool:
        self._check("containerd", "kubelet")
        for node in self._plane.get("nodes")["items"]:
            conditions = {
                condition["type"]: condition["status"] for condition in node["status"]["conditions"]
            }
            return conditions.get("Ready") == "True" and not node["spec"].get("taints")
        return False

    def _check(self, *names: str) -> None:
        for name in names:
            if not self._programs[name].running:
                raise ClusterError(f"{name} ended:\n{self._programs[name].last_words()}")


def _wire() -> None:
    """The node's address, and a way for what is sent to Services, which kube-proxy's rules then divert."""
    for command in (
        "ip link add services type bridge",
        f"ip address add {ADDRESS}/32 dev services",
        "ip link set services up",
        f"ip route add {SERVICES} dev services",
    ):
        subprocess.run(command.split(), check=True)
    for name in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):
        Path("/proc/sys/net", name).write_text("1")


def inside(bin: Path, names: images.Images, command: list[str], folder: Path) -> int:
    """Start the cluster in the enclosure that this process is in, run a command, and return its exit code."""
    begin = time.monotonic()
    signal.signal(signal.SIGINT, lambda number, frame: None)  # it is for the command
    enclosure.furnish(folder)
    _wire()
    options = {"kube-controller-manager": ["--node-monitor-grace-period=16s", "--node-monitor-period=1s"]}
    with ControlPlane(folder / "control-plane", bin, ADDRESS, options, fake=False) as plane:
        node = Node(folder, bin, plane)
        try:
            node.start()
        except ClusterError:
            _keep_logs(folder, "node-that-did-not-start")
            raise
        (folder / "pids").write_text(json.dumps(plane.pids | node.pids))
        print(f"podium: the node was ready after {time.monotonic() - begin:.1f} s", flush=True)
        env = {
            **os.environ,
            "PATH": f"{bin}:{os.environ['PATH']}",
            "KUBECONFIG": str(plane.kubeconfig),
            FOLDER: str(folder),
            **dict(zip(IMAGES, names, strict=True)),
        }
        code = subprocess.run(command, env=env).returncode
        if code:
            _keep_logs(folder)
        return code


def _keep_logs(folder: Path, name: str = "node") -> None:
    """Have what the programs said where it stays."""
    kept = CHECKOUT / "artefacts" / name
    kept.mkdir(parents=True, exist_ok=True)
    for log in (*folder.glob("*.log"), *folder.glob("control-plane/*.log")):
        shutil.copyfile(log, kept / log.name)
    print(f"podium: what the node's programs said is in {kept}", flush=True)


def main(arguments: list[str]) -> int:
    """The command line. Returns its exit code: the command's own, 1 where no node can be, 2 wrong usage."""
    try:
        if arguments[:1] == ["--inside"]:
            programs, *rest, folder = arguments[1:]
            names, command = images.Images(*rest[: len(IMAGES)]), rest[len(IMAGES) :]
            return inside(Path(programs), names, command, Path(folder))
        if arguments[:1] != ["--"] or len(arguments) < 2:
            print("usage: python -m tests.cluster.node -- CMD …", file=sys.stderr)
            return 2
        enclosure.prepare()
        bin = binaries.find((*(set(COMPONENTS) - {"kwok"}), "kubelet", "kube-proxy", "coredns", "helm"))
        again = [sys.executable, "-m", "tests.cluster.node", "--inside", str(bin), *images.build()]
        return enclosure.run([*again, *arguments[1:]])
    except (ToolError, ClusterError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
