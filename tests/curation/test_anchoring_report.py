"""The report of anchoring: who sees it, and what it says in words."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse

from annotation.models import Run
from curation.measuring import AnchoringRequest
from curation.measuring.anchoring import Cases, effects
from curation.models import Measurement
from curation.reports import anchoring as report
from curation.reports.index import entries
from tests.curation.finished import finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(project, lead, sign_in):
    def fetch():
        answer = sign_in(lead).get(reverse("anchoring", args=[project.slug]))
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", unescape(answer.content.decode()))

    return fetch


def measured(project, *, offered=0.4, control=0.1, n=300, shorter=0.0):
    """A finished run over planted cases."""
    run = finished(
        project,
        finished_at="2026-11-21T12:00Z",
        parameters=AnchoringRequest(bootstrap=200).as_parameters(),
        result={
            "offers": n,
            "controls": n // 2,
            "opened": n // 2,
            "opened_before_the_next": n // 4,
            "judgements_after_a_reason": 3,
            "sources": [{"model": "stork", "template": "general-1", "accepted": 9, "edited": 4, "rejected": 2}],
        },
    )
    rng = np.random.default_rng(1)
    is_control = np.arange(n) % 2 == 1
    nothing = np.zeros(n, dtype=bool)
    cases = Cases(
        number=np.arange(n),
        is_control=is_control,
        opened=nothing,
        opened_first=nothing,
        changed=(rng.random(n) < np.where(is_control, control, offered)).astype(float),
        agrees=(rng.random(n) < 0.5).astype(float),
        length=rng.normal(100, 10, size=n) - np.where(is_control, 0, shorter),
    )
    Measurement.objects.bulk_create(effects(run, cases, AnchoringRequest(bootstrap=200)))
    few = {"value": None, "reason": "Not enough data: 15 of at least 20 reactions.", "n": 15}
    choices = {one: {"count": count, **few} for one, count in (("accepted", 9), ("edited", 4), ("rejected", 2))}
    Measurement.objects.create(
        run=run, metric="reaction_rate", reason=few["reason"], n=15, detail={"choices": choices, "median_seconds": 6.4}
    )
    Measurement.objects.create(run=run, metric="edit_size", value=0.2, low=0.1, high=0.3, n=4)
    return run


def heading(page):
    return re.sub(r"<[^>]+>", "", page[page.index("<h1") : page.index("</h1>")])


def test_it_is_for_leads_only(project, alice, stranger, sign_in):
    for who in (alice, stranger):
        assert sign_in(who).get(reverse("anchoring", args=[project.slug])).status_code == 404


def test_before_it_was_measured_it_says_what_it_would_and_offers_to_measure(project, lead, sign_in, shown):
    assert "Anchoring has not been measured here yet." in heading(shown())
    assert "turn it on in the settings" in shown()
    sign_in(lead).post(reverse("anchoring", args=[project.slug]))
    assert Run.objects.get().parameters["measure"] == "anchoring"


def test_a_change_is_said_with_its_size(project, shown):
    measured(project, shorter=40)
    said = heading(shown())
    assert re.search(r"more answers are changed \(\+\d+\.\d points\)", said)
    assert "the next own reason is shorter (−40 characters)" in said or re.search(r"shorter \(−\d+ characters\)", said)
    assert "follows the machines" not in said
    [found] = [one.finding for one in entries(project) if one.report.key == "anchoring"]
    assert found == said


def test_no_change_is_said_with_its_room(project, shown):
    measured(project, offered=0.1)
    assert heading(shown()).startswith("No change by machine reasons is seen. The change of answers lies between")


def test_too_few_is_said_as_such(project, shown):
    measured(project, n=40)
    page = shown()
    assert "cannot be said yet: Not enough data: 20 of at least 30 cases in the arm offered." in heading(page)
    assert page.count("not enough data") == 3
    assert "Not enough data: 15 of at least 20 reactions." in page


def test_numbers_of_both_arms_and_where_reasons_came_from_stand_there(project, shown):
    run = measured(project)
    page = shown()
    line = report.report(run=run).lines[0]
    assert f"Offered {line.offered}, control {line.control}" in page
    assert "150 · 150" in page
    assert "stork" in page
    assert "general-1" in page
    assert "Of the others 100 % were opened, 50 % before the next answer was given." in page
