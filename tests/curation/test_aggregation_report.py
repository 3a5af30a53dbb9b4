"""The report of aggregation: what changes comes first, who errs how, how models score; and asking for it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse

from annotation.models import Candidate, Run
from curation import measuring
from curation.measuring import AggregationRequest
from curation.reports.index import entries

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(project, lead, sign_in):
    def fetch(query=""):
        answer = sign_in(lead).get(reverse("aggregation_report", args=[project.slug]) + query)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", re.sub(r"</?(b|bdi|span|small)\b[^>]*>", "", unescape(answer.content.decode())))

    return fetch


@pytest.fixture
def measured(project, make_pair, say, alice, bob, adjudicator, lead, crowd):
    """Sixty pairs on which Alice, Bob and Ada agree; on ten more they are outvoted by four who answer at random."""

    def measure(**settings):
        for place in range(70):
            pair = make_pair(slots=0, prompt=f"Asked {place}")
            right, wrong = ("second", "first") if place % 2 else ("first", "second")
            for who in (alice, bob, adjudicator):
                say(who, pair, right)
            for number, who in enumerate((lead, *crowd)):
                says = wrong if place >= 60 or (place // 2 + number) % 2 else right
                say(who, pair, says)
        return measuring.measure(project=project, asked=AggregationRequest(bootstrap=50, **settings))

    return measure


def heading(page):
    return page[page.index("<h1") : page.index("</h1>")]


def test_without_a_measurement_it_says_how_to_start_one_and_the_button_does(project, lead, sign_in, shown):
    page = shown()
    assert "What the answers add up to has not been measured here yet." in heading(page)
    assert "manage.py measure aggregation --project everyday" in page
    assert "Measure aggregation" in page
    address = reverse("aggregation_report", args=[project.slug])
    # A run that waits is enough.
    Run.objects.create(
        project=project, kind="measurement", code_version="t", parameters=AggregationRequest().as_parameters()
    )
    assert sign_in(lead).post(address).status_code == 302
    assert Run.objects.filter(parameters__measure="aggregation").count() == 1
    assert "measures it; the page shows it when it is done" in shown()


def test_the_button_asks_for_the_whole_project(project, lead, sign_in):
    address = reverse("aggregation_report", args=[project.slug])
    assert sign_in(lead).post(address).status_code == 302
    run = Run.objects.get(parameters__measure="aggregation")
    assert (run.parameters["whole"], run.started_by) == (True, lead.user)


def test_what_changes_comes_first_and_the_pairs_are_named_with_their_votes(measured, shown, project):
    run = measured()
    page = shown()
    assert "Dawid and Skene gives 10 of 70 pairs (14.3 %) another answer than most votes." in heading(page)
    changed = page[page.index("Pairs whose answer changes") : page.index("Annotators</h2>")]
    assert changed.count("<li>") == 10
    assert {int(one) for one in re.findall(r"Asked (\d+)", changed)} == set(range(60, 70))
    assert "second → first" in changed
    assert "votes: first 3, second 4" in changed
    assert f"Run {run.pk}, code" in page
    [entry] = [one for one in entries(project) if one.report.key == "aggregation"]
    assert entry.finding == "Dawid and Skene gives 10 of 70 pairs another answer than most votes."


def test_everybody_is_told_with_what_their_answers_become(measured, shown):
    measured(by="majority_vote,dawid_skene,glad")
    page = shown()
    one = page[page.index(">Alice") : page.index("</li>", page.index(">Alice"))]
    assert "n 70" in one
    assert re.search(r"Right</dt> <dd> 100\.0 %", one)
    assert "GLAD’s ability" in one
    assert re.search(r"First</th> <td class=\"num\">100 %</td> <td class=\"num\">0 %</td>", one)
    # Nothing was tied, so what becomes of a tie rests on nothing.
    assert re.search(r"Tie</th> <td colspan=\"4\">not enough data</td>", one)


def test_few_labels_and_no_models_are_said(project, make_pair, say, alice, bob, shown):
    for _ in range(3):
        pair = make_pair(slots=0)
        Candidate.objects.filter(prompt=pair.prompt).update(model="")
        say(alice, pair, "first")
        say(bob, pair, "first")
    measuring.measure(project=project, asked=AggregationRequest(bootstrap=0))
    page = shown()
    assert "Not enough data: 3 of at least 30 labels." in page
    assert "No two models were compared" in page
    assert "What each true answer becomes" not in page
    assert "gives 0 of 3 pairs" in heading(page)
    assert "Pairs whose answer changes" not in page


def test_a_project_without_answers_has_a_reason(project, shown):
    measuring.measure(project=project, asked=AggregationRequest())
    assert "What the answers add up to cannot be said yet: There are no labels." in heading(shown())


def test_models_have_scores_and_only_votes_have_their_own_sentence(measured, shown):
    measured(by="majority_vote")
    page = shown()
    assert "Votes were counted, and nothing else" in heading(page)
    scores = page[page.index("Scores of models") : page.index("How it was measured")]
    assert scores.index("canary-") < scores.rindex("canary-")
    assert "log odds" in scores


def test_crowdlab_says_whose_probabilities_and_what_was_left_out(measured, shown, make_pair, answer, oracle, project):
    measured(by="majority_vote")
    for pair in project.pairs.order_by("pk")[:40]:
        answer(pair, "AB")
    asked = AggregationRequest(by="majority_vote,crowdlab", judge=oracle.name, bootstrap=0)
    measuring.measure(project=project, asked=asked)
    page = shown()
    assert "CROWDLAB gives" in heading(page)
    assert f"With the probabilities of {oracle.name}. Left out: 0 pairs on which most votes choose neither, 30 " in page
    one = page[page.index(f"{oracle.name} judge") :]
    assert "CROWDLAB’s quality" in one[: one.index("</li>")]


def test_many_annotators_are_in_pages_with_few_queries(project, lead, sign_in, measured, django_assert_max_num_queries):
    from annotation.models import Annotator
    from curation.models import Measurement

    run = measured()
    many = Annotator.objects.bulk_create(
        Annotator(project=project, name=f"Many {n:03}", external_id=f"many-{n}") for n in range(120)
    )
    Measurement.objects.bulk_create(
        Measurement(run=run, metric="dawid_skene", annotator=who, reason="Not enough data.", n=1) for who in many
    )
    client = sign_in(lead)
    address = reverse("aggregation_report", args=[project.slug])
    with django_assert_max_num_queries(30):
        page = client.get(address).content.decode()
    assert "1 to 50 of 127" in page
    assert "101 to 127 of 127" in client.get(address + "?page=3").content.decode()


def test_only_leads_see_it(project, alice, stranger, sign_in):
    address = reverse("aggregation_report", args=[project.slug])
    assert sign_in(alice).get(address).status_code in (403, 404)
    assert sign_in(stranger).get(address).status_code == 404
