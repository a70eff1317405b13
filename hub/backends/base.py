"""The interface of every backend.

A backend makes workloads run and says what it sees; it never decides what should run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from hub.observed import Observed
from hub.settings import Settings
from hub.workload import Workload


class Backend(Protocol):
    """Runs workloads. `tests/contract/test_backend.py` says what each method promises."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Frameworks that cannot run here, each with the reason in a sentence."""

    async def names(self) -> set[str]:
        """Every workspace of which anything exists, wanted or not."""

    async def observe(self, name: str) -> Observed:
        """What exists now. Raises rather than guesses: what is not known must not look like what is gone."""

    async def apply(self, name: str, workloads: Sequence[Workload], settings: Settings | None = None) -> None:
        """Make it so: start what is missing, end what is not wanted; `[]` removes everything.

        Returns once that is under way; `observe` tells how far it is. Doing it again changes nothing.

        Args:
            name: the workspace's name.
            workloads: with `instances` chosen.
            settings: what the workspace's profile decided; a backend takes from them what concerns it.
        """

    def changes(self) -> AsyncIterator[str]:
        """Names of workspaces whose reality moved. One may be missed; a periodic look covers that."""
