"""The pages in every language: sound at every width, scripts speak it too, and what is judged stays as it is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotation.guiding import Entry, publish_guideline
from annotation.marking_gold import Gold, mark_gold
from annotation.models import Judgement, Pair, User
from tests.browser.sitting import JUDGE, as_read, go_offline, has_read, press_and_go_on, soon
from tests.browser.test_pages import faults
from tests.lineups import answers, rank
from tests.machines import explain, seat_of, turn_on
from tests.verdicts import claim, send
from tests.verdicts import shown as sent

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TRANSLATED = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
WIDTHS = [(1440, 900), (768, 1024), (320, 640)]
# By the names of their addresses, with the project where they are of one.
OTHER_PAGES = [
    *((name, "everyday") for name in ("answers", "answer", "training", "guideline", "guideline_version", "reasons")),
    *((name,) for name in ("account", "account_token", "account_change_password", "account_logout")),
    *((name,) for name in ("account_reauthenticate", "mfa_index", "projects")),
]


def in_language(enter: Any, who: Any, language: str, path: str | None = None, **options: Any) -> Page:
    """A browser that asks for this language."""
    page: Page = enter(who, path, locale=language, **options)
    return page


@pytest.fixture
def full(project: Any, make_pair: Any, alice: Any) -> Any:
    """A project that asks for everything that it can, with texts in other languages than the page's."""
    entries = [Entry(short=name, text="Be so.") for name in ("Correct", "Kind")]
    publish_guideline(project=project, text="## Read\n\nBe fair.", principles=entries)
    has_read(alice)
    type(project).objects.update(votes_policy="all")
    for n in range(4):
        as_read(make_pair(prompt=f"Say hello {n}", first="مرحبا بك", second="Hello **you**\n\n```\nx = 1\n```"))
    return project


def sound(page: Page, name: str) -> None:
    """Longer words fit at every width; the rest of a page's looks does not hang on the language."""
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} {width}: {wide} px wider than the window"
    assert faults(page) == [], name


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_judging_page_speaks_the_language_and_stays_sound(enter: Any, alice: Any, full: Any, language: str) -> None:
    page = in_language(enter, alice, language, JUDGE)
    expect(page.locator("html")).to_have_attribute("lang", language)
    sound(page, "judging")
    for key, place in (("?", "#shortcuts"), ("g", "#guideline")):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.keyboard.press(key)
        expect(page.locator(place)).to_be_visible()
        page.wait_for_load_state("networkidle")
        sound(page, place)
        page.keyboard.press("Escape")


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_other_pages_of_an_annotator_are_sound_in_it(enter: Any, alice: Any, full: Any, language: str) -> None:
    """With one answer given, a machine's reason for it, and a training example: no page is empty."""
    type(full).objects.update(allow_edits=True, shows_results=True)
    turn_on(full)
    explain(Pair.objects.earliest("rank"), "first", "It is short.")
    explain(Pair.objects.earliest("rank"), "second", "It is short.")
    answered = claim(alice)
    send(seat_of(alice), sent(answered, text="Why it is better."))
    example = Gold(verdict="second", use="example", why="B says why.", pair=Pair.objects.latest("rank").pk)
    mark_gold(project=full, gold=[example])
    page = in_language(enter, alice, language)
    for name, *arguments in OTHER_PAGES:
        given = {"answer": [answered], "guideline_version": [1]}.get(name, [])
        page.goto(reverse(name, args=[*arguments, *given]))
        expect(page.locator("html")).to_have_attribute("lang", language)
        # From the outer ones in: what was opened is no longer among those that are closed.
        closed = page.locator("main details:not([open]) > summary")
        while closed.count():
            closed.first.click()
        sound(page, name)
    stranger = in_language(enter, None, language)
    for path in ("/accounts/login/", "/join/none", "/accounts/password/reset/"):
        stranger.goto(path)
        sound(stranger, path)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_pages_of_rankings_are_sound_in_it(enter: Any, alice: Any, ranking_project: Any, language: str) -> None:
    for n in range(2):
        answers(ranking_project, 4, text=f"What is harbour {n} for?")
    turn = rank(seat_of(alice), 1, 2, 3, None).turn_id
    page = in_language(enter, alice, language)
    for path in ("rank", "rankings", f"rankings/{turn}"):
        page.goto(f"/p/everyday/{path}")
        expect(page.locator("html")).to_have_attribute("lang", language)
        sound(page, path)
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    sound(page, "its keys")


def test_the_language_of_the_page_is_not_that_of_the_candidates(enter: Any, alice: Any, full: Any) -> None:
    """`lang` and `dir` of every text, and every letter of it, are the same in both languages."""
    texts = """[...document.querySelectorAll('[data-slot], [data-slot] .text, [data-slot] [dir]')]
      .map(n => [n.lang, n.getAttribute('dir'), n.className, n.textContent])"""
    english = enter(alice, JUDGE)
    told = english.evaluate(texts)
    english.context.close()
    assert in_language(enter, alice, "de", JUDGE).evaluate(texts) == told
    assert ["", "rtl", "text", "مرحبا بك"] in told


def test_scripts_speak_german_with_the_right_plurals(enter: Any, alice: Any, full: Any) -> None:
    type(full).objects.update(votes_policy="off")
    page = in_language(enter, alice, "de", JUDGE)
    expect(page.locator("[data-line]")).to_have_text("Was ist insgesamt besser?")
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_have_text("Wählen Sie zuerst eine Antwort")
    page.keyboard.press("2")
    expect(page.locator("[data-line]")).to_have_text("A besser")
    page.keyboard.press("r")
    page.keyboard.type("Ein")
    expect(page.locator("[data-words]")).to_have_text("1 Wort")
    page.keyboard.type(" Grund")
    expect(page.locator("[data-words]")).to_have_text("2 Wörter")
    expect(page.locator("[data-save-text]")).to_have_text("Gespeichert")
    press_and_go_on(page, "Control+Enter")
    expect(page.locator("[data-echo-text]")).to_have_text("Gespeichert: A besser · 2 Wörter")
    expect(page.locator("[data-live]")).to_contain_text("Paar 2")
    go_offline(page)
    page.keyboard.press("7")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: hier aufgehoben, 1 wartet")
    page.context.set_offline(False)
    page.keyboard.press("?")
    page.locator(".own-keys summary").click()
    expect(page.locator("[data-remap=diff]")).to_have_attribute("aria-label", "Wörter vergleichen: d. Ändern")
    soon(lambda: Judgement.objects.count() == 1)


def test_a_member_changes_the_language_and_it_follows_to_the_judging_page(enter: Any, alice: Any, full: Any) -> None:
    page = enter(alice, "/account")
    page.get_by_label("Language of the pages").select_option("de")
    page.get_by_role("button", name="Use this language").click()
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    assert User.objects.get(pk=alice.user_id).language == "de"
    page.goto(JUDGE)
    expect(page.get_by_role("button", name=re.compile("Senden"))).to_be_visible()
    page.goto("/account")
    page.get_by_label("Sprache der Seiten").select_option("en-gb")
    page.get_by_role("button", name="Diese Sprache verwenden").click()
    expect(page.get_by_role("heading", name="Signing in")).to_be_visible()


def test_who_is_not_signed_in_chooses_with_the_keyboard(enter: Any, db: None) -> None:
    page = enter(None, "/accounts/login/")
    page.get_by_role("button", name="Deutsch").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    assert page.get_by_role("button", name="Deutsch").get_attribute("aria-current") == "true"
