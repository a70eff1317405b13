"""Errors tell their code, a sentence, and what to do."""

from __future__ import annotations

import pytest

from hub import errors
from hub.errors import PodiumError

STATUS = {
    errors.PodiumError: (500, "internal"),
    errors.BadInput: (400, "bad-input"),
    errors.Unauthorized: (401, "unauthorized"),
    errors.Forbidden: (403, "forbidden"),
    errors.NotFound: (404, "not-found"),
    errors.Conflict: (409, "conflict"),
    errors.TooLarge: (413, "too-large"),
    errors.WrongContentType: (415, "wrong-content-type"),
    errors.TooMany: (429, "too-many"),
    errors.Unavailable: (503, "unavailable"),
    errors.ConfigurationError: (500, "configuration"),
}


@pytest.mark.parametrize("kind", STATUS)
def test_each_error_has_its_status_and_code(kind):
    error = kind("It went wrong.", "Try again.")
    assert (error.status, error.code) == STATUS[kind]
    assert str(error) == "It went wrong."
    assert error.body() == {"error": {"code": error.code, "message": "It went wrong.", "hint": "Try again."}}


def test_there_are_no_other_errors():
    kinds = {value for value in vars(errors).values() if isinstance(value, type)}
    assert {kind for kind in kinds if issubclass(kind, PodiumError)} == set(STATUS)


def test_the_hint_may_be_left_out():
    assert errors.NotFound("There is none.").body()["error"]["hint"] == ""
