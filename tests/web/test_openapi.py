"""The description of the API is valid and true, and no request made from it makes the hub stumble."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tornado.web import RequestHandler

from hub.model import NAME
from hub.web import api, room_api
from hub.web.openapi import document
from tests.web.elsewhere import Elsewhere, serving_elsewhere
from tests.web.serving import MINE, THEIRS, TOKEN, Web

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]
METHODS = {"get", "post", "patch", "put", "delete"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


class TestDocument:
    def test_is_openapi_3_1(self) -> None:
        schema = schemathesis.openapi.from_dict(document())
        assert schema.specification.version == "3.1.0"
        schema.validate()

    def test_has_every_route_of_the_api_and_no_other(self) -> None:
        described = {
            (re.escape(path).replace(r"\{name\}", f"({NAME})"), method.upper())
            for path, method, _ in operations()
        }
        routes = {
            (pattern, method)
            for pattern, handler in (*api.ROUTES, *room_api.ROUTES)
            for method in handler.SUPPORTED_METHODS
            if getattr(handler, method.lower()) is not getattr(RequestHandler, method.lower())
        }
        assert described == routes - {(r"/api/openapi\.json", "GET")}

    def test_leads_nowhere_else(self) -> None:
        """Every reference is to something that is there."""
        components = document()["components"]["schemas"]

        def references(value: object) -> Iterator[str]:
            if isinstance(value, dict):
                yield from [value["$ref"]] if "$ref" in value else []
                for item in value.values():
                    yield from references(item)
            elif isinstance(value, list):
                for item in value:
                    yield from references(item)

        assert {ref.removeprefix("#/components/schemas/") for ref in references(document())} <= set(
            components
        )

    @pytest.mark.parametrize(
        "body",
        [
            {"spec": {"clusters": {"dask": {"workers": 5}}}},
            {"spec": {"clusters": {"dask": None}}},
            {"spec": {"clusters": {"dask": {"workers": None}}}},
            {"spec": {"clusters": {"spark": {}}, "workers": 3}},
            {"spec": {"expires": "2036-01-01T00:00:00Z"}},
            {"spec": {}},
        ],
    )
    def test_allows_the_changes_that_are_possible(self, body: object) -> None:
        operation = document()["paths"]["/api/workspaces/{name}"]["patch"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        check = jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]})
        assert check.is_valid(body)

    @pytest.mark.parametrize(
        "body", [{}, {"spec": None}, {"spec": {"owner": "x"}}, {"spec": {"workers": -1}}, []]
    )
    def test_forbids_those_that_are_not(self, body: object) -> None:
        operation = document()["paths"]["/api/workspaces/{name}"]["patch"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        check = jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]})
        assert not check.is_valid(body)

    def test_says_what_every_field_is_for_or_names_it_well(self) -> None:
        for _, _, operation in operations():
            assert operation["summary"].endswith(".")
            assert all(answer["description"] for answer in operation["responses"].values())


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """One that serves while all requests are tried."""
    with serving_elsewhere(tmp_path_factory.mktemp("hub")) as elsewhere:
        yield elsewhere


async def begin_anew(web: Web) -> None:
    """Two ready workspaces, one of each person, and nothing else."""
    for workspace in await web.everything():
        await web.store.delete(workspace.name)
        await web.finish(workspace.name)
    await web.add()
    await web.add(THEIRS, owner="bob")


# A stream of events has no end that could be looked at; test_events.py is about those.
FINITE = sorted((path, method) for path, method, _ in operations() if not path.endswith("/events"))


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), FINITE)
def test_every_request_is_answered_as_described(
    hub: Elsewhere, path: str, method: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{hub.web.url}/api/openapi.json")

    @settings(max_examples=40 if method in ("post", "patch") else 10, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def all_of_them(case: schemathesis.Case) -> None:
        hub.run(begin_anew(hub.web))
        # Names that are made up lead nowhere, so every request that should work is made with those there are.
        if mode.is_positive and case.path_parameters:
            case.path_parameters = {"name": MINE}
        if mode.is_positive and method == "post":
            case.body = {"spec": {**case.body["spec"], "profile": "workshop"}}
            hub.run(hub.web.store.delete(MINE))
        answer = case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {TOKEN}"})
        answered.append(answer.status_code)

    answered: list[int] = []
    all_of_them()
    assert answered
    assert min(answered) < 300 or mode.is_negative
