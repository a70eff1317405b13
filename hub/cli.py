"""The commands of `podium` that talk to a running hub; without a command, podium is the hub.

Exit codes: 0 done, 1 a launch failed, 2 wrong usage, 3 no hub answers, 4 the hub refused.
Nothing here may do what the REST API does not offer.
"""

from __future__ import annotations

import html
import json
import os
import webbrowser
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem, get_completion_class

from hub.client import Client, NotRunning, Refused, workspace_path
from hub.errors import ConfigurationError, PodiumError
from hub.settings import FRAMEWORKS, MOST_WORKERS
from hub.state import State, default_directory
from hub.web.auth import derive

EPILOG = (
    "Without a command, podium serves on this machine until Ctrl-C; `podium --help-all` lists its settings. "
    "Exit codes: 0 done, 1 a launch failed, 2 wrong usage, 3 no hub answers, 4 the hub refused."
)
F = TypeVar("F", bound=Callable[..., Any])


FORM = """<!doctype html><meta charset="utf-8"><title>Podium</title>
<body onload="document.forms[0].submit()"><form method="post" action="{url}/sign-in">
<input type="hidden" name="code" value="{code}"><input type="hidden" name="next" value="{next}">
<button>Open Podium</button></form>
"""


class Here:
    """What every command works with: the hub on a port of this machine."""

    def __init__(self, port: int, url: str | None, state: str | None) -> None:
        self.state = State(Path(state) if state else default_directory(port))
        self.url = url or f"http://127.0.0.1:{port}"

    @property
    def client(self) -> Client:
        """A client with the hub's token."""
        return Client(self.url, self.state.read_token())

    def name(self, given: str | None) -> str:
        """A workspace's name: the given one, or that of the only one there is."""
        if given:
            return given
        names = [item["metadata"]["name"] for item in self.client.request("GET", "/api/workspaces")["items"]]
        if len(names) != 1:
            said = "There is no workspace." if not names else f"There are {len(names)} workspaces."
            raise click.UsageError(
                f"{said} {'Launch one first.' if not names else 'Name one: ' + ', '.join(names)}"
            )
        return str(names[0])


def plainly(function: F) -> F:
    """Say errors in a line, and end with their exit code."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except PodiumError as error:
            click.echo(f"podium: {error.message}" + (f"\n{error.hint}" if error.hint else ""), err=True)
            raise SystemExit(
                4 if isinstance(error, Refused) else 3 if isinstance(error, _NO_HUB) else 1
            ) from None

    return wrapper  # type: ignore[return-value]


_NO_HUB = (NotRunning, ConfigurationError)


def complete_name(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of workspaces, for the shell; nothing when no hub answers."""
    try:
        given = context.find_root().params
        here = Here(given["port"], given["url"], given["state"])
        items = here.client.request("GET", "/api/workspaces")["items"]
    except PodiumError:
        return []
    names = [item["metadata"]["name"] for item in items]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


as_json = click.option("--json", "as_json", is_flag=True, help="Print the API's JSON.")
a_name = click.argument("name", required=False, shell_complete=complete_name)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--port", default=8000, show_default=True, envvar="PORT", help="Port of the hub on this machine."
)
@click.option("--url", envvar="PODIUM_URL", help="Address of the hub, in place of --port.")
@click.option("--state", help="State directory of the hub, where its token is.")
@click.version_option(package_name="podium")
@click.pass_context
def cli(context: click.Context, port: int, url: str | None, state: str | None) -> None:
    """A notebook with Dask, IPyParallel and Spark clusters, at one click."""
    context.obj = Here(port, url, state)


@cli.command()
@click.option("--profile", help="A choice of the menu; the first one if left out. See `podium profiles`.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the notebook answers.")
@as_json
@click.pass_obj
@plainly
def launch(here: Here, profile: str | None, wait: bool, as_json: bool) -> None:
    """Launch a workspace, or find the one there is."""
    client = here.client
    if profile is None:
        profile = client.request("GET", "/api/profiles")["items"][0]["name"]
    workspace = client.request("POST", "/api/workspaces", {"spec": {"profile": profile}})
    name = workspace["metadata"]["name"]
    if wait:
        workspace = _wait(client, name, quiet=as_json)
    if as_json:
        click.echo(json.dumps(workspace, indent=2))
    elif workspace["status"]["phase"] == "Ready":
        click.echo(f"{name} is ready: {here.url}/workspaces/{name}/open")
    else:
        click.echo(f"{name} is on its way: {here.url}/workspaces/{name}")
    if workspace["status"]["phase"] == "Failed":
        raise SystemExit(1)


@cli.command("list")
@as_json
@click.pass_obj
@plainly
def list_(here: Here, as_json: bool) -> None:
    """List workspaces."""
    items = here.client.request("GET", "/api/workspaces")["items"]
    if as_json:
        click.echo(json.dumps(items, indent=2))
        return
    rows = [("NAME", "PROFILE", "PHASE", "WORKERS", "ENDS IN")]
    for item in items:
        clusters = item["status"]["clusters"]
        workers = " ".join(f"{name}={c['ready']}/{c['workers']}" for name, c in clusters.items()) or "-"
        left = datetime.fromisoformat(item["spec"]["expires"]) - datetime.now(UTC)
        rows.append(
            (item["metadata"]["name"], item["spec"]["profile"], item["status"]["phase"], workers, _span(left))
        )
    _table(rows)


@cli.command("open")
@a_name
@click.option("--no-browser", is_flag=True, help="Only say which file to open.")
@click.pass_obj
@plainly
def open_(here: Here, name: str | None, no_browser: bool) -> None:
    """Open the home page, or a workspace's notebook, signed in."""
    path = f"/workspaces/{name}/open" if name else "/"
    here.client.request("GET", "/api/profiles")  # says plainly when no hub answers
    code = derive(here.state.key(), "sign-in")[:16]
    # The code goes into a form in a file of mode 0600: never into an address, an argument list or a history.
    page = here.state.directory / "open.html"
    page.unlink(missing_ok=True)
    text = FORM.format(url=html.escape(here.url), code=code, next=html.escape(path))
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    if no_browser or not webbrowser.open(page.as_uri()):
        click.echo(f"Open {page.as_uri()} in a browser.")


@cli.command()
@click.argument("name", shell_complete=complete_name)
@click.argument("framework", type=click.Choice(FRAMEWORKS))
@click.argument("workers", type=click.IntRange(0, MOST_WORKERS))
@as_json
@click.pass_obj
@plainly
def scale(here: Here, name: str, framework: str, workers: int, as_json: bool) -> None:
    """Set the number of workers of a cluster; adds the cluster if it is not there."""
    patch = {"spec": {"clusters": {framework: {"workers": workers}}}}
    workspace = here.client.request("PATCH", workspace_path(name), patch)
    _said(workspace, as_json, f"{name}: {framework} is going to {workers} workers.")


@cli.command()
@a_name
@as_json
@click.pass_obj
@plainly
def extend(here: Here, name: str | None, as_json: bool) -> None:
    """Give a workspace its full time again, from now."""
    name = here.name(name)
    client = here.client
    wall_time = client.request("GET", workspace_path(name))["spec"]["settings"]["wallTime"]
    expires = datetime.now(UTC) + timedelta(seconds=wall_time)
    workspace = client.request("PATCH", workspace_path(name), {"spec": {"expires": expires.isoformat()}})
    _said(workspace, as_json, f"{name} ends in {_span(timedelta(seconds=wall_time))}.")


@cli.command()
@a_name
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until nothing of it is left.")
@as_json
@click.pass_obj
@plainly
def stop(here: Here, name: str | None, wait: bool, as_json: bool) -> None:
    """Stop a workspace."""
    name = here.name(name)
    client = here.client
    workspace = client.request("DELETE", workspace_path(name))
    if wait:
        _wait_until_gone(client, name)
    _said(workspace, as_json, f"{name} is {'gone' if wait else 'being stopped'}.")


@cli.command()
@as_json
@click.pass_obj
@plainly
def profiles(here: Here, as_json: bool) -> None:
    """List the profiles on the menu."""
    items = here.client.request("GET", "/api/profiles")["items"]
    if as_json:
        click.echo(json.dumps(items, indent=2))
        return
    rows = [("NAME", "STARTS", "MAY RUN", "WORKERS", "DESCRIPTION")]
    for item in items:
        starts = ",".join(item["clusters"]) or "-"
        rows.append(
            (
                item["name"],
                starts,
                ",".join(item["frameworks"]),
                f"0-{item['maxWorkers']}",
                item["description"],
            )
        )
    _table(rows)


@cli.command()
@click.option("--namespace", help="Namespace that Podium itself lives in; the configured one if left out.")
@click.option("--profile", help="The profile to try; the first one of the menu if left out.")
@click.option("--config", help="Configuration file; found as podium finds it if left out.")
def doctor(namespace: str | None, profile: str | None, config: str | None) -> None:
    """Tell whether the cluster that KUBECONFIG names has all that Podium needs.

    It starts two small pods in a namespace of their own, which is removed again. Exit code 1: something is
    missing, and it was said what to do.
    """
    from hub.doctor.command import run  # which needs all of the hub

    raise SystemExit(run(config, namespace, profile))


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(podium completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "podium", "_PODIUM_COMPLETE").source())


def _wait(client: Client, name: str, quiet: bool) -> Any:
    """Follow a launch to its end, saying each step once."""
    said = ""
    for kind, workspace in client.follow(name):
        status = workspace["status"]
        if kind == "gone":
            raise Refused(f"{name} was stopped.", "")
        if status["phase"] in ("Ready", "Failed"):
            if status["phase"] == "Failed":
                click.echo("\n".join([status["message"], *status["log"]]), err=True)
            return workspace
        message = status["message"] or ("Waiting to be started." if status["phase"] == "Queued" else said)
        if not quiet and message != said:
            said = message
            click.echo(said, err=True)
    raise NotRunning("The hub went away during the launch.", "The launch goes on when it is back.")


def _wait_until_gone(client: Client, name: str) -> None:
    try:
        for kind, _ in client.follow(name):
            if kind == "gone":
                return
    except Refused as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return
        raise
    raise NotRunning("The hub went away meanwhile.", "The workspace is stopped when it is back.")


def _said(workspace: Any, as_json: bool, sentence: str) -> None:
    click.echo(json.dumps(workspace, indent=2) if as_json else sentence)


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _span(left: timedelta) -> str:
    minutes = max(0, round(left.total_seconds() / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
