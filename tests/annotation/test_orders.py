"""What a ranking implies of pairs, held against its definition on drawn rankings."""

from __future__ import annotations

import doctest
import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import orders

places = st.dictionaries(
    st.integers(1, 10**12), st.one_of(st.none(), st.integers(1, 12)), min_size=3, max_size=8
)  # fmt: skip


def test_the_examples_hold() -> None:
    assert doctest.testmod(orders).failed == 0


@given(places)
def test_ranks_count_from_one_without_gaps_and_keep_the_order(given_places: dict[int, int | None]) -> None:
    ranks = orders.dense(given_places)
    assert {*ranks} == {*given_places}
    found = sorted({rank for rank in ranks.values() if rank is not None})
    assert found == list(range(1, len(found) + 1))
    for one, other in combinations(given_places, 2):
        a, b, x, y = given_places[one], given_places[other], ranks[one], ranks[other]
        if a is None or b is None or x is None or y is None:
            assert (a is None, b is None) == (x is None, y is None)
        else:
            assert ((a > b) - (a < b)) == ((x > y) - (x < y))
    assert orders.dense(ranks) == ranks


@given(places)
def test_every_two_that_are_ranked_are_a_pair_and_nothing_else_is(given_places: dict[int, int | None]) -> None:
    says = orders.implied(orders.dense(given_places))
    ranked = {name for name, place in given_places.items() if place is not None}
    assert {*says} == {tuple(sorted(two)) for two in combinations(ranked, 2)}
    for (first, second), sign in says.items():
        a, b = given_places[first], given_places[second]
        assert a is not None
        assert b is not None
        assert sign == (b > a) - (b < a)


@given(places)
def test_what_is_implied_is_transitive_and_does_not_hang_on_the_order_of_the_screen(
    given_places: dict[int, int | None],
) -> None:
    says = orders.implied(orders.dense(given_places))
    turned = dict(reversed(given_places.items()))
    assert orders.implied(orders.dense(turned)) == says
    better = {two if sign > 0 else two[::-1] for two, sign in says.items() if sign}
    assert all((a, c) in better for a, b in better for other, c in better if b == other)


@given(places)
def test_the_weights_of_a_candidates_pairs_sum_to_one(given_places: dict[int, int | None]) -> None:
    says = orders.implied(orders.dense(given_places))
    ranked = [name for name, place in given_places.items() if place is not None]
    weight = orders.weight_of(len(ranked))
    if len(ranked) < 2:
        assert math.isnan(weight)
        assert not says
        return
    for name in ranked:
        assert sum(weight for two in says if name in two) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ({"a": 2, "b": 1, "c": 2, "d": None}, "B > A = C, D not ranked"),
        ({"a": 1, "b": 1, "c": 1}, "A = B = C"),
        ({"a": None, "b": None, "c": None}, "A, B, C not ranked"),
        ({"c": 1, "a": 3, "b": 2}, "C > B > A"),
    ],
)
def test_a_ranking_in_words(ranks: dict[str, int | None], words: str) -> None:
    assert orders.in_words(ranks) == words
