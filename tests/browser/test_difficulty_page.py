"""The difficulty report in a real browser: empty and full, in every look, axe-core content with each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from curation.measuring import DifficultyRequest
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LONG, LOOKS
from tests.curation.trained import trained

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", LOOKS)
def test_difficulty_empty_and_full(
    enter: Any, lead: Any, project: Any, make_pair: Any, complaints: list[str], look: str
) -> None:
    page = enter(lead, reverse("difficulty", args=["everyday"]), **LOOKS[look])
    page.get_by_role("heading", name="Difficulty has not been measured here yet.").wait_for()
    is_sound(page)
    for n in range(40):
        make_pair(prompt=f"{LONG} {n}" if n % 2 else "", first=LONG * 6 if n % 3 else "", slots=0, label="first")
    asked = DifficultyRequest(model=LONG, preference="source", seeds="41,42", checkpoints=1)
    draw = np.random.default_rng(3)
    base = draw.normal(0.68, 0.02, 40)
    trained(project, asked, lambda n: base + draw.normal(0, 0.01, n))
    page.reload()
    page.get_by_role("heading", name="The ten hardest").wait_for()
    assert page.get_by_role("img", name="Histogram of the held-out loss of 40 pairs").is_visible()
    is_sound(page)
    assert complaints == []
