"""The real program, and what it offers to shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from hub.cli import cli
from tests.cli.podium import Podium, said
from tests.web.serving import MINE


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_scripts(self, podium: Podium, shell: str) -> None:
        script = said(podium("completion", shell))
        assert "_PODIUM_COMPLETE" in script
        assert f"{shell}_complete" in script
        if program := shutil.which(shell):
            subprocess.run([program, "-n"], input=script, text=True, check=True, capture_output=True)

    def test_of_another_shell(self, podium: Podium) -> None:
        said(podium("completion", "tcsh"), 2)

    def complete(self, podium: Podium, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
        """What a shell would offer for the last word."""
        for name, value in podium.env.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        complete = BashComplete(cli, {}, "podium", "_PODIUM_COMPLETE")
        return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]

    @pytest.mark.parametrize("command", ["stop", "extend", "open", "scale"])
    def test_names(self, podium: Podium, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        podium.add()
        podium.add("cluster-other0")
        assert self.complete(podium, monkeypatch, command, "cluster-m") == [MINE]
        assert self.complete(podium, monkeypatch, command, "") == [MINE, "cluster-other0"]

    def test_names_of_the_hub_that_is_meant(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        podium.add()
        port = str(podium.hub.web.port)
        podium.env["PORT"] = "1"
        assert self.complete(podium, monkeypatch, "stop", "") == []
        assert self.complete(podium, monkeypatch, "--port", port, "stop", "") == [MINE]

    def test_commands_and_frameworks(self, podium: Podium, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.complete(podium, monkeypatch, "la") == ["launch"]
        assert self.complete(podium, monkeypatch, "scale", MINE, "s") == ["spark"]


class TestProgram:
    """The real program, as a process."""

    def run(self, podium: Podium, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in (podium.env | env).items() if value is not None}
        return subprocess.run(
            [sys.executable, "-m", "hub", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), **own},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_a_command(self, podium: Podium) -> None:
        podium.add()
        done = self.run(podium, "list", http_proxy="http://127.0.0.1:1")
        assert (done.returncode, done.stderr) == (0, "")
        assert MINE in done.stdout

    def test_completion_as_a_shell_asks_for_it(self, podium: Podium) -> None:
        podium.add()
        asked = {"_PODIUM_COMPLETE": "bash_complete", "COMP_WORDS": "podium stop cl", "COMP_CWORD": "2"}
        assert self.run(podium, **asked).stdout == f"plain,{MINE}\n"

    def test_what_is_no_command(self, podium: Podium) -> None:
        done = self.run(podium, "lsit", "--port", "1")
        assert done.returncode == 2
        assert "lsit" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_help_names_the_exit_codes(self, podium: Podium) -> None:
        text = said(podium("--help"))
        for word in ("launch", "list", "open", "scale", "extend", "stop", "profiles", "completion"):
            assert word in text
        assert "3 no hub answers" in re.sub(r"\s+", " ", text)

    def test_version(self, podium: Podium) -> None:
        assert re.search(r"\d+\.\d+", said(podium("--version")))
