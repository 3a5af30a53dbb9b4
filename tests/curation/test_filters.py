"""An address of the board says which pairs are asked for, in bins and in words."""

from __future__ import annotations

import pytest

from annotation.errors import Refused
from curation import dimensions as d
from curation.filters import LONGEST, Filter, Order, parse, parse_order, words

DIMS = d.dimensions({"language": ["en", "de"], "tag": ["a,b"], "source": [], "split": []})


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
        ({"language": "en" * LONGEST}, "too long"),
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


def test_a_filter_is_bins_with_parameters() -> None:
    sql, params = Filter({"difficulty": (3, 4), "discretion": (0, 2)}).sql(DIMS)
    assert sql == "f.b_difficulty BETWEEN %s AND %s AND f.b_discretion = ANY(%s::smallint[])"
    assert params == [3, 4, [0, 2]]
