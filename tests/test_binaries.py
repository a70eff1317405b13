"""Finding and building the programs of Kubernetes, with a fake Go and no network."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub import install
from hub.tools import ToolError
from tests.cluster import binaries
from tests.programs import Machine

PINNED = binaries.MODULES
# It notes how it is called, and as the program that it should build it writes that program's package.
GO = """
[ "$1" = env ] && { echo go%s; exit; }
echo "$(basename "$PWD") $CGO_ENABLED $*" >> "$XDG_CACHE_HOME/built"
case "$*" in *"$FAIL") echo "go: $FAIL: connection refused" >&2; exit 1;; esac
while [ "$1" != -o ]; do shift; done
echo "$3" > "$2"
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """With a Go that is new enough, and nothing else but the tools of the fake."""
    machine = Machine(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", "/usr/bin:/bin", prepend=":")
    monkeypatch.setenv("FAIL", "none")
    for name in ("KUBEBUILDER_ASSETS", "GOMODCACHE"):
        monkeypatch.delenv(name, raising=False)
    machine.program("go", GO % "1.99.0")
    return machine


def built(machine: Machine) -> list[str]:
    """The modules from which something was built, in order."""
    log = machine.folder / "cache" / "built"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def test_a_folder_that_is_named_serves_when_all_is_there(machine, monkeypatch):
    assets = machine.program("etcd", "", folder="assets").parent
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.find(["etcd"]) == assets
    assert binaries.find(["etcd", "kwok"]) == binaries.cached()


def test_what_is_missing_is_built_once(machine):
    place = binaries.find(["kwok"])
    assert binaries.find(["kwok", "etcd"]) == place
    assert built(machine) == ["kwok", "etcd"]
    assert (place / "etcd").read_text().strip() == "go.etcd.io/etcd/server/v3"


def test_two_who_want_the_same_do_not_build_it_twice(machine):
    with ThreadPoolExecutor(2) as threads:
        assert len(set(threads.map(binaries.find, [["etcd"], ["etcd"]]))) == 1
    assert built(machine) == ["etcd"]


def test_another_version_is_built_anew_and_leaves_the_others_alone(machine, monkeypatch, tmp_path):
    before = binaries.find(["etcd", "kwok"])
    monkeypatch.setattr(binaries, "MODULES", tmp_path / "modules")
    for module in ("etcd", "kwok"):
        shutil.copytree(PINNED / module, tmp_path / "modules" / module)
    pinned = tmp_path / "modules" / "etcd" / "go.mod"
    pinned.write_text(pinned.read_text() + "\n")
    after = binaries.find(["etcd", "kwok"])
    assert built(machine) == ["etcd", "kwok", "etcd"]
    assert (after / "etcd").resolve() != (before / "etcd").resolve()
    assert (after / "kwok").resolve() == (before / "kwok").resolve()


def test_a_program_that_somebody_removed_is_built_again(machine):
    place = binaries.find(["etcd"])
    (place / "etcd").resolve().unlink()
    assert (binaries.find(["etcd"]) / "etcd").exists()
    assert built(machine) == ["etcd", "etcd"]


def test_helm_is_told_its_version_and_that_of_a_kubernetes(machine):
    binaries.find(["helm"])
    said = (machine.folder / "cache" / "built").read_text()
    assert re.search(r"version\.version=v3\.\d+\.\d+ ", said)
    assert re.findall(r"(\w+)\.k8sVersionMinor=\d+", said) == ["chartutil", "rules"]


def test_kubernetes_is_told_its_version(machine):
    binaries.find(["kubectl"])
    said = (machine.folder / "cache" / "built").read_text()
    version = re.search(r"base/version\.gitVersion=v(\d+)\.(\d+)\.\d+", said)
    assert version
    assert f"gitMajor={version[1]} " in said
    assert f"gitMinor={version[2]} " in said
    assert said.startswith("kubernetes 0 build"), "without C"


def test_progress_is_told(machine, capsys):
    binaries.find(["kwok", "etcd"])
    said = capsys.readouterr().out
    assert re.findall(r"building (\w+), (\d of \d) programs", said) == [
        ("etcd", "1 of 2"),
        ("kwok", "2 of 2"),
    ]
    assert said.count("done in") == 2


def test_a_build_that_fails_is_told_and_leaves_no_half_of_it(machine, monkeypatch):
    monkeypatch.setenv("FAIL", "go.etcd.io/etcd/server/v3")
    with pytest.raises(ToolError, match=r"(?s)connection refused.*The first run needs the network"):
        binaries.find(["etcd"])
    assert list(binaries.home("etcd").iterdir()) == []
    monkeypatch.setenv("FAIL", "none")
    assert (binaries.find(["etcd"]) / "etcd").exists()


@pytest.mark.parametrize("on_path", ["go1.20.0", None])
def test_an_own_go_is_installed_where_there_is_none_that_is_new_enough(machine, monkeypatch, on_path):
    machine.program("go", GO % "1.20.0") if on_path else (machine.folder / "bin" / "go").unlink()
    installed = []

    def uv(*arguments: str) -> None:
        installed.append(arguments)
        machine.program("go", GO % "1.99.0", folder=f"{arguments[arguments.index('--target') + 1]}/go/bin")

    monkeypatch.setattr(install, "uv", uv)
    binaries.find(["etcd"])
    binaries.find(["kwok"])
    assert built(machine) == ["etcd", "kwok"]
    assert len(installed) == 1


def test_every_module_pins_what_is_built_from_it():
    for module, packages in binaries.PACKAGES.items():
        pinned = (binaries.MODULES / module / "go.mod").read_text()
        own = (binaries.MODULES / module / "main.go").exists()
        assert [
            package
            for package in packages.values()
            if not (own and package == ".") and f"\t{package}\n" not in pinned.replace("tool ", "\t")
        ] == []
