"""The configuration of Podium: what is on the menu. `podium --help-all` explains every setting.

Podium reads this file from the folder it is started in. A profile's values are copied into a workspace at
launch, so a change here is for the workspaces launched after the next start.
"""

c = get_config()  # noqa: F821 - traitlets provides it

HOUR = 3600

c.Podium.profiles = {
    "workshop": {
        "title": "Workshop",
        "description": "Dask and IPyParallel at once; Spark is one click away.",
        "frameworks": ["dask", "ipyparallel", "spark"],
        "clusters": {"dask": {}, "ipyparallel": {}},
        "workers": 2,
        "max_workers": 8,
        "resources": {
            # requests are what a node has to have free, on Kubernetes; most of the time most people read.
            "notebook": {"cpu": 1, "memory": "2Gi", "requests": {"cpu": 0.1, "memory": "1Gi"}},
            "scheduler": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.1, "memory": "512Mi"}},
            "worker": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.25}},
        },
        "wall_time": 8 * HOUR,
        "idle_time": 2 * HOUR,
    },
    "spark": {
        "title": "Spark",
        "description": "A Spark cluster, ready for SparkSession.builder.getOrCreate().",
        "frameworks": ["spark"],
        "clusters": {"spark": {}},
        "workers": 2,
        "max_workers": 8,
        "resources": {
            "notebook": {"cpu": 2, "memory": "3Gi", "requests": {"cpu": 0.25, "memory": "2Gi"}},
            "scheduler": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.1, "memory": "512Mi"}},
            "worker": {"cpu": 1, "memory": "2Gi", "requests": {"cpu": 0.25}},
        },
        "wall_time": 8 * HOUR,
        "idle_time": 2 * HOUR,
    },
    "notebook": {
        "title": "Notebook",
        "description": "JupyterLab alone; add Dask or IPyParallel when you need them.",
        "frameworks": ["dask", "ipyparallel"],
        "clusters": {},
        "workers": 2,
        "max_workers": 4,
        "resources": {
            "notebook": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.1, "memory": "512Mi"}},
            "scheduler": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.1, "memory": "512Mi"}},
            "worker": {"cpu": 1, "memory": "1Gi", "requests": {"cpu": 0.25}},
        },
        "wall_time": 8 * HOUR,
        "idle_time": 1 * HOUR,
    },
}

# Course material that is in the home folder when the notebook opens, for a profile of your own:
#
#     "content": [{"git": "https://example.org/tutorial.git", "ref": "main", "path": "notebooks"}],
#
# On Kubernetes, a profile may also say where and as what its pods run:
#
#     "image": "registry.example.org/course:2026",
#     "kubernetes": {
#         "image_pull_policy": "Always",
#         "node_selector": {"pool": "workshop"},
#         "tolerations": [{"key": "workshop", "operator": "Exists"}],
#         "home": {"size": "10Gi"},
#         "shared": [
#             {
#                 "name": "data",
#                 "path": "/data",
#                 "csi": {
#                     "driver": "nfs.csi.k8s.io",
#                     "attributes": {"server": "10.1.2.3", "share": "/course"},
#                 },
#             },
#         ],
#         "network": {"internet": False, "allow": ["10.1.2.3/32"]},
#         "pod_patch": {"notebook": {"metadata": {"annotations": {"example.org/team": "physics"}}}},
#     },
