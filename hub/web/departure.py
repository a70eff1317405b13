"""The end of a web process as those notice it who are connected: what can be ended well is not cut.

Nothing here may know what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from tornado.httputil import HTTPHeaders
from tornado.web import OutputTransform


class Departure:
    """Whether this process is about to end, and who has to hear of it: whatever would go on for ever."""

    def __init__(self) -> None:
        self.announced = False
        self.over = asyncio.Event()
        """Set while nothing goes on that would have to be told."""
        self.over.set()
        self._held: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def told(self, end: Callable[[], object]) -> Iterator[None]:
        """Meanwhile have `end` called when the end is announced, or at once when it was."""
        self._held.append(end)
        self.over.clear()
        try:
            if self.announced:
                end()
            yield
        finally:
            self._held.remove(end)
            if not self._held:
                self.over.set()

    def announce(self) -> None:
        """Tell everybody who is connected to go elsewhere."""
        self.announced = True
        for end in list(self._held):
            end()

    def last_answers(self) -> type[OutputTransform]:
        """A transform of answers that says `Connection: close` on the last of each connection.

        So a client sends its next request to somebody else. Source: RFC 9112, section 9.6.
        """
        departure = self

        class LastAnswer(OutputTransform):
            def transform_first_chunk(
                self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
            ) -> tuple[int, HTTPHeaders, bytes]:
                if departure.announced:
                    headers["Connection"] = "close"
                return status_code, headers, chunk

        return LastAnswer
