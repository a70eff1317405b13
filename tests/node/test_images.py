"""Our three images as a node has them, and one that somebody makes of ours."""

from __future__ import annotations

import configparser
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.tools import CHECKOUT
from tests.cluster import images
from tests.cluster.access import ClusterError, until
from tests.cluster.builder import Builder
from tests.cluster.node import SOCKET, RealNode
from tests.node.conftest import restricted_namespace
from tests.node.hub import node_hub
from tests.node.pods import execute, pod, start

NAMES = images.Images._fields
TOKEN = "a-token-of-the-test"
ALL = "0.0.0.0"
SERVE = (f"--ip={ALL}", "--port=8000", f"--api-ip={ALL}", "--error-path=/opt/podium/errors")
READY = ("node", "/opt/podium/ready.mjs")
COMPILERS = {"as", "c++", "cc", "cpp", "g++", "gcc", "javac", "ld", "make", "npm", "npx", "strip", "uv"}
OWN = """\
FROM podium-workspace
USER root
RUN pip install --no-cache-dir emoji
USER 1000:1000
"""
"""As README shows it."""
CONFIG = """
c = get_config()
c.Podium.profiles = {{"own": {{"image": "{image}", "frameworks": ["dask"], "clusters": {{}}}}}}
"""


def image_of(node: RealNode, name: str) -> str:
    return images.Images(node.image, node.hub_image, node.proxy_image)[NAMES.index(name)]


@pytest.fixture(scope="module")
def namespace(node: RealNode) -> Iterator[str]:
    with restricted_namespace(node) as name:
        yield name


@pytest.fixture
def builder(node: RealNode) -> Builder:
    """Builds into the node's folder, from what is in the store."""
    folder = Path(tempfile.mkdtemp(prefix="built-", dir=node.folder))
    return Builder(folder / "store", folder, known=images.store())


@pytest.fixture(scope="module", params=NAMES)
def root(request: pytest.FixtureRequest, node: RealNode) -> Iterator[Path]:
    """All that is in an image, to read."""
    place = node.folder / f"root-{request.param}"
    place.mkdir()
    control = ("ctr", f"--address={SOCKET}", "--namespace=k8s.io", "images")
    subprocess.run([*control, "mount", image_of(node, request.param), place], check=True, capture_output=True)
    yield place
    subprocess.run([*control, "unmount", "--rm", place], check=True, capture_output=True)


def files(root: Path, *places: str) -> list[Path]:
    """The files below some folders of an image that have something in them."""
    found = (path for place in places or (".",) for path in (root / place).rglob("*"))
    return [path for path in found if not path.is_symlink() and path.is_file() and path.stat().st_size]


class TestWhatIsInside:
    def test_no_caches(self, root: Path) -> None:
        places = ("tmp", "var/tmp", "build", "root/.cache", "root/.npm", "var/lib/apt/lists", "var/cache/apt")
        assert files(root, *places) == []

    def test_nothing_of_the_machine_that_it_was_built_on(self, root: Path) -> None:
        assert files(root, "root") == [root / "root/.bashrc", root / "root/.profile"], "Debian's own"
        assert [path for path in files(root, "etc") if path.name in {"pip.conf", "uv.toml"}] == []

    def test_no_compilers_and_installers(self, root: Path) -> None:
        programs = {path.name for path in files(root) if path.parent.name in {"bin", "sbin"}}
        assert "sh" in programs or "dash" in programs
        assert programs & COMPILERS == set()

    def test_what_runs_as_somebody_else_is_debians(self, root: Path) -> None:
        lists = (root / "var/lib/dpkg/info").glob("*.list")
        debians = {line for file in lists for line in file.read_text().splitlines()}
        debians |= {f"/usr{name}" for name in debians}  # /bin is /usr/bin
        special = {path for path in files(root) if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)}
        assert {f"/{path.relative_to(root)}" for path in special} <= debians

    def test_nothing_that_others_may_write(self, root: Path) -> None:
        assert [path for path in files(root) if path.stat().st_mode & stat.S_IWOTH] == []

    @pytest.mark.parametrize("root", ["workspace", "hub"], indirect=True)
    def test_what_python_starts_with_is_compiled(self, root: Path) -> None:
        sources = [path for path in files(root, "opt/podium") if path.suffix == ".py"]
        ours = [path for path in sources if "site-packages" in path.parts or "app" in path.parts]
        compiled = {
            path.parent.parent / path.name.split(".")[0] for path in root.rglob("opt/podium/**/*.pyc")
        }
        bare = [path for path in ours if path.with_suffix("") not in compiled]
        assert len(bare) <= len(ours) / 100, "some are templates and no programs"


@pytest.mark.parametrize("name", NAMES)
class TestEach:
    def test_it_says_what_it_is(self, name: str, node: RealNode, builder: Builder) -> None:
        release = configparser.ConfigParser()
        release.read(CHECKOUT / "setup.cfg")
        labels = builder.labels(image_of(node, name))
        assert labels["org.opencontainers.image.title"] == f"podium-{name}"
        assert labels["org.opencontainers.image.version"] == release["metadata"]["version"]
        assert labels["org.opencontainers.image.description"]
        assert labels["org.opencontainers.image.base.name"] == getattr(images, name.upper()).base

    def test_it_runs_as_nobody_who_may_write(self, name: str, node: RealNode, namespace: str) -> None:
        sleeper = pod(image_of(node, name), f"each-{name}", command=["tini", "--", "sleep", "600"], args=[])
        del sleeper["spec"]["securityContext"]["runAsUser"], sleeper["spec"]["securityContext"]["runAsGroup"]
        start(node, namespace, sleeper)
        assert execute(node, namespace, f"each-{name}", "id").startswith("uid=1000(podium) gid=1000(podium)")
        places = "/ /etc /opt/podium /tmp /usr/local/bin"
        look = f"for place in {places}; do test ! -w $place || echo $place; done"
        assert execute(node, namespace, f"each-{name}", "sh", "-c", look) == ""


class TestHub:
    def test_it_is_this_release(self, node: RealNode, restricted: str) -> None:
        said = _said(node, restricted, "--version")
        release = configparser.ConfigParser()
        release.read(CHECKOUT / "setup.cfg")
        assert said == f"podium, version {release['metadata']['version']}"

    def test_it_has_all_that_web_and_controller_read(self, node: RealNode, namespace: str) -> None:
        start(node, namespace, pod(node.hub_image, "reads", command=["sleep", "600"], args=[]))
        code = (
            "from hub import app, wiring; from hub.web.server import TEMPLATES; from hub.store import crd; "
        )
        seen = execute(node, namespace, "reads", "python", "-c", f"{code} print(TEMPLATES, crd.FILE)")
        for place in seen.split():
            assert execute(node, namespace, "reads", "ls", place)
        files = execute(node, namespace, "reads", "ls", seen.split()[0])
        assert files.split() == sorted(path.name for path in (CHECKOUT / "templates").iterdir())


def _said(node: RealNode, namespace: str, *args: str) -> str:
    """What the hub's image says until it ends."""
    once = pod(node.hub_image, "once", *args)
    once["spec"]["restartPolicy"] = "Never"
    node.create({**once, "metadata": {**once["metadata"], "namespace": namespace}})
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    node.kubectl("wait", f"--namespace={namespace}", "pod/once", ended, "--timeout=60s")
    return node.kubectl("logs", f"--namespace={namespace}", "once").strip()


@pytest.fixture(scope="module")
def proxy(node: RealNode, namespace: str) -> str:
    answers = {"httpGet": {"port": 8000, "path": "/_chp_healthz"}, "periodSeconds": 1}
    more = {"readinessProbe": answers, "env": [{"name": "CONFIGPROXY_AUTH_TOKEN", "value": TOKEN}]}
    start(node, namespace, pod(node.proxy_image, "proxy", *SERVE, "--api-port=8001", **more))
    return "proxy"


class TestProxy:
    def test_it_is_ready_when_it_has_all_routes(self, node: RealNode, namespace: str, proxy: str) -> None:
        with pytest.raises(ClusterError, match="routes are missing"):
            execute(node, namespace, proxy, *READY)
        _add(node, namespace, proxy, "/cluster-ab12cd34/")
        with pytest.raises(ClusterError, match="routes are missing"):
            execute(node, namespace, proxy, *READY)
        _add(node, namespace, proxy, "/podium-sentinel")
        assert execute(node, namespace, proxy, *READY) == ""

    def test_without_its_token_it_is_not(self, node: RealNode, namespace: str, proxy: str) -> None:
        with pytest.raises(ClusterError, match="the API answers 403"):
            execute(node, namespace, proxy, "env", "CONFIGPROXY_AUTH_TOKEN=another", *READY)

    def test_without_its_api_it_is_not(self, node: RealNode, namespace: str) -> None:
        start(node, namespace, pod(node.proxy_image, "apart", *SERVE, "--api-port=8003"))
        with pytest.raises(ClusterError, match="ECONNREFUSED"):
            execute(node, namespace, "apart", *READY)

    def test_its_own_page_says_that_something_is_away(
        self, node: RealNode, namespace: str, proxy: str
    ) -> None:
        code = "fetch('http://127.0.0.1:8000/nowhere').then(async a => console.log(a.status, await a.text()))"
        said = execute(node, namespace, proxy, "node", "-e", code)
        assert said.startswith("503 ")
        assert said.removeprefix("503 ") == (CHECKOUT / "proxy" / "errors" / "503.html").read_text().strip()


ADD = """
const options = {
    method: "POST",
    headers: {Authorization: `token ${process.env.CONFIGPROXY_AUTH_TOKEN}`},
    body: JSON.stringify({target: "http://127.0.0.1:9"}),
};
console.log((await fetch("http://127.0.0.1:8001/api/routes" + process.argv[1], options)).status);
"""


def _add(node: RealNode, namespace: str, name: str, path: str) -> None:
    """Add a route as the controller does."""
    program = ("node", "--input-type=module", "--eval", ADD, "--", path)
    assert execute(node, namespace, name, *program) == "201"


@pytest.fixture
def own_image(node: RealNode, builder: Builder, tmp_path: Path) -> str:
    """An image made of ours by somebody with a machine that takes packages from a folder, on the node."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "emoji-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("emoji.py", "SMILE = ':-)'\n")
        wheel.writestr("emoji-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: emoji\nVersion: 1.0\n")
        wheel.writestr("emoji-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("emoji-1.0.dist-info/RECORD", "")
    (tmp_path / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /mnt/wheels\n")
    builder.seen |= {Path("/mnt/wheels"): wheels, Path("/etc/pip.conf"): tmp_path / "pip.conf"}
    (tmp_path / "Dockerfile").write_text(OWN)
    image = "localhost/somebodys-own:1"
    builder.build(image, tmp_path / "Dockerfile", f"--from={node.image}", context=wheels)
    builder.bring_to(SOCKET, image)
    return image


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_somebodys_own_image_is_launched(node: RealNode, own_image: str, tmp_path: Path) -> None:
    with node_hub(node, tmp_path, CONFIG.format(image=own_image)) as hub:
        name = hub.launch("own")
        code = ("python", "-c", "import emoji; print(emoji.SMILE)")
        assert execute(node, name, "notebook", *code) == ":-)"
        assert until("its user", lambda: execute(node, name, "notebook", "id", "-u")) == "1000"
