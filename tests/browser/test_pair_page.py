"""One pair by its own address, with everything that was said of it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Annotator, Assignment, Judgement, Principle, PrincipleVote, Prompt, Rationale
from curation import gathering
from tests.browser.sitting import as_read
from tests.browser.test_pages import LOOKS, cut_off, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "It kept to the limits that were given. " * 6 + "Donaudampfschifffahrtsgesellschaftskapitän" * 4


@pytest.fixture
def said(project: Any, make_pair: Any) -> Any:
    """A pair of several turns, judged with long reasons by people with long names, with votes and no judgement too."""
    pair = make_pair(external_id="p-" + "1" * 40, slots=0)
    turns = [("user", "Good day."), ("assistant", "Good day to you."), ("user", "What is two and two?")]
    Prompt.objects.filter(pk=pair.prompt_id).update(messages=[{"role": r, "content": text} for r, text in turns])
    pair.prompt.refresh_from_db()
    as_read(pair)
    principle = Principle.objects.create(project=project, key="k", short="Does what was asked", text=".")
    for n, strength in enumerate((3, -1, None)):
        who = Annotator.objects.create(project=project, name=f"Wilhelmine Amalie Charlotte {n}", external_id=f"w{n}")
        PrincipleVote.objects.create(pair=pair, annotator=who, principle=principle, vote="first")
        if strength is None:
            continue
        seat = Assignment.objects.create(project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now())
        judgement = Judgement.objects.create(
            assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
        )
        Rationale.objects.create(pair=pair, annotator=who, judgement=judgement, source="human", text=LONG)
    gathering.gather_facts(project=project)
    return pair


@pytest.mark.parametrize("look", LOOKS)
def test_a_pair_fits_every_window_with_all_that_was_said_of_it(enter: Any, lead: Any, said: Any, look: str) -> None:
    page = enter(lead, f"/p/everyday/board/pairs/{said.pk}", **LOOKS[look])
    assert page.locator(".turn__who").all_inner_texts() == ["Person", "Assistant"]
    assert page.locator(".judg").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert cut_off(page) == []
    assert faults(page) == []


def test_who_spoke_is_set_apart_from_what_was_said(enter: Any, lead: Any, said: Any) -> None:
    page = enter(lead, f"/p/everyday/board/pairs/{said.pk}")
    sizes = "of => parseFloat(getComputedStyle(document.querySelector(of)).fontSize)"
    assert page.evaluate(sizes, ".turn__who") < page.evaluate(sizes, ".turns .text")
    assert page.evaluate("() => parseFloat(getComputedStyle(document.querySelector('.turn + .turn')).marginTop)") > 4
