"""The aggregation report in a real browser: changed answers can be read in every look, and a confusion is opened."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Annotator, Assignment, Judgement
from curation import measuring
from curation.measuring import AggregationRequest
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LONG, LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", LOOKS)
def test_changed_answers_and_a_confusion(
    enter: Any, lead: Any, project: Any, make_pair: Any, complaints: list[str], look: str
) -> None:
    crowd = [
        Annotator.objects.create(project=project, name=f"{number} {LONG}", external_id=str(number))
        for number in range(7)
    ]
    for place in range(40):
        pair = make_pair(prompt=f"{LONG} {place}", slots=0)
        for number, who in enumerate(crowd):
            # Three are right; four answer at random, and outvote them on the last eight.
            is_right = number < 3 or (place < 32 and (place // 2 + number) % 2 == 0)
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()
            )
            Judgement.objects.create(
                assignment=seat,
                annotator=who,
                key=uuid.uuid4(),
                verdict="prefer",
                strength=1 if is_right != bool(place % 2) else -1,
                swapped=False,
            )
    measuring.measure(project=project, asked=AggregationRequest(bootstrap=50))
    page = enter(lead, reverse("aggregation_report", args=["everyday"]), **LOOKS[look])
    page.get_by_role("heading", name="Pairs whose answer changes").wait_for()
    changed = page.locator(".changed li")
    assert changed.count() == 8
    # A link is one line, not one letter under the other.
    assert page.locator(".changed a").first.bounding_box()["height"] <= 30
    is_sound(page)
    first = page.locator(".erring details").first
    assert not first.locator("table").is_visible()
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    first.locator("table").wait_for()
    is_sound(page)
    assert complaints == []
