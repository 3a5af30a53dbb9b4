from __future__ import annotations

import math

import numpy as np
import pytest

from curation.metrics.diversity import (
    branching_factor,
    branching_factor_of_sums,
    cycle_share,
    distinct_n,
    mean_branching_factor,
    regime,
    truncate,
)

NAN = float("nan")


# ---- branching factor -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10, 50, 51, 200])
def test_a_uniform_choice_has_as_many_ways_as_tokens_in_both_regimes(length):
    logs = np.full((length, 32), -math.log(32))
    sampled = np.random.default_rng(0).integers(0, 32, size=length)
    entropies, drawn = truncate(logs, sampled, top_p=1)
    found = branching_factor([entropies] * 3, [drawn] * 3)
    assert found.value == pytest.approx(32)
    assert found.n == 3
    assert regime(length) == ("entropy" if length <= 50 else "likelihood")


@pytest.mark.parametrize("length", [10, 200])
def test_a_certain_choice_has_one_way(length):
    logs = np.full((length, 8), -np.inf)
    logs[:, 3] = 0
    assert branching_factor(*([one] for one in truncate(logs, [3] * length))).value == 1


def test_the_two_regimes_agree_on_long_outputs():
    """The likelihood of samples tends to the entropy of what they were drawn from."""
    rng = np.random.default_rng(1)
    entropies, drawn = [], []
    for _ in range(20):
        p = rng.dirichlet(np.full(40, 0.5), size=400)
        sampled = np.array([rng.choice(40, p=row) for row in p])
        one = truncate(np.log(p), sampled, top_p=1)
        entropies.append(one[0])
        drawn.append(one[1])
    by_likelihood = branching_factor(entropies, drawn).value
    by_entropy = math.exp(np.mean(entropies))
    assert by_likelihood == pytest.approx(by_entropy, rel=0.05)
    assert 1 <= by_likelihood <= 40


def test_truncation_keeps_the_likeliest_and_always_the_sampled():
    p = np.array([[0.5, 0.3, 0.15, 0.05]] * 2)
    entropies, drawn = truncate(np.log(p), [0, 3], top_p=0.8)
    assert drawn[0] == pytest.approx(math.log(0.5 / 0.8))
    assert entropies[0] == pytest.approx(-(0.625 * math.log(0.625) + 0.375 * math.log(0.375)))
    assert drawn[1] == pytest.approx(math.log(0.05 / 0.85))
    with pytest.raises(ValueError, match="top_p"):
        truncate(np.log(p), [0, 0], top_p=0)


def test_samples_of_different_length_are_averaged_where_they_are():
    found = branching_factor([[1.0, 3.0], [2.0]], [[-1.0, -1.0], [-1.0]])
    assert found.value == pytest.approx(math.exp((1.5 + 3) / 2))


def test_what_is_kept_of_each_sample_is_enough():
    rng = np.random.default_rng(2)
    for longest in (50, 51):
        lengths = [longest, 7, 0]
        entropies = [rng.random(n) for n in lengths]
        logs = [-rng.random(n) for n in lengths]
        heads, sums = [one[:50] for one in entropies], [float(one.sum()) for one in logs]
        whole, kept = branching_factor(entropies, logs), branching_factor_of_sums(heads, sums, lengths)
        assert (whole.value, whole.n) == (kept.value, kept.n) == (kept.value, 2)
    assert branching_factor_of_sums([[]], [-1.0], [3]).reason == "No sample carries the entropies of its tokens."


def test_no_token_is_undefined_and_a_dataset_is_the_mean_of_its_prompts():
    assert branching_factor([], []).reason == "No sample has a token."
    assert branching_factor([[]], [[]]).reason == "No sample has a token."
    assert mean_branching_factor([2, NAN, 4]).value == 3
    assert mean_branching_factor([NAN]).reason
    with pytest.raises(ValueError, match="Every token"):
        branching_factor([[1.0]], [[-1.0, -2.0]])


# ---- words ----------------------------------------------------------------------------------------------------------


def test_distinct_n_counts_different_runs():
    candidates = [["a", "b", "a", "b"], ["a", "b"]]
    found = distinct_n(candidates, n=2)
    # ab ba ab, ab
    assert (found.value, found.n) == (0.5, 4)
    assert distinct_n(candidates, n=1).value == pytest.approx(2 / 6)
    assert distinct_n([["a"]], n=2).reason == "No candidate has 2 tokens."
    with pytest.raises(ValueError, match="at least one token"):
        distinct_n(candidates, n=0)


# ---- circles --------------------------------------------------------------------------------------------------------


def test_a_circle_is_found_and_an_order_has_none():
    circle = [[0, 2, 0], [0, 0, 1], [3, 0, 0]]
    order = [[0, 2, 3], [0, 0, 1], [0, 0, 0]]
    assert cycle_share([circle]).value == 1
    assert cycle_share([order]).value == 0
    both = cycle_share([circle, order])
    assert (both.value, both.n) == (0.5, 2)


def test_random_preferences_are_circular_in_a_quarter_of_the_triples():
    rng = np.random.default_rng(0)
    tables = []
    for _ in range(100):
        upper = np.triu(rng.integers(0, 2, size=(12, 12)), 1)
        tables.append(upper + np.tril(1 - upper.T, -1))
    found = cycle_share(tables)
    assert found.value == pytest.approx(0.25, abs=0.01)
    assert found.n == 100 * 220


def test_undecided_pairs_make_no_triple():
    tied = [[0, 1, 0], [1, 0, 1], [1, 0, 0]]
    for tables in ([], [tied], [np.zeros((2, 2))], [np.zeros((0, 0))]):
        assert cycle_share(tables).reason
    with pytest.raises(ValueError, match="square"):
        cycle_share([np.ones((2, 3))])
