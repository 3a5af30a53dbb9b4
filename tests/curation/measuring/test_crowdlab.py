"""Votes beside a judge's probabilities: cleanlab's example through the database, what is left out, what is refused."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotation.asking import Answer, Question, ensure_judge, record_answers
from annotation.errors import Refused
from annotation.models import Annotator, Run
from curation import measuring
from curation.measuring import AggregationRequest
from curation.measuring.crowdlab import NO_COMMON
from curation.metrics.estimates import NO_OVERLAP
from curation.voices import Voices

F, S, T, B = "first", "second", "tie", "both_bad"
# The cleanlab example: five pairs, three people, and what the judge gives the first candidate.
VOTES = [(F, F, S), (S, S, S), (F, None, F), (S, F, S), (F, F, F)]
FIRST = [0.7, 0.2, 0.9, 0.4, 0.8]
QUALITY = [0.695759, 0.819135, 0.891083, 0.657009, 0.819135]


@pytest.fixture
def believe(project, oracle):
    """Let a judge find the first candidate better with this probability; the place moves both orders alike."""
    run = Run.objects.create(project=project, kind="judging", code_version="test")

    def store(pair, first, *, judge=None, principle=None, injection="", lean=0.0):
        side = "first" if injection else ""
        record_answers(
            run=run,
            judge=judge or oracle,
            answers=[
                Answer(Question(pair.pk, principle, False, injection, side), first + lean, 1 - first - lean, 0.0),
                Answer(Question(pair.pk, principle, True, injection, side), 1 - first + lean, first - lean, 0.0),
            ],
        )

    return store


@pytest.fixture
def golden(make_pair, say, alice, bob, lead, believe):
    pairs = []
    for row, first in zip(VOTES, FIRST, strict=True):
        pair = make_pair(slots=0)
        for who, what in zip((alice, bob, lead), row, strict=True):
            if what:
                say(who, pair, what)
        # A love of the first place goes out of the mean of both orders.
        believe(pair, first, lean=0.05)
        pairs.append(pair)
    return pairs


def measured(project, judge="m", **settings):
    asked = AggregationRequest(**{"by": "crowdlab", "judge": judge, "bootstrap": 0, "least_labels": 1, **settings})
    return measuring.measure(project=project, asked=asked)


def of(run, **subject):
    return run.measurements.get(**{"metric": "crowdlab", "pair": None, "annotator": None, **subject})


def test_the_published_example_comes_out_of_stored_votes_and_answers(project, golden, alice, bob, lead, oracle):
    run = measured(project)
    for pair, row, quality, first in zip(golden, VOTES, QUALITY, FIRST, strict=True):
        found = of(run, pair=pair)
        assert found.value == pytest.approx(quality, abs=1e-6)
        assert found.detail["best"] == found.detail["consensus"] == max(F, S, key=row.count)
        assert max(found.detail["posterior"]) == pytest.approx(quality, abs=1e-6)
        assert sum(found.detail["posterior"]) == pytest.approx(1, abs=1e-5)
        assert (found.n, found.detail["votes"]) == (3 - row.count(None), [row.count(F), row.count(S), 0, 0])
        assert found.detail["judge"] == pytest.approx(first)
    for who, quality, weight in ((alice, 0.837485, 0.444444), (bob, 0.691307, 0.0625), (lead, 0.725945, 0.166667)):
        found = of(run, annotator=who)
        assert (found.value, found.detail["weight"]) == (pytest.approx(quality, abs=1e-6), pytest.approx(weight))
    judge = of(run, annotator=oracle)
    assert judge.detail == {"weight": pytest.approx(1.67332, abs=1e-5), "is_model": True}
    # It always agrees with the consensus, as Alice does: the same quality.
    assert (judge.value, judge.n) == (pytest.approx(0.837485, abs=1e-6), 5)
    whole = of(run)
    assert (whole.value, whole.n) == (pytest.approx(sum(QUALITY) / 5, abs=1e-6), 5)
    assert whole.detail["judge"] == oracle.name
    assert set(whole.detail["left_out"].values()) == {0}


def test_pairs_that_choose_neither_and_pairs_without_an_answer_are_left_out_and_counted(
    project, golden, make_pair, say, alice, bob, lead, believe
):
    mostly_tied, half, unanswered, untold = (make_pair(slots=0) for _ in range(4))
    for who, what in zip((alice, bob, lead), (T, B, F), strict=True):
        say(who, mostly_tied, what)
    say(alice, half, F)
    say(bob, half, T)
    say(alice, unanswered, F)
    for pair in (mostly_tied, half, untold):
        believe(pair, 0.6)
    # Answers by principle, and under an injected text, are none.
    believe(unanswered, 0.6, injection="override")
    run = measured(project)
    assert of(run).detail["left_out"] == {
        "pairs_that_choose_neither": 2,
        "pairs_without_probability": 1,
        "votes_for_neither": 0,
    }
    assert set(run.measurements.exclude(pair=None).values_list("pair", flat=True)) == {one.pk for one in golden}


def test_a_tie_beside_votes_that_choose_is_kept_among_the_votes_and_not_counted(project, golden, say, bob):
    say(bob, golden[2], T)
    run = measured(project)
    found = of(run, pair=golden[2])
    assert (found.n, found.detail["votes"]) == (2, [2, 0, 1, 0])
    assert found.value == pytest.approx(QUALITY[2], abs=1e-6), "As if the tie had not been said."
    assert of(run).detail["left_out"]["votes_for_neither"] == 1


def test_the_judges_own_vote_is_not_counted_twice(project, golden, oracle):
    assert oracle.assignments.exists(), "It judged these pairs too."
    alone, with_judges = measured(project), measured(project, voices=Voices(kind="all"))
    for pair in golden:
        assert of(with_judges, pair=pair).value == of(alone, pair=pair).value
        assert of(with_judges, pair=pair).n == of(alone, pair=pair).n


def test_a_judge_that_contradicts_everybody_weighs_nothing(project, make_pair, say, alice, bob, believe, oracle):
    for place in range(20):
        pair = make_pair(slots=0)
        for who in (alice, bob):
            say(who, pair, F if place % 2 else S)
        believe(pair, 0.2 if place % 2 else 0.8)
    run = measured(project)
    against = of(run, annotator=oracle)
    assert against.detail["weight"] < 1e-5
    assert against.value < 0.05
    assert of(run, annotator=alice).value > 0.95
    assert of(run).detail["changed"] == 0


def test_few_labels_are_not_enough_and_no_two_votes_of_a_pair_have_their_reason(
    project, golden, make_pair, say, alice, believe, oracle
):
    run = measured(project, least_labels=5)
    assert of(run, annotator=alice).value == pytest.approx(0.837485, abs=1e-6)
    run = measured(project, least_labels=6)
    assert of(run, annotator=alice).reason == "Not enough data: 5 of at least 6 labels."
    assert of(run, annotator=oracle).reason == "Not enough data: 5 of at least 6 pairs with a probability."
    run = measured(project, voices=Voices(prefixes=("Ali",)))
    assert of(run).reason == of(run, pair=golden[0]).reason == of(run, annotator=oracle).reason == NO_OVERLAP
    assert of(run, pair=golden[0]).detail == {"votes": [1, 0, 0, 0], "judge": 0.7}


def test_a_judge_of_other_pairs_has_a_reason(project, make_pair, say, alice, bob, believe):
    said, asked = make_pair(slots=0), make_pair(slots=0)
    say(alice, said, F)
    say(bob, said, F)
    believe(asked, 0.6)
    assert of(measured(project)).reason == NO_COMMON


# ---- whose probabilities --------------------------------------------------------------------------------------------


def test_a_judge_without_stored_probabilities_is_refused(project, golden, robot):
    with pytest.raises(Refused, match=r"The judge robot-1 has stored no probabilities of which candidate is better"):
        measured(project, judge="robot-1")
    with pytest.raises(CommandError, match="stored no probabilities"):
        call_command(
            "measure", "aggregation", "--project", "everyday", "--set", "by=crowdlab", "--set", "judge=robot-1"
        )


def test_a_judge_is_named_in_full_or_by_how_only_it_begins(project, golden, oracle, believe):
    other = ensure_judge(project=project, model="m", revision="r", template="principle-last")
    believe(golden[0], 0.5, judge=other)
    assert of(measured(project, judge=oracle.name)).detail["judge"] == oracle.name
    with pytest.raises(
        Refused, match=r"Several judges are called 'm': m · oracle.*, m · principle-last-1\. Name one in full"
    ):
        measured(project)
    with pytest.raises(Refused, match=r"No judge here is called 'gpt'\. There are m · oracle"):
        measured(project, judge="gpt")
    Annotator.objects.create(project=project, name="gpt-fan")
    with pytest.raises(Refused, match="No judge here is called 'gpt'"):
        measured(project, judge="gpt")


def test_without_any_judge_it_says_so(project, make_pair, say, alice):
    say(alice, make_pair(slots=0), F)
    with pytest.raises(Refused, match="this project has none"):
        measured(project)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"by": "crowdlab"}, "Name the judge"),
        ({"by": "majority_vote", "judge": "m"}, "Only CROWDLAB reads what a judge says"),
    ],
)
def test_a_judge_and_crowdlab_are_asked_for_together(asked, why):
    with pytest.raises(Refused, match=why):
        AggregationRequest(**asked)


def test_it_is_said_in_lines_and_as_json_beside_the_others(project, golden, capsys, oracle):
    asked = ["measure", "aggregation", "--project", "everyday", "--set", "by=majority_vote,crowdlab"]
    asked += ["--set", "judge=m", "--set", "least_labels=1"]
    call_command(*asked)
    said = capsys.readouterr().out
    assert "CROWDLAB: 77.6 % sure on average, 0 tied; another answer than the majority's on 0 of 5 pairs" in said
    assert f"with the probabilities of {oracle.name}; left out: 0 pairs on which most votes choose neither" in said
    assert f"{oracle.name}: CROWDLAB 0.837 (n 5)" in said
    call_command(*asked, "--json")
    found = json.loads(capsys.readouterr().out)
    assert {*found["soft"]} == {"majority_vote", "crowdlab"}
    assert [one["kind"] for one in found["annotators"]] == ["person", "person", "person", "judge"]
