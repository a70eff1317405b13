"""Finding the programs from outside, with fake ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub import tools
from tests.programs import Machine


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


class TestNode:
    def test_on_path(self, machine: Machine) -> None:
        path = machine.program("node", "echo v22.3.1")
        assert tools.node() == tools.Found(path, "22.3.1")

    def test_none(self) -> None:
        found = tools.node()
        assert found.path is None
        assert found.reason == "Node.js is not on PATH. Install Node.js 20 or newer and start again."

    def test_too_old(self, machine: Machine) -> None:
        path = machine.program("node", "echo v18.19.0")
        assert tools.node().reason.startswith(f"{path} is version 18.19.0, older than 20.")

    @pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "kill -9 $$"])
    def test_broken(self, machine: Machine, script: str) -> None:
        path = machine.program("node", script)
        assert tools.node().reason.startswith(f"{path} does not run.")

    def test_the_installed_one_serves_where_path_does_not(self, machine: Machine) -> None:
        machine.program("node", "echo v12.0.0")
        path = machine.program("node", "echo v24.0.0", folder=str(tools.node_fetched().parent))
        assert tools.node() == tools.Found(path, "24.0.0")


class TestJava:
    def test_java_home_comes_before_path(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        machine.java("21.0.1")
        path = machine.java("17.0.15", folder="home/bin")
        monkeypatch.setenv("JAVA_HOME", str(machine.folder / "home"))
        assert tools.java() == tools.Found(path, "17.0.15")

    def test_path_serves_where_java_home_does_not(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = machine.java("21.0.1")
        monkeypatch.setenv("JAVA_HOME", str(machine.folder / "gone"))
        assert tools.java() == tools.Found(path, "21.0.1")

    def test_a_link_is_followed_to_its_home(self, machine: Machine) -> None:
        path = machine.java("21.0.1", folder="lib/jvm/21/bin")
        (machine.folder / "bin" / "java").symlink_to(path)
        assert tools.java().path == path

    @pytest.mark.parametrize("modules", [True, False])
    @pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2"])
    def test_too_old(self, machine: Machine, version: str, modules: bool) -> None:
        path = machine.java(version, modules)
        assert tools.java().reason.startswith(
            f"{path} is version {version}, older than 17. For Spark install"
        )

    def test_cut_down(self, machine: Machine) -> None:
        machine.java("17.0.1", modules=False)
        assert "has no module jdk.incubator.vector, which Spark needs." in tools.java().reason

    def test_broken(self, machine: Machine) -> None:
        path = machine.program("java", "exit 1")
        assert tools.java().reason.startswith(f"{path} does not run.")

    def test_none(self) -> None:
        assert tools.java().reason.startswith("Java is neither in JAVA_HOME nor on PATH. For Spark install")

    @pytest.mark.parametrize("inside", ["jdk-17.0.9+9/bin", "jdk-17.0.9+9/Contents/Home/bin"])
    def test_the_installed_one(self, machine: Machine, inside: str) -> None:
        path = machine.java("17.0.9", folder=str(tools.java_place() / inside))
        assert tools.java() == tools.Found(path, "17.0.9")


class TestPlaces:
    def test_cache_is_in_the_home_folder(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(machine.folder))
        assert tools.cache() == machine.folder / ".cache" / "podium"

    def test_workspace_python_may_be_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PODIUM_WORKSPACE_PYTHON", "/opt/python")
        assert tools.workspace_python() == Path("/opt/python")

    def test_another_lock_is_another_workspace(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = tools.workspace_python()
        assert first.parent.parent.parent == tools.cache()
        lock = machine.folder / "lock"
        lock.write_text("something==2\n")
        monkeypatch.setattr(tools, "WORKSPACE_LOCK", lock)
        assert tools.workspace_python() != first


class TestProxy:
    @pytest.fixture(autouse=True)
    def checkout(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tools, "PROXY", machine.folder / "proxy")

    def test_it_is_run_by_node(self, machine: Machine) -> None:
        with pytest.raises(tools.ToolError, match=r"python3 -m hub\.install"):
            tools.configurable_http_proxy()
        name = "configurable-http-proxy"
        path = machine.program(name, "", folder=f"proxy/node_modules/{name}/bin")
        with pytest.raises(tools.ToolError, match=r"Node\.js"):
            tools.configurable_http_proxy()
        node = machine.program("node", "echo v20.0.0")
        guard = (machine.folder / "proxy" / "guard.mjs").as_uri()
        assert tools.configurable_http_proxy() == [str(node), f"--import={guard}", str(path)]

    def test_that_of_the_machine(self, machine: Machine) -> None:
        path = machine.program("configurable-http-proxy", "")
        assert tools.configurable_http_proxy() == [str(path)]
