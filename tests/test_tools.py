"""Finding and installing the programs from outside, with fake ones and no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub import tools

Program = Callable[..., Path]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("JAVA_HOME", "PODIUM_WORKSPACE_PYTHON", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cache" / "podium").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def program(machine: Path) -> Program:
    def make(name: str, script: str, folder: str = "bin") -> Path:
        path = machine / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def says_java(version: str, modules: bool = True) -> str:
    refuse = 'case "$*" in *--add-modules*) echo "Unrecognized option"; exit 1;; esac\n'
    return ("" if modules else refuse) + f"echo 'openjdk version \"{version}\" 2026-01-01' >&2"


class TestNode:
    def test_on_path(self, program: Program) -> None:
        path = program("node", "echo v22.3.1")
        assert tools.node() == tools.Found(path, "22.3.1")

    def test_none(self) -> None:
        found = tools.node()
        assert found.path is None
        assert found.reason == "Node.js is not on PATH. Install Node.js 20 or newer and start again."

    def test_too_old(self, program: Program) -> None:
        path = program("node", "echo v18.19.0")
        assert tools.node().reason.startswith(f"{path} is version 18.19.0, older than 20.")

    @pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "kill -9 $$"])
    def test_broken(self, program: Program, script: str) -> None:
        path = program("node", script)
        assert tools.node().reason.startswith(f"{path} does not run.")

    def test_the_wheel_serves_where_path_does_not(self, program: Program) -> None:
        program("node", "echo v12.0.0")
        wheel = tools._node_wheel()
        program("node", "echo v24.0.0", folder=str(wheel.parent))
        assert tools.node() == tools.Found(wheel, "24.0.0")

    def test_a_failed_download_is_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise tools.ToolError("No network.")

        monkeypatch.setattr(tools, "_install_node", fail)
        assert tools.node(install=True).reason.startswith("Node.js is not on PATH. No network. Install")


class TestJava:
    def test_java_home_comes_before_path(
        self, program: Program, machine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program("java", says_java("21.0.1"))
        path = program("java", says_java("17.0.15"), folder="home/bin")
        monkeypatch.setenv("JAVA_HOME", str(machine / "home"))
        assert tools.java() == tools.Found(path, "17.0.15")

    def test_path_serves_where_java_home_does_not(
        self, program: Program, machine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = program("java", says_java("21.0.1"))
        monkeypatch.setenv("JAVA_HOME", str(machine / "gone"))
        assert tools.java() == tools.Found(path, "21.0.1")

    def test_a_link_is_followed_to_its_home(self, program: Program, machine: Path) -> None:
        path = program("java", says_java("21.0.1"), folder="lib/jvm/21/bin")
        (machine / "bin" / "java").symlink_to(path)
        assert tools.java().path == path

    @pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2"])
    def test_too_old(self, program: Program, version: str) -> None:
        path = program("java", says_java(version, modules=False))
        assert tools.java().reason.startswith(
            f"{path} is version {version}, older than 17. For Spark install"
        )

    def test_cut_down(self, program: Program) -> None:
        program("java", says_java("17.0.1", modules=False))
        assert "has no module jdk.incubator.vector, which Spark needs." in tools.java().reason

    def test_none(self) -> None:
        assert tools.java().reason.startswith("Java is neither in JAVA_HOME nor on PATH. For Spark install")

    @pytest.mark.parametrize("inside", ["jdk-17.0.9+9/bin", "jdk-17.0.9+9/Contents/Home/bin"])
    def test_downloaded_before(self, program: Program, inside: str) -> None:
        path = program("java", says_java("17.0.9"), folder=str(tools._java_place() / inside))
        assert tools.java() == tools.Found(path, "17.0.9")

    def test_a_download_is_tried_once_a_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tries = []

        def fail(*command: str, **_: object) -> None:
            tries.append(command)
            raise tools.ToolError("No network.")

        monkeypatch.setattr(tools, "_run", fail)
        monkeypatch.setattr(tools, "_uv_path", lambda: "uv")
        for _ in range(2):
            assert "Downloading it failed too." in tools.java(install=True).reason
        assert len(tries) == 1
        memo = tools._java_place().with_suffix(".failed")
        os.utime(memo, (0, 0))
        tools.java(install=True)
        assert len(tries) == 2
        assert not list(tools.cache().glob("*.part"))


class TestMemory:
    def test_a_program_is_asked_once_until_it_changes(self, machine: Path) -> None:
        asked = []

        def ask(path: Path) -> tools.Found:
            asked.append(path)
            return tools.Found(path, "1.0")

        binary = machine / "bin" / "thing"
        binary.write_bytes(b"\x7fELF")
        for _ in range(2):
            assert tools._remembered(binary, ask) == tools.Found(binary, "1.0")
        assert len(asked) == 1
        binary.write_bytes(b"\x7fELF, newer")
        tools._remembered(binary, ask)
        assert len(asked) == 2

    def test_a_spoiled_memory_is_no_harm(self, machine: Path) -> None:
        binary = machine / "bin" / "thing"
        binary.write_bytes(b"\x7fELF")
        memory = tools.cache() / "programs.json"
        tools._remembered(binary, lambda path: tools.Found(path, "1.0"))
        for spoiled in ("", "[1]", "null", memory.read_text().replace('"1.0"', "3")):
            memory.write_text(spoiled)
            assert tools._remembered(binary, lambda path: tools.Found(path, "1.0")).version == "1.0"


class TestPlaces:
    def test_cache_is_in_the_home_folder(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(machine))
        assert tools.cache() == machine / ".cache" / "podium"

    def test_workspace_python_may_be_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", "/opt/python")
        assert tools.workspace_python() == Path("/opt/python")

    def test_another_lock_is_another_workspace(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = tools.workspace_python()
        assert first.parent.parent.parent == tools.cache()
        lock = machine / "lock"
        lock.write_text("something==2\n")
        monkeypatch.setattr(tools, "WORKSPACE_LOCK", lock)
        assert tools.workspace_python() != first

    def test_proxy(self, program: Program, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tools, "PROXY", machine / "proxy")
        with pytest.raises(tools.ToolError, match="tools install"):
            tools.configurable_http_proxy()
        name = "configurable-http-proxy"
        path = program(name, "", folder=f"proxy/node_modules/{name}/bin")
        with pytest.raises(tools.ToolError, match=r"Node\.js"):
            tools.configurable_http_proxy()
        node = program("node", "echo v20.0.0")
        assert tools.configurable_http_proxy() == [str(node), str(path)]

    def test_proxy_of_the_machine(
        self, program: Program, machine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tools, "PROXY", machine / "proxy")
        path = program("configurable-http-proxy", "")
        assert tools.configurable_http_proxy() == [str(path)]


class TestInstalling:
    @pytest.fixture
    def commands(self, machine: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What was run, in a checkout of its own where environments are made as mere folders."""
        ran: list[str] = []

        def run(command: list[str], **_: object) -> None:
            ran.append(" ".join(command))
            if "venv" in command:
                program("python", "", folder=f"{command[-1]}/bin")
                program("uv", "", folder=f"{command[-1]}/bin")
            if "ci" in command:
                (machine / "proxy" / "node_modules").mkdir(exist_ok=True)

        (machine / "proxy").mkdir()
        (machine / "proxy" / "package-lock.json").write_text("{}")
        monkeypatch.setattr(tools, "PROXY", machine / "proxy")
        monkeypatch.setattr(tools, "VENV", machine / ".venv")
        monkeypatch.setattr(tools, "_run", run)
        program("node", "echo v20.0.0")
        program("npm", "")
        program("java", says_java("17.0.15"))
        return ran

    def test_once_is_enough(self, commands: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        tools.install()
        assert any(str(tools.HUB_LOCK) in command for command in commands)
        assert not any(str(tools.TESTS_LOCK) in command for command in commands)
        assert any(
            command.endswith("ci --omit=dev --ignore-scripts --no-audit --no-fund") for command in commands
        )
        assert "installing the packages of the hub …" in capsys.readouterr().out
        commands.clear()
        tools.install()
        assert commands == []
        assert capsys.readouterr().out == ""

    def test_what_tests_need_is_added_and_stays(self, commands: list[str]) -> None:
        tools.install()
        commands.clear()
        tools.install(tests=True)
        assert any(str(tools.TESTS_LOCK) in command for command in commands)
        assert not any("-m venv" in command for command in commands)
        commands.clear()
        tools.install()
        assert commands == []

    def test_another_python_makes_it_anew(self, commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        tools.install()
        commands.clear()
        monkeypatch.setattr(tools, "_base_python", lambda: "/another/python")
        tools.install()
        assert commands[0].startswith("/another/python -m venv --clear")

    def test_a_failure_leaves_no_stamp(self, commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        tools.install()
        stamp = json.loads((tools.VENV / tools.STAMP).read_text())
        (tools.VENV / tools.STAMP).write_text(json.dumps({**stamp, "hub": "an older one"}))

        def fail(command: list[str], **_: object) -> None:
            raise tools.ToolError("No network.")

        with monkeypatch.context() as context:
            context.setattr(tools, "_run", fail)
            with pytest.raises(tools.ToolError):
                tools.install()
        assert not (tools.VENV / tools.STAMP).exists()
        commands.clear()
        tools.install()
        assert "-m venv --clear" in commands[0]

    def test_an_interrupted_workspace_is_made_anew(self, commands: list[str]) -> None:
        tools.install()
        place = tools.workspace_python().parent.parent
        (place / tools.STAMP).unlink()
        (place / "rest").write_text("half")
        commands.clear()
        tools.install()
        assert commands[0].split()[1] == "venv"
        assert not (place / "rest").exists()
        assert (place / tools.STAMP).exists()

    def test_a_workspace_whose_python_is_gone_is_made_anew(self, commands: list[str]) -> None:
        tools.install()
        tools.workspace_python().unlink()
        commands.clear()
        tools.install()
        assert commands[0].split()[1] == "venv"

    def test_a_given_workspace_is_not_made(
        self, commands: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", sys.executable)
        tools.install()
        assert not any(str(tools.WORKSPACE_LOCK) in command for command in commands)
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", "/gone/python")
        with pytest.raises(tools.ToolError, match="/gone/python"):
            tools.install()

    def test_no_java_is_no_failure(
        self, commands: list[str], program: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        program("java", says_java("11.0.1", modules=False))
        tools.install()
        assert "Spark will not be available" in capsys.readouterr().out


class TestRunning:
    def test_a_failure_says_what_to_do(self, program: Program) -> None:
        path = program("fetch", "echo one; echo 'Temporary failure in name resolution' >&2; exit 3")
        with pytest.raises(tools.ToolError) as caught:
            tools._run([str(path), "some", "thing"])
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
        assert advice in tools._advice(said)

    def test_too_slow(self, program: Program) -> None:
        with pytest.raises(tools.ToolError, match="timed out after 0 seconds"):
            tools._run(["/bin/sleep", "10"], timeout=0.05)

    def test_missing(self) -> None:
        with pytest.raises(tools.ToolError, match="No such file"):
            tools._run(["/gone/npm"])

    def test_a_lock_outlives_its_holder_while_its_child_runs(self) -> None:
        """Killed in the middle, the installer's own child may still be writing."""
        code = (
            "import os, signal, subprocess; from hub import tools\n"
            "with tools._one_at_a_time('x'):\n"
            "    child = subprocess.Popen(['/bin/sleep', '0.4'], pass_fds=tools._held)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=tools.CHECKOUT, check=False)
        later = "from hub import tools\nwith tools._one_at_a_time('x'): print('mine')"
        done = subprocess.run(
            [sys.executable, "-c", later], cwd=tools.CHECKOUT, check=True, capture_output=True, text=True
        )
        assert done.stdout.splitlines() == ["podium: waiting for another installation to finish …", "mine"]


class TestCommandLine:
    @pytest.mark.parametrize("arguments", [[], ["remove"], ["install", "--all"]])
    def test_usage(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert tools.main(arguments) == 2
        assert capsys.readouterr().err.startswith("usage:")

    def test_python_too_old(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 9, 18))
        assert tools.main(["install"]) == 1
        assert "Python 3.11 or newer is needed" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (tools.ToolError("No network."), 1, "podium: No network."),
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

        monkeypatch.setattr(tools, "install", fail)
        assert tools.main(["install"]) == code
        assert said in capsys.readouterr().err

    def test_a_bare_python_can_run_it(self) -> None:
        """No site-packages, no environment: what a new machine has."""
        code = (
            f"import sys; sys.path.insert(0, {str(tools.CHECKOUT)!r}); import hub.tools; print(*sys.modules)"
        )
        done = subprocess.run([sys.executable, "-ISc", code], check=True, capture_output=True, text=True)
        loaded = {name.partition(".")[0] for name in done.stdout.split()} - {"hub", "__main__"}
        assert loaded <= set(sys.stdlib_module_names)


LOCKS = [tools.TOOLS_LOCK, tools.HUB_LOCK, tools.TESTS_LOCK, tools.WORKSPACE_LOCK]


class TestLocks:
    @pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(tools.CHECKOUT)))
    def test_every_package_has_hashes_and_no_address(self, lock: Path) -> None:
        text = lock.read_text()
        assert "://" not in text
        packages = [line for line in text.splitlines() if line[:1].isalnum()]
        assert packages
        assert all("==" in line and line.endswith("\\") for line in packages)

    def test_the_tests_run_what_the_hub_runs(self) -> None:
        def packages(lock: Path) -> set[str]:
            return {line.split()[0] for line in lock.read_text().splitlines() if line[:1].isalnum()}

        assert packages(tools.HUB_LOCK) <= packages(tools.TESTS_LOCK)

    def test_npm_names_no_address(self) -> None:
        lock = json.loads((tools.CHECKOUT / "proxy" / "package-lock.json").read_text())
        packages = {name: package for name, package in lock["packages"].items() if name}
        assert all("integrity" in package and "resolved" not in package for package in packages.values())

    def test_one_package_of_the_lock(self) -> None:
        block = tools._block("uv")
        assert block.startswith("uv==")
        assert block.count("--hash=sha256:") == block.count("\n") - 1
        with pytest.raises(tools.ToolError, match="does not name"):
            tools._block("u")
