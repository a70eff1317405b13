"""A Dask worker as `dask worker` runs it, that also finds modules in the folder it is started in.

That folder comes last, so that a script called `dask.py` in it is harmless.
"""

from __future__ import annotations

import os
import sys

from distributed.cli.dask_worker import main

if __name__ == "__main__":
    sys.path.append(os.getcwd())
    main()
