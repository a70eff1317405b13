"""A home folder as an archive: what is in it whatever people have there, and what may not lead out of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from podium_workspace import archive

from tests.workspace.conftest import PACKAGE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def packed(home: Path, limit: int = sys.maxsize) -> tarfile.TarFile:
    """The archive of a folder."""
    out = io.BytesIO()
    archive.Archive(home, out, limit).write()
    out.seek(0)
    return tarfile.open(fileobj=out, mode="r:gz")


def run(home: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """The program."""
    command = [sys.executable, "-P", "-m", "podium_workspace.archive", str(home), *options]
    return subprocess.run(command, env={"PYTHONPATH": str(PACKAGE)}, capture_output=True)


def test_what_was_in_the_folder_is_there_again(home: Path, tmp_path: Path) -> None:
    (home / "deep" / "er").mkdir(parents=True)
    (home / "deep" / "er" / "work.ipynb").write_text("a day's work")
    (home / "ünï 🎉 \n.txt").write_text("x")
    (home / ".profile").write_text("hidden")
    (home / "empty").mkdir()
    (home / "run.sh").write_text("#!/bin/sh")
    (home / "run.sh").chmod(0o4755)
    os.utime(home / "run.sh", (1_000_000, 1_000_000))
    (home / ("n" * 200)).mkdir()
    (home / ("n" * 200) / ("m" * 200)).write_text("long")
    with packed(home) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    out = tmp_path / "out"
    assert (out / "deep" / "er" / "work.ipynb").read_text() == "a day's work"
    assert (out / "ünï 🎉 \n.txt").read_text() == "x"
    assert (out / ".profile").read_text() == "hidden"
    assert (out / "empty").is_dir()
    assert (out / ("n" * 200) / ("m" * 200)).read_text() == "long"
    assert (out / "run.sh").stat().st_mtime == 1_000_000
    assert (out / "run.sh").stat().st_mode & 0o7777 == 0o755, "no archive gives anybody's power away"


def test_links_stay_links_and_lead_nowhere_into_the_archive(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of somebody else")
    (home / "outside").symlink_to(secret)
    (home / "file").symlink_to(secret / "key")
    (home / "round").symlink_to(home)
    (home / "nowhere").symlink_to("missing")
    with packed(home) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert members.keys() == {"outside", "file", "round", "nowhere"}
    assert all(member.issym() for member in members.values())


def test_what_is_no_file_is_passed_over(home: Path) -> None:
    os.mkfifo(home / "pipe")
    (home / "real").write_text("x")
    with packed(home) as tar:
        assert tar.getnames() == ["real"]


def test_a_name_that_became_a_link_meanwhile_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    (home / "a").write_text("x")
    (home / "b").write_text("y")
    out = io.BytesIO()
    slow = archive.Archive(home, out, sys.maxsize)
    entry = next(one for one in archive.entries(home) if one.name == "a")
    entry.stat(follow_symlinks=False)
    (home / "a").unlink()
    (home / "a").symlink_to(tmp_path / "secret")
    slow._add(entry, small=True)
    assert b"of somebody else" not in out.getvalue()
    slow.write()
    out.seek(0)
    with tarfile.open(fileobj=out, mode="r:gz") as tar:
        told = tar.extractfile(archive.LEFT_OUT)
        assert told is not None
        assert b"a (Too many levels of symbolic links)" in told.read()


def test_a_file_that_shrinks_or_grows_meanwhile_spoils_nothing(home: Path) -> None:
    (home / "grows").write_text("12345678")
    with (home / "grows").open("rb") as file:
        assert archive.Exact(file, 4).read(100) == b"1234"
    with (home / "grows").open("rb") as file:
        assert archive.Exact(file, 10).read(100) == b"12345678\0\0"


def test_beyond_the_limit_what_is_large_is_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL", 1000)
    (home / "a-large.bin").write_bytes(bytes(5000))
    (home / "b-large.bin").write_bytes(bytes(3000))
    (home / "z.ipynb").write_text("work")
    with packed(home, limit=4000) as tar:
        assert tar.getnames() == ["z.ipynb", "b-large.bin", archive.LEFT_OUT]
        told = tar.extractfile(archive.LEFT_OUT)
        assert told is not None
        assert b"a-large.bin (5000 bytes)" in told.read()


def test_caches_are_not_kept(home: Path) -> None:
    (home / ".cache" / "pip").mkdir(parents=True)
    (home / ".cache" / "pip" / "wheel").write_text("x")
    (home / "mine" / ".cache").mkdir(parents=True)
    with packed(home) as tar:
        assert tar.getnames() == ["mine", "mine/.cache"]


def test_nothing_is_said_of_a_home_in_which_nobody_worked(home: Path) -> None:
    (home / "course").mkdir()
    (home / "course" / "lesson.ipynb").write_text("given")
    lesson = home / "course" / "lesson.ipynb"
    opened = lesson.stat().st_ctime
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "workspace.json").write_text("{}")
    assert run(home, "--since", str(opened)).stdout == b""
    while lesson.stat().st_ctime <= opened:  # a file system's clock is a coarse one
        lesson.write_text("solved")
    done = run(home, "--since", str(opened))
    assert done.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(done.stdout), mode="r:gz") as tar:
        assert "course/lesson.ipynb" in tar.getnames()
    assert archive.untouched(home) is False


def test_a_new_home_is_one_in_which_nothing_is(home: Path) -> None:
    assert archive.untouched(home)
    (home / "lost+found").mkdir()
    assert archive.untouched(home)
    (home / "mine").touch()
    assert not archive.untouched(home)
    assert not archive.untouched(home / "missing"), "what cannot be looked at may hold anything"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it in other ways")
def test_ten_thousand_files_and_a_large_one_take_little_memory(home: Path) -> None:
    for number in range(10_000):
        (home / f"{number}").write_text("x")
    with (home / "large").open("wb") as file:
        file.truncate(64 * 2**20)
    code = f"import runpy, sys; sys.argv = ['archive', {str(home)!r}]\n"
    code += "runpy.run_module('podium_workspace.archive', run_name='__main__')\n"
    code += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    env = {"PYTHONPATH": str(PACKAGE)}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True)
    assert int(done.stderr) < 40 * 1024, "of 64 MiB and 10,000 names little is in memory at once"
    with tarfile.open(fileobj=io.BytesIO(done.stdout), mode="r:gz") as tar:
        assert len(tar.getnames()) == 10_001


def test_an_archive_that_nobody_reads_on_is_no_whole_one(home: Path) -> None:
    (home / "large").write_bytes(os.urandom(2**20))
    command = [sys.executable, "-P", "-m", "podium_workspace.archive", str(home)]
    env = {"PYTHONPATH": str(PACKAGE)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait() != 0
