"""IPyParallel's controller, with a guarded HTTP port for the view of its engines and for the hub.

    GET  /                   the view, for people
    GET  /podium/engines     what the view shows; held until it changes
    GET  /podium/state       what the hub wants to know; held until it changes
    POST /podium/drain       {"workers": […]}: let the idle ones among them go

Nothing here may know how the controller works inside; that is `ipyparallel_controller.py`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.web import Application

from podium_workspace import tokens
from podium_workspace.guarded import Guarded, Health, Page, State, instances
from podium_workspace.ipyparallel_controller import Controller

HERE = Path(__file__).parent
HEARTBEAT = 500
"""Milliseconds between two beats; an engine has registered after one or two of them."""
BEATS_MISSED = 20
"""How many beats of an engine may fail to come until it counts as gone. Its nanny is faster, if it lives."""


class Drain(Guarded):
    """`POST /podium/drain`."""

    def initialize(self, controller: Controller) -> None:
        """Remember whom to ask."""
        self.controller = controller

    def post(self) -> None:
        """Accepted; the state tells how far it is."""
        self.controller.drain(instances(self.request.body))
        self.set_status(HTTPStatus.ACCEPTED)


def application(controller: Controller, token: str) -> Application:
    """What is served."""
    return Application(
        [
            ("/health", Health),
            ("/podium/state", State, {"held": controller.state}),
            ("/podium/engines", State, {"held": controller.view}),
            ("/podium/drain", Drain, {"controller": controller}),
            ("/", Page, {"path": HERE / "ipyparallel_view.html", "kind": "text/html"}),
            ("/view.js", Page, {"path": HERE / "ipyparallel_view.js", "kind": "text/javascript"}),
            ("/view.css", Page, {"path": HERE / "ipyparallel_view.css", "kind": "text/css"}),
        ],
        default_handler_class=Missing,
        token=token,
        log_function=lambda handler: None,
    )


class Missing(Guarded):
    """Whatever else is asked for."""

    def get(self) -> None:
        """There is nothing."""
        self.send_error(HTTPStatus.NOT_FOUND)


def start(host: str, port: int, files: Path) -> None:
    """Run until a signal ends it.

    Args:
        host, port: where HTTP is served.
        files: the folder with the connection files, the CURVE keys and the token.
    """
    os.environ["IPP_CURVE_PUBLICKEY"] = (files / "curve-public").read_text()
    os.environ["IPP_CURVE_SECRETKEY"] = (files / "curve-secret").read_text()
    controller = Controller.instance()
    controller.host = host
    controller.initialize(
        [
            "--IPController.enable_curve=True",
            "--IPController.reuse_files=True",
            f"--IPController.engine_json_file={files / 'engine.json'}",
            f"--IPController.client_json_file={files / 'client.json'}",
            "--IPController.use_threads=True",
            "--IPController.broadcast_scheduler_depth=0",
            f"--HeartMonitor.period={HEARTBEAT}",
            f"--HeartMonitor.max_heartmonitor_misses={BEATS_MISSED}",
            f"--DictDB.size_limit={64 * 1024**2}",
            "--Application.log_level=WARN",
        ]
    )
    server = HTTPServer(application(controller, tokens.read(str(files / "token"))))
    server.listen(port, address=host)
    controller.start()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--files", required=True, type=Path)
    given = parser.parse_args(arguments)
    start(given.host, given.port, given.files)


if __name__ == "__main__":
    main()
