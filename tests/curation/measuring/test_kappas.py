from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotation.models import Run
from curation.measuring import kappas
from curation.measuring.kappas import MOST_DRAWN, kappas_of, undefined
from curation.metrics.agreement import cohen_kappa, joint_tables
from curation.metrics.labels import Labels

FEW = "Fewer than 30 common pairs."


def crowd(n_labels, n_annotators, per_item=5):
    """Labels of a crowd drawn at random; the numbers of annotators begin at 100."""
    rng = np.random.default_rng(0)
    items = n_labels // per_item
    item = np.repeat(np.arange(items), per_item)
    annotator = np.concatenate([rng.choice(n_annotators, size=per_item, replace=False) for _ in range(items)])
    value = rng.integers(0, 3, size=len(item))
    return Labels(item, annotator, value, np.arange(items), np.arange(n_annotators) + 100, np.arange(3))


def test_a_crowd_of_whom_nobody_has_met_another_often_is_counted():
    labels = crowd(40_000, 400)
    found = kappas_of(Run(), labels, least=30)
    met = len(joint_tables(labels))
    # Nearly every two met, nobody thirty times: only the busiest among each other are kept, with the reason.
    assert met > 50_000
    assert len(found.rows) <= MOST_DRAWN * (MOST_DRAWN - 1) / 2
    assert found.left_out == {FEW: met - len(found.rows)}
    assert {row.reason for row in found.rows} == {FEW}
    busiest = np.argsort(-np.bincount(labels.annotator))[:MOST_DRAWN] + 100
    assert {row.annotator_id for row in found.rows} | {row.other_id for row in found.rows} <= {*busiest.tolist()}


def test_whoever_has_enough_in_common_is_kept_however_many_they_are():
    labels = crowd(60_000, 60)
    found = kappas_of(Run(), labels, least=30)
    assert found.left_out == {}
    assert len(found.rows) == 60 * 59 / 2
    row = found.rows[77]
    expected = cohen_kappa(labels, annotators=((row.annotator_id or 0) - 100, (row.other_id or 0) - 100))
    assert row.value == pytest.approx(expected.value)
    assert row.n == expected.n


def test_each_kappa_says_that_it_is_alive():
    beats = []
    found = kappas_of(Run(), crowd(600, 6), least=1, beat=lambda: beats.append(1))
    assert len(beats) == len(found.rows) == 15


def test_without_a_common_pair_there_is_nothing():
    alone = Labels.from_columns([1, 2], [7, 8], ["a", "b"])
    nobody = Labels.from_columns([], [], [])
    for labels in (alone, nobody):
        assert kappas_of(Run(), labels, least=1) == kappas.Kappas([], {})


def test_lines_add_what_is_stored_to_what_is_counted():
    entries: list[dict[str, Any]] = [
        {"value": None, "reason": FEW},
        {"value": None, "reason": "One value."},
        {"value": 0.5, "reason": ""},
    ]
    assert undefined(entries, {FEW: 3}) == [
        f"Cohen's kappa, undefined for 4 pairs of annotators: {FEW}",
        "Cohen's kappa, undefined for 1 pairs of annotators: One value.",
    ]
