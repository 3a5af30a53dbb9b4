"""Bins have one definition: what Python, SQL and the address say of a value is the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from django.db import connection

from annotation.errors import Refused
from curation import dimensions as d
from curation.filters import parse, words

DIMS = d.dimensions({"language": ["en", "de"], "tag": ["a,b"], "source": [], "split": []})
NUMBERS = [one for one in DIMS if one.kind == "number"]


def in_sql(one: d.Dimension, values: Sequence[float | None]) -> list[int]:
    expression, params = one.sql()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {expression} FROM unnest(%s::float8[]) WITH ORDINALITY AS t ({one.column}, place) ORDER BY place",
            [*params, list(values)],
        )
        return [slot for (slot,) in cursor.fetchall()]


@pytest.mark.django_db
@pytest.mark.parametrize("one", NUMBERS, ids=lambda one: one.key)
def test_sql_and_python_bin_alike_also_at_the_edges(one: d.Dimension) -> None:
    edges = [one.lo + place * (one.hi - one.lo) / one.bins for place in range(one.bins + 1)]
    values = [near for edge in edges for near in (math.nextafter(edge, -1e9), edge, math.nextafter(edge, 1e9))]
    values += [one.lo - 1000, one.hi + 1000]
    assert in_sql(one, values) == [one.bin_of(value) for value in values]


@pytest.mark.django_db
def test_unknown_is_a_slot_of_its_own_and_never_bin_zero() -> None:
    for one in [*NUMBERS, d.DISSENTS, d.RELEVANT, d.ARBITRARY]:
        assert in_sql(one, [None]) == [one.bins] == [one.bin_of(None)]
        assert in_sql(one, [0.0]) == [one.bin_of(0)] != [one.bins]


@pytest.mark.parametrize("one", NUMBERS, ids=lambda one: one.key)
def test_an_exact_edge_is_the_first_number_of_its_bin(one: d.Dimension) -> None:
    for place in range(1, one.bins):
        edge = one.exact_edge(place)
        assert one.bin_of(edge) == place
        assert one.bin_of(math.nextafter(edge, -math.inf)) == place - 1


def test_a_pair_with_several_marks_is_found_under_each() -> None:
    gold = parse({"marked": "gold"}, DIMS).passing["marked"]
    assert [d.MARKED.values[slot] for slot in gold] == [
        "gold only", "flagged and gold", "gold and duplicate", "flagged and gold and duplicate",
    ]  # fmt: skip
    assert words(d.MARKED, gold) == "gold"
    both = parse({"marked": "duplicate,gold"}, DIMS).passing["marked"]
    assert words(d.MARKED, both) == "gold or duplicate"
    exact = parse({"marked": "plain,flagged and gold"}, DIMS).passing["marked"]
    assert words(d.MARKED, exact) == "plain or flagged and gold"
    assert parse({"marked": "plain,flagged,gold,duplicate"}, DIMS).passing == {}


def test_all_dimensions_fit_the_mask_and_a_byte() -> None:
    with_rewards = d.dimensions({"reward": ["a reward model"]})
    assert (len(DIMS), len(with_rewards)) == (16, 17)
    assert len(with_rewards) <= 31
    assert DIMS[-1].key == with_rewards[-1].key == "reading"
    assert max(one.slots for one in with_rewards) <= 255


def test_rewards_are_a_dimension_only_where_a_reward_model_measured() -> None:
    keys = [one.key for one in d.dimensions({"reward": ["a reward model"]})]
    assert keys[keys.index("margin") + 1] == "reward"
    assert [key for key in keys if key != "reward"] == [one.key for one in d.dimensions({})]
    with pytest.raises(Refused, match="Unknown filter 'reward'"):
        parse({"reward": "0..1"}, DIMS)
