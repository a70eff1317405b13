"""The three frameworks, each described by one pure object; nothing here may do I/O.

Controller, engine and master, the frameworks' own words, appear only below this package; everywhere
else there are schedulers and workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hub.clusters.base import ClusterState, Framework, WorkerState
from hub.clusters.dask import DASK
from hub.clusters.ipyparallel import IPYPARALLEL
from hub.clusters.spark import SPARK
from hub.settings import FrameworkName

CLUSTERS: Mapping[FrameworkName, Framework] = MappingProxyType(
    {"dask": DASK, "ipyparallel": IPYPARALLEL, "spark": SPARK}
)

__all__ = ["CLUSTERS", "ClusterState", "Framework", "WorkerState"]
