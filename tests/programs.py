"""A machine with nothing on it but fake programs."""

from __future__ import annotations

from pathlib import Path

import pytest


class Machine:
    """A folder in which everything is looked for that is looked for on a machine.

    Args:
        folder: where it is made.
        monkeypatch: points the environment there.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", str(folder / "bin"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in ("JAVA_HOME", "PODIUM_WORKSPACE_PYTHON", "UV_CACHE_DIR"):
            monkeypatch.delenv(name, raising=False)

    def program(self, name: str, script: str, folder: str = "bin") -> Path:
        """Put a shell script there. Returns its path."""
        path = self.folder / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def java(self, version: str, modules: bool = True, folder: str = "bin") -> Path:
        """Put a Java of that version there, with or without the modules that Spark asks for."""
        refuse = 'case "$*" in *--add-modules*) echo "Unrecognized option"; exit 1;; esac\n'
        says = f"echo 'openjdk version \"{version}\" 2026-01-01' >&2"
        return self.program("java", says if modules else refuse + says, folder)
