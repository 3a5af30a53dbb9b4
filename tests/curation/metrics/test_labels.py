from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.labels import Labels

NAN = float("nan")


def test_a_matrix_becomes_one_row_per_label_and_missing_cells_become_none():
    labels = Labels.from_matrix([[1, NAN, 3], [NAN, NAN, NAN], [3, 3, NAN]])
    assert list(zip(labels.item, labels.annotator, labels.values[labels.value], strict=True)) == [
        (0, 0, 1.0),
        (0, 2, 3.0),
        (2, 0, 3.0),
        (2, 1, 3.0),
    ]
    assert (labels.n_items, labels.n_annotators, labels.n_values) == (3, 3, 2)
    assert labels.per_item.tolist() == [2, 0, 2]
    assert labels.counts().tolist() == [[1, 1], [0, 0], [0, 2]]


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="two dimensions"):
        Labels.from_matrix([1, 2, 3])


def test_columns_keep_their_names_and_the_order_of_the_levels():
    labels = Labels.from_columns(["p2", "p1", "p2"], ["ann", "ann", "bob"], ["tie", "a", "b"], levels=["a", "b", "tie"])
    assert labels.items.tolist() == ["p1", "p2"]
    assert labels.annotators.tolist() == ["ann", "bob"]
    assert labels.values.tolist() == ["a", "b", "tie"]
    assert labels.value.tolist() == [2, 0, 1]


def test_a_value_outside_the_levels_is_named():
    with pytest.raises(ValueError, match="'c' is not one of the levels"):
        Labels.from_columns([1, 1], [1, 2], ["a", "c"], levels=["a", "b"])


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        Labels.from_columns([1, 2], [1], [1, 1])


def test_a_code_outside_its_names_is_refused():
    with pytest.raises(ValueError, match="code of value"):
        Labels(np.array([0]), np.array([0]), np.array([2]), np.arange(1), np.arange(1), np.arange(2))


def test_counts_come_back_as_they_were_given():
    counts = [[2, 1, 0], [0, 0, 0], [0, 0, 4]]
    labels = Labels.from_counts(counts, values=("first", "second", "tie"))
    assert labels.counts().tolist() == counts
    assert labels.n_annotators == 4
    # No annotator labels an item twice.
    assert len({*zip(labels.item.tolist(), labels.annotator.tolist(), strict=True)}) == len(labels)


def test_dropped_values_take_their_labels_along_and_nothing_else():
    labels = Labels.from_columns([1, 1, 2], [1, 2, 1], ["tie", "a", "b"])
    kept = labels.without("tie", "never given")
    assert kept.counts().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert kept.values.tolist() == labels.values.tolist()


def test_names_have_no_distances():
    with pytest.raises(ValueError, match="only a nominal measure"):
        _ = Labels.from_columns([1], [1], ["a"]).numbers


def test_every_two_labels_of_an_item_meet_once():
    labels = Labels.from_columns([7, 8, 7, 8, 7, 9], [1, 1, 2, 2, 3, 1], [0, 0, 0, 0, 0, 0])
    met = [pair for one, other in labels.met() for pair in zip(one.tolist(), other.tolist(), strict=True)]
    assert sorted(tuple(sorted(pair)) for pair in met) == [(0, 2), (0, 4), (1, 3), (2, 4)]
