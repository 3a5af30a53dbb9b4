"""In which language a page speaks: as was chosen, else as the browser asks, else English."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from annotation.models import User
from config.languages import is_translated
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
COOKIE = settings.LANGUAGE_COOKIE_NAME


def speaks(answer: Any) -> str:
    found = re.search(r'<html lang="([^"]+)"', answer.content.decode())
    assert found, answer.content[:200]
    return found[1]


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("en-US,en;q=0.9,de;q=0.5", "en-gb"),
        ("fr,de;q=0.5", "de"),
        ("fr,xx", "en-gb"),
        ("", "en-gb"),
        ("*", "en-gb"),
        ("de\u00fc;;q=x,,", "en-gb"),
    ],
)
def test_a_page_speaks_as_the_browser_asks_or_english(asked: str, spoken: str) -> None:
    answer = Client(headers={"accept-language": asked}).get("/accounts/login/")
    assert speaks(answer) == spoken
    assert answer["Content-Language"] == spoken
    assert "Accept-Language" in answer["Vary"]
    assert ("Anmelden" in answer.content.decode()) == (spoken == "de")


def test_nobody_elses_thread_goes_on_in_that_language() -> None:
    Client(headers={"accept-language": "de"}).get("/accounts/login/")
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_an_unknown_cookie_counts_for_nothing() -> None:
    client = Client()
    for wrong in ("xx", "../../etc", "de\0", "x" * 5000):
        client.cookies[COOKIE] = wrong
        assert speaks(client.get("/accounts/login/")) == "en-gb"


def test_who_is_not_signed_in_chooses_for_the_browser() -> None:
    client = Client()
    answer = client.post("/language", {"language": "de", "next": "/accounts/login/?next=/account"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/account")
    kept = answer.cookies[COOKIE]
    assert (kept.value, kept["samesite"], bool(kept["httponly"])) == ("de", "Lax", True)
    assert speaks(client.get("/accounts/login/")) == "de"
    client.post("/language", {"language": "xx"})
    assert speaks(client.get("/accounts/login/")) == "en-gb"


@pytest.mark.parametrize("away", ["https://example.org/", "//example.org", "javascript:alert(1)", "\\\\example.org"])
def test_the_choice_leads_nowhere_else(away: str) -> None:
    assert Client().post("/language", {"language": "de", "next": away})["Location"] == "/"


def test_a_choice_is_not_made_by_looking() -> None:
    assert Client().get("/language").status_code == 405


def test_a_choice_needs_the_token_of_a_page_of_ours() -> None:
    assert Client(enforce_csrf_checks=True).post("/language", {"language": "de"}).status_code == 403


def test_a_members_choice_is_theirs_on_every_device(alice: Any, sign_in: Any) -> None:
    desk = sign_in(alice)
    desk.post("/language", {"language": "de", "next": "/account"})
    assert User.objects.get(pk=alice.user_id).language == "de"
    assert speaks(desk.get("/account")) == "de"
    # Another device, on which nothing was chosen: the answer to the sign-in brings the cookie along.
    other = Client()
    other.post("/accounts/login/", {"login": alice.user.email, "password": PASSWORD})
    assert other.cookies[COOKIE].value == "de"
    assert speaks(other.get("/account")) == "de"


def test_a_change_reaches_a_device_that_is_signed_in_already(alice: Any, sign_in: Any) -> None:
    one, other = sign_in(alice), sign_in(alice)
    one.post("/language", {"language": "de"})
    other.get("/account")
    assert speaks(other.get("/account")) == "de"


def test_a_member_can_let_the_browser_decide_again(alice: Any, sign_in: Any) -> None:
    desk = sign_in(alice)
    desk.post("/language", {"language": "de"})
    desk.post("/language", {"language": ""})
    assert User.objects.get(pk=alice.user_id).language == ""
    assert speaks(desk.get("/account")) == "en-gb"


def test_a_language_that_is_not_here_is_refused_with_a_sentence(alice: Any, sign_in: Any) -> None:
    desk = sign_in(alice)
    desk.post("/language", {"language": "xx", "next": "/account"})
    assert User.objects.get(pk=alice.user_id).language == ""
    assert "There is no translation into this language." in desk.get("/account").content.decode()


def test_the_account_page_shows_what_was_chosen(alice: Any, sign_in: Any) -> None:
    desk = sign_in(alice)
    desk.post("/language", {"language": "de"})
    page = desk.get("/account").content.decode()
    assert re.search(r'<option value="de"\s+lang="de"\s+selected>Deutsch</option>', page)


def test_a_health_check_asks_for_no_account(alice: Any, sign_in: Any, django_assert_num_queries: Any) -> None:
    """The language is known without the session: it costs no query, and pages speak when the database does not."""
    desk = sign_in(alice)
    desk.cookies[COOKIE] = "de"
    with django_assert_num_queries(0):
        assert desk.get("/language").status_code == 405


def test_the_pages_of_rankings_speak_it_too(alice: Any, ranking_project: Any, sign_in: Any) -> None:
    desk = sign_in(alice)
    desk.cookies[COOKIE] = "de"
    page = desk.get("/p/everyday/rank")
    assert speaks(page) == "de"
    assert "Noch nichts zu" in page.content.decode()


def test_pages_that_are_not_translated_say_so_and_are_english_throughout(lead: Any, sign_in: Any) -> None:
    desk = sign_in(lead)
    desk.cookies[COOKIE] = "de"
    page = desk.get("/p/everyday/people")
    assert speaks(page) == "en-gb"
    assert page["Content-Language"] == "en-gb"
    assert "Sign out" in page.content.decode()


def test_programs_are_answered_in_english(api: Any, alice: Any, project: Any) -> None:
    client = api(alice)
    answer = client.get("/api/v1/projects?page=x&limit=-1", headers={"accept-language": "de"})
    refused = client.post("/api/v1/projects/everyday/assignments", headers={"accept-language": "de"})
    assert {answer["Content-Language"], refused["Content-Language"]} == {"en-gb"}
    assert client.put("/api/v1/projects", headers={"accept-language": "de"}).json()["detail"].startswith("Method")


def test_every_page_of_an_annotator_is_among_the_translated(client: Client) -> None:
    from django.urls import resolve, reverse

    names: list[tuple[str, list[Any]]] = [
        ("judge", ["x"]),
        ("answers", ["x"]),
        ("answer", ["x", 1]),
        ("training", ["x"]),
        ("guideline", ["x"]),
    ]
    names += [("judge_guideline", ["x"]), ("guideline_version", ["x", 1]), ("acknowledge", ["x"]), ("undo", ["x"])]
    names += [("home", []), ("projects", []), ("account", []), ("account_token", []), ("account_login", [])]
    names += [("account_logout", []), ("mfa_index", []), ("join", ["t"]), ("enter", ["t"]), ("draft", ["x"])]
    for name, arguments in names:
        assert is_translated(resolve(reverse(name, args=arguments)).func), name
    for name in ("overview", "settings", "people", "board", "runs", "guideline_new", "api_project"):
        assert not is_translated(resolve(reverse(name, args=["x"])).func), name
