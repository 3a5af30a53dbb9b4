"""The report on judges: from stored answers of both orders and from people's judgements, and never mixed."""

from __future__ import annotations

import pytest

from annotation.asking import ensure_judge
from annotation.models import Candidate, Principle
from annotation.questions import INJECTIONS
from curation import scenarios
from curation.judges import contrast_reports, judge_reports

pytestmark = pytest.mark.django_db


def test_a_report_by_hand(project, make_pair, alice, bob, say, oracle, answer):
    agreed, wrong, flipping, declined, unjudged = pairs = [
        make_pair(first="Short.", second="Very much longer.") for _ in range(5)
    ]
    for pair in pairs[:4]:
        say(alice, pair, "first", 2)
    say(bob, agreed, "first")
    answer(agreed, "AB")
    answer(wrong, "BA")
    answer(flipping, "AA")
    answer(declined, "NN")
    answer(unjudged, "AB")
    principle = Principle.objects.create(project=project, key="k", short="K", text="Be kind.")
    answer(agreed, "BB", principle=principle.pk)

    [report] = judge_reports(project=project)
    assert report.judge == oracle
    assert (report.answers, report.pairs, report.declined) == (6, 5, 1)
    assert (report.option_mass.value, report.option_mass.n) == pytest.approx((1, 12))
    # Five questions with a side in both orders (one of a principle), three of them consistent.
    assert (report.order_consistency.value, report.order_consistency.n) == pytest.approx((3 / 5, 5))
    assert (report.first_place.value, report.first_place.n) == pytest.approx((5 / 10, 10))
    # Preferred: first, second, -, -, first. The second is the longer one.
    assert (report.longer.value, report.longer.n) == pytest.approx((1 / 3, 3))
    assert (report.longer_people.value, report.longer_people.n) == (0, 4)
    assert (report.pairwise.value, report.pairwise.n) == pytest.approx((1 / 4, 4))
    # The flipping pair says nothing; declined is a tie, and people chose.
    assert (report.agreement.value, report.agreement.n) == pytest.approx((1 / 3, 3))
    assert report.kappa.n == 3
    assert report.kappa.value == pytest.approx(0)
    assert not report.best_of_n.is_defined
    assert (report.flips, report.control) == ({}, None)


def test_injected_answers_count_for_the_flip_rate_alone(project, make_pair, answer):
    pairs = [make_pair() for _ in range(3)]
    for pair in pairs:
        answer(pair, "AB")
        answer(pair, "AB", injection="harmless", into="second")
    answer(pairs[0], "BA", injection="override", into="second")
    answer(pairs[1], "AB", injection="override", into="second")
    answer(pairs[2], "AA", injection="override", into="second")
    [report] = judge_reports(project=project)
    assert set(report.flips) == {"override"} < set(INJECTIONS)
    assert (report.flips["override"].value, report.flips["override"].n) == pytest.approx((1 / 3, 3))
    assert report.control is not None
    assert report.control.value == 0
    assert (report.answers, report.order_consistency.value) == (3, 1)


def test_each_judge_has_its_own_and_people_are_people_only(project, make_pair, answer, oracle, robot, say):
    pair = make_pair()
    other = ensure_judge(project=project, model="m", revision="r", template="principle-last")
    answer(pair, "AB")
    answer(pair, "BA", judge=other)
    say(robot, pair, "first")
    reports = judge_reports(project=project)
    assert [one.judge for one in reports] == [oracle, other]
    assert all(not one.pairwise.is_defined for one in reports)


def test_pairs_out_of_play_and_other_projects_do_not_count(project, make_pair, answer, stranger):
    pair = make_pair()
    answer(pair, "AB")
    assert judge_reports(project=stranger.project) == []
    type(pair).objects.filter(pk=pair.pk).update(excluded_at=pair.created_at)
    assert judge_reports(project=project) == []


def two_of_one_prompt(make_pair, **fields):
    """Two pairs with the same first candidate."""
    one, other = (make_pair(prompt="Same?", first=text, **fields) for text in "ab")
    again = {"project": one.project, "prompt": one.prompt, "first": one.first, "second": other.second}
    return one, type(one).objects.create(rank=99, **again, **fields)


def test_the_best_of_a_prompt_is_found_over_its_pairs(project, make_pair, alice, say, answer):
    for pair in two_of_one_prompt(make_pair):
        say(alice, pair, "first")
        answer(pair, "AB")
    [report] = judge_reports(project=project)
    assert (report.best_of_n.value, report.best_of_n.n) == (1, 1)


def test_each_judge_by_scenario(project, make_pair, alice, say, answer, django_assert_num_queries):
    from annotation.models import Prompt

    pairs = [make_pair(source="a" if n < 3 else "b", tags=["code", "hard"] if n < 2 else []) for n in range(5)]
    # Tags of the prompt count too, and one that both have counts once.
    Prompt.objects.filter(pk=pairs[0].prompt_id).update(tags=["code"])
    Prompt.objects.filter(pk=pairs[4].prompt_id).update(tags=["code"], language="hi")
    for pair in pairs:
        say(alice, pair, "first")
    for pair, letters in zip(pairs, ("AB", "BA", "AA", "AB", "BA"), strict=True):
        answer(pair, letters)
    answer(pairs[0], "BB", principle=Principle.objects.create(project=project, key="k", short="K", text=".").pk)
    answer(pairs[0], "BA", injection="override", into="second")
    other = ensure_judge(project=project, model="m2", revision="r", template="oracle")
    answer(pairs[3], "AB", judge=other)

    with django_assert_num_queries(5):
        report, second = judge_reports(project=project, by_scenario=True)
    found = {(one.way, one.name): one for one in report.scenarios}
    # Of one language alone nothing is told: the whole says it.
    assert list(found) == [("tag", "code"), ("tag", "hard"), ("source", "a"), ("source", "b")]
    right = {name: (round(one.pairwise.value, 4), one.pairwise.n) for (_, name), one in found.items()}
    assert right == {"code": (0.3333, 3), "hard": (0.5, 2), "a": (0.3333, 3), "b": (0.5, 2)}
    assert found["source", "a"].order_consistency.value == pytest.approx(2 / 3)
    assert found["source", "b"].pairs == 2
    assert found["tag", "hard"].pairwise.low == pytest.approx(0.0945, abs=1e-4)
    assert [(one.way, one.name, one.pairwise.value) for one in second.scenarios] == [("source", "b", 1)]
    assert all(not one.scenarios for one in judge_reports(project=project))


def test_the_best_of_n_is_told_by_scenario(project, make_pair, alice, say, answer):
    for pair in (*two_of_one_prompt(make_pair, tags=["code"]), make_pair(tags=["law"])):
        say(alice, pair, "first")
        answer(pair, "AB")
    [report] = judge_reports(project=project, by_scenario=True)
    found = {one.name: one.best_of_n for one in report.scenarios}
    assert (found["code"].value, found["code"].n) == (1, 1)
    assert found["law"].reason == "No prompt has a candidate that people prefer to two others."


def test_of_many_scenarios_the_largest_are_told(project, make_pair, answer, monkeypatch):
    monkeypatch.setattr(scenarios, "MOST_NAMES", 2)
    for tags in (["a", "b"], ["b", "c"], ["c", "b"]):
        answer(make_pair(tags=tags), "AB")
    make_pair(tags=["a", "a"])  # Nobody has judged it.
    [report] = judge_reports(project=project, by_scenario=True)
    assert [(one.name, one.pairs) for one in report.scenarios] == [("b", 3), ("c", 2)]


def test_contrast_accuracy_by_strategy(project, make_pair, alice, bob, say, django_assert_num_queries):
    def contrast(strategy, first, *said):
        pair = make_pair()
        second = {"better": "worse", "worse": "better", "": ""}[first]
        for candidate, polarity in ((pair.first, first), (pair.second, second)):
            Candidate.objects.filter(pk=candidate.pk).update(strategy=strategy, polarity=polarity)
        for who, what in zip((alice, bob), said, strict=False):
            say(who, pair, what)

    contrast("prefix", "better", "first", "first")
    contrast("prefix", "worse", "first")
    contrast("prefix", "worse", "second", "second")
    # Split, tied, not judged: no side is preferred.
    contrast("prefix", "better", "first", "second")
    contrast("prefix", "better", "tie")
    contrast("prefix", "better")
    contrast("refine", "worse", "second")
    contrast("plain", "", "first")
    with django_assert_num_queries(1):
        found = {one.strategy: one for one in contrast_reports(project=project)}
    assert set(found) == {"prefix", "refine"}
    assert found["prefix"].pairs == 6
    assert (found["prefix"].accuracy.value, found["prefix"].accuracy.n) == pytest.approx((2 / 3, 3))
    assert (found["prefix"].accuracy.low, found["prefix"].accuracy.high) == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert found["refine"].accuracy.value == 1
