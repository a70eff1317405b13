"""The home folders of workspaces that ended, kept by a release that Helm installed, whoever is killed."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.cluster.node import RealNode
from tests.node.installed import Installed, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LARGE = 150
"""MiB of a home that takes a while to be kept."""


@pytest.fixture(scope="module")
def release(node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    name = f"podium-{uuid.uuid4().hex[:8]}"
    with installed(node, tmp_path_factory.mktemp("archive"), name, archive={"limit": "300Mi"}) as release:
        yield release


def in_notebook(release: Installed, name: str, script: str) -> str:
    """Run a shell script where the notebook runs."""
    return release.node.kubectl("exec", "-n", name, "notebook", "--", "sh", "-c", script)


def stop(release: Installed, name: str) -> str:
    """Stop a workspace, and return what its archive would be called."""
    uid = release.get(name)["metadata"]["uid"]
    release.client.request("DELETE", f"/api/workspaces/{name}")
    return f"/archives/{name}-{uid[:8]}.tar.gz"


def gone(release: Installed, name: str) -> None:
    """Wait until nothing is left of a workspace."""

    def over() -> bool | None:
        items = release.client.request("GET", "/api/workspaces")["items"]
        return name not in [item["metadata"]["name"] for item in items] or None

    release.wait(f"{name} is gone", over)
    assert name not in release.node.kubectl("get", "namespaces")


def download(release: Installed, path: str) -> tuple[int, bytes]:
    """Status and body."""
    headers = {"Authorization": f"Bearer {release._token()}"}
    request = urllib.request.Request(f"{release.url}{path}", None, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def unpacked(body: bytes, file: str) -> bytes:
    """A file of an archive."""
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        content = tar.extractfile(file)
        assert content is not None
        return content.read()


def test_what_somebody_made_can_be_downloaded_when_its_workspace_is_gone(release: Installed) -> None:
    name = release.launch("notebook")
    in_notebook(release, name, "mkdir deep && echo 'a day of work' > deep/work.txt")
    path = stop(release, name)
    gone(release, name)
    status, body = download(release, path)
    assert status == 200
    assert unpacked(body, "deep/work.txt") == b"a day of work\n"


def test_a_notebook_in_which_nobody_worked_leaves_no_archive(release: Installed) -> None:
    name = release.launch("notebook")
    path = stop(release, name)
    gone(release, name)
    assert download(release, path)[0] == 404


def test_whoever_is_killed_while_files_are_kept_loses_none_of_them(release: Installed) -> None:
    name = release.launch("notebook")
    said = in_notebook(release, name, f"head -c {LARGE}M /dev/urandom > data.bin; sha256sum data.bin")
    in_notebook(release, name, "echo small > note.txt")
    path = stop(release, name)
    release.until(name, "keeps its files", lambda w: w["status"]["reason"] == "KeepingFiles")
    release.delete(release.leader())
    release.kill(release.names("archive")[0], "podium")
    gone(release, name)
    status, body = download(release, path)
    assert status == 200
    assert hashlib.sha256(unpacked(body, "data.bin")).hexdigest() == said.split()[0]
    assert unpacked(body, "note.txt") == b"small\n"


def test_a_restarted_notebook_keeps_its_pod_and_its_home(release: Installed) -> None:
    name = release.launch("notebook")
    in_notebook(release, name, "echo mine > work.txt")
    before = release.node.get("pod", "notebook", "-n", name)
    asked = release.patch(name, restartedAt=datetime.now(UTC).isoformat())["spec"]["restartedAt"]

    def followed() -> bool | None:
        return in_notebook(release, name, "cat /scratch/podium-restarted || true")[:19] == asked[:19] or None

    release.wait("it was asked to start again", followed)
    release.wait("it answers again", lambda: release.answers(name) or None)
    after = release.node.get("pod", "notebook", "-n", name)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert in_notebook(release, name, "cat work.txt") == "mine\n"
    gone_path = stop(release, name)
    gone(release, name)
    assert unpacked(download(release, gone_path)[1], "work.txt") == b"mine\n"
