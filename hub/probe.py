"""Asks schedulers and notebooks what they are doing, over HTTP, and keeps their last answer.

They hold their answer until something changes, so nothing is polled. An answer that cannot be had is
None: not known, never "nothing". What to ask and how to read it is in `hub/clusters/` and
`hub/notebook.py`; nothing here may judge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from hub import notebook
from hub.clusters import CLUSTERS
from hub.clusters.base import ClusterState, Context, Request
from hub.keys import Keys
from hub.notebook import NotebookState
from hub.observed import Observed
from hub.settings import FrameworkName

log = logging.getLogger("podium.probe")

HELD = aiohttp.ClientTimeout(total=40, connect=5)
SHORT = aiohttp.ClientTimeout(total=10, connect=5)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
MOST_BYTES = 4 * 2**20


class Speaker(Protocol):
    """Something that can be asked for its state, and holds its answer until there is another."""

    def headers(self, keys: Keys) -> Mapping[str, str]:
        """The credentials it wants."""

    def state_request(self, context: Context, version: str) -> Request:
        """The question."""

    def read_state(self, body: bytes) -> ClusterState | NotebookState:
        """The answer."""


@dataclass
class _Conversation:
    address: str
    task: asyncio.Task[None]
    state: ClusterState | NotebookState | None = None


class Probe:
    """The conversations with all that runs.

    Args:
        session: for all requests.
        moved: called with a workspace's name when an answer differs from the one before.
        public: address of the proxy, as people reach it, such as `http://127.0.0.1:8000`.
    """

    def __init__(self, session: aiohttp.ClientSession, moved: Callable[[str], None], public: str) -> None:
        self._session = session
        self._moved = moved
        self._public = public
        self._conversations: dict[tuple[str, str], _Conversation] = {}

    def look(
        self, context: Context, observed: Observed, clusters: Mapping[FrameworkName, object]
    ) -> Observed:
        """Add the last answers to what was observed, and begin or end conversations as it says.

        Args:
            clusters: the frameworks that the workspace should have.
        """
        speakers: dict[str, tuple[Speaker, str, str]] = {"notebook": (notebook, "notebook", "http")}
        for name in clusters:
            dashboard = CLUSTERS[name].dashboard
            speakers[name] = (CLUSTERS[name], dashboard.workload, dashboard.port)
        answers: dict[str, ClusterState | NotebookState | None] = {}
        for key, (speaker, workload, port) in speakers.items():
            address = observed.addresses.get(f"{workload}.{port}")
            if address is None or not observed.ready(workload):
                self._hang_up(context.name, key)
            else:
                answers[key] = self._last(context, key, speaker, address)
        for workspace, key in list(self._conversations):
            if workspace == context.name and key not in speakers:
                self._hang_up(workspace, key)
        said = answers.pop("notebook", None)
        states = {name: answers.get(name) for name in clusters}
        return replace(
            observed,
            notebook=said if isinstance(said, NotebookState) else None,
            clusters={n: s if isinstance(s, ClusterState) else None for n, s in states.items()},
        )

    async def send(self, context: Context, name: FrameworkName, address: str, request: Request) -> None:
        """Send a request to a cluster's scheduler. Raises aiohttp.ClientError when it is refused."""
        await self._send(CLUSTERS[name], context, address, request)

    async def ask_notebook(self, context: Context, address: str, request: Request) -> None:
        """Send a request to a workspace's notebook. Raises aiohttp.ClientError when it is refused."""
        await self._send(notebook, context, address, request)

    async def _send(self, speaker: Speaker, context: Context, address: str, request: Request) -> None:
        async with self._session.request(
            request.method,
            f"http://{address}{request.path}",
            json=request.json,
            headers=speaker.headers(context.keys),
            timeout=SHORT,
            allow_redirects=False,
        ) as response:
            response.raise_for_status()

    async def reach(self, context: Context) -> bool:
        """Whether a workspace's notebook answers at its public address."""
        url = f"{self._public}{notebook.base(context.name)}api"
        headers = notebook.headers(context.keys)
        try:
            async with self._session.get(
                url, headers=headers, timeout=SHORT, allow_redirects=False
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def forget(self, workspace: str) -> None:
        """End all conversations with a workspace."""
        for name, key in list(self._conversations):
            if name == workspace:
                self._hang_up(name, key)

    async def close(self) -> None:
        """End all conversations."""
        tasks = [conversation.task for conversation in self._conversations.values()]
        for workspace, key in list(self._conversations):
            self._hang_up(workspace, key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _last(
        self, context: Context, key: str, speaker: Speaker, address: str
    ) -> ClusterState | NotebookState | None:
        here = (context.name, key)
        conversation = self._conversations.get(here)
        if conversation is not None and conversation.address != address:
            self._hang_up(*here)
            conversation = None
        if conversation is None:
            task = asyncio.create_task(self._converse(context, key, speaker, address), name=f"probe {here}")
            conversation = self._conversations[here] = _Conversation(address, task)
        return conversation.state

    def _hang_up(self, workspace: str, key: str) -> None:
        conversation = self._conversations.pop((workspace, key), None)
        if conversation is not None:
            conversation.task.cancel()

    async def _converse(self, context: Context, key: str, speaker: Speaker, address: str) -> None:
        """Ask, tell of a change, ask again; for as long as nobody hangs up."""
        version, pause = "", FIRST_PAUSE
        while True:
            try:
                state = await self._ask(context, speaker, address, version)
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
                log.debug("%s/%s does not answer: %r", context.name, key, error)
                self._heard(context.name, key, None)
                await asyncio.sleep(pause)
                version, pause = "", min(2 * pause, LONGEST_PAUSE)
                continue
            self._heard(context.name, key, state)
            version, pause = state.version, FIRST_PAUSE

    async def _ask(
        self, context: Context, speaker: Speaker, address: str, version: str
    ) -> ClusterState | NotebookState:
        request = speaker.state_request(context, version)
        async with self._session.request(
            request.method,
            f"http://{address}{request.path}",
            headers=speaker.headers(context.keys),
            timeout=HELD,
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            if response.status != 200:
                raise ValueError(f"unexpected status {response.status}")
            body = await response.content.read(MOST_BYTES)
            while not response.content.at_eof() and len(body) < MOST_BYTES:
                body += await response.content.read(MOST_BYTES - len(body))
            return speaker.read_state(body)

    def _heard(self, workspace: str, key: str, state: ClusterState | NotebookState | None) -> None:
        conversation = self._conversations.get((workspace, key))
        if conversation is None:
            return
        before, conversation.state = conversation.state, state
        if _news(before) != _news(state):
            self._moved(workspace)


def _news(state: ClusterState | NotebookState | None) -> object:
    """A state without its version, which may count things that nobody needs to hear of."""
    return None if state is None else replace(state, version="")
