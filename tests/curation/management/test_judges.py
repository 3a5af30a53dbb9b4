"""The report per judge by command and by API: the figures of the page, with their intervals or the reason why not."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Candidate, Pair
from curation.judges import judge_reports

pytestmark = pytest.mark.django_db


def told(*arguments):
    output = io.StringIO()
    call_command("judges", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def judged(project, make_pair, alice, say, answer):
    """Four pairs on which a person prefers the first and the judge is right, wrong, inconsistent and silent."""
    made = []
    for both in ("AB", "BA", "AA", "NN"):
        pair = make_pair()
        for candidate, polarity in ((pair.first, "better"), (pair.second, "worse")):
            Candidate.objects.filter(pk=candidate.pk).update(strategy="prefix", polarity=polarity)
        say(alice, pair, "first")
        answer(pair, both)
        made.append(pair)
    answer(made[0], "BA", injection="override", into="second")


def test_the_command_tells_every_figure_and_why_one_is_missing(project, judged):
    text = told("--project", project.slug)
    assert "m · oracle-1: 4 pairs, 4 questions in both orders" in text
    assert "pairwise                 0.250  0.046 to 0.699   n 4" in text
    assert "best_of_n                –  No prompt has a candidate" in text
    assert "Contrast accuracy, by strategy\n  prefix                   1.000  0.510 to 1.000   n 4" in text


def test_the_command_tells_of_scenarios_where_it_is_asked_to(project, judged):
    Pair.objects.update(tags=["law"])
    assert " tag law: 4 pairs\n  pairwise                 0.250  0.046 to 0.699   n 4" in told(
        "--project", project.slug, "--scenarios"
    )
    assert "law" not in told("--project", project.slug)


def test_page_command_and_api_tell_the_same(project, judged, lead, api):
    [report] = judge_reports(project=project)
    lines = [json.loads(line) for line in told("--project", project.slug, "--json").splitlines()]
    answered = api(lead).get(f"/api/v1/projects/{project.slug}/judges").json()
    assert lines == [*answered["judges"], *answered["strategies"]]
    figures = lines[0]["figures"]
    assert figures["pairwise"]["value"] == report.pairwise.value == 0.25
    assert (figures["pairwise"]["low"], figures["pairwise"]["high"]) == report.pairwise.interval
    assert set(figures) >= {"kappa", "agreement", "order_consistency", "first_place", "longer", "flip_rate_override"}
    assert figures["best_of_n"] == {"value": None, "reason": report.best_of_n.reason, "n": 0}
    assert lines[1]["strategy"] == "prefix"


def test_without_judges_it_says_so_and_a_project_must_be_there(project):
    assert "No judge has answered" in told("--project", project.slug)
    with pytest.raises(CommandError, match="nothing-here"):
        told("--project", "nothing-here")
