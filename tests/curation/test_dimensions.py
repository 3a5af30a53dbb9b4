"""Bins have one definition: what Python, SQL and the address say of a value is the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from django.db import connection

from annotation.errors import Refused
from curation import dimensions as d
from curation.dimensions import Filter, Order, parse, parse_order, words

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


def test_an_address_is_read_as_it_is_written() -> None:
    query = {"difficulty": "0.55..0.97", "discretion": "conflict,unknown", "dissents": "1..1", "tag": "a%2Cb"}
    asked = parse({**query, "sort": "-agreement", "pair": "7"}, DIMS)
    assert asked.passing["difficulty"] == tuple(range(55, 97))
    assert asked.passing["discretion"] == (1, 3)
    assert asked.passing["dissents"] == (1,)
    assert asked.passing["tag"] == (0,)
    assert set(asked.passing) == set(query)
    assert parse({"difficulty": "unknown"}, DIMS).passing == {"difficulty": (100,)}
    assert parse({"difficulty": "known"}, DIMS).passing == {"difficulty": tuple(range(100))}
    assert not parse({"difficulty": "0..1"}, DIMS), "The whole range is no filter: what is unknown passes too."
    assert parse_order("", DIMS) == Order("difficulty", True)
    assert parse_order("agreement", DIMS) == Order("agreement", False)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"colour_of": "x"}, "Unknown filter 'colour_of'"),
        ({"difficulty__gte": "1"}, "Unknown filter"),
        ({"difficulty": "0.5"}, "is a range such as 0..1"),
        ({"difficulty": "1..2; DROP TABLE pair"}, "is a range"),
        ({"judgements": "unknown"}, "is a range such as 1..3"),
        ({"discretion": "chaos"}, "has no value 'chaos'. Known are consensus, conflict, indifference, unknown"),
        ({"language": "en" * 2000}, "too long"),
        ({"discretion": ""}, "has no value ''"),
    ],
)
def test_what_is_not_allowed_is_refused_with_a_sentence(query: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=None) as refusal:
        parse(query, DIMS)
    assert said in str(refusal.value)


def test_the_table_is_sorted_by_what_is_allowed_only() -> None:
    for text in ("-prompt", "pair_id", "difficulty;", "--difficulty"):
        with pytest.raises(Refused, match="cannot be sorted"):
            parse_order(text, DIMS)
    with pytest.raises(Refused, match=r"cannot be sorted by 'reward'\. Known are difficulty, agreement"):
        parse_order("-reward", DIMS)
    assert parse_order("-reward", d.dimensions({"reward": ["a reward model"]})) == Order("reward", True)


def test_filters_in_words() -> None:
    assert words(d.DIFFICULTY, range(55, 97)) == "0.55 to 0.97"
    assert words(d.DIFFICULTY, (100,)) == "unknown"
    assert words(d.DISSENTS, (1,)) == "1"
    assert words(d.DISSENTS, (1, 2, 3)) == "1 to 3 or more"
    assert words(d.DISCRETION, (1, 3)) == "conflict or unknown"
    assert words(d.MARGIN, range(32)) == "−8.00 to 0.00"


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


def test_a_filter_is_bins_with_parameters() -> None:
    sql, params = Filter({"difficulty": (3, 4), "discretion": (0, 2)}).sql(DIMS)
    assert sql == "f.b_difficulty BETWEEN %s AND %s AND f.b_discretion = ANY(%s::smallint[])"
    assert params == [3, 4, [0, 2]]
