"""The agreement report: the finding in words, coefficients, parts, and the pairs that divide people."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse

from annotation.models import Run
from curation import measuring

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(project, lead, sign_in):
    def fetch():
        answer = sign_in(lead).get(reverse("agreement_report", args=[project.slug]))
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", unescape(answer.content.decode()))

    return fetch


def judge(make_pair, say, people, differ, n=60, **fields):
    one, other = people
    for place in range(n):
        pair = make_pair(slots=0, tags=["code" if place % 2 else "prose"], **fields)
        said, against = ("first", "second") if place % 4 < 2 else ("second", "first")
        say(one, pair, said)
        say(other, pair, against if place < differ else said)


def heading(shown):
    return re.sub(r"<[^>]+>", "", shown[shown.index("<h1") : shown.index("</h1>")])


def test_the_finding_says_what_the_interval_allows(page, project, make_pair, say, alice, bob):
    judge(make_pair, say, (alice, bob), differ=0)
    measuring.measure_agreement(project=project, bootstrap=200)
    said = heading(page())
    assert "People agree at alpha 1.00 (1.00–1.00), enough to rely on single verdicts." in said
    assert "say the same 100 % of the time" in said


def test_low_agreement_is_called_so(page, project, make_pair, say, alice, bob):
    judge(make_pair, say, (alice, bob), differ=30)
    measuring.measure_agreement(project=project, bootstrap=200)
    shown = page()
    assert "too little to rely on single verdicts" in heading(shown)
    assert re.search(r"Gwet's AC1.*?n|AC1", shown)
    assert "120 judgements of 60 pairs by 2 people" in shown


def test_parts_and_the_pairs_that_divide_are_shown_and_linked(page, project, make_pair, say, alice, bob):
    judge(make_pair, say, (alice, bob), differ=6)
    measuring.measure_agreement(project=project, bootstrap=50)
    shown = page()
    assert "By tag" in shown
    assert re.search(r"<bdi>code</bdi>.*?30", shown)
    assert "By week" not in shown
    worst = project.pairs.order_by("pk").first()
    assert reverse("board_pair", args=[project.slug, worst.pk]) in shown
    assert shown.count("0 %</b> of 2 judgements") == 6


def test_a_part_that_cannot_be_said_shows_why(page, project, make_pair, say, alice, bob):
    """In words that everybody can read, not in a title that only a mouse finds."""
    judge(make_pair, say, (alice, bob), differ=6)
    for _ in range(3):
        say(alice, make_pair(slots=0, tags=["alone"]), "first")
    measuring.measure_agreement(project=project, bootstrap=50)
    shown = page()
    assert re.search(r'<bdi>alone</bdi>.*?<small class="sub">No item has two labels.</small>', shown)
    assert "title=" not in shown[shown.index('id="t-tag"') :]


def test_without_overlap_it_says_why(page, project, make_pair, say, alice):
    say(alice, make_pair(slots=0), "first")
    measuring.measure_agreement(project=project)
    assert "How far people agree cannot be said yet: No item has two labels." in heading(page())


def test_without_a_measurement_a_button_asks_for_one_run(page, project, lead, sign_in):
    assert "Agreement has not been measured here yet." in page()
    client = sign_in(lead)
    for _ in range(2):
        assert client.post(reverse("agreement_report", args=[project.slug])).status_code == 302
    assert Run.objects.get().parameters["measure"] == "agreement"


def test_a_run_from_before_there_were_parts_is_shown(page, project, make_pair, say, alice, bob):
    judge(make_pair, say, (alice, bob), differ=3, n=10)
    run = measuring.measure_agreement(project=project, bootstrap=0)
    Run.objects.filter(pk=run.pk).update(result={key: value for key, value in run.result.items() if key != "by"})
    run.measurements.filter(metric="gwet_ac1").delete()
    assert "People agree at alpha" in heading(page())
