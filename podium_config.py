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
            "notebook": {"cpu": 1, "memory": "2Gi"},
            "scheduler": {"cpu": 1, "memory": "1Gi"},
            "worker": {"cpu": 1, "memory": "1Gi"},
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
            "notebook": {"cpu": 2, "memory": "3Gi"},
            "scheduler": {"cpu": 1, "memory": "1Gi"},
            "worker": {"cpu": 1, "memory": "2Gi"},
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
        "wall_time": 8 * HOUR,
        "idle_time": 1 * HOUR,
    },
}

# Course material that is in the home folder when the notebook opens, for a profile of your own:
#
#     "content": [{"git": "https://example.org/tutorial.git", "ref": "main", "path": "notebooks"}],
