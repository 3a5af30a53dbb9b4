"""Identical but for case and space, or nearly so: counted exactly, the same both ways round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.likeness import alike, jaccard, normalised, shingles

LONG = "The sky looks blue because air scatters short waves of light much more strongly than long ones."


def test_case_space_and_ways_of_writing_do_not_count():
    assert normalised("  Blue\n\tSKY ") == "blue sky"
    assert normalised("ﬁne ①") == normalised("fine 1")
    same, _ = alike(["Blue sky.", "blue  SKY.\n", "Blue sky"], near=1.0)
    assert same.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_jaccard_by_hand():
    # "a b c", "b c d" against "a b c", "b c e": one of three shared.
    assert jaccard(shingles("a b c d"), shingles("a b c e")) == pytest.approx(1 / 3)
    assert jaccard(shingles("a b"), shingles("a b")) == 1
    assert jaccard(shingles("a b"), shingles("b a")) == 0


def test_one_word_more_in_a_long_text_is_near_and_another_text_is_not():
    same, close = alike([LONG, f"{LONG} Yes.", "Because of the sea, which it mirrors."], near=0.8)
    assert not same[0, 1]
    assert close[0, 1]
    assert not close[0, 2]


def test_texts_without_spaces_are_compared_by_characters():
    one = "天空看起来是蓝色的，因为空气对短波光的散射比长波光强得多。"
    _, close = alike([one, f"{one}是", "因为海水的颜色反射到天上。"], near=0.7)
    assert close[0, 1]
    assert not close[0, 2]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.floats(0.1, 1))
def test_likeness_is_symmetric_and_identical_is_near(texts, near):
    same, close = alike(texts, near=near)
    assert np.array_equal(same, same.T)
    assert np.array_equal(close, close.T)
    assert (close >= same).all()
    assert same.diagonal().all()
