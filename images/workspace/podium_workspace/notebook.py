"""The notebook of a workspace: sets the home folder up, fetches the content, then is JupyterLab.

Everything but the user's own JupyterLab settings is decided here. Secrets come in files, never as
arguments, which every account of the machine can read.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from podium_workspace import archive, content, home_files, tokens

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from podium_workspace.jupyter_home import Life

LONGEST_SOCKET = 100
"""Characters that the path of a Unix socket may have everywhere. Source: unix(7), and macOS's 104."""


def settings(name: str, home: Path, host: str, port: int, files: Path, landing: str) -> dict[str, object]:
    """JupyterLab's settings, by their names on its command line."""
    return {
        "ServerApp.ip": host,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.base_url": f"/{name}/",
        "ServerApp.root_dir": home,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.quit_button": False,
        "ServerApp.identity_provider_class": "podium_workspace.jupyter_access.Owner",
        # It would load all of Dask (28 MiB) to start clusters beside the workspace's own; see jupyter_routes.
        "ServerApp.jpserver_extensions": "dask_labextension=False",
        # Refuses where a handler forgets to ask who it is.
        "ServerApp.allow_unauthenticated_access": False,
        # A login shell would read /etc/profile, which sets another PATH.
        "ServerApp.terminado_settings": f"shell_command={shutil.which('bash') or 'sh'}",
        # Ports of the loopback address are open to other accounts of the machine, a folder of ours is not.
        "KernelManager.transport": "ipc",
        "LabApp.app_settings_dir": files / "lab",
        "LabApp.default_url": landing,
        "LabApp.extra_labextensions_path": Path(__file__).parent / "labextensions",
        # JupyterLab is 5 MB of scripts; a room that opens it at once shares one Wi-Fi.
        "ServerApp.tornado_settings": "{'compress_response': True}",
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }


def runtime_folder() -> Path:
    """A folder that only we can read, removed when we end, whose path leaves room for sockets in it."""
    longest = f"{tempfile.gettempdir()}/podium-{'0' * 8}/kernel-{'0' * 36}-ipc-99"
    parent = tempfile.gettempdir() if len(longest) <= LONGEST_SOCKET else "/tmp"  # noqa: S108 - mkdtemp is safe
    folder = Path(tempfile.mkdtemp(prefix="podium-", dir=parent))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def prepare(name: str, home: Path, host: str, port: int, files: Path) -> tuple[ServerApp, Life]:
    """Fill the home folder and set JupyterLab up.

    Returns:
        What only has to be started, and what tells in the end whether to start again.
    """
    new = archive.untouched(home)
    wanted = content.items((files / "notebook" / "content.json").read_text())
    fetching = content.Fetching(wanted, home)
    troubles = home_files.fill(home, files / "home")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(runtime_folder())
    # Takes a second or so, in which git gets ahead.
    from jupyter_server.utils import JupyterServerAuthWarning
    from jupyterlab.labapp import LabApp

    from podium_workspace import jupyter_access, jupyter_home, jupyter_routes

    # It names handlers that forget to ask who it is; `allow_unauthenticated_access` asks in their stead.
    warnings.filterwarnings("ignore", category=JupyterServerAuthWarning)
    jupyter_access.Owner.secret = tokens.read(str(files / "notebook" / "token"))
    troubles += fetching.warnings()
    since = time.time() if new else 0.0
    chosen = settings(name, home, host, port, files, content.landing(wanted, home))
    app = LabApp.initialize_server(argv=[f"--{key}={value}" for key, value in chosen.items()])
    app.web_app.settings["login_url"] = f"/workspaces/{name}/open"
    life = jupyter_home.Life(app, home, since)
    app.io_loop.add_callback(jupyter_routes.add(app, name, troubles, life).start)
    return app, life


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--files", required=True, type=Path)
    given = parser.parse_args()
    app, life = prepare(**vars(given))
    app.start()
    if life.again:
        from podium_workspace import jupyter_home

        shutil.rmtree(os.environ["JUPYTER_RUNTIME_DIR"], ignore_errors=True)
        jupyter_home.start_again()


if __name__ == "__main__":
    main()
