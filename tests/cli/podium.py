"""`podium` as somebody types it, on a machine where a hub with a played controller runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner, Result

from hub.cli import cli
from hub.state import State
from tests.waiting import until
from tests.web.elsewhere import Elsewhere
from tests.web.serving import MINE, Web

Story = Callable[[Web, str], Coroutine[Any, Any, None]]
"""What the controller does about a workspace."""


@dataclass
class Podium:
    """`podium` on a machine where a hub runs."""

    hub: Elsewhere
    state: State
    env: dict[str, str | None]

    def __call__(self, *arguments: str, **env: str | None) -> Result:
        """Run a command that leads to this hub by its environment."""
        return CliRunner(env=self.env | env).invoke(cli, arguments, prog_name="podium")

    def add(self, name: str = MINE, **fields: Any) -> None:
        """A workspace that is there already."""
        self.hub.run(self.hub.web.add(name, **fields))

    def get(self, name: str = MINE) -> Any:
        """A workspace as the API shows it."""
        answer = self.hub.run(self.hub.web.ask("GET", f"/api/workspaces/{name}", headers=self.token))
        return answer.json

    @property
    def token(self) -> dict[str, str]:
        """The header that lets one in."""
        return {"Authorization": f"Bearer {self.state.token()}"}

    def with_controller(self, story: Story, *arguments: str) -> Result:
        """Run a command while the controller does its part on the workspace that comes up, or is there."""

        async def control() -> None:
            web = self.hub.web
            (workspace,) = await until("there is a workspace", web.everything)
            await story(web, workspace.name)

        with self.hub.beside(control()):
            return self(*arguments)


def said(result: Result, code: int = 0) -> str:
    """What was printed, after a look at the exit code; a traceback is none that people should see."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def complaint(result: Result, code: int) -> str:
    """What was said of why it did not work, in a line or two."""
    assert said(result, code) == ""
    assert len(result.stderr.splitlines()) <= 4
    return result.stderr
