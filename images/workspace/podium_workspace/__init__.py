"""What runs inside a workspace beside the frameworks themselves; the image and one machine share it.

    notebook.py          sets the home folder up, then is JupyterLab
    home_files.py        what programs look for in the home folder
    content.py           course material from git
    labextensions/       the room in JupyterLab, most of which comes from the hub
    jupyter_access.py    who may use the notebook
    jupyter_routes.py    the notebook's own routes: its state, and the way on to dashboards
    dask_worker.py       a worker that finds the modules of the home folder
    dask_scheduler.py    Dask's scheduler with its dashboard guarded
    dask_draining.py     the state of its workers, and how they are asked to finish
    dask_routes.py       both over HTTP
    ipyparallel_*.py     the controller, its engines and the view of them
    spark_*.py           the master with its pages guarded, and its workers
    leave.py             what a worker runs before it is ended, in every framework
    guarded.py held.py tokens.py    guarded routes; answers held until something changes; credentials

Nothing here may import the hub: the two meet only over HTTP, environment and files.
"""
