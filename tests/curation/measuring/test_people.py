from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing import import_judgements, import_pairs
from annotation.models import Guideline, Judgement
from curation import arrays, measuring
from curation.measuring import PeopleRequest
from curation.voices import Voices


def measured(project, **settings):
    return measuring.measure(project=project, asked=PeopleRequest(**{"bootstrap": 100, "resamples": 5, **settings}))


def of(run, metric, annotator, other=None):
    return run.measurements.get(metric=metric, annotator=annotator, other=other)


def shown(run, metric, annotator):
    row = of(run, metric, annotator)
    return (row.value, row.n)


@pytest.fixture
def judged(project, make_pair, say, alice, bob, robot):
    """40 pairs, 20 of them gold: Alice is right, Bob goes against her on 10, the robot always against her."""
    for place in range(40):
        pair = make_pair(slots=0, is_gold=place < 20, label="first")
        say(alice, pair, "first", active_ms=1000 * (place + 1))
        say(bob, pair, "second" if place < 10 else "first")
        say(robot, pair, "second")
    return project


def test_everybody_has_the_same_columns_and_people_are_compared_with_people_only(judged, alice, bob, robot):
    run = measured(judged)
    assert (run.result["judgements"], run.result["people"], run.result["judges"]) == (120, 2, 1)
    assert shown(run, "leave_one_out_agreement", alice) == (0.75, 40)
    assert shown(run, "leave_one_out_agreement", bob) == (0.75, 40)
    # The robot agrees with Bob on ten pairs, and with nobody else.
    assert shown(run, "leave_one_out_agreement", robot) == (0.125, 40)
    assert shown(run, "gold_accuracy", alice) == (1.0, 20)
    assert shown(run, "gold_accuracy", bob) == (0.5, 20)
    assert of(run, "gold_accuracy", bob).detail["hits"] == 10
    assert shown(run, "skip_rate", bob) == (0.0, 40)


def test_gold_is_what_the_lead_said_and_the_source_only_where_the_lead_said_nothing(project, make_pair, say, alice):
    """Both speak of the first candidate as it is stored, also where the file had the two the other way round."""
    turned = {"imported": {"a": "second"}}
    for place in range(20):
        answer = {"gold_use": "check", "gold_verdict": "second"} if place % 2 else {}
        label = ("first", "first", "tie", "")[place % 4]
        pair = make_pair(slots=0, is_gold=True, label=label, meta=turned if place < 8 else {}, **answer)
        say(alice, pair, "second" if place % 2 else "first")
    # A label alone makes no gold.
    say(alice, make_pair(slots=0, label="first"), "first")
    found = of(measured(project), "gold_accuracy", alice)
    # Right on the ten that the lead answered, and on five of the ten whose source is asked: the other five are ties.
    assert (found.value, found.n, found.detail["hits"]) == (0.75, 20, 15)


def test_what_rests_on_too_little_says_so_and_keeps_its_n(judged, alice, bob):
    run = measured(judged)
    left = of(run, "left_rate", alice)
    assert (left.value, left.n, left.reason) == (None, 40, "Not enough data: 40 of at least 300 decided pairs.")
    assert left.detail["hits"] == 40
    time = of(run, "active_time", alice)
    assert (time.value, time.n, sum(time.detail["histogram"])) == (20.5, 40, 40)
    assert of(run, "active_time", bob).reason == "No judgement of this annotator was timed."
    assert of(run, "agreement_drift", alice).reason == "Not enough data: 1 of at least 4 weeks."


def test_kappa_is_stored_of_every_two_with_a_common_pair(judged, alice, bob, robot):
    run = measured(judged, least_common=41)
    kappa = of(run, "cohen_kappa", *sorted((alice, bob), key=lambda one: one.pk))
    assert (kappa.value, kappa.n, kappa.reason) == (None, 40, "Fewer than 41 common pairs.")
    assert run.measurements.filter(metric="cohen_kappa").count() == 3
    assert measured(judged).measurements.get(metric="cohen_kappa", annotator=alice, other=bob).n == 40


def test_sides_are_those_that_were_seen(project, make_pair, say, alice):
    """Sides in this cast are never swapped; a swapped row of the same verdict is the other side."""
    for place in range(300):
        one = say(alice, make_pair(slots=0), "first")
        if place < 120:
            Judgement.objects.filter(pk=one.pk).delete()
            Judgement.objects.create(
                **{
                    name: getattr(one, name)
                    for name in ("assignment", "annotator", "key", "verdict", "strength", "revision")
                },
                swapped=True,
            )
    assert shown(measured(project), "left_rate", alice) == (0.6, 300)


def test_skips_count_where_they_belong(project, make_pair, say, alice):
    for place in range(40):
        say(alice, make_pair(slots=0), "skip" if place < 8 else "tie" if place < 16 else "first")
    run = measured(project)
    assert shown(run, "skip_rate", alice) == (0.2, 40)
    assert shown(run, "tie_rate", alice) == (0.25, 32)


def test_somebody_who_only_skipped_has_a_row(project, make_pair, say, alice, bob):
    for _ in range(3):
        pair = make_pair(slots=0)
        say(alice, pair, "skip")
        say(bob, pair, "first")
    run = measured(project)
    assert of(run, "skip_rate", alice).n == 3
    assert of(run, "leave_one_out_agreement", alice).reason == "There are no labels."


def test_versions_of_the_guideline_stand_apart(project, make_pair, say, alice, bob, lead):
    versions = [
        Guideline.objects.create(project=project, version=number, text="…", html="…", created_by=lead.user)
        for number in (1, 2)
    ]
    for place in range(80):
        pair = make_pair(slots=0)
        guideline = versions[place // 40]
        say(alice, pair, "first", guideline=guideline)
        say(bob, pair, "second" if place >= 60 else "first", guideline=guideline)
    run = measured(project)
    assert run.result["versions"] == [1, 2]
    rounds = of(run, "leave_one_out_agreement", bob).detail["by_guideline"]
    assert [(rounds[key]["value"], rounds[key]["n"]) for key in ("1", "2")] == [(1.0, 40), (0.5, 40)]
    assert shown(run, "leave_one_out_agreement", bob) == (0.75, 80)


def test_drift_goes_by_the_weeks_in_which_was_judged(project, make_pair, say, alice, bob):
    monday = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    for week in range(4):
        for place in range(20):
            pair, at = make_pair(slots=0), monday + dt.timedelta(days=7 * week + place % 7)
            say(alice, pair, "first", created_at=at)
            say(bob, pair, "second" if week == 3 and place < 15 else "first", created_at=at)
    drift = of(measured(project), "agreement_drift", bob)
    assert (drift.value, drift.n) == (pytest.approx(-0.75), 4)
    assert drift.high < 0
    assert [n for _, _, n in drift.detail["weeks"]] == [20] * 4
    first = drift.detail["weeks"][0][0]
    assert dt.datetime.fromtimestamp(first * arrays.WEEK_SECONDS - 3 * 86400, tz=dt.UTC) == monday


def test_votes_by_principle_add_arbitrariness_and_priorities(project, make_pair, say, vote, robot, alice):
    for place in range(120):
        pair = make_pair(slots=0)
        vote(robot, pair, "+.+" if place < 40 else "+-.")
        say(alice, pair, "second" if place < 10 else "first")
    run = measured(project)
    assert shown(run, "discretion_arbitrariness", alice) == (0.25, 40)
    profile = of(run, "principle_priorities", alice)
    assert profile.n == 80
    assert profile.detail["ranks"][0][0] == 1
    assert [one["short"] for one in run.result["principles"]] == ["h", "k", "t"]
    # Who voted and judged nothing has no row.
    assert not run.measurements.filter(annotator=robot).exists()


def test_an_order_of_principles_is_compared_with_that_of_all_people(
    project, make_pair, say, vote, robot, alice, bob, adjudicator, monkeypatch, capsys
):
    """Alice and Ada put help before kindness before truth, Bob the other way round."""
    for place in range(120):
        pair = make_pair(slots=0)
        vote(robot, pair, ("+-.", ".+-", "+.-")[place % 3])
        for who, said in ((alice, "first"), (adjudicator, "first"), (bob, "second")):
            say(who, pair, said)
    run = measured(project)
    gap = {who: of(run, "discretion_discrepancy", who) for who in (alice, bob)}
    assert (gap[alice].value, gap[bob].value) == (0, 1)
    assert gap[bob].low == gap[bob].high == 1
    assert gap[bob].n == 3, "Principles."
    call_command("measure", "people", "--project", "everyday", "--set", "resamples=5")
    said = capsys.readouterr().out
    assert "Order of principles: h, k, t, n 120 conflicts" in said
    assert "Order of principles: t, k, h, n 120 conflicts" in said
    # Beyond the busiest everybody has a row all the same, which says why.
    monkeypatch.setattr("curation.measuring.people.MOST_PROFILES", 1)
    few = measured(project)
    reasons = set(few.measurements.filter(metric="discretion_discrepancy", value=None).values_list("reason", "n"))
    assert reasons == {("Orders of principles are drawn for the 50 annotators with the most choices.", 120)}
    assert few.measurements.filter(metric="principle_priorities").count() == 3


def test_too_few_conflicts_are_no_order(project, make_pair, say, vote, robot, alice):
    for _ in range(29):
        pair = make_pair(slots=0)
        vote(robot, pair, "+-.")
        say(alice, pair, "first")
    gap = of(measured(project), "discretion_discrepancy", alice)
    assert (gap.value, gap.n) == (None, 29)
    assert "30" in gap.reason


def test_planted_habits_are_found_again(project, make_pair, say, alice, bob):
    """Alice chooses the left seven times of ten; Bob the longer one with 2 log odds for a doubling."""
    rng = np.random.default_rng(5)
    for _ in range(400):
        length = int(rng.integers(10, 80))
        pair = make_pair(slots=0, first="a" * length, second="b" * 40)
        say(alice, pair, "first" if rng.random() < 0.7 else "second")
        chance = 1 / (1 + np.exp(-2 * np.log2(length / 40)))
        say(bob, pair, "first" if rng.random() < chance else "second")
    run = measured(project, bootstrap=0)
    left, slope = of(run, "left_rate", alice), of(run, "length_slope", bob)
    assert left.low < 0.7 < left.high
    assert left.low > 0.5
    assert slope.low < 2 < slope.high


def test_the_same_seed_says_the_same_and_nobody_is_nobody(judged):
    rows = [
        list(
            measured(judged).measurements.order_by("id").values_list("metric", "annotator", "value", "low", "high", "n")
        )
        for _ in range(2)
    ]
    assert rows[0] == rows[1]
    nobody = measured(judged, voices=Voices(kind="all", prefixes=("nobody",)))
    assert (nobody.result["people"], nobody.measurements.count()) == (0, 0)


def test_the_command_says_it_in_lines_and_as_json(judged, capsys):
    call_command("measure", "people", "--project", "everyday", "--set", "resamples=5", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [(one["annotator"], one["kind"], one["n"]) for one in found["annotators"]] == [
        ("Alice", "person", 40),
        ("Bob", "person", 40),
        ("robot-1", "judge", 40),
    ]
    assert len(found["cohen_kappa"]) == 3
    call_command("measure", "people", "--project", "everyday", "--set", "resamples=5")
    said = capsys.readouterr().out
    assert "120 judgements by 2 people and 1 judges" in said
    assert "robot-1: a judge, 40 judgements" in said
    assert "Left rate: Not enough data: 40 of at least 300 decided pairs. (n 40)" in said
    with pytest.raises(Refused, match="at least 1 common pair"):
        PeopleRequest(least_common=0)


def test_reading_is_one_query_whatever_the_number_of_judgements(judged, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = arrays.judged(project=judged, voices=Voices(kind="all"))
    assert len(found) == 120
    assert (found.week == found.week[0]).all()
    assert found.week[0] == int((timezone.now().timestamp() + 3 * 86400) // arrays.WEEK_SECONDS)


@pytest.mark.usefixtures("few_texts_set")
def test_mt_bench_has_its_annotators_and_judges_apart(project, shared_data):
    source = "mt-bench-human"
    import_pairs(project=project, path=shared_data / "pairs.jsonl", allow={"empty", "identical"}, source=source)
    import_judgements(project=project, path=shared_data / "judgements.jsonl", judges={"gpt4_pair"})
    run = measured(project, bootstrap=0)
    assert (run.result["people"], run.result["judges"]) == (65, 1)
    busiest = run.measurements.filter(metric="skip_rate").order_by("-n").first()
    assert busiest.n >= 40
    defined = run.measurements.filter(metric="leave_one_out_agreement", value__isnull=False)
    assert all(0.4 < row.value < 1 for row in defined)
