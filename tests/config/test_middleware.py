"""One line per request, without secrets; headers; nothing kept by caches."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from annotation.signing_in import make_sign_in_link
from tests.conftest import PASSWORD


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr("config.middleware.log", structlog.get_logger("test"))
        yield captured


def test_one_line_with_what_an_operator_needs(alice: Any, sign_in: Any, lines: Any) -> None:
    sign_in(alice).get("/account?q=private+words")
    (line,) = lines
    assert (line["method"], line["path"], line["status"], line["account"]) == (
        "GET",
        "/account",
        200,
        str(alice.user.pk),
    )
    assert line["ms"] > 0
    assert "private" not in str(line)


def test_tokens_never_reach_the_log(alice: Any, client: Any, lines: Any) -> None:
    token = make_sign_in_link(user=alice.user)
    client.get(f"/enter/{token}/")
    client.get(f"/join/{token}/")
    client.post(f"/enter/{token}/")
    assert [line["path"] for line in lines] == ["/enter/…", "/join/…", "/enter/…"]
    assert token not in str(lines)


def test_drafts_are_not_worth_a_line(client: Any, db: None, lines: Any) -> None:
    client.post("/p/everyday/judge/draft")
    client.get("/static/tokens.css").close()
    assert lines == []


def test_who_only_looks_makes_no_session(client: Any, db: None) -> None:
    client.get("/accounts/signup/")
    assert "plumbline" not in client.cookies


def test_pages_are_kept_by_no_cache_and_static_files_are(alice: Any, sign_in: Any) -> None:
    client = sign_in(alice)
    assert "no-store" in client.get("/account").headers["Cache-Control"]
    assert "no-store" in client.get("/health").headers["Cache-Control"]


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(alice: Any, client: Any) -> None:
    client.get("/accounts/login/")
    client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    for name in ("plumbline", "plumbline_csrf"):
        assert client.cookies[name]["httponly"], name
        assert client.cookies[name]["samesite"] == "Lax", name


def test_every_page_has_a_nonce_of_its_own(client: Any, db: None) -> None:
    policies = {client.get("/accounts/login/").headers["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3
    assert all("script-src 'nonce-" in policy and "style-src 'self';" in policy + ";" for policy in policies)
