"""An IPyParallel engine that carries its instance's name, and ends when it has lost its controller.

An engine registers once, when it starts. One whose controller is gone would never be found again by the next
one, so it ends at once, whatever it is doing, for nobody can be told the result; whoever runs it starts it
again. Nothing here may try to reconnect.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import threading
from collections.abc import Sequence

import zmq
from ipyparallel.engine.app import IPEngine
from zmq.utils.monitor import recv_monitor_message

REGISTRATION_SECONDS = 120
"""How long an engine waits for a controller that is not there yet."""
BEATS_MISSED = 10
"""How many beats of the controller, a second apart, may fail to come."""


class Engine(IPEngine):
    """An engine of a workspace."""

    async def register(self) -> None:
        """Register, and from then on watch the connection over which that was done."""
        await super().register()
        events = self.registrar.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        threading.Thread(target=end_with_connection, args=(events,), daemon=True).start()

    def start(self) -> None:
        """Run until a signal stops the event loop, which is no error."""
        try:
            super().start()
        except RuntimeError as error:
            if "Event loop stopped" not in str(error):
                raise


def end_with_connection(events: zmq.Socket[bytes]) -> None:
    """End this process when the connection breaks; in a thread, for the main one runs what people send."""
    recv_monitor_message(events)
    os.write(
        sys.__stderr__.fileno() if sys.__stderr__ else 2, b"The controller is gone, so this engine ends.\n"
    )
    os._exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--instance", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--file", required=True)
    given = parser.parse_args(arguments)
    Engine.launch_instance(
        [
            # IPyParallel makes names of variables of it, so there may be no other signs in it than - and _.
            f"--Session.session={given.instance}_{secrets.token_hex(4)}",
            f"--Session.username={given.host}",
            f"--IPEngine.url_file={given.file}",
            f"--IPEngine.timeout={REGISTRATION_SECONDS}",
            f"--IPEngine.max_heartbeat_misses={BEATS_MISSED}",
            "--Application.log_level=WARN",
        ]
    )


if __name__ == "__main__":
    main()
