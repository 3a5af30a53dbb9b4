"""The pages that say what went wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def test_not_found_says_what_to_do_and_never_the_address(client: Any, db: None) -> None:
    answer = client.get("/p/secret-name/<b>nothing</b>")
    assert answer.status_code == 404
    assert b"There is nothing here" in answer.content
    assert b"secret-name" not in answer.content


def test_a_fault_of_ours_is_owned(alice: Any, sign_in: Any, monkeypatch: Any) -> None:
    client = sign_in(alice)
    client.raise_request_exception = False

    def break_down(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr("annotation.views.entrances.has_second_factor", break_down)
    answer = client.get("/account")
    assert answer.status_code == 500
    assert b"Something went wrong here" in answer.content
    assert b"inner secret" not in answer.content


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_page_that_did_not_load_is_asked_for_again_and_nothing_is_sent_twice(
    alice: Any, sign_in: Any, monkeypatch: Any, method: str
) -> None:
    client = sign_in(alice)
    client.raise_request_exception = False

    def break_down(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("annotation.access.membership_for", break_down)
    monkeypatch.setattr("annotation.views.judging.membership_for", break_down)
    answer = getattr(client, method)("/p/everyday/judge").content.decode()
    asked = method == "get"
    assert ("Whatever was called saved is saved." in answer) is asked
    assert ("Nothing was saved." in answer) is not asked
    assert ('href="">Try again' in answer) is asked


def test_a_database_that_is_down_is_503_and_asked_for_nothing_more(alice: Any, sign_in: Any) -> None:
    client = sign_in(alice)
    client.raise_request_exception = False
    asked = []

    def down(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(down):
        answer = client.get("/account")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert b"The database does not answer" in answer.content
    assert len(asked) == 1


def test_a_page_that_was_too_old(alice: Any, sign_in: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(alice).cookies
    answer = client.post("/account/token/revoke")
    assert answer.status_code == 403
    assert b"The page was too old" in answer.content


def test_error_pages_are_the_same_for_everybody(alice: Any, sign_in: Any, client: Any) -> None:
    """They greet nobody by name: what is not there is not there for all."""
    with CaptureQueriesContext(connection):
        page = sign_in(alice).get("/nothing").content
    assert b"Alice" not in page
