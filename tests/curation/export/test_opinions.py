from __future__ import annotations

from dataclasses import replace

import numpy as np

from curation.export import opinions
from curation.export.records import Rows, Said


def test_each_judgement_is_a_row_beside_its_pair(make_record):
    rows = Rows.of([make_record(), make_record(pair_id=8), make_record(pair_id=9)])
    said = [
        [
            Said("annotator-1", "person", "first", 2, "Right.", ["correct"], 3),
            Said("x", "judge", "tie", 0, "", [], None),
        ],
        [],
        [Said("annotator-1", "person", "skip", None, "", [], 3)],
    ]
    made = opinions.votes(replace(rows, said=said)).to_pylist()
    assert [(row["pair_id"], row["annotator"], row["verdict"], row["strength"]) for row in made] == [
        (7, "annotator-1", "first", 2),
        (7, "x", "tie", 0),
        (9, "annotator-1", "skip", None),
    ]
    assert (made[0]["reason"], made[0]["reason_tags"], made[0]["guideline"]) == ("Right.", ["correct"], 3)
    assert made[0]["first"][0]["content"] == "Four."


def test_soft_labels_sum_to_one(make_record):
    made = opinions.soft(Rows.of([make_record(counts=(2, 1, 1, 0)), make_record(counts=(0, 0, 0, 3))])).to_pylist()
    assert [[row[name] for name in opinions.SHARES] for row in made] == [[0.5, 0.25, 0.25, 0.0], [0, 0, 0, 1.0]]


def test_all_answers_of_a_prompt_stand_in_one_row_best_first(make_record):
    # Three answers a, b, c of one prompt: a beats b 2:1, b and c tie, c beats a 1:0. Then another prompt.
    records = [
        make_record(pair_id=1, counts=(2, 1, 0, 0)),
        make_record(pair_id=2, counts=(0, 0, 1, 0)),
        make_record(pair_id=3, counts=(0, 1, 0, 0)),
        make_record(pair_id=4, counts=(0, 0, 0, 2)),
    ]
    rows = replace(
        Rows.of(records),
        prompt_id=np.array([5, 5, 5, 6]),
        first_at=np.array([0, 1, 0, 6]),
        second_at=np.array([1, 4, 4, 7]),
        verdict=np.full(4, np.nan),
    )
    one, other = opinions.listwise(rows).to_pylist()
    assert (one["pair_ids"], other["pair_ids"]) == ([1, 2, 3], [4])
    # c (place 4) won 1.5 of 2, a (0) 2 of 4, b (1) 1.5 of 4.
    assert one["scores"] == [0.75, 0.5, 0.375]
    assert one["n_judgements"] == [2, 4, 4]
    assert other["scores"] == [0.0, 0.0]


def test_what_an_adjudicator_decided_is_won_as_the_ruling_says(make_record):
    # Three say a beats b, and an adjudicator says b; one says a beats c. By the votes a would be first.
    records = [
        make_record(pair_id=1, counts=(3, 0, 0, 0), winner="second"),
        make_record(pair_id=2, counts=(1, 0, 0, 0)),
    ]
    rows = replace(
        Rows.of(records),
        prompt_id=np.array([5, 5]),
        first_at=np.array([0, 0]),
        second_at=np.array([1, 2]),
        settled=np.array([True, False]),
    )
    (row,) = opinions.listwise(rows).to_pylist()
    assert row["scores"] == [1.0, 0.25, 0.0]
    # In the order b, a, c.
    assert row["n_judgements"] == [3, 4, 1]
    assert (row["pair_ids"], row["adjudicated"]) == ([1, 2], [True, False])
