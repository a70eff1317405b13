"""Lines of the log: for people at a terminal, or one JSON object a line; and what they are about.

What a line is about, a workspace or a request, is known to all that is called on the way, and need not be
handed on. Nothing that somebody sends makes a line long. Nothing here may know who logs what.
"""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

WORKSPACE: ContextVar[str] = ContextVar("workspace", default="")
"""The name of the workspace that is looked at."""
REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is answered."""
REQUEST_HEADER = "X-Request-Id"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MOST_LETTERS = 10_000
"""Of a message or a traceback; some fifty calls deep."""
CONSOLE = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


def start(level: int | str, lines: str) -> None:
    """Begin to log to stderr.

    Args:
        level: what is less important is left out.
        lines: `json`, or `console` for people.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if lines == "json" else ConsoleLines(CONSOLE))
    handler.addFilter(about)
    logging.basicConfig(level=level, handlers=[handler])


def request_id(given: str) -> str:
    """The id of a request: the one it came with, if that can be used, else a new one."""
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def about(record: logging.LogRecord) -> bool:
    """Add to a line what it is about; a filter that lets everything through."""
    for name, known in (("workspace", WORKSPACE.get()), ("request", REQUEST.get())):
        if known and not hasattr(record, name):
            setattr(record, name, known)
    return True


def bounded(text: str) -> str:
    """A text without its middle, if it is long."""
    half = MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[:half]} … {text[-half:]}"


class ConsoleLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        return bounded(super().format(record))


class JsonLines(JsonFormatter):
    """One JSON object a line: time, level, logger, message, exception, and what it is about."""

    def __init__(self) -> None:
        names = {"levelname": "level", "name": "logger", "exc_info": "exception", "stack_info": "stack"}
        super().__init__(["levelname", "name", "message"], rename_fields=names, timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {key: bounded(value) if isinstance(value, str) else value for key, value in log_data.items()}
