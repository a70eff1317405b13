"""Waits until Spark's master takes connections, and then becomes a worker.

A worker that finds no master tries again only after 5 to 15 seconds. Nothing here may stay beside the worker.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence

WORKER = "org.apache.spark.deploy.worker.Worker"
ROUND = 0.1
"""Seconds between two attempts."""


def wait_for(host: str, port: int) -> None:
    """Return once somebody listens there; whoever started this process ends it when that takes too long."""
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            time.sleep(ROUND)
        else:
            return


def main(arguments: Sequence[str]) -> None:
    """The command line: a host, a port, and the arguments of Spark's worker."""
    host, port, *rest = arguments
    wait_for(host, int(port))
    command = ["spark-class", WORKER, *rest, f"spark://{host}:{port}"]
    os.execvp(command[0], command)  # noqa: S606 - to become the worker is the point


if __name__ == "__main__":
    main(sys.argv[1:])
