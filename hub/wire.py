"""What crosses a wire: JSON values checked against types, and said plainly where they do not fit.

Field names on the wire are camelCase, as in Kubernetes. Nothing here may know what a value means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from hub.errors import BadInput

END = r"(?!\n)$"
"""Python's `$` alone also matches before a newline at the end, which JSON Schema's does not."""


class Wire(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What every part of a Workspace object has in common."""


T = TypeVar("T")


def convert(value: object, to: type[T], where: str = "") -> T:
    """Check plain JSON values against a type.

    Args:
        value: what `json.loads` gave.
        to: the type to make of it.
        where: what to put before a field's name in an error, such as `profile workshop`.

    Raises:
        BadInput: naming the field that does not fit and what is expected there.
    """
    try:
        return msgspec.convert(value, to)
    except msgspec.ValidationError as error:
        raise BadInput(plain(str(error), where)) from None


def plain(message: str, where: str = "") -> str:
    """Turn what msgspec says of a value into what people read; at most some 400 characters long.

    >>> plain("Expected `int` >= 0 - at `$.spec.workers`")
    'spec.workers: expected int >= 0'
    """
    text, separator, path = message.rpartition(" - at ")
    if not separator:
        text, path = message, ""
    # The path of a dictionary's key or value reads: key` in `$.spec.clusters
    path = path.replace("key` in `", "").replace("values` in `", "").strip("`")
    path = path.replace("`", "").removeprefix("$").removeprefix(".")
    text = text.replace("`", "")[:200]
    text = text[:1].lower() + text[1:]
    subject = ", ".join(part for part in (where, path[:150]) if part)
    return f"{subject}: {text}" if subject else text


def plain_object(value: object) -> dict[str, Any]:
    """The JSON object of a Workspace or a part of it, as plain dicts, lists and strings."""
    result = msgspec.to_builtins(value)
    assert isinstance(result, dict)
    return result


def replace(value: T, **changes: Any) -> T:
    """A copy of a frozen object with some fields changed."""
    return msgspec.structs.replace(value, **changes)  # type: ignore[type-var]


def merge_patch(target: object, patch: object) -> object:
    """Apply a JSON merge patch and return the result; neither argument is changed.

    Source: RFC 7396, section 2.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
