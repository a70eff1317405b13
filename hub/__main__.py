"""The command line: with a command, a client of a running hub; without one, the hub itself."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run `podium`."""
    # Both halves are imported only when they are wanted, for neither should wait for the other.
    arguments = sys.argv[1:]
    if "_PODIUM_COMPLETE" in os.environ or _is_command(arguments):
        from hub.cli import cli

        cli(prog_name="podium")
    else:
        from hub.app import main as serve

        raise SystemExit(serve(arguments))


def _is_command(arguments: list[str]) -> bool:
    """Whether a command, or the help for commands, is asked for; the hub's own options all have a value."""
    if {"-h", "--help", "--version"} & set(arguments):
        return True
    return any(argument in _commands() for argument in arguments if not argument.startswith("-"))


def _commands() -> frozenset[str]:
    return frozenset(
        {"launch", "list", "open", "scale", "extend", "stop", "profiles", "doctor", "completion"}
    )


if __name__ == "__main__":
    main()
