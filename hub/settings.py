"""What a profile decides for a workspace: frameworks, limits, content, and how its pods run.

Bounds on single values live in the types here, so that one schema serves validation, the OpenAPI document and
the custom resource; rules between fields live in `admission.py`. Nothing here may do I/O.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from hub.wire import END, Wire

MOST_WORKERS = 1000

FrameworkName = Literal["dask", "spark", "ipyparallel"]
FRAMEWORKS: tuple[FrameworkName, ...] = ("dask", "ipyparallel", "spark")
Role = Literal["notebook", "scheduler", "worker"]

Count = Annotated[int, Meta(ge=0, le=MOST_WORKERS)]
Seconds = Annotated[int, Meta(ge=60, le=30 * 24 * 3600)]
Line = Annotated[str, Meta(max_length=1000)]
Word = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" + END, max_length=63)]
Cores = Annotated[float, Meta(gt=0, le=1024)]
Quantity = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}(Mi|Gi)" + END, max_length=12)]
GitAddress = Annotated[
    str,
    Meta(
        pattern=r"^(https?|ssh|git|file)://[A-Za-z0-9._~/\[][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*" + END,
        max_length=2048,
    ),
]
GitRef = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._/+-]*)?" + END, max_length=255)]
RelativePath = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9 ._+-]*(/[A-Za-z0-9_][A-Za-z0-9 ._+-]*)*/?)?" + END,
        max_length=512,
    ),
]


PullPolicy = Literal["IfNotPresent", "Always", "Never"]
AccessMode = Literal["", "ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"]
Gpus = Annotated[int, Meta(ge=0, le=16)]
ObjectName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*" + END,
        max_length=253,
    ),
]
"""The name of an object in Kubernetes: a DNS subdomain. Source: its page on object names."""
LabelKey = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
        + END,
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, Meta(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?" + END, max_length=63)
]
AbsolutePath = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+" + END, max_length=512)]
Cidr = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}" + END, max_length=49)]
QuotaName = Annotated[str, Meta(pattern=r"^[a-z0-9][A-Za-z0-9._/-]*" + END, max_length=253)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(m|k|M|G|T|Ki|Mi|Gi|Ti)?" + END, max_length=11)]


class Requests(Wire, frozen=True, kw_only=True):
    """What is set aside for one instance, where that is less than what it may use."""

    cpu: Cores | None = None
    memory: Quantity | None = None


class Resources(Wire, frozen=True, kw_only=True):
    """What one instance may use: CPU in cores, memory as a Kubernetes quantity, whole GPUs."""

    cpu: Cores = 1.0
    memory: Quantity = "1Gi"
    gpu: Gpus = 0
    requests: Requests | None = None
    """Without one, and for what one leaves out, all that may be used is set aside."""

    @property
    def mebibytes(self) -> int:
        """The memory as a number of MiB."""
        return mebibytes(self.memory)

    @property
    def requested(self) -> tuple[float, str]:
        """CPU in cores and memory that are set aside."""
        asked = self.requests or Requests()
        return self.cpu if asked.cpu is None else asked.cpu, asked.memory or self.memory


def mebibytes(quantity: str) -> int:
    """A `Quantity` as a number of MiB."""
    number = int(quantity[:-2])
    return number * 1024 if quantity.endswith("Gi") else number


class RoleResources(Wire, frozen=True, kw_only=True):
    """Resources for each role."""

    notebook: Resources = Resources()
    scheduler: Resources = Resources()
    worker: Resources = Resources()


class Content(Wire, frozen=True, kw_only=True):
    """Course material: a git repository that is in the home folder when the notebook opens."""

    git: GitAddress
    ref: GitRef = ""
    path: RelativePath = ""


class Toleration(Wire, frozen=True, kw_only=True):
    """Nodes with this taint may be used; the fields are those of Kubernetes."""

    key: LabelKey | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: Annotated[int, Meta(ge=0, le=30 * 24 * 3600)] | None = None


class Claim(Wire, frozen=True, kw_only=True):
    """Storage that is claimed in the workspace's namespace, and goes with it unless its class keeps it."""

    size: Quantity = "10Gi"
    storage_class: ObjectName | None = None
    """None for the cluster's default."""
    access_mode: AccessMode = ""
    """Empty for ReadWriteOnce for a home, and ReadOnlyMany for what is shared."""


class InlineVolume(Wire, frozen=True, kw_only=True):
    """A volume that a CSI driver mounts for each pod by itself, such as `nfs.csi.k8s.io`."""

    driver: ObjectName
    attributes: Annotated[dict[Annotated[str, Meta(max_length=253)], Line], Meta(max_length=32)] = {}


class SharedVolume(Wire, frozen=True, kw_only=True):
    """Data that every pod of a workspace may read: from a CSI driver, or from a claim of a storage class.

    The one or the other, for a claim cannot be used from another namespace, a PersistentVolume is bound by
    one claim alone, and the `restricted` level allows no `nfs` or `hostPath` volume. A storage class whose
    volumes all hold the same, as an NFS class with a fixed `subDir` has them, serves every namespace.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?" + END, max_length=50)]
    path: AbsolutePath
    csi: InlineVolume | None = None
    claim: Claim | None = None


class ServiceAccount(Wire, frozen=True, kw_only=True):
    """What pods run as; its token is never mounted. Cloud identities are given by annotations."""

    name: ObjectName = "workspace"
    annotations: Annotated[dict[LabelKey, Line], Meta(max_length=16)] = {}


class Network(Wire, frozen=True, kw_only=True):
    """What a workspace may reach besides itself and DNS."""

    internet: bool = True
    """Every public address, on every port; private addresses and the metadata service never."""
    allow: Annotated[tuple[Cidr, ...], Meta(max_length=32)] = ()
    """Ranges that may be reached all the same, private ones too, such as a licence server's."""
    deny: Annotated[tuple[Cidr, ...], Meta(max_length=32)] = ()
    """Public ranges that may not be reached, such as the cluster's own where they are public."""


class PodPatch(Wire, frozen=True, kw_only=True):
    """The last word on the pods of each role, for what nothing else covers; see `pods.patched`."""

    notebook: dict[str, Any] = {}
    scheduler: dict[str, Any] = {}
    worker: dict[str, Any] = {}


class KubernetesSettings(Wire, frozen=True, kw_only=True):
    """What a profile decides for its pods and namespace; only the Kubernetes backend reads it."""

    image_pull_policy: PullPolicy = "IfNotPresent"
    image_pull_secrets: Annotated[tuple[ObjectName, ...], Meta(max_length=8)] = ()
    node_selector: Annotated[dict[LabelKey, LabelValue], Meta(max_length=16)] = {}
    tolerations: Annotated[tuple[Toleration, ...], Meta(max_length=16)] = ()
    priority_class: ObjectName | None = None
    service_account: ServiceAccount = ServiceAccount()
    gpu_resource: LabelKey = "nvidia.com/gpu"
    home: Claim | None = None
    """Where the notebook's home folder is kept when its pod is made again; else it is gone with the pod."""
    shared: Annotated[tuple[SharedVolume, ...], Meta(max_length=8)] = ()
    quota: Annotated[dict[QuotaName, Amount], Meta(max_length=32)] = {}
    """Hard limits of the namespace in place of those that follow from the resources and max_workers."""
    network: Network = Network()
    namespace_lost: Literal["relaunch", "remove"] = "relaunch"
    """What to do when somebody deletes the namespace: make it again, or stop the workspace."""
    pod_patch: PodPatch = PodPatch()


class Settings(Wire, frozen=True, kw_only=True):
    """What a profile decides for a workspace; copied into it at launch."""

    image: Annotated[str, Meta(max_length=512)] = ""
    frameworks: tuple[FrameworkName, ...] = FRAMEWORKS
    max_workers: Count = 8
    resources: RoleResources = RoleResources()
    wall_time: Seconds = 8 * 3600
    idle_time: Seconds = 3600
    launch_timeout: Seconds = 300
    archive_time: Annotated[int, Meta(ge=0, le=30 * 24 * 3600)] = 7 * 24 * 3600
    """Seconds for which the home folder can be downloaded after the end; 0 keeps nothing."""
    extendable: bool = True
    """Whether the owner may put the end off; an instructor always may."""
    kubernetes: KubernetesSettings = KubernetesSettings()
