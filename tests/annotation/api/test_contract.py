"""The API keeps what its schema says, whatever is sent: no server error, no undeclared status."""

from __future__ import annotations

import re

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from rest_framework.authtoken.models import Token

EXAMPLES = 6


@pytest.fixture
def one_connection():
    """Requests end without closing the test's connection, as with Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_api_keeps_its_schema(lead, make_pair, one_connection, mode):
    """Every operation, as the project's lead, on the project and on things that are not there."""
    # Here, not above: every process of a run reads this file, and one of them needs what takes a second to import.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi import checks

    kept = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    for _ in range(3):
        make_pair()
    token = Token.objects.create(user=lead.user)
    headers = {"Authorization": f"Token {token.key}", "Host": "localhost"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema.json", WSGIHandler(), headers=headers)
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]

        @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def keeps(case):
            if "slug" in (case.path_parameters or {}) and mode == "positive":
                case.path_parameters["slug"] = "everyday"
            case.call_and_validate(checks=kept, headers=headers)

        keeps()
        tried.add(operation.label)
    assert len(tried) >= 18, tried


def test_every_operation_wants_a_token(lead, api):
    """Generated from the schema: a new operation is covered on the day it is written."""
    paths = api(lead).get("/api/v1/schema.json").json()["paths"]
    tried = 0
    for path, operations in paths.items():
        address = path.replace("{slug}", "everyday").replace("{version}", "v1")
        address = re.sub(r"\{[a-z]+_id\}", "1", address)
        for method in operations:
            answer = Client().generic(method.upper(), address, "{}", content_type="application/json")
            assert answer.status_code == 401, (method, address)
            tried += 1
    assert tried >= 18
