from __future__ import annotations

import json

import numpy as np
import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.importing import import_judgements, import_pairs, import_principle_votes
from annotation.models import Annotator, PrincipleVote, Run
from curation import arrays, measuring
from curation.measuring import DiscretionRequest
from curation.measuring.discretion import NO_VOTES
from curation.models import Measurement
from curation.voices import Voices


@pytest.fixture
def decided(make_pair, say, vote, robot, alice, bob):
    """32 pairs of consensus, 32 of conflict, 4 on which no principle is relevant; the robot voted.

    Alice goes against 8 of 32 agreements and Bob against all; in conflict Alice sides with the first principle.
    """
    pairs = []
    for place in range(68):
        pair = make_pair(slots=0)
        vote(robot, pair, "+.+" if place < 32 else "+-." if place < 64 else "..=")
        say(alice, pair, "second" if place < 8 else "first")
        say(bob, pair, "second" if place < 32 else "tie")
        pairs.append(pair)
    return pairs


def measured(project, **settings):
    asked = DiscretionRequest(**{"bootstrap": 200, "resamples": 20, **settings})
    return measuring.measure(project=project, asked=asked)


def of(run, metric, annotator=None):
    return run.measurements.get(metric=metric, pair=None, annotator=annotator)


def arbitrary(run, annotator=None):
    found = of(run, "discretion_arbitrariness", annotator)
    return found.value, found.n


def test_people_and_judges_are_measured_by_the_same_votes(project, decided, alice, bob, robot, say):
    for pair in decided:
        say(robot, pair, "first")
    run = measured(project)
    assert (run.state, run.result["pairs"], run.result["relevant"]) == (Run.State.DONE, 68, pytest.approx(128 / 68))
    assert [of(run, f"{name}_share").value for name in ("consensus", "conflict", "indifference")] == pytest.approx(
        [32 / 68, 32 / 68, 4 / 68]
    )
    assert arbitrary(run, alice) == (
        0.25,
        32,
    )
    assert arbitrary(run, bob) == (1.0, 32)
    assert arbitrary(run, robot) == (0.0, 32)
    everybody = of(run, "discretion_arbitrariness")
    assert (everybody.value, everybody.n) == (40 / 64, 64)
    assert everybody.low < everybody.value < everybody.high
    assert everybody.detail["coverage"] == pytest.approx(100 / 136)
    # Both judged the same pairs: an interval over choices would be too narrow.
    assert everybody.high - everybody.low > 0.12


def test_a_least_number_of_relevant_principles_leaves_pairs_out(project, make_pair, say, vote, robot, alice):
    for place in range(80):
        pair = make_pair(slots=0)
        vote(robot, pair, "+.." if place % 2 else "++.")
        say(alice, pair, "second" if place % 2 else "first")
    by_one, by_two = measured(project), measured(project, min_relevant_principles=2)
    assert arbitrary(by_one, alice) == (
        0.5,
        80,
    )
    assert arbitrary(by_two, alice) == (
        0.0,
        40,
    )
    offered = of(by_one, "discretion_arbitrariness", alice).detail["by_minimum"]
    assert [one["n"] for one in offered] == [80, 40, 0, 0, 0]
    assert offered[2]["value"] is None


def test_which_principle_wins_and_how_far_a_judge_is_from_people(project, decided, robot, say):
    for place, pair in enumerate(decided):
        say(robot, pair, "second" if place >= 32 else "first")
    run = measured(project)
    people, judge = of(run, "principle_priorities"), of(run, "principle_priorities", robot)
    assert people.detail["n"][0][1] == people.detail["wins"][0][1] == 32
    assert judge.detail["wins"][1][0] == 32
    # The third principle met no conflict: no weight, no rank.
    assert people.detail["weights"][0] > 0 > people.detail["weights"][1]
    assert people.detail["weights"][2] is None
    assert [one and one[0] for one in people.detail["ranks"]] == [1, 2, None]
    assert of(run, "discretion_discrepancy", robot).value == 1.0


def test_few_choices_are_not_enough_data(project, make_pair, say, vote, robot, alice):
    for _ in range(29):
        pair = make_pair(slots=0)
        vote(robot, pair, "+..")
        say(alice, pair, "second")
    found = of(measured(project), "discretion_arbitrariness", alice)
    assert (found.value, found.n) == (None, 29)
    assert "30" in found.reason


def test_the_fields_of_every_pair_are_stored(project, decided):
    run = measured(project)
    stored = run.measurements.exclude(pair=None)
    conflict = stored.filter(pair=decided[40])
    assert {row.metric: row.value for row in conflict} == {
        "n_relevant_principles": 2,
        "discretion_category": 1,
        "consensus_direction": None,
        "arbitrary_judgements": None,
    }
    assert {row.metric: row.value for row in stored.filter(pair=decided[0])} == {
        "n_relevant_principles": 2,
        "discretion_category": 0,
        "consensus_direction": 1,
        "arbitrary_judgements": 2,
    }


def test_who_was_arbitrary_on_a_pair_is_stored_of_people_and_judges(project, make_pair, say, vote, robot, alice, bob):
    pair, conflict, judged = (make_pair(slots=0) for _ in range(3))
    for each, signs in ((pair, "+.."), (conflict, "+-."), (judged, ".-.")):
        vote(robot, each, signs)
    say(alice, pair, "second")
    say(bob, pair, "first")
    say(robot, pair, "first")
    say(alice, conflict, "first")
    say(robot, judged, "first")
    stored = measured(project).measurements.filter(metric="arbitrary_judgements")
    assert {row.pair_id: (row.value, row.detail) for row in stored} == {
        pair.pk: (1, {"by": {str(alice.pk): True, str(bob.pk): False, str(robot.pk): False}}),
        conflict.pk: (None, {}),
        # Of the people nobody chose there.
        judged.pk: (None, {"by": {str(robot.pk): True}}),
    }


def test_without_votes_it_is_refused_with_the_remedy(project, make_pair, say, alice):
    say(alice, make_pair(slots=0), "first")
    with pytest.raises(Refused, match="Nobody has voted by principle"):
        measured(project)
    assert Run.objects.get().error == NO_VOTES


def test_votes_of_people_count_where_they_are_asked_for(project, make_pair, say, vote, robot, alice, bob):
    for _ in range(30):
        pair = make_pair(slots=0)
        vote(robot, pair, "+..")
        vote(bob, pair, "-..")
        say(alice, pair, "first")
    assert of(measured(project), "discretion_arbitrariness", alice).value == 0
    assert of(measured(project, votes_of="people"), "discretion_arbitrariness", alice).value == 1
    assert of(measured(project, votes_of="rob"), "discretion_arbitrariness", alice).value == 0


def test_several_voters_of_a_cell_are_joined_by_majority(project, make_pair, vote, alice, bob, lead):
    pair = make_pair(slots=0)
    for who, signs in ((alice, "++."), (bob, "+-."), (lead, ".=+")):
        vote(who, pair, signs)
    votes = arrays.principle_votes(project=project, voices=Voices())
    assert np.array_equal(votes.votes, [[1, np.nan, np.nan]], equal_nan=True)


def test_a_vote_of_a_withdrawn_judgement_does_not_count(project, make_pair, say, principles, alice):
    pair = make_pair(slots=0)
    first = say(alice, pair, "first")
    PrincipleVote.objects.create(annotator=alice, pair=pair, principle=principles[0], vote="first", judgement=first)
    assert len(arrays.principle_votes(project=project, voices=Voices())) == 1
    say(alice, pair, "second")
    assert len(arrays.principle_votes(project=project, voices=Voices())) == 0


def test_measuring_again_replaces_nothing_and_the_same_seed_says_the_same(project, decided):
    one, other = (measured(project) for _ in range(2))
    fields = ("metric", "annotator", "pair", "value", "low", "high", "n", "detail")
    assert list(one.measurements.order_by("id").values_list(*fields)) == list(
        other.measurements.order_by("id").values_list(*fields)
    )
    assert Measurement.objects.filter(run=one).exists()


def test_the_command_reports_it_and_refuses_unknown_settings(project, decided, capsys):
    call_command("measure", "discretion", "--project", "everyday", "--set", "resamples=10", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["shares"]["conflict"]["value"] == pytest.approx(32 / 68)
    assert {one["annotator"] for one in found["annotators"]} == {"people", "Alice", "Bob"}
    call_command("measure", "discretion", "--project", "everyday", "--set", "resamples=10")
    assert "Arbitrariness of Alice: 0.2500" in capsys.readouterr().out
    for typed, says in (("resample=10", "is not a setting of discretion"), ("ridge=much", "ridge is a number")):
        with pytest.raises(Exception, match=says):
            call_command("measure", "discretion", "--project", "everyday", "--set", typed)


@pytest.mark.usefixtures("few_texts_set")
def test_the_published_study_is_found_again(project, shared_data, tmp_path):
    """HH-RLHF, even rows. Its texts are not in the pack: texts of our own stand for them."""
    votes = [json.loads(line) for line in (shared_data / "principle_votes.jsonl").read_text().splitlines()]
    source = "alignment-discretion-hh"
    rows = [
        {"item_id": one["item_id"], "source": source, "prompt": one["item_id"], "response_a": "a", "response_b": "b"}
        for one in votes
    ]
    path = tmp_path / "hh.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_pairs(project=project, path=path)
    import_principle_votes(
        project=project,
        path=shared_data / "principle_votes.jsonl",
        principles=shared_data / "principles.jsonl",
        judges={"gpt-4o"},
    )
    reference = json.loads((shared_data / "reference.json").read_text())["discretion_even_rows"]
    judges = {name for name in reference["annotators"] if name != "human"}
    import_judgements(project=project, path=shared_data / "judgements.jsonl", judges=judges)
    run = measured(project, bootstrap=0, resamples=2)
    for name, count in reference["counts"].items():
        share = of(run, f"{name}_share")
        assert round(share.value * share.n) == count
    people = of(run, "discretion_arbitrariness")
    assert (round(people.value * people.n), people.n) == (179, 612)
    for name, expected in reference["annotators"].items():
        found = of(run, "discretion_arbitrariness", Annotator.objects.get(project=project, external_id=name))
        assert found.value == pytest.approx(expected["DA"], abs=1e-6), name
        assert found.n == expected["consensus_items_judged"]
    weights = of(run, "principle_priorities").detail["weights"]
    best_first = sorted(range(21), key=lambda place: -weights[place])
    assert best_first[:5] == reference["annotators"]["human"]["priority_order_best_first"][:5]
    assert best_first[-3:] == reference["annotators"]["human"]["priority_order_best_first"][-3:]
