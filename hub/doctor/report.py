"""Where findings go. Nothing here may know what is looked at."""

from __future__ import annotations

from typing import Protocol

from hub.doctor.judge import Finding


class Report(Protocol):
    """Is told what goes on."""

    def doing(self, what: str) -> None:
        """Something begins that takes a while."""

    def found(self, finding: Finding) -> None:
        """A check has ended."""
