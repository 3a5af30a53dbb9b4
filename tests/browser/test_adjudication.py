"""Adjudication in a real browser: keys, words that are kept, formulas, long and right-to-left texts, axe-core."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Annotator, Assignment, Judgement, Rationale
from curation import gathering
from curation.models import Adjudication, Ruling
from tests.browser.test_pages import LONG, LOOKS, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ADDRESS = "/p/everyday/adjudication"
ARABIC = "ما هي عاصمة فرنسا؟ " * 4
FORMULA = "The area is $\\frac{1}{2}ab$.\n\n- one\n- two\n\n```python\nprint('" + "x" * 120 + "')\n```"


@pytest.fixture
def queue(project: Any, make_pair: Any) -> list[Adjudication]:
    """Three pairs that wait: one with formulas, one with long texts, one from right to left."""
    crowd = [Annotator.objects.create(project=project, name=f"Person {n}", external_id=f"a{n}") for n in range(3)]
    pairs = [
        make_pair(slots=0, prompt="How large is it?", first=FORMULA, second="It is half of the product."),
        make_pair(slots=0, prompt=f"{LONG} " * 12, first=f"{LONG} and more. " * 30, second="Short."),
        make_pair(slots=0, prompt=ARABIC, first=ARABIC * 4, second=ARABIC * 2),
    ]
    for n, pair in enumerate(pairs):
        for who, strength in zip(crowd, (2, -3, (1, -1, 2)[n]), strict=True):
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()
            )
            said = Judgement.objects.create(
                assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
            )
            if who is not crowd[2]:
                why = Rationale.objects.create(
                    pair=pair, annotator=who, judgement=said, text=(LONG, ARABIC)[n == 2], tags=["correct"]
                )
                why.spans.create(candidate=pair.first, start=0, end=12, polarity="hurts")
    gathering.gather_facts(project=project)
    return [Adjudication.objects.create(project=project, pair=pair) for pair in pairs]


def test_pairs_are_settled_with_the_keyboard(enter: Any, adjudicator: Any, queue: list[Adjudication]) -> None:
    page = enter(adjudicator, ADDRESS)
    page.locator(".math .katex").first.wait_for()
    page.keyboard.press("9")
    assert page.get_by_label("What does the guideline leave unclear?").is_visible()
    page.keyboard.press("6")
    assert page.locator("[value=second]").is_checked()
    assert not page.get_by_label("What does the guideline leave unclear?").is_visible()
    page.keyboard.press("r")
    page.keyboard.type("Half of it, 1 of 2.")
    page.reload()
    assert page.locator("#reason").input_value() == "Half of it, 1 of 2.", "What was begun is kept in the tab."
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    page.get_by_text(f"Pair {queue[0].pair_id}: second is better.").wait_for()
    ruling = Ruling.objects.get()
    assert (ruling.outcome, ruling.reason) == ("second", "Half of it, 1 of 2.")
    page.keyboard.press("s")
    page.get_by_role("heading", name=f"Pair {queue[2].pair_id}").wait_for()
    page.keyboard.press("u")
    page.get_by_text(f"Pair {queue[0].pair_id} waits again.").wait_for()
    assert page.locator("#reason").input_value() == "Half of it, 1 of 2."
    assert page.locator("[value=second]").is_checked()


def test_an_adjudicator_finds_the_page_from_wherever_they_come_in(
    enter: Any, adjudicator: Any, queue: list[Adjudication]
) -> None:
    page = enter(adjudicator, "/")
    assert faults(page) == []
    page.get_by_role("link", name="Adjudication in Everyday help, 3 pairs wait").click()
    page.get_by_role("heading", name=f"Pair {queue[1].pair_id}").or_(
        page.get_by_role("heading", name=f"Pair {queue[0].pair_id}")
    ).wait_for()
    page.get_by_role("link", name="Judge", exact=True).click()
    page.locator(".account").click()
    assert faults(page) == []
    page.locator("#menu-account").get_by_role("link", name="Adjudication").click()
    page.wait_for_url(f"**{ADDRESS}")
    page.get_by_role("navigation", name="Your account").get_by_role("link").click()
    assert faults(page) == []
    page.get_by_role("link", name="Adjudication", exact=True).click()
    page.wait_for_url(f"**{ADDRESS}")


def test_the_page_is_sound_with_every_kind_of_text(enter: Any, lead: Any, queue: list[Adjudication]) -> None:
    for look, options in LOOKS.items():
        for one in queue:
            page = enter(lead, f"{ADDRESS}?at={one.pk}", **options)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"pair {one.pair_id}, {look}: {wide} px wider than the window"
            assert faults(page) == [], look


def test_without_javascript_a_form_settles(enter: Any, lead: Any, queue: list[Adjudication]) -> None:
    page = enter(lead, ADDRESS, java_script_enabled=False, watched=False)
    page.get_by_text("The guideline is unclear").check()
    page.get_by_label("What does the guideline leave unclear?").fill("Which unit?")
    page.get_by_role("button", name="Settle").click()
    assert Ruling.objects.get().note == "Which unit?"
    assert page.get_by_text("Which unit?").is_visible()


def test_the_drawer_of_the_board_sets_formulas(enter: Any, lead: Any, queue: list[Adjudication]) -> None:
    page = enter(lead, f"/p/everyday/board/pairs/{queue[0].pair_id}")
    page.locator(".math .katex").first.wait_for()
    page = enter(lead, "/p/everyday/board")
    page.locator("#board[data-live]").wait_for()
    page.locator(f'tr[data-pair="{queue[0].pair_id}"] a').first.click()
    page.locator("#drawer .math .katex").first.wait_for()
