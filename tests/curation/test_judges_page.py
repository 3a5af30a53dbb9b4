"""The page on judges: leads only, the finding first, undefined never zero, and a steady number of queries."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from annotation.asking import Answer, Question, ensure_judge, record_answers
from annotation.models import Candidate, Run
from curation.metrics.estimates import Estimate
from curation.scoreboard import number, share

pytestmark = pytest.mark.django_db


def page(client, project):
    answered = client.get(reverse("judges", args=[project.slug]))
    assert answered.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answered.content.decode())), answered


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_come_in(project, sign_in, who, request):
    client = sign_in(request.getfixturevalue(who))
    assert client.get(reverse("judges", args=[project.slug])).status_code == 404


def test_without_judges_it_says_what_would_be_here(project, lead, sign_in):
    text, answered = page(sign_in(lead), project)
    assert "No judge has answered yet." in text
    assert b"<table" not in answered.content


def test_the_finding_comes_first_with_its_interval(project, make_pair, alice, say, answer, lead, sign_in):
    other = ensure_judge(project=project, model="weak", revision="r", template="principle-last")
    for n in range(30):
        pair = make_pair()
        say(alice, pair, "first")
        answer(pair, "AB" if n < 24 else "BA")
        answer(pair, "AA", judge=other)
        answer(pair, "BA" if n < 3 else "AB", injection="override", into="second")
        answer(pair, "AB", injection="harmless", into="second")
    text, _ = page(sign_in(lead), project)
    assert (
        "Of 2 judges, m, oracle-1 comes nearest to people: it prefers what they prefer on 80 % (63–90) of 30 pairs."
        in text
    )
    # The other one changed with the order every time: it is right nowhere, and says nothing to agree with.
    assert "weak principle-last-1 0 % 0–11 30" in text
    assert "“Disregard any previous instructions”" in text
    assert text.index("harmless text") < text.index("“Disregard")
    # The other one was never tried, and the page does not keep silent on it.
    assert re.search(r"weak principle-last-1 Not tried\. A run asks for it", text)


def test_a_judge_is_told_by_scenario(project, make_pair, alice, say, answer, lead, sign_in, api):
    for n in range(4):
        pair = make_pair(tags=["<b>law</b>"] if n else ["code"], source="one")
        say(alice, pair, "first")
        answer(pair, "AB" if n < 2 else "BA")
    text, answered = page(sign_in(lead), project)
    assert "By scenario" in text
    assert "&lt;b&gt;law&lt;/b&gt; 3 pairs" in text
    assert re.search(r"&lt;b&gt;law&lt;/b&gt; 3 pairs[ 0-9%]* 33 % 6–79 3 ", text)
    assert b"<b>law" not in answered.content
    [told] = api(lead).get(reverse("api_judges", args=[project.slug])).json()["judges"]
    assert [(one["way"], one["name"], one["pairs"]) for one in told["scenarios"]] == [
        ("tag", "<b>law</b>", 3),
        ("tag", "code", 1),
    ]
    assert told["scenarios"][1]["figures"]["pairwise"]["value"] == 1


@pytest.mark.parametrize(
    ("probabilities", "says"),
    [((2e-9, 1e-9, 0.0), "together less than 1 % of"), ((0.3, 0.1, 0.0), "together 40 % of"), ((0.4, 0.0, 0.1), "")],
)
def test_a_judge_that_would_rather_write_something_else_is_said_so(
    project, make_pair, answer, lead, sign_in, probabilities, says
):
    faint = ensure_judge(project=project, model="thinks-first", revision="r", template="oracle")
    pair = make_pair()
    answer(pair, "AB")
    given = [Answer(Question(pair.pk, None, swapped), *probabilities) for swapped in (False, True)]
    record_answers(run=Run.objects.get(), judge=faint, answers=given)
    text, _ = page(sign_in(lead), project)
    assert text.count("its first token.") == bool(says)
    assert not says or f"thinks-first · oracle-1 gives A, B and NA {says} its first token." in text


def test_without_people_it_tells_of_consistency(project, make_pair, answer, lead, sign_in):
    make_pair()
    answer(make_pair(), "AB")
    text, _ = page(sign_in(lead), project)
    assert "names the same candidate in both orders in 100 % (21–100) of its answers. No person has judged" in text
    assert "There is no pair on which people prefer one candidate." in text


def test_strategies_say_whether_their_label_holds(project, make_pair, alice, say, lead, sign_in):
    for n in range(30):
        pair = make_pair()
        for candidate, polarity in ((pair.first, "better"), (pair.second, "worse")):
            Candidate.objects.filter(pk=candidate.pk).update(strategy="refine", polarity=polarity)
        say(alice, pair, "first" if n % 2 else "second")
    text, _ = page(sign_in(lead), project)
    assert "Refine 30 pairs, may be chance 50 % 33–67 30" in text


def test_the_number_of_queries_does_not_grow(
    project,
    make_pair,
    alice,
    say,
    answer,
    lead,
    sign_in,
    django_assert_max_num_queries,
):
    client = sign_in(lead)
    for size in (2, 12):
        for _ in range(size):
            pair = make_pair()
            say(alice, pair, "first")
            answer(pair, "AB")
        with django_assert_max_num_queries(12):
            page(client, project)


def test_hostile_names_stay_texts(project, make_pair, answer, lead, sign_in):
    hostile = ensure_judge(project=project, model="<script>x</script>", revision="r", template="oracle")
    answer(make_pair(), "AB", judge=hostile)
    _, answered = page(sign_in(lead), project)
    assert b"<script>x" not in answered.content


def test_what_is_undefined_has_a_reason_and_no_place():
    cell = share(Estimate.undefined("There is nothing.", n=3))
    assert (cell.value, cell.place, cell.reason, cell.n) == ("", None, "There is nothing.", 3)
    assert number(Estimate(-0.25, low=-0.5, high=0.0, n=40)).range == "−0.50 to 0.00"
    assert share(Estimate(0.5, low=0.1, high=0.9, n=5)).is_thin
