"""Golden values: METHODS-CORE 1.5, and the reference figures of the real votes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from curation.metrics import conflicts, discretion
from curation.metrics.discretion import (
    arbitrariness,
    categorise,
    discrepancy,
    discrepancy_of_profiles,
    priorities,
    profile,
    rows,
    supremacy,
)
from tests.curation.metrics.reading import ends

NAN = float("nan")
SIGNS = {"+": 1.0, "-": -1.0, ".": NAN, "0": 0.0, "N": NAN}
# Four principles, then a person and two reward models.
EXAMPLE = [
    ("++..", "+++"),
    ("-..-", "+--"),
    ("+-..", "++-"),
    ("+--.", "+--"),
    ("....", "-++"),
    (".+-+", "+--"),
    ("+.-.", "---"),
    ("..+.", "++-"),
    ("-+.-", "+-+"),
    ("-.++", "-++"),
    ("+-+-", "+0+"),
    (".-+-", "-N+"),
]
VOTES = np.array([[SIGNS[sign] for sign in votes] for votes, _ in EXAMPLE])
HUMAN, RM, RM2 = np.array([[SIGNS[sign] for sign in preferences] for _, preferences in EXAMPLE]).T


# ---- the golden example ---------------------------------------------------------------------------------------------


def test_the_example_has_its_categories():
    assert categorise(VOTES).tolist() == [
        {"C": "consensus", "X": "conflict", "I": "indifference"}[letter] for letter in "CCXXIXXCXXXX"
    ]
    shares = [discretion.category_share(VOTES, category=one).value for one in discretion.CATEGORIES]
    assert shares == pytest.approx([0.25, 0.666667, 0.083333], abs=1e-6)


@pytest.mark.parametrize(
    ("preferences", "da", "n", "ps", "weights"),
    [
        (
            HUMAN,
            1 / 3,
            [[0, 4, 3, 2], [4, 0, 3, 1], [3, 3, 0, 3], [2, 1, 3, 0]],
            [[NAN, 0.75, 2 / 3, 1], [0.25, NAN, 2 / 3, 1], [1 / 3, 1 / 3, NAN, 1 / 3], [0, 0, 2 / 3, NAN]],
            [1.0402, 0.2167, -0.5756, -0.6813],
        ),
        (
            RM,
            0,
            [[0, 3, 3, 1], [3, 0, 1, 1], [3, 1, 0, 1], [1, 1, 1, 0]],
            [[NAN, 2 / 3, 0, 0], [1 / 3, NAN, 0, 0], [1, 1, NAN, 1], [1, 1, 0, NAN]],
            [-1.9712, -2.6297, 3.6683, 0.9326],
        ),
        (
            RM2,
            1 / 3,
            [[0, 4, 3, 2], [4, 0, 3, 1], [3, 3, 0, 3], [2, 1, 3, 0]],
            [[NAN, 0.25, 0, 0.5], [0.75, NAN, 0, 1], [1, 1, NAN, 1], [0.5, 0, 0, NAN]],
            [-1.5827, -0.3055, 3.7637, -1.8755],
        ),
    ],
    ids=["human", "rm", "rm2"],
)
def test_the_example_has_its_golden_values(preferences, da, n, ps, weights):
    found = arbitrariness(VOTES, preferences)
    assert found.value == pytest.approx(da)
    assert found.n == 3
    n_found, ps_found = supremacy(VOTES, preferences)
    assert n_found.tolist() == n
    np.testing.assert_allclose(ps_found, ps, equal_nan=True)
    np.testing.assert_allclose(priorities(n_found, ps_found), weights, atol=1e-4)


def test_priorities_without_a_ridge_are_the_papers():
    np.testing.assert_allclose(
        priorities(*supremacy(VOTES, HUMAN), ridge=0), [1.0531, 0.2219, -0.5821, -0.6930], atol=1e-4
    )
    # Where a group of principles never loses, the paper's have no finite answer.
    assert np.isnan(priorities(*supremacy(VOTES, RM), ridge=0)).all()


def test_the_example_has_its_discrepancies():
    human, rm, rm2 = (priorities(*supremacy(VOTES, one)) for one in (HUMAN, RM, RM2))
    assert discrepancy(rm, human).value == pytest.approx(0.666667, abs=1e-6)
    assert discrepancy(rm2, human).value == pytest.approx(0.5)
    assert discrepancy(human, human).value == 0
    # With the paper's infinite weight, which keeps its place.
    assert discrepancy([-4.78, -5.47, np.inf, 10.25], human).value == pytest.approx(0.666667, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        ([1, 2, 3, 4], [2, 1, 3, 4], 0.166667),
        ([1, 2, 3, 4], [4, 3, 2, 1], 1),
        ([1, 2, 2, 4], [1, 2, 3, 4], 0.043565),
        ([1, 1, 3, 4, 5], [1, 2, 3, 4, 5], 0.025658),
    ],
)
def test_discrepancy_has_its_golden_values(a, b, value):
    assert discrepancy(a, b).value == pytest.approx(value, abs=1e-6)
    assert discrepancy(b, a).value == pytest.approx(value, abs=1e-6)


def test_discrepancy_looks_at_common_principles_only_and_needs_two():
    assert discrepancy([3, 2, 1, NAN], [1, 2, NAN, 9]) == discrepancy([3, 2], [1, 2])
    assert discrepancy([1, NAN], [1, 2]).reason == "Fewer than two principles have a priority on both sides."
    assert discrepancy([1, 1], [1, 2]).reason == "One side has all principles equal."
    with pytest.raises(ValueError, match="same length"):
        discrepancy([1, 2], [1, 2, 3])


# ---- rows and settings ----------------------------------------------------------------------------------------------


def test_each_row_says_what_its_principles_say_and_who_went_against_them():
    found = rows(VOTES)
    assert found.n_relevant.tolist() == [2, 2, 2, 3, 0, 3, 2, 1, 3, 3, 4, 3]
    np.testing.assert_equal(found.direction, [1, -1, NAN, NAN, NAN, NAN, NAN, 1, NAN, NAN, NAN, NAN])
    np.testing.assert_equal(found.arbitrary(HUMAN), [0, 1, *[NAN] * 5, 0, *[NAN] * 4])
    assert np.nanmean(found.arbitrary(HUMAN)) == arbitrariness(VOTES, HUMAN).value


def test_more_relevant_principles_can_be_asked_for():
    found = arbitrariness(VOTES, HUMAN, min_relevant_principles=2)
    assert (found.value, found.n) == (0.5, 2)
    assert arbitrariness(VOTES, HUMAN, min_relevant_principles=3).reason == discretion.NO_CONSENSUS


def test_too_few_rows_are_not_enough_data():
    found = arbitrariness(VOTES, HUMAN, least=30)
    assert math.isnan(found.value)
    assert found.reason == "Not enough data: 3 of at least 30 rows of consensus."


def test_an_inconsistent_vote_counts_as_indifferent():
    assert categorise(np.array([[0, NAN], [0, 1]])).tolist() == ["indifference", "consensus"]


@pytest.mark.parametrize(
    ("votes", "preferences", "words"),
    [([[2.0]], [1], "1, -1 or nan"), ([1.0], [1], "two dimensions"), ([[1.0]], [1, 1], "one preference for each")],
)
def test_what_is_no_vote_is_refused(votes, preferences, words):
    with pytest.raises(ValueError, match=words):
        arbitrariness(votes, preferences)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (5, 0), (5, 3)])
def test_nothing_relevant_is_undefined(shape):
    votes, preferences = np.full(shape, NAN), np.ones(shape[0])
    assert arbitrariness(votes, preferences).reason in (discretion.NO_ROWS, discretion.NO_CONSENSUS)
    n, ps = supremacy(votes, preferences)
    assert not n.any()
    assert np.isnan(ps).all()
    assert np.isnan(priorities(n, ps)).all()
    assert profile(votes, preferences, rng=np.random.default_rng(0)).reason == conflicts.NO_CONFLICT


# ---- planted truth --------------------------------------------------------------------------------------------------


def planted(rng, *, n, weights, arbitrary):
    """Rows in which one or two principles speak; in conflict, the heavier one wins the oftener."""
    k = len(weights)
    votes = np.full((n, k), NAN)
    preferences = np.empty(n)
    for row in range(n):
        i, j = rng.choice(k, size=2, replace=False)
        side = rng.choice([-1.0, 1.0])
        votes[row, i] = side
        if rng.random() < 0.65:
            votes[row, j] = -side
            follows = rng.random() < 1 / (1 + math.exp(weights[j] - weights[i]))
        else:
            follows = rng.random() >= arbitrary
        preferences[row] = side if follows else -side
    return votes, preferences


def kendall(a, b):
    return 1 - 2 * discrepancy(a, b).value


@pytest.mark.parametrize("seed", range(3))
def test_planted_priorities_and_arbitrariness_are_found_again(seed):
    """Planted truth (b): 2,000 rows."""
    rng = np.random.default_rng(seed)
    weights = rng.permutation(np.linspace(-2, 2, 7))
    votes, preferences = planted(rng, n=2000, weights=weights, arbitrary=0.1)
    found = arbitrariness(votes, preferences)
    # The planted share is a chance: what was drawn is within two points of it, and is found exactly.
    assert found.value == pytest.approx(0.1, abs=0.02)
    assert ends(found)[0] < 0.1 < ends(found)[1]
    assert kendall(priorities(*supremacy(votes, preferences)), weights) >= 0.9


def test_the_intervals_of_a_profile_hold_the_planted_weights():
    rng = np.random.default_rng(8)
    weights = np.linspace(-1.5, 1.5, 6)
    votes, preferences = planted(rng, n=2000, weights=weights, arbitrary=0.1)
    found = profile(votes, preferences, rng=np.random.default_rng(0))
    assert ((found.low < found.weights) & (found.weights < found.high)).all()
    assert ((found.low < weights) & (weights < found.high)).sum() >= 5
    again = profile(votes, preferences, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found.low, again.low)
    few = profile(votes[:20], preferences[:20], least=50, rng=rng)
    assert "Not enough data" in (few.reason or "")
    assert np.isnan(few.weights).all()


def test_the_intervals_of_arbitrariness_agree_with_each_other():
    votes, preferences = planted(np.random.default_rng(1), n=2000, weights=np.zeros(4), arbitrary=0.3)
    wilson = arbitrariness(votes, preferences)
    drawn = arbitrariness(votes, preferences, rng=np.random.default_rng(0))
    assert wilson.value == drawn.value
    assert ends(wilson) == pytest.approx(ends(drawn), abs=0.01)


def test_rows_of_one_group_are_drawn_together():
    """Three people who say the same of each pair know no more than one."""
    votes, preferences = planted(np.random.default_rng(1), n=300, weights=np.zeros(4), arbitrary=0.3)
    pair = np.repeat(np.arange(300), 3)
    alone = arbitrariness(votes, preferences, rng=np.random.default_rng(0))
    grouped = arbitrariness(votes[pair], preferences[pair], groups=pair, rng=np.random.default_rng(0))
    apart = arbitrariness(votes[pair], preferences[pair], rng=np.random.default_rng(0))
    assert (grouped.value, grouped.n) == (alone.value, 3 * alone.n)
    assert ends(grouped) == pytest.approx(ends(alone), abs=0.01)
    assert ends(apart)[1] - ends(apart)[0] < 0.7 * (ends(alone)[1] - ends(alone)[0])
    one = profile(votes, preferences, rng=np.random.default_rng(0), resamples=20)
    three = profile(votes[pair], preferences[pair], groups=pair, rng=np.random.default_rng(0), resamples=20, ridge=0.03)
    np.testing.assert_allclose(one.drawn, three.drawn, atol=1e-6)


def test_two_profiles_of_one_seed_have_a_discrepancy_with_an_interval():
    rng = np.random.default_rng(8)
    votes, preferences = planted(rng, n=600, weights=np.linspace(-1.5, 1.5, 6), arbitrary=0.1)
    people, same, turned = (
        profile(votes, choice, rng=np.random.default_rng(0), resamples=30)
        for choice in (preferences, preferences, -preferences)
    )
    assert ends(discrepancy_of_profiles(people, same)) == (0.0, 0.0)
    found = discrepancy_of_profiles(people, turned)
    assert found.value == 1.0
    assert ends(found)[0] > 0.9
    nothing = profile(votes[:0], preferences[:0], rng=rng)
    assert discrepancy_of_profiles(people, nothing).reason == nothing.reason


def test_the_cells_of_supremacy_have_intervals():
    found = supremacy(VOTES, HUMAN)
    low, high = found.interval()
    some = found.n > 0
    assert (np.isnan(low) == ~some).all()
    assert ((low <= found.ps) & (found.ps <= high))[some].all()


# ---- the real votes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data):
    with (shared_data / "principle_votes.jsonl").open(encoding="utf-8") as lines:
        voted = [json.loads(line) for line in lines]
    place = {row["item_id"]: number for number, row in enumerate(voted)}
    votes = np.array([row["votes"] for row in voted], dtype=float)
    preferences: dict[str, np.ndarray] = {}
    with (shared_data / "judgements.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["source"] == "alignment-discretion-hh":
                mine = preferences.setdefault(row["annotator_id"], np.full(len(voted), NAN))
                mine[place[row["item_id"]]] = {"a": 1, "b": -1, "tie": 0}.get(row["choice"], NAN)
    with (shared_data / "reference.json").open(encoding="utf-8") as file:
        return votes, preferences, json.load(file)["discretion_even_rows"]


def test_the_real_rows_have_their_reference_categories(real):
    votes, _, reference = real
    names, counts = np.unique(categorise(votes), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == reference["counts"]
    assert reference["counts"] == {"indifference": 358, "consensus": 612, "conflict": 186}


def test_every_real_annotator_has_the_reference_arbitrariness(real):
    votes, preferences, reference = real
    assert len(preferences) == 8
    for name, expected in reference["annotators"].items():
        found = arbitrariness(votes, preferences[name])
        assert (found.n, round(found.value * found.n)) == (
            expected["consensus_items_judged"],
            expected["contradicting"],
        ), name
        assert found.value == pytest.approx(expected["DA"], abs=1e-6)
    human = arbitrariness(votes, preferences["human"])
    assert human.value == 179 / 612


def test_every_real_annotator_has_the_reference_priorities(real):
    votes, preferences, reference = real
    n, ps = supremacy(votes, preferences["human"])
    wins = np.nan_to_num(ps) * n
    np.testing.assert_allclose(wins, reference["human_wins_matrix"], atol=1e-9)
    for name, expected in reference["annotators"].items():
        n, ps = supremacy(votes, preferences[name])
        assert n.sum() // 2 == expected["conflict_pairs"], name


def of_reference(expected):
    """The reference's weights; without a finite one, a principle went always first (inf) or always last (-inf)."""
    weights = np.array([NAN if one is None else one for one in expected["priority_bt_logit"]])
    order = expected["priority_order_best_first"]
    finite = [place for place, one in enumerate(order) if not math.isnan(weights[one])]
    weights[order[: finite[0]]], weights[order[finite[-1] + 1 :]] = math.inf, -math.inf
    return weights


FINITE = {"human", "rm_mistral_7b", "rm_most_downloaded", "llm_deepseek-v3", "llm_sonnet-3.5"}
FINITE |= {"llm_llama3_8b_finetuned"}


def test_every_real_annotator_has_the_reference_weights_order_and_discrepancy(real):
    """Without a ridge, as the paper has it: where a principle always won or lost there are no weights then."""
    votes, preferences, reference = real
    weights = {name: priorities(*supremacy(votes, mine), ridge=0) for name, mine in preferences.items()}
    assert {name for name, mine in weights.items() if not np.isnan(mine).any()} == FINITE
    human = of_reference(reference["annotators"]["human"])
    for name, expected in reference["annotators"].items():
        if name in FINITE:
            np.testing.assert_allclose(weights[name], expected["priority_bt_logit"], atol=1e-4)
            assert np.argsort(-weights[name]).tolist() == expected["priority_order_best_first"], name
            found = discrepancy(weights[name], weights["human"]).value
        else:
            assert np.isinf(of_reference(expected)).any()
            found = discrepancy(of_reference(expected), human).value
        assert found == pytest.approx(expected["DD_to_human"], abs=5e-4), name


def test_a_small_ridge_moves_no_real_discrepancy_by_more_than_a_few_neighbours(real):
    """One swap of neighbours is .0048. The ridge gives weights to principles that always won, too."""
    votes, preferences, reference = real
    weights = {name: priorities(*supremacy(votes, mine)) for name, mine in preferences.items()}
    for name, expected in reference["annotators"].items():
        assert np.isfinite(weights[name]).all()
        found = discrepancy(weights[name], weights["human"]).value
        assert found == pytest.approx(expected["DD_to_human"], abs=0.03), name
