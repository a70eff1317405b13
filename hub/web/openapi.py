"""The description of the REST API as an OpenAPI 3.1 document, made from the types that the API uses.

Source: OpenAPI Specification 3.1. Nothing here may describe what `api.py` does not do.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from hub.admission import Changes, Launch
from hub.model import NAME, Workspace
from hub.profiles import Profile
from hub.room import Room
from hub.room_admission import RoomPatch
from hub.wire import Wire


class Error(Wire, frozen=True, kw_only=True):
    """What is wrong, and what to do about it."""

    code: str
    message: str
    hint: str


class ErrorBody(Wire, frozen=True, kw_only=True):
    """The body of every answer with a status of 400 or more."""

    error: Error


class WorkspaceList(Wire, frozen=True, kw_only=True):
    """Workspaces."""

    items: list[Workspace]


class MenuItem(Profile, frozen=True, kw_only=True):
    """A profile, and which of its frameworks cannot run here, with the reason."""

    unavailable: dict[str, str]


class ProfileList(Wire, frozen=True, kw_only=True):
    """The menu."""

    items: list[MenuItem]


class InvitationShown(Wire, frozen=True, kw_only=True):
    """What lets newcomers in: a code to type, and what goes after the # of the link to /join."""

    code: str
    secret: str


class RoomShown(Wire, frozen=True, kw_only=True):
    """The room, and its invitation where people need one to come in."""

    room: Room
    invitation: InvitationShown | None


KINDS = (Workspace, WorkspaceList, ProfileList, Launch, Changes, RoomShown, RoomPatch, ErrorBody)
TYPES = {kind.__name__: kind for kind in KINDS}
ERRORS = {
    "400": "Bad input; the message names the field.",
    "401": "Nobody is signed in, or the token is wrong.",
    "403": "Not allowed: not for one's role, another site's page, another host name, or no XSRF token.",
    "404": "There is no such workspace.",
    "409": "The workspace is ending or its launch failed.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON.",
    "503": "The cluster does not answer, and the change has to wait; Retry-After says how long at least.",
}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    schemas, components = msgspec.json.schema_components(
        TYPES.values(), ref_template="#/components/schemas/{name}"
    )
    ref = dict(zip(TYPES, schemas, strict=True))
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": f"^{NAME}$"},
    }
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "maxLength": 64}}
    one = {"200": _answer("The workspace.", ref["Workspace"])}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Podium",
            "version": "1",
            "description": "Workspaces: a notebook with Dask, Spark and IPyParallel clusters.",
        },
        "security": [{"token": []}],
        "paths": {
            "/api/workspaces": {
                "get": _operation(
                    "List your workspaces; an instructor sees everybody's.",
                    {"200": _answer("The list.", ref["WorkspaceList"])},
                    401,
                ),
                "post": _operation(
                    "Launch a workspace; somebody who has one gets that one.",
                    {**one, "201": _answer("The new workspace.", ref["Workspace"])},
                    *(400, 401, 413, 415, 503),
                    body=ref["Launch"],
                ),
            },
            "/api/workspaces/{name}": {
                "parameters": [name],
                "get": _operation("Show a workspace.", one, 401, 404),
                "patch": _operation(
                    "Change a workspace by a JSON merge patch: scale it, extend it, add or remove a cluster.",
                    one,
                    *(400, 401, 404, 409, 413, 415, 503),
                    body=_merge_patch(components["Changes"]),
                ),
                "delete": _operation(
                    "Stop a workspace.",
                    {"202": _answer("The workspace, ending.", ref["Workspace"])},
                    *(401, 404, 503),
                ),
            },
            "/api/workspaces/{name}/events": {
                "parameters": [name, last],
                "get": _operation(
                    "Follow a workspace by server-sent events.",
                    {"200": {"description": "The stream.", "content": {"text/event-stream": {}}}},
                    *(401, 404),
                ),
            },
            "/api/events": {
                "get": _operation(
                    "Follow, by server-sent events, what everybody should know: that changes have to wait.",
                    {"200": {"description": "The stream.", "content": {"text/event-stream": {}}}},
                    401,
                ),
            },
            "/api/room": {
                "get": _operation(
                    "Show the room, to instructors.", {"200": _answer("The room.", ref["RoomShown"])}, 401
                ),
                "patch": _operation(
                    "Change the room by a JSON merge patch: say something to everybody, close it to "
                    "newcomers, make a new join code, hold workspaces ready, ask for a preflight.",
                    {"200": _answer("The room.", ref["RoomShown"])},
                    *(400, 401, 413, 415, 503),
                    body=ref["RoomPatch"],
                ),
            },
            "/api/room/events": {
                "get": _operation(
                    "Follow the room by server-sent events, as an instructor: `workspaces` has everybody's "
                    "as `items`; then `changes`, gathered, has `items` and the names of those that are "
                    "`gone`; `room` has what /api/room says, but for those who left.",
                    {"200": {"description": "The stream.", "content": {"text/event-stream": {}}}},
                    401,
                ),
            },
            "/api/room/attendees.csv": {
                "get": _operation(
                    "List those who are there, for a spreadsheet.",
                    {"200": {"description": "The list.", "content": {"text/csv": {}}}},
                    401,
                ),
            },
            "/api/profiles": {
                "get": _operation(
                    "List the profiles.", {"200": _answer("The list.", ref["ProfileList"])}, 401
                )
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _merge_patch(changes: dict[str, Any]) -> dict[str, Any]:
    """The body of a change: it may leave out everything, and null removes a cluster (RFC 7396)."""
    fields = dict(changes["properties"])
    cluster = {"anyOf": [fields["clusters"]["additionalProperties"], {"type": "null"}]}
    fields["clusters"] = {**fields["clusters"], "additionalProperties": cluster}
    spec = {"type": "object", "additionalProperties": False, "properties": fields}
    return {
        "type": "object",
        "required": ["spec"],
        "additionalProperties": False,
        "properties": {"spec": spec},
    }


def _operation(summary: str, answers: dict[str, Any], *errors: int, body: object = None) -> dict[str, Any]:
    problem = {"$ref": "#/components/schemas/ErrorBody"}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            **answers,
            **{str(error): _answer(ERRORS[str(error)], problem) for error in (*errors, 403)},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _answer(description: str, schema: object) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
