"""A real control plane that needs no rights: etcd, the API server, the controllers and the scheduler of
Kubernetes, and kwok, which acts as the kubelet of nodes that do not exist.

Everything listens on free ports, keeps its files in one folder, and ends with the process that started it.
Nothing here may know what the cluster is for, nor touch what it did not make.
"""

from __future__ import annotations

import signal
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from hub.ports import HOST, Ports
from tests.cluster import fake
from tests.cluster.access import Cluster, ClusterError, until
from tests.cluster.certificates import Authority, at, by_certificate, key_pair, kubeconfig
from tests.cluster.program import Program

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
"""The programs that this control plane is made of."""
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
"""The address of the service `kubernetes`: always the first."""


class ControlPlane(Cluster):
    """A control plane, to be used in a `with` statement or started and stopped.

    Args:
        directory: an empty folder of its own, for data, certificates, kubeconfigs and logs.
        bin: where the programs of `COMPONENTS` are.
        address: what it listens on, an address of this machine.
        options: more arguments for a program, by its name; they come last, so they win.
        fake: whether there are kwok and a storage class of its volumes.
    """

    def __init__(
        self,
        directory: Path,
        bin: Path,
        address: str = HOST,
        options: Mapping[str, Sequence[str]] | None = None,
        fake: bool = True,
    ) -> None:
        super().__init__(directory / "admin.kubeconfig", bin, directory / "kubectl")
        self.directory = directory
        self.address = address
        self._options = options or {}
        self._fake = fake
        self._ports = Ports()
        self._port: dict[str, int] = {}
        self._programs: dict[str, Program] = {}
        self._nodes = 0

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self._port['kube-apiserver']}"

    @property
    def pids(self) -> dict[str, int]:
        """The number of each running program, by its name."""
        return {name: program.pid for name, program in self._programs.items()}

    def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            ClusterError: when a program ends or does not get ready; the text has its last words.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for name in ("etcd", "peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
                self._port[name] = self._ports.take()
            self._certify()
            self._start_etcd()
            self.start_api_server()
            self._start_controllers()
            if self._fake:
                self._start_kwok()
                self.create(fake.STORAGE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything; the folder stays. Doing it again changes nothing."""
        for name in reversed(list(self._programs)):
            self._programs.pop(name).stop()
        self._ports.close()

    def stop_api_server(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the API server; what it knew is kept by etcd.

        Args:
            number: the signal it is given.
        """
        self._programs.pop("kube-apiserver").stop(number)

    def start_api_server(self) -> None:
        """Start the API server at the address that it always has, and wait until it is ready."""
        file = self.directory.joinpath
        local = self.address == HOST
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://{HOST}:{self._port['etcd']}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self._port['kube-apiserver']}",
            # The service `kubernetes` cannot have an endpoint on the loopback address.
            f"--endpoint-reconciler-type={'none' if local else 'lease'}",
            f"--tls-cert-file={file('api-server.crt')}",
            f"--tls-private-key-file={file('api-server.key')}",
            f"--client-ca-file={file('authority.crt')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={file('accounts.pub')}",
            f"--service-account-signing-key-file={file('accounts.key')}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--kubelet-client-certificate={file('kubelet-client.crt')}",
            f"--kubelet-client-key={file('kubelet-client.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={file('front.crt')}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={file('front-proxy-client.crt')}",
            f"--proxy-client-key-file={file('front-proxy-client.key')}",
        )
        self._until_answers("kube-apiserver", f"{self.url}/readyz")

    def add_nodes(self, count: int, cpu: str = "64", memory: str = "256Gi", pods: int = 1000) -> list[str]:
        """Add nodes that do not exist, and wait until pods can be placed on them.

        Args:
            count: how many.
            cpu, memory, pods: what each offers, as Kubernetes writes it.

        Returns:
            Their names.
        """
        offers = {"cpu": cpu, "memory": memory, "pods": str(pods)}
        nodes = [fake.node(self._nodes + number, offers) for number in range(count)]
        names = [node["metadata"]["name"] for node in nodes]
        self._nodes += count
        self.create(*nodes)
        until(f"pods can be placed on {names}", lambda: set(names) <= self._usable())
        return names

    def lose_node(self, name: str) -> None:
        """Let nobody act for a node any more, as when its machine is gone; in a while Kubernetes notices."""
        self._annotate(name, f"{fake.MARK}-")

    def find_node(self, name: str) -> None:
        """Have a lost node back, and wait until pods can be placed on it."""
        self._annotate(name, fake.SELECTOR)
        until(f"pods can be placed on {name}", lambda: name in self._usable())

    def _annotate(self, node: str, annotation: str) -> None:
        """Change whether kwok acts for a node, which it looks at only when it starts."""
        self.kubectl("annotate", "node", node, annotation)
        self._programs.pop("kwok").stop()
        self._start_kwok()

    def _usable(self) -> set[str]:
        """The names of the nodes on which pods can be placed."""
        return {node["metadata"]["name"] for node in self.get("nodes")["items"] if fake.usable(node)}

    def kubeconfig_for(self, file: str, name: str, groups: Sequence[str] = ()) -> Path:
        """Write `<file>.kubeconfig` of a user who shows a certificate.

        Args:
            file: the name of the files, without an ending.
            name: the user's name.
            groups: the user's groups.
        """
        certificate = self._authority.issue(file, name, groups)
        path = self.directory / f"{file}.kubeconfig"
        return kubeconfig(path, at(self.url, self._authority.certificate), by_certificate(certificate))

    def _certify(self) -> None:
        self._authority = Authority(self.directory, "authority")
        front = Authority(self.directory, "front")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
        hosts = [*names, HOST, self.address, FIRST_SERVICE]
        self._authority.issue("api-server", "kube-apiserver", hosts=hosts)
        self._authority.issue("kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
        front.issue("front-proxy-client", "front-proxy-client")
        key_pair(self.directory, "accounts")
        self.kubeconfig_for("admin", "admin", ["system:masters"])
        # Else each controller first fetches a token of its own, all at a client's pace: that takes 4 s.
        everything = ["system:masters"]
        self.kubeconfig_for("kube-controller-manager", "system:kube-controller-manager", everything)
        self.kubeconfig_for("kube-scheduler", "system:kube-scheduler")

    def _start_etcd(self) -> None:
        client, peer = (f"http://{HOST}:{self._port[name]}" for name in ("etcd", "peer"))
        self._run(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _start_controllers(self) -> None:
        authority, accounts = (self.directory / name for name in ("authority.crt", "accounts.key"))
        more = {
            "kube-controller-manager": (
                f"--root-ca-file={authority}",
                f"--service-account-private-key-file={accounts}",
                f"--cluster-signing-cert-file={authority}",
                f"--cluster-signing-key-file={authority.with_suffix('.key')}",
                "--node-monitor-period=1s",
            ),
            "kube-scheduler": (),
        }
        for name, arguments in more.items():
            path = self.directory / f"{name}.kubeconfig"
            self._run(
                name,
                f"--kubeconfig={path}",
                f"--authentication-kubeconfig={path}",
                f"--authorization-kubeconfig={path}",
                f"--bind-address={HOST}",
                f"--secure-port={self._port[name]}",
                f"--cert-dir={self.directory / name}",
                "--leader-elect=false",
                *arguments,
            )
        for name in more:
            self._until_answers(name, f"https://{HOST}:{self._port[name]}/healthz")

    def _start_kwok(self) -> None:
        self._run(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            f"--config={fake.STAGES}",
            f"--manage-nodes-with-annotation-selector={fake.SELECTOR}",
            "--node-lease-duration-seconds=40",
        )

    def _run(self, name: str, *arguments: str) -> None:
        command = [self.bin / name, *arguments, *self._options.get(name, ())]
        self._programs[name] = Program(command, self.directory / f"{name}.log")

    def _until_answers(self, name: str, url: str) -> None:
        """Wait until a program answers; raises ClusterError when any ends before, or it never does."""
        # Whether the certificate is good is seen by the clients that matter.
        trust = ssl._create_unverified_context()

        def answers() -> bool:
            for other, program in self._programs.items():
                if not program.running:
                    raise ClusterError(f"{other} ended:\n{program.last_words()}")
            try:
                with urllib.request.urlopen(url, timeout=5, context=trust):
                    return True
            except OSError:
                return False

        until(f"{name} answers; see {self._programs[name].log}", answers)
