"""Arguments and pure figures of the primitives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.backends import Checkpoint, Choice, Sampling, in_both_orders
from workers.backends.primitives import log_branching, quantiles_of


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "1"}, "temperature is '1'"),
        ({"top_p": 0}, "leaves no token"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"min_p": 2}, "min_p is 2"),
        ({"top_k": 1.5}, "whole number"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"stop": ("",)}, "at least one character"),
        ({"beams": 4, "best_of": 2}, "beams, best_of is not known. Known are: temperature"),
    ],
)
def test_sampling_refuses_what_it_does_not_know(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Sampling.of(options)


def test_sampling_from_a_runs_parameters():
    assert Sampling.of({"temperature": 0, "stop": ["END"]}) == Sampling(temperature=0, stop=("END",))


@pytest.mark.parametrize("every", [0, -1, True, 1.5, "8"])
def test_a_checkpoint_comes_every_so_many_tokens(every):
    with pytest.raises(ValueError, match="whole number of tokens from 1 on"):
        Checkpoint(every, lambda texts: [])


@given(st.lists(st.floats(0, 0.3), min_size=6, max_size=6))
def test_both_orders_are_antisymmetric(p):
    given_, swapped = Choice(np.array(p[:3])), Choice(np.array(p[3:]))
    one, other = in_both_orders(given_, swapped).probabilities, in_both_orders(swapped, given_).probabilities
    np.testing.assert_array_equal(one[[1, 0, 2]], other)


def test_both_orders_by_hand():
    """s_first = (p_A given AB + p_B given BA) / 2."""
    got = in_both_orders(Choice(np.array([0.9, 0.05, 0.05])), Choice(np.array([0.1, 0.7, 0.2])))
    np.testing.assert_allclose(got.probabilities, [0.8, 0.075, 0.125])


@pytest.mark.parametrize("n", [1, 50, 51, 400])
def test_branching_of_a_uniform_choice_is_its_size_in_both_regimes(n):
    """32 equally probable tokens: 32 exactly; one certain token: 1."""
    head = [math.log(32)] * min(n, 50)
    assert math.exp(log_branching(head, -n * math.log(32), n)) == pytest.approx(32)
    assert log_branching([0.0] * min(n, 50), 0.0, n) == 0


def test_branching_changes_regime_after_fifty_tokens():
    assert log_branching([1.0] * 50, -100.0, 50) == 1
    assert log_branching([1.0] * 50, -102.0, 51) == 2
    with pytest.raises(ValueError, match="empty"):
        log_branching([], 0.0, 0)


def test_quantiles_tell_one_bad_token_from_being_unsure_throughout():
    """METHODS-MORE B2: one bad token among four good has median 0.11 and extreme 4.6; uniformly unsure has 0.69."""
    one_bad = quantiles_of(np.log([0.9, 0.9, 0.9, 0.9, 0.01]))
    assert -one_bad[5] == pytest.approx(0.105, abs=0.01)
    assert -one_bad[0] == pytest.approx(4.6, abs=0.01)
    assert quantiles_of(np.log([0.5] * 5)) == pytest.approx([math.log(0.5)] * 11)
