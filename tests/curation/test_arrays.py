from __future__ import annotations

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from django.db import connection

from annotation.models import Run
from curation import arrays
from curation.arrays import crossing, pairs
from curation.criteria import parse_all
from curation.models import Measurement
from curation.voices import Voices


def rows(labels):
    return {
        (int(labels.items[item]), int(labels.annotators[annotator]), labels.values[value].item())
        for item, annotator, value in zip(labels.item, labels.annotator, labels.value, strict=True)
    }


@pytest.fixture
def judged(make_pair, say, alice, bob, robot, crowd):
    one, two = make_pair(external_id="q1-t1"), make_pair(external_id="q2-t2")
    say(alice, one, "first", 2)
    say(bob, one, "second", 3)
    say(robot, one, "tie")
    say(alice, two, "skip")
    say(bob, two, "both_bad")
    say(crowd[0], two, "first", None)
    return one, two


def test_verdicts_of_people_become_labels_and_skips_do_not(project, judged, alice, bob, crowd):
    one, two = judged
    assert rows(arrays.judgement_labels(project=project)) == {
        (one.pk, alice.pk, "first"),
        (one.pk, bob.pk, "second"),
        (two.pk, bob.pk, "both_bad"),
        (two.pk, crowd[0].pk, "first"),
    }


def test_strengths_are_those_that_are_known(project, judged, alice, bob):
    one, _ = judged
    labels = arrays.judgement_labels(project=project, level="ordinal")
    assert rows(labels) == {(one.pk, alice.pk, 2), (one.pk, bob.pk, -3)}
    assert labels.values.tolist() == [-3, -2, -1, 0, 1, 2, 3]


def test_labels_follow_the_order_of_the_file_that_a_pair_came_with(project, make_pair, say, alice, bob):
    turned = make_pair(slots=0, meta={"imported": {"a": "second"}})
    as_is = make_pair(slots=0, meta={"imported": {"a": "first"}})
    for pair in (turned, as_is):
        say(alice, pair, "first", 2)
        say(bob, pair, "both_bad")
    expected = {
        (turned.pk, alice.pk, "second"),
        (turned.pk, bob.pk, "both_bad"),
        (as_is.pk, alice.pk, "first"),
        (as_is.pk, bob.pk, "both_bad"),
    }
    assert rows(arrays.judgement_labels(project=project)) == expected
    strengths = rows(arrays.judgement_labels(project=project, level="ordinal"))
    assert strengths == {(turned.pk, alice.pk, -2), (as_is.pk, alice.pk, 2)}
    # What decides a release stays as the pair has it; the card's agreement is that of the labels.
    facts = arrays.pair_facts(project=project, voices=Voices(), where=[])
    assert facts.counts_in_the_file(np.array([0, 1])).tolist() == [[0, 1, 0, 1], [1, 0, 0, 1]]
    assert facts.counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1]]


def test_judges_count_when_they_are_asked_for_and_alone_when_only_they_are(project, judged, robot):
    one, _ = judged
    assert rows(arrays.judgement_labels(project=project, voices=Voices(kind="judge"))) == {(one.pk, robot.pk, "tie")}
    assert len(arrays.judgement_labels(project=project, voices=Voices(kind="all"))) == 5


def test_annotators_are_chosen_by_how_their_name_begins(project, judged, crowd):
    found = arrays.judgement_labels(project=project, voices=Voices(prefixes=("expert_", "nobody")))
    assert found.annotators.tolist() == [crowd[0].pk]


def test_pairs_are_chosen_by_criteria(project, judged):
    one, _ = judged
    found = arrays.judgement_labels(project=project, where=parse_all(["id$=-t1"]))
    assert found.items.tolist() == [one.pk]


def test_the_current_revision_speaks_and_no_earlier_one(project, judged, alice, say):
    one, _ = judged
    say(alice, one, "tie")
    said = {
        value
        for item, who, value in rows(arrays.judgement_labels(project=project))
        if (item, who) == (one.pk, alice.pk)
    }
    assert said == {"tie"}


def test_pairs_out_of_play_and_other_projects_are_not_there(project, judged, stranger, make_pair, say):
    one, two = judged
    two.excluded_at = two.created_at
    two.save()
    say(stranger, make_pair(into=stranger.project), "first")
    assert arrays.judgement_labels(project=project).items.tolist() == [one.pk]


def test_a_project_without_judgements_has_no_labels(project):
    labels = arrays.judgement_labels(project=project)
    assert (len(labels), labels.n_items) == (0, 0)
    facts = arrays.pair_facts(project=project, voices=Voices(), where=parse_all(["tag=x"]))
    assert (len(facts), facts.passes.shape) == (0, (1, 0))


def test_the_facts_of_pairs_stand_in_the_order_of_their_numbers(project, make_pair, say, alice, bob):
    early, late = make_pair(rank=9, label="second"), make_pair(rank=2, marks=["identical"])
    say(alice, late, "second", 3)
    say(bob, late, "tie")
    say(alice, early, "skip")
    facts = arrays.pair_facts(project=project, voices=Voices(), where=[])
    assert facts.pair.tolist() == [early.pk, late.pk]
    assert facts.counts.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert facts.skips.tolist() == [1, 0]
    assert (facts.n_strength.tolist(), facts.strength_sum.tolist()) == ([0, 2], [0, -3])
    assert facts.label.tolist() == [arrays.LABELS["second"], arrays.LABELS[""]]
    assert facts.identical.tolist() == [False, True]
    assert facts.empty.tolist() == [False, False]
    assert facts.judgements.tolist() == [0, 2]


def test_that_order_does_not_depend_on_how_the_database_sends_its_rows(project, make_pair, monkeypatch):
    made = [make_pair(slots=0, rank=rank).pk for rank in (5, 3, 9, 1)]
    usual = arrays.columns

    def backwards(*args, **kwargs):
        return {name: column[::-1] for name, column in usual(*args, **kwargs).items()}

    for way in (usual, backwards):
        monkeypatch.setattr(pairs, "columns", way)
        found = arrays.pair_facts(project=project, voices=Voices(), where=[]).pair.tolist()
        assert found == made


@pytest.mark.parametrize("by", ["", "number"])
def test_more_rows_than_one_piece_come_back_whole(db, monkeypatch, by):
    # Twelve pieces, or sixteen of two ranges each.
    monkeypatch.setattr(crossing, "PIECE_BITS", 10 if not by else 9)
    found = arrays.columns(
        "SELECT i, mod(i, 2) = 0, CASE WHEN i > %s THEN i END AS big FROM generate_series(1, 12345) i",
        [12_000],
        {"number": pa.int64(), "even": pa.bool_(), "big": pa.int32()},
        by=by,
    )
    assert sorted(found["number"].tolist()) == list(range(1, 12_346))
    assert (found["even"] == (found["number"] % 2 == 0)).all()
    assert found["big"].sum() == sum(range(12_001, 12_346))


def test_the_planner_knows_that_there_are_few_pieces(db, monkeypatch):
    """Where it takes them for as many as there are rows, one process of the database reads alone."""
    statements = []
    usual = psycopg.ClientCursor.mogrify

    def kept(self, *arguments):
        statements.append(usual(self, *arguments))
        return statements[-1]

    monkeypatch.setattr(psycopg.ClientCursor, "mogrify", kept)
    query = "SELECT i FROM generate_series(1, 500000) i"
    found = arrays.columns(query, [], {"number": pa.int64()}, by="number")
    assert sorted(found["number"].tolist()) == list(range(1, 500_001))
    (statement,) = statements
    asked = statement.removeprefix("COPY (").removesuffix(") TO STDOUT (FORMAT binary)")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {asked}")
        ((top,),) = cursor.fetchone()
    assert top["Plan"]["Plan Rows"] <= 2**crossing.RANGE_BITS


def test_reading_sends_the_same_number_of_queries_however_much_was_said(
    project, make_pair, say, alice, bob, django_assert_num_queries
):
    for count in (1, 20):
        for _ in range(count):
            pair = make_pair(slots=0)
            say(alice, pair, "first")
            say(bob, pair, "tie")
        with django_assert_num_queries(1):
            arrays.judgement_labels(project=project)


def test_values_per_pair_are_stored_and_undefined_ones_with_their_reason(project, make_pair):
    run = Run.objects.create(project=project, kind="measurement", code_version="1")
    pairs = [make_pair(slots=0), make_pair(slots=0)]
    stored = arrays.store_pair_values(
        run=run,
        metric="item_agreement",
        pairs=[pair.pk for pair in pairs],
        values=np.array([0.25, np.nan]),
        n=np.array([4, 1]),
        undefined="Too few.",
    )
    assert stored == 2
    found = Measurement.objects.order_by("pair").values_list("pair", "value", "reason", "n")
    assert list(found) == [(pairs[0].pk, 0.25, None, 4), (pairs[1].pk, None, "Too few.", 1)]
