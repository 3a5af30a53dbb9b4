"""The report of representativeness in a real browser: empty, full, refused; every look, axe-core content with each."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Annotator, Assignment, Judgement
from curation import declaring, measuring
from curation.measuring import RepresentativenessRequest
from tests.browser.sitting import soon
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LONG, LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", LOOKS)
def test_representativeness_empty_and_full(
    enter: Any, lead: Any, project: Any, make_pair: Any, complaints: list[str], tmp_path: Path, look: str
) -> None:
    page = enter(lead, reverse("representativeness", args=["everyday"]), **LOOKS[look])
    page.get_by_role("heading", name="Whom the people stand for has not been measured here yet.").wait_for()
    is_sound(page)
    # The row of tabs is wider than a small screen: the open one is brought into sight.
    viewport: Any = LOOKS[look]["viewport"]
    tab, width = page.locator(".tabs [aria-current]"), viewport["width"]
    soon(lambda: (box := tab.bounding_box())["x"] >= 0 and box["x"] + box["width"] <= width)
    people = [Annotator.objects.create(project=project, name=f"{LONG} {n}", external_id=str(n)) for n in range(24)]
    names = [LONG[:58], "of middle age", "ältere Menschen", "70+"]
    said = {one.external_id: {"age": names[n % 3], LONG[:50]: names[n % 2]} for n, one in enumerate(people)}
    declared = tmp_path / "declared.json"
    declared.write_text(json.dumps(said))
    declaring.declare(project=project, path=declared)
    for n in range(12):
        pair = make_pair(slots=0)
        for one in people[n % 2 :: 2]:
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=one, priority=0, done_at=timezone.now()
            )
            Judgement.objects.create(
                assignment=seat,
                annotator=one,
                key=uuid.uuid4(),
                verdict="prefer",
                strength=1 if one.pk % 3 else -1,
                swapped=False,
            )
    target = {"age": dict.fromkeys(names, 1), LONG[:50]: {names[0]: 1, names[1]: 4}}
    asked = RepresentativenessRequest(target=json.dumps(target, ensure_ascii=False))
    measuring.measure(project=project, asked=asked)
    page.reload()
    page.get_by_role("heading", name="All attributes together").wait_for()
    is_sound(page)
    page.get_by_text("Measure again, or against another target").click()
    box = page.get_by_role("textbox", name="Target")
    assert '"of middle age": 1' in box.input_value()
    is_sound(page)
    box.fill("{")
    page.get_by_role("button", name="Measure again").click()
    page.get_by_text("The target cannot be read as JSON").wait_for()
    assert page.get_by_role("textbox", name="Target").input_value() == "{"
    is_sound(page)
    assert complaints == []
