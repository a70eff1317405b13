"""`podium doctor` in a terminal: a line for each finding when it is there, and meanwhile what goes on.

Nothing here may ask or judge anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import sys

import click

from hub.app import Podium
from hub.backends.kubernetes.names import Release
from hub.doctor.checks import examine
from hub.doctor.judge import Finding, Level
from hub.errors import ConfigurationError
from hub.kube.api import Api
from hub.profiles import Profile

INTERRUPTED = 130
"""The exit code of a program that was told to end."""
WORDS: dict[Level, tuple[str, str]] = {
    "good": (" ok ", "green"),
    "bad": ("FAIL", "red"),
    "unknown": (" ?? ", "yellow"),
}


class Terminal:
    """Prints findings; on a terminal also what is being done, on a line that does not stay."""

    def __init__(self) -> None:
        self.failed = False
        self._lively = sys.stdout.isatty()
        self._doing = ""

    def doing(self, what: str) -> None:
        """See `Report`."""
        self._doing = what

    def found(self, finding: Finding) -> None:
        """See `Report`."""
        self.failed |= finding.level == "bad"
        self._clear()
        word, color = WORDS[finding.level]
        click.echo(f"{click.style(word, fg=color, bold=True)} {finding.title}: {finding.message}")
        if finding.hint:
            click.echo(f"     {finding.hint}")

    async def spin(self) -> None:
        """Show that something goes on, until cancelled."""
        if not self._lively:
            return
        try:
            for mark in itertools.cycle("|/-\\"):
                self._clear()
                click.echo(f"  {mark}  {self._doing} …", nl=False)
                await asyncio.sleep(0.1)
        finally:
            self._clear()

    def _clear(self) -> None:
        if self._lively:
            click.echo("\r\033[K", nl=False)


def run(config: str | None, namespace: str | None, profile: str | None) -> int:
    """Examine the cluster. Returns the exit code: 0 when nothing is red, 1 when something is, 2 for wrong
    settings.

    Args:
        config: the configuration file, if it is not where podium finds it.
        namespace: of the release, if it is not the configured one.
        profile: the name of the one to try; the first one of the menu if none is given.
    """
    app = Podium()
    try:
        menu = app.configure([f"--config={config}"] if config else [])
        tried = _choose(menu, profile)
    except ConfigurationError as error:
        click.echo(f"podium: {error}" + (f"\n{error.hint}" if error.hint else ""), err=True)
        return 2
    logging.getLogger("podium").setLevel(logging.ERROR)  # what goes wrong is among the findings
    release = Release(app.release, namespace or app.namespace, app.image)
    terminal = Terminal()
    try:
        asyncio.run(_examine(menu if profile is None else {profile: tried}, tried, release, terminal))
    except asyncio.CancelledError:
        return INTERRUPTED
    return int(terminal.failed)


def _choose(menu: dict[str, Profile], name: str | None) -> Profile:
    if name is None:
        return next(iter(menu.values()))
    if name not in menu:
        raise ConfigurationError(f"There is no profile {name!r}.", f"Choose one of: {', '.join(menu)}.")
    return menu[name]


async def _examine(menu: dict[str, Profile], tried: Profile, release: Release, terminal: Terminal) -> None:
    """Make every check; what the probe made is removed also after Ctrl-C or SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    spinning = asyncio.create_task(terminal.spin())
    try:
        api = await Api.connect()
    except ConfigurationError as error:
        terminal.found(Finding("bad", "API server", error.message, error.hint))
        return
    try:
        await examine(api, menu, tried, release, terminal)
    finally:
        spinning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await spinning
        await api.close()
