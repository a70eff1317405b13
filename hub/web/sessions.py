"""What goes on for as long as somebody is signed in: when they sign out, it is ended.

Each web process knows what it holds itself; the browser's other pages tell each other. Nothing here may know
what is held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class Sessions:
    """What is held open, by session."""

    def __init__(self) -> None:
        self._held: dict[bytes, list[Callable[[], object]]] = {}

    @contextlib.contextmanager
    def told(self, session: bytes, end: Callable[[], object]) -> Iterator[None]:
        """Meanwhile have `end` called when the session is ended."""
        self._held.setdefault(session, []).append(end)
        try:
            yield
        finally:
            held = self._held[session]
            held.remove(end)
            if not held:
                del self._held[session]

    def end(self, session: bytes) -> None:
        """End all that a session holds."""
        for end in list(self._held.get(session, ())):
            end()
