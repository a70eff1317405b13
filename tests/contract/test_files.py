"""What the store in files alone promises: crashes, full disks and damaged files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from hub.errors import ConfigurationError
from hub.model import Status
from hub.store.base import Event
from hub.store.files import FileStore
from tests.builders import NAME, make_workspace
from tests.contract.test_store import OTHER, scaled


@pytest.fixture
def objects(tmp_path):
    return tmp_path / "objects"


async def test_files_are_private_and_legible(objects):
    store = FileStore(objects)
    await store.create(make_workspace())
    path = objects / f"{NAME}.json"
    assert objects.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith('{\n  "apiVersion": "podium.hub/v1",\n')
    assert sorted(objects.iterdir()) == [path], "nothing else is left"


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
async def test_a_write_that_fails_leaves_what_was_there(objects, monkeypatch, call):
    store = FileStore(objects)
    made = await store.create(make_workspace())
    watch = store.watch()
    await anext(watch)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(*((Path, "replace") if call == "replace" else (os, call)), full)
        with pytest.raises(OSError, match="No space"):
            await store.update(scaled(made, 5))
    assert await store.get(NAME) == made
    assert await FileStore(objects).list() == [made]
    moved = await store.update(scaled(made, 6))
    assert await anext(watch) == Event(moved), "what was not written was not told"
    await watch.aclose()


async def test_a_new_object_that_cannot_be_written_is_not_there(objects, monkeypatch):
    store = FileStore(objects)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await store.create(make_workspace())
    assert await store.get(NAME) is None
    assert await FileStore(objects).list() == []
    await store.create(make_workspace())


WRITER = """
import asyncio, sys
from pathlib import Path
from hub.store.files import FileStore
from hub.wire import replace
from tests.builders import make_workspace

async def main():
    store = FileStore(Path(sys.argv[1]))
    workspace = await store.create(make_workspace(content=()))
    while True:
        spec = replace(workspace.spec, workers=workspace.metadata.generation % 1000)
        workspace = await store.update(replace(workspace, spec=spec))
        print(workspace.metadata.generation, flush=True)

asyncio.run(main())
"""


def test_a_hub_killed_while_it_writes_leaves_what_it_said_it_wrote_or_newer(objects):
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", WRITER, objects], stdout=subprocess.PIPE, cwd=root) as hub:
        said = [int(hub.stdout.readline()) for _ in range(20)]
        hub.kill()
    (left,) = asyncio.run(FileStore(objects).list())
    assert left.metadata.generation >= said[-1]


GARBAGE = {
    "nothing": b"",
    "half": b'{"apiVersion": "podium.hub/v1", "kind": "Work',
    "no text": b"\xff\xfe",
    "another kind": b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cluster-abc123"}}',
    "a bad name": b'{"apiVersion": "podium.hub/v1", "metadata": {"name": "../x"}, "spec": {}}',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_a_file_that_cannot_be_read_refuses_the_start(objects, garbage):
    await FileStore(objects).create(make_workspace(name=OTHER))
    path = objects / f"{NAME}.json"
    path.write_bytes(garbage)
    with pytest.raises(ConfigurationError, match="cannot be read as a Workspace") as refused:
        FileStore(objects)
    assert str(path) in refused.value.message
    assert "Move the file away" in refused.value.hint


@pytest.mark.parametrize("version", ["", "x", "1.5"])
async def test_a_file_with_a_version_that_is_no_number_refuses_the_start(objects, version):
    made = await FileStore(objects).create(make_workspace())
    path = objects / f"{NAME}.json"
    path.write_text(path.read_text().replace(f'"{made.metadata.resource_version}"', f'"{version}"'))
    with pytest.raises(ConfigurationError, match=NAME):
        FileStore(objects)


async def test_a_file_of_another_name_refuses_the_start(objects):
    await FileStore(objects).create(make_workspace())
    (objects / f"{NAME}.json").rename(objects / f"{OTHER}.json")
    with pytest.raises(ConfigurationError, match=OTHER):
        FileStore(objects)


async def test_what_a_crash_left_half_written_is_passed_over(objects):
    made = await FileStore(objects).create(make_workspace())
    (objects / f"{NAME}.new").write_text("{")
    store = FileStore(objects)
    assert await store.list() == [made]
    await store.update(scaled(made, 5))
    assert not (objects / f"{NAME}.new").exists()


async def test_the_clock_is_the_real_one_unless_given(objects):
    made = await FileStore(objects).create(make_workspace())
    assert made.metadata.creation_timestamp.utcoffset() == timedelta(0)
    assert made.status == Status()
