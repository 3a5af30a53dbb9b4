"""Greedy log-determinant gain: against brute force, against the eager algorithm, and the same every time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from curation.spread import by_chance, centred, greedy, information


def points_of(count, width, seed=0, clusters=0):
    rng = np.random.default_rng(seed)
    if clusters:
        centres = rng.normal(size=(clusters, width))
        found = centres[rng.integers(0, clusters, count)] + 0.1 * rng.normal(size=(count, width))
    else:
        found = rng.normal(size=(count, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def by_the_kernel(points, places):
    """log det(1 + K) / 2 as it is defined, from the kernel of the set itself."""
    some = points[list(places)].astype(np.float64)
    return np.linalg.slogdet(np.eye(len(some)) + some @ some.T)[1] / 2


def eagerly(points, budget):
    """Greedy by trying every vector at every step."""
    taken: list[int] = []
    for _ in range(budget):
        gains = {
            place: round(by_the_kernel(points, [*taken, place]) - by_the_kernel(points, taken), 10)
            for place in range(len(points))
            if place not in taken
        }
        taken.append(max(gains, key=lambda place: (gains[place], -place)))
    return taken


@pytest.mark.parametrize("seed", range(6))
def test_the_lazy_algorithm_takes_what_trying_everything_takes(seed):
    points = points_of(40, 8, seed, clusters=5 if seed % 2 else 0)
    assert greedy(points, budget=15).order.tolist() == eagerly(points, 15)


@pytest.mark.parametrize("seed", range(8))
def test_greedy_is_near_the_best_subset_of_all(seed):
    """Nemhauser, Wolsey and Fisher promise 1 - 1/e of the best; on sets this small it is nearly always the best."""
    points = points_of(11, 4, seed, clusters=3)
    for budget in (1, 2, 3, 4):
        best = max(by_the_kernel(points, some) for some in itertools.combinations(range(11), budget))
        found = greedy(points, budget=budget)
        assert by_the_kernel(points, found.order) == pytest.approx(found.gains.sum(), abs=1e-6)
        assert (1 - 1 / np.e) * best <= found.gains.sum() <= best + 1e-6
        if budget == 1:
            assert found.gains.sum() == pytest.approx(best, abs=1e-6)


def test_where_vectors_stand_at_right_angles_the_best_subset_is_found_exactly():
    points = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    found = greedy(points, budget=4)
    assert found.order.tolist() == [0, 3, 6, 9]
    best = max(by_the_kernel(points, some) for some in itertools.combinations(range(12), 4))
    assert found.gains.sum() == pytest.approx(best) == pytest.approx(2 * np.log(2))
    # The second of a direction says log(3/2)/2 and the third log(4/3)/2.
    assert greedy(points, budget=12).gains[4] == pytest.approx(np.log(1.5) / 2)


def test_information_is_that_of_the_kernel_whatever_the_number_of_vectors():
    for count in (0, 1, 5, 50):
        points = points_of(count, 6, 3)
        assert information(points) == pytest.approx(by_the_kernel(points, range(count)), abs=1e-6)
        whole = greedy(points, budget=99)
        assert whole.information([len(whole.order)]) == pytest.approx([information(points)], abs=1e-6)


def test_gains_never_rise_and_nothing_is_taken_twice():
    found = greedy(points_of(3000, 16, 1, clusters=40), budget=1200)
    assert (np.diff(found.gains) <= 1e-12).all()
    assert len(set(found.order.tolist())) == 1200


def test_the_first_of_a_larger_budget_are_those_of_a_smaller_one():
    points = points_of(500, 12, 2, clusters=9)
    assert greedy(points, budget=200).order[:50].tolist() == greedy(points, budget=50).order.tolist()


def test_of_equal_gains_the_earlier_is_taken():
    points = np.tile(points_of(1, 4), (7, 1))
    assert greedy(points, budget=7).order.tolist() == list(range(7))
    assert greedy(np.zeros((3, 4), dtype=np.float32), budget=2).order.tolist() == [0, 1]
    assert greedy(points_of(3, 4), budget=0).order.tolist() == []


def test_by_gain_holds_more_than_by_chance():
    points = points_of(400, 16, 5, clusters=12)
    sizes = [10, 50, 400]
    ours = greedy(points, budget=400).information(sizes)
    chance = by_chance(points, sizes, rng=np.random.default_rng(0))
    assert ours[0] > 1.1 * chance[0]
    assert ours[1] > chance[1]
    assert ours[2] == pytest.approx(chance[2], abs=1e-6)
    assert chance == by_chance(points, sizes, rng=np.random.default_rng(0))


def test_vectors_are_seen_from_their_mean_and_keep_their_proportions():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(50, 5)) + 100).astype(np.float32)
    seen = centred(vectors)
    assert (seen.astype(np.float64) ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    # Unseen from their mean they would all point the same way.
    assert np.abs((seen @ seen.T)[~np.eye(50, dtype=bool)].mean()) < 0.1
    distances = np.linalg.norm(vectors - vectors[0], axis=1)[1:] / np.linalg.norm(seen - seen[0], axis=1)[1:]
    assert distances == pytest.approx(np.full(49, distances[0]), rel=1e-3)
    assert not centred(np.full((4, 3), 7.1, dtype=np.float32)).any()
    assert centred(np.zeros((0, 3), dtype=np.float32)).shape == (0, 3)


def test_what_is_rare_is_taken_before_small_differences_of_what_is_common():
    rng = np.random.default_rng(3)
    common = np.array([1, 0, 0, 0, 0]) + 0.05 * rng.normal(size=(40, 5))
    rare = np.array([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
    vectors = np.concatenate([common[:20], rare, common[20:]]).astype(np.float32)
    assert set(greedy(centred(vectors), budget=2).order.tolist()) == {20, 21}
