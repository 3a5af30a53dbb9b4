"""The edit distance: against the textbook's table, and where it must not depend on how a text is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.distance import distance_share, edit_distance, levenshtein


def table(one: str, other: str) -> int:
    """Levenshtein's distance cell by cell."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(one=st.text("ab\n🇩é", max_size=90), other=st.text("ab\n🇩é", max_size=90))
def test_it_is_what_the_table_gives(one: str, other: str) -> None:
    assert edit_distance(one, other) == levenshtein(one, other) == levenshtein(other, one) == table(one, other)


@pytest.mark.parametrize(
    ("one", "other", "distance", "share"),
    [
        ("", "", 0, 0.0),
        ("", "abc", 3, 1.0),
        ("kitten", "sitting", 3, 3 / 7),
        ("flaw", "lawn", 2, 0.5),
        # One letter, whether it is written as one code point or as two; and one line end.
        ("caf\u00e9", "cafe\u0301", 0, 0.0),
        ("a\r\nb", "a\nb", 0, 0.0),
        ("👩‍💻", "👩", 2, 2 / 3),
    ],
)
def test_by_hand(one: str, other: str, distance: int, share: float) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == distance
    assert distance_share(one, other) == pytest.approx(share)


@pytest.mark.parametrize(
    ("one", "other", "distance"), [("e\u0301", "é", 2), ("a\r\nb", "a\nb", 1), ("same", "same", 0)]
)
def test_texts_as_they_are_differ_in_every_code_point(one: str, other: str, distance: int) -> None:
    assert levenshtein(one, other) == levenshtein(other, one) == distance


def test_the_longest_texts_that_are_kept() -> None:
    """20,000 code points against as many: each other one was replaced."""
    assert edit_distance("ab" * 10_000, "ac" * 10_000) == 10_000
