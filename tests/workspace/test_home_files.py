"""What is put into the home folder, as the hub writes it and as Kubernetes mounts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from podium_workspace.home_files import fill


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def mounted(folder: Path, text: str) -> Path:
    """A Secret as kubelet mounts it, with one file in it. Source: `AtomicWriter` in k8s.io/kubernetes."""
    real = folder / "..2026_03_01"
    (real / "home" / ".deep").mkdir(parents=True)
    (real / "home" / ".deep" / "file").write_text(text)
    (folder / "..data").symlink_to(real.name)
    (folder / "home").symlink_to("..data/home")
    return folder / "home"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_get_where_programs_look_for_them_and_are_their_owners_alone(home: Path, tmp_path: Path):
    assert fill(home, mounted(tmp_path / "etc", "one")) == []
    assert [path.relative_to(home).as_posix() for path in sorted(home.rglob("*"))] == [".deep", ".deep/file"]
    assert (home / ".deep/file").read_text() == "one"
    assert (mode(home / ".deep"), mode(home / ".deep/file")) == (0o700, 0o600)


def test_a_mount_of_its_own_is_read_without_what_is_the_mounts(home: Path, tmp_path: Path):
    mounted(tmp_path / "etc", "one")
    assert fill(home, tmp_path / "etc") == []
    assert [path.name for path in home.rglob("*")] == []
    (tmp_path / "etc" / "..data" / "top").write_text("two")
    (tmp_path / "etc" / "top").symlink_to("..data/top")
    assert fill(home, tmp_path / "etc") == []
    assert [(path.name, path.is_symlink(), path.read_text()) for path in home.rglob("*")] == [
        ("top", False, "two")
    ]


def test_only_what_differs_is_written_and_everything_else_stays(home: Path, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("same", "other"):
        (source / name).write_text("new")
    (home / "same").write_text("new")
    (home / "other").write_text("old")
    (home / "mine").write_text("mine")
    before = (home / "same").stat().st_ino
    assert fill(home, source) == []
    assert (home / "same").stat().st_ino == before
    assert (home / "other").read_text() == "new"
    assert sorted(path.name for path in home.iterdir()) == ["mine", "other", "same"]


def test_what_cannot_be_written_is_told_and_stops_nothing(home: Path, tmp_path: Path):
    source = tmp_path / "source"
    (source / "taken").mkdir(parents=True)
    for name in ("taken/file", "well"):
        (source / name).write_text("x")
    (home / "taken").write_text("a file where a folder should be")
    assert fill(home, source) == ["~/taken/file could not be written: Not a directory."]
    assert (home / "well").read_text() == "x"


def test_nothing_to_copy_is_fine(home: Path, tmp_path: Path):
    assert fill(home, tmp_path / "missing") == []
    assert list(home.iterdir()) == []
