"""A program of the test cluster: it ends with whoever started it, however that one ends.

The shell leaves a guard in the program's process group and then becomes the program. The guard reads from a
pipe that only the starting process holds open, so it sees that process end even by SIGKILL, on any Unix, and
then kills the program. Nothing here may know what the programs are for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

# In the guard `$$` is the number of the shell, and so of the program. The guard keeps the process group, so
# the number cannot be given to another process as long as it is there.
BECOME = 'exec 3<&0; (read _ <&3; kill -9 $$) & exec "$@" </dev/null 3<&-'


class Program:
    """A running program.

    Args:
        command: the program and its arguments.
        log: the file to which its output is appended.
    """

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", BECOME, "podium", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, and whatever it started, and wait for that; doing it again changes nothing.

        Args:
            number: the signal that the program is given; what is left of its group is killed.
        """
        assert self._popen.stdin is not None
        if self._popen.stdin.closed:
            return
        self._popen.send_signal(number)
        self._popen.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.stdin.close()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
