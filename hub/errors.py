"""Errors that people see: each has a code, one plain sentence, and what to do about it.

Nothing here may know about HTTP handlers, stores or backends; `status` is only the number
that the REST API answers with.
"""

from __future__ import annotations


class PodiumError(Exception):
    """An error with a message fit for the person who caused or met it.

    Args:
        message: one plain sentence; names the offending field where there is one.
        hint: what to do about it; may be empty.
    """

    status = 500
    code = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def body(self) -> dict[str, dict[str, str]]:
        """The JSON object the REST API answers with."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class BadInput(PodiumError):
    """Something a person sent is not acceptable; the message names the field."""

    status = 400
    code = "bad-input"


class Unauthorized(PodiumError):
    """Nobody is signed in, or the token is wrong."""

    status = 401
    code = "unauthorized"


class Forbidden(PodiumError):
    """Somebody is signed in, but may not do this."""

    status = 403
    code = "forbidden"


class NotFound(PodiumError):
    """There is no such thing, or it is not this person's to know of."""

    status = 404
    code = "not-found"


class Conflict(PodiumError):
    """The object moved on since it was read, or is in a state that does not allow this."""

    status = 409
    code = "conflict"


class TooLarge(PodiumError):
    """The body is longer than anything the API takes."""

    status = 413
    code = "too-large"


class WrongContentType(PodiumError):
    """The body is not declared as JSON."""

    status = 415
    code = "wrong-content-type"


class TooMany(PodiumError):
    """The same person, or people with the same code, did this too often.

    Args:
        message, hint: as for all errors.
        seconds: after which it may be tried again.
    """

    status = 429
    code = "too-many"

    def __init__(self, message: str, hint: str = "", seconds: float = 1.0) -> None:
        super().__init__(message, hint)
        self.seconds = seconds


class Unavailable(PodiumError):
    """Something this needs is not answering now; trying again later may work."""

    status = 503
    code = "unavailable"


class ConfigurationError(PodiumError):
    """The configuration cannot be used; the message names the offending setting."""

    code = "configuration"
