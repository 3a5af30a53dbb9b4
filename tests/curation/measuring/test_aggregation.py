from __future__ import annotations

import json

import numpy as np
import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.models import Candidate, Pair
from curation import arrays, measuring
from curation.measuring import AggregationRequest, scores
from curation.metrics.aggregation import bradley_terry
from curation.voices import Voices
from tests.lineups import rank_candidates


def measured(project, **settings):
    return measuring.measure(project=project, asked=AggregationRequest(**{"bootstrap": 50, **settings}))


def of(run, metric, **subject):
    return run.measurements.get(metric=metric, **{"pair": None, "annotator": None, "candidate": None, **subject})


@pytest.fixture
def judged(make_pair, say, alice, bob, lead):
    """Forty pairs: Alice and Bob say the same, first and second by turns; Lena says the opposite of all."""
    pairs = [make_pair(slots=0) for _ in range(40)]
    for place, pair in enumerate(pairs):
        right, wrong = ("second", "first") if place % 2 else ("first", "second")
        say(alice, pair, right)
        say(bob, pair, right)
        say(lead, pair, wrong)
    return pairs


# ---- soft labels ----------------------------------------------------------------------------------------------------


def test_every_pair_has_its_soft_labels_with_the_votes_they_are_made_of(project, judged):
    run = measured(project, by="dawid_skene, majority_vote")
    for place in (0, 1):
        plain = of(run, "majority_vote", pair=judged[place])
        assert (plain.value, plain.n) == (pytest.approx(2 / 3), 3)
        assert plain.detail["best"] == ("second" if place else "first")
        assert plain.detail["votes"] == ([1, 2, 0, 0] if place else [2, 1, 0, 0])
        assert plain.detail["posterior"] == pytest.approx(
            [1 / 3, 2 / 3, 0, 0] if place else [2 / 3, 1 / 3, 0, 0], abs=1e-6
        )
        likely = of(run, "dawid_skene", pair=judged[place])
        assert likely.value > 0.99
        assert (likely.detail["best"], likely.detail["votes"]) == (plain.detail["best"], plain.detail["votes"])
    assert run.result["pairs"] == 40
    assert run.result["judgements"] == 120
    whole = of(run, "majority_vote")
    assert (whole.value, whole.n, whole.detail["tied"]) == (pytest.approx(2 / 3), 40, 0)


def test_who_says_the_opposite_is_found_by_their_confusion(project, judged, alice, lead):
    run = measured(project)
    good, opposite = of(run, "dawid_skene", annotator=alice), of(run, "dawid_skene", annotator=lead)
    assert good.value > 0.95
    assert opposite.value < 0.05
    assert good.n == opposite.n == 40
    # Of a true first the second is said.
    assert opposite.detail["confusion"][0][1] > 0.95
    assert sum(good.detail["weight"]) == pytest.approx(40, abs=0.1)
    assert not run.measurements.filter(metric="majority_vote").exclude(annotator=None).exists()


def test_every_way_of_adding_up_can_be_asked_for(project, judged, alice, lead):
    run = measured(project, by="glad,one_coin")
    assert {row.metric for row in run.measurements.exclude(pair=None)} == {"glad", "one_coin"}
    assert of(run, "glad", annotator=alice).value > 0 > of(run, "glad", annotator=lead).value
    assert of(run, "one_coin", annotator=alice).value > 0.95
    assert of(run, "glad").detail["has_converged"]


def test_a_pair_has_the_answer_that_a_release_by_the_same_rule_gives(project, make_pair, say, alice, bob, lead):
    """The file had this pair the other way round: first is the pair's first all the same, here as there."""
    pair = make_pair(slots=0, meta={"imported": {"a": "second"}})
    for who in (alice, bob, lead):
        say(who, pair, "first")
    run = measured(project)
    assert of(run, "majority_vote", pair=pair).detail["best"] == "first"
    assert of(run, "dawid_skene", pair=pair).detail["best"] == "first"


def test_ties_are_said_and_skips_are_no_votes(project, make_pair, say, alice, bob, lead):
    pair = make_pair(slots=0)
    say(alice, pair, "first")
    say(bob, pair, "second")
    say(lead, pair, "skip")
    row = of(measured(project), "majority_vote", pair=pair)
    assert (row.n, row.detail["tied"], row.detail["votes"]) == (2, True, [1, 1, 0, 0])


def test_few_labels_are_not_enough_to_say_how_reliable_somebody_is(project, judged, make_pair, say, robot, alice):
    say(robot, judged[0], "first")
    run = measured(project, voices=Voices(kind="all"), least_labels=40)
    assert of(run, "dawid_skene", annotator=robot).reason == "Not enough data: 1 of at least 40 labels."
    assert of(run, "dawid_skene", annotator=alice).reason is None
    assert not measured(project).measurements.filter(annotator=robot).exists()


# ---- scores of models -----------------------------------------------------------------------------------------------


@pytest.fixture
def compete(project, make_pair, say, alice):
    """Let two models meet: `compete("big", "small", "first", times=3)`. Both bad is no comparison."""

    def meet(first, second, what, *, times=1, who=alice):
        for _ in range(times):
            pair = make_pair(slots=0)
            for candidate, model in ((pair.first, first), (pair.second, second)):
                Candidate.objects.filter(pk=candidate.pk).update(model=model)
            say(who, pair, what)

    return meet


def test_models_have_the_scores_of_their_comparisons_best_first(project, compete):
    compete("big", "small", "first", times=20)
    compete("small", "big", "first", times=5)
    compete("small", "tiny", "first", times=12)
    compete("tiny", "small", "first", times=4)
    compete("big", "tiny", "tie", times=6)
    compete("big", "tiny", "both_bad", times=9)
    row = of(measured(project), "bradley_terry")
    models = row.detail["models"]
    assert (row.value, row.n) == (47, 47)
    assert [one["model"] for one in models] == ["big", "small", "tiny"]
    # Big, small, tiny; a tie is half a win to each.
    wins = np.array([[0, 20, 3], [5, 0, 12], [3, 4, 0]])
    np.testing.assert_allclose([one["score"] for one in models], bradley_terry(wins), atol=1e-5)
    np.testing.assert_allclose([one["score"] for one in models], [0.819, -0.142, -0.676], atol=5e-4)
    assert [one["n"] for one in models] == [31, 41, 22]
    for one in models:
        assert one["low"] < one["score"] < one["high"]


def test_without_two_models_that_met_there_are_no_scores(project, compete):
    compete("", "small", "first")
    compete("small", "small", "first")
    run = measured(project)
    assert of(run, "bradley_terry").reason == scores.NO_MODELS
    assert (run.result["comparisons"], run.result["unnamed"]) == (2, 1)
    assert not run.measurements.filter(metric="crowd_bradley_terry").exists()


def test_who_says_the_opposite_of_the_crowd_is_unreliable(project, compete, alice, bob, lead):
    for who in (alice, bob):
        compete("big", "small", "first", times=27, who=who)
        compete("small", "big", "first", times=3, who=who)
    compete("big", "small", "second", times=30, who=lead)
    run = measured(project)
    sure, against = (of(run, "crowd_bradley_terry", annotator=who) for who in (alice, lead))
    assert sure.value > 0.9
    assert against.value < 0.4
    assert sure.n == against.n == 30


# ---- rankings -------------------------------------------------------------------------------------------------------


def test_what_follows_from_a_ranking_counts_so_that_each_candidate_counts_once(project, four, alice, bob):
    rank_candidates(alice, 1, 2, 3, 4)
    rank_candidates(bob, 1, 2, 2, None)
    said = arrays.comparisons(project=project, voices=Voices())
    assert (
        sorted(zip(said.ranked.tolist(), said.weight.tolist(), strict=True))
        == [(3, 0.5)] * 3 + [(4, pytest.approx(1 / 3))] * 6
    )
    run = measured(project)
    models = of(run, "bradley_terry").detail["models"]
    # Once with Alice, and once with Bob, who left the last one out.
    assert {one["model"]: one["games"] for one in models} == {
        "canary-model-0": pytest.approx(2),
        "canary-model-1": pytest.approx(2),
        "canary-model-2": pytest.approx(2),
        "canary-model-3": pytest.approx(1),
    }
    assert run.result["implied"] == 9


def test_a_judgement_by_itself_weighs_more_than_one_that_follows_from_a_ranking(project, four, alice, bob, say):
    rank_candidates(alice, 1, 2, 3, 4)
    pair = Pair.objects.get(first=four[2], second=four[3])
    say(bob, pair, "second")
    models = {one["model"]: one for one in of(measured(project), "bradley_terry").detail["models"]}
    # One ranking puts model 2 above model 3, one judgement below: unweighted they would be as good.
    assert models["canary-model-3"]["score"] > models["canary-model-2"]["score"]


def test_candidates_of_a_prompt_have_scores_from_three_on(project, four, alice, make_pair, say, bob):
    alone = make_pair(slots=0)
    say(bob, alone, "first")
    rank_candidates(alice, 2, 1, 3, 4)
    run = measured(project)
    found = {row.candidate_id: row.value for row in run.measurements.exclude(candidate=None)}
    assert [one.pk for one in sorted(four, key=lambda one: -found[one.pk])] == [four[n].pk for n in (1, 0, 2, 3)]
    assert set(found) == {one.pk for one in four}
    without = measured(project, ridge=0.0).measurements.exclude(candidate=None)
    assert {row.reason for row in without} == {scores.NO_SCORES}


# ---- settings, lines, JSON ------------------------------------------------------------------------------------------


def test_it_is_said_in_lines_and_as_json_and_the_same_seed_says_the_same(project, judged, capsys):
    call_command("measure", "aggregation", "--project", "everyday", "--json")
    found = json.loads(capsys.readouterr().out)
    assert {*found["soft"]} == {"majority_vote", "dawid_skene"}
    assert [one["annotator"] for one in found["annotators"]] == ["Alice", "Bob", "Lena"]
    assert {one["model"] for one in found["models"]["models"]} == {"canary-first", "canary-second"}
    call_command("measure", "aggregation", "--project", "everyday")
    said = capsys.readouterr().out
    assert "120 judgements of 40 pairs by 3 annotators" in said
    assert "Majority vote: 66.7 % sure on average, 0 tied; another answer than the majority's on 0 of 40 pairs" in said
    assert "Models by 120 comparisons, log odds:" in said
    rows = [list(measured(project).measurements.order_by("id").values_list("metric", "value", "low")) for _ in range(2)]
    assert rows[0] == rows[1]


def test_an_empty_project_has_reasons(project, capsys):
    run = measured(project, by="majority_vote,dawid_skene,one_coin,glad")
    assert [row.value for row in run.measurements.all()] == [None] * 5
    assert all(row.reason for row in run.measurements.all())
    call_command("measure", "aggregation", "--project", "everyday")
    assert "Dawid and Skene: undefined. There are no labels." in capsys.readouterr().out


@pytest.mark.parametrize(
    "asked", [{"by": "guessing"}, {"by": ""}, {"by": " , "}, {"least_labels": 0}, {"ridge": -1}, {"ridge": 1001}]
)
def test_settings_out_of_range_are_refused(asked):
    with pytest.raises(Refused):
        AggregationRequest(**asked)
