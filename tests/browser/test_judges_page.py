"""The page on judges in a real browser: empty and full, in every look, axe-core content with each."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from annotation.asking import Answer, Question, ensure_judge, record_answers
from annotation.models import Candidate, Run
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LONG, LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SURE = {"A": (0.9, 0.05, 0.05), "B": (0.05, 0.9, 0.05), "a": (0.09, 0.005, 0.005), "b": (0.005, 0.09, 0.005)}


def answer(run: Run, judge: Any, pair: Any, letters: str, injection: str = "") -> None:
    into = "second" if injection else ""
    answers = [
        Answer(Question(pair.pk, None, bool(swapped), injection, into), *SURE[letter])
        for swapped, letter in enumerate(letters)
    ]
    record_answers(run=run, judge=judge, answers=answers)


@pytest.mark.parametrize("look", LOOKS)
def test_judges_empty_and_full(
    enter: Any, lead: Any, project: Any, make_pair: Any, complaints: list[str], look: str
) -> None:
    page = enter(lead, reverse("judges", args=["everyday"]), **LOOKS[look])
    page.get_by_text("No judge has answered yet.").wait_for()
    is_sound(page)
    run = Run.objects.create(project=project, kind="judging", code_version="test")
    judges = [ensure_judge(project=project, model=name, revision="r", template="oracle") for name in ("m", LONG)]
    for n in range(4):
        pair = make_pair(tags=[LONG[:60], f"tag {n}"], source=LONG if n else "old")
        Candidate.objects.filter(pk=pair.first_id).update(strategy="prefix", polarity="better")
        Candidate.objects.filter(pk=pair.second_id).update(strategy="prefix", polarity="worse")
        for judge in judges:
            letters = "AB" if n else "AA"
            # The second one gives the options a tenth of its first token.
            answer(run, judge, pair, letters if judge == judges[0] else letters.lower())
            answer(run, judge, pair, "AB", "harmless")
            answer(run, judge, pair, "BA", "override")
    page.reload()
    page.get_by_role("heading", name="Under injected text").wait_for()
    expect(page.locator(".say-bad")).to_contain_text("together 10 % of its first token.")
    scenarios = page.locator("details.scenarios")
    expect(scenarios.first.get_by_role("rowheader", name="tag 3 1 pair")).to_be_visible()
    # The second judge's are closed, and open by the keyboard.
    scenarios.last.locator("summary").press("Enter")
    expect(scenarios.last.get_by_role("rowheader", name="tag 3 1 pair")).to_be_visible()
    is_sound(page)
    assert complaints == []
