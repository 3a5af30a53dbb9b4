"""Golden values come from other programs (the `krippendorff` package, irrCAC, scikit-learn) on the same labels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from curation.metrics import agreement, alpha
from curation.metrics.agreement import (
    agreeing_pairs,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    item_agreement,
    item_entropy,
    joint_tables,
    krippendorff_alpha,
    krippendorff_alpha_of_counts,
    percent_agreement,
)
from curation.metrics.estimates import ONE_VALUE, Estimate, bootstrap_interval, patterns
from curation.metrics.labels import Labels
from tests.curation.metrics.reading import ends

NAN = float("nan")


def matrix(*rows: str) -> list[list[float]]:
    return [[NAN if cell == "." else float(cell) for cell in row] for row in rows]


# Ten items, three annotators; 0 and 1 choose, 2 is a tie.
M = matrix("000", "001", "111", "1.1", "010", "110", "22.", "000", "111", "020")
COMPLETE = [row for row in M if not any(map(math.isnan, row))]
# Eight items with strengths.
O = [(-2, -2, -1), (2, 1, 2), (0, 0, 1), (1, 2, NAN), (-1, -2, -2), (0, -1, 0), (2, 2, 2), (-2, NAN, -1)]  # noqa: E741
# The classic example of three annotators and fifteen items.
K = np.array(
    [
        [NAN, NAN, NAN, NAN, NAN, 3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
        [1, NAN, 2, 1, 3, 3, 4, 3, NAN, NAN, NAN, NAN, NAN, NAN, NAN],
        [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
    ]
).T


@pytest.mark.parametrize(
    ("table", "level", "alpha"),
    [
        (M, "nominal", 0.5324675324675325),
        (O, "nominal", 0.230366),
        (O, "ordinal", 0.8538845905867183),
        (O, "interval", 0.8688670829616414),
        (K, "nominal", 0.691358024691358),
        (K, "ordinal", 0.8067214199413153),
        (K, "interval", 0.8108448928121059),
    ],
)
def test_alpha_has_its_golden_values(table, level, alpha):
    tolerance = 1e-6 if level == "nominal" and table is O else 1e-12
    assert krippendorff_alpha(Labels.from_matrix(table), level=level).value == pytest.approx(alpha, abs=tolerance)


def by_definition(table, level):
    """Alpha as its definition has it, one pair of labels at a time."""
    rows = [[value for value in row if not math.isnan(value)] for row in np.asarray(table, dtype=float).tolist()]
    rows = [row for row in rows if len(row) >= 2]
    values = sorted({value for row in rows for value in row})
    place = {value: code for code, value in enumerate(values)}
    met = np.zeros((len(values), len(values)))
    for row in rows:
        for i, a in enumerate(row):
            for j, b in enumerate(row):
                if i != j:
                    met[place[a], place[b]] += 1 / (len(row) - 1)
    given = met.sum(axis=1)
    n = given.sum()
    distance = np.zeros_like(met)
    for a in range(len(values)):
        for b in range(len(values)):
            low, high = sorted((a, b))
            between = given[low : high + 1].sum() - (given[a] + given[b]) / 2
            distance[a, b] = {"nominal": a != b, "interval": (values[a] - values[b]) ** 2, "ordinal": between**2}[level]
    return 1 - (met * distance).sum() / n / ((np.outer(given, given) * distance).sum() / (n * (n - 1)))


@pytest.mark.parametrize("level", agreement.LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_its_definition_on_any_labels(level, seed):
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((40, 6)) < 0.4, NAN, rng.integers(-3, 4, size=(40, 6)).astype(float))
    found = krippendorff_alpha(Labels.from_matrix(table), level=level).value
    assert found == pytest.approx(by_definition(table, level), abs=1e-12)


@pytest.mark.parametrize("level", agreement.LEVELS)
def test_the_totals_of_the_resampling_give_the_same_alpha_as_the_direct_way(level):
    """Every item drawn once: the bootstrap's statistic is alpha itself."""
    labels = Labels.from_matrix(K)
    counts, weights = patterns(labels.counts()[labels.per_item >= 2])
    if level == "nominal":
        statistic, sums = alpha._alpha_nominal, alpha._nominal_sums(counts)
    else:
        numbers = None if level == "ordinal" else labels.numbers
        statistic, sums = alpha._AlphaOfCoincidences(labels.n_values, numbers), alpha._coincidences(counts)
    value = statistic((sums * weights[:, None]).sum(axis=0)[None, :])[0]
    assert value == pytest.approx(krippendorff_alpha(labels, level=level).value, abs=1e-12)


def test_alpha_of_a_value_in_single_labels_only_does_not_count_it():
    with_lonely: list[list[float]] = [[0, 0], [0, 1], [1, 1], [5, NAN]]
    assert krippendorff_alpha(Labels.from_matrix(with_lonely), level="ordinal").value == pytest.approx(
        krippendorff_alpha(Labels.from_matrix(with_lonely[:3]), level="ordinal").value
    )


def test_cohen_and_fleiss_have_their_golden_values():
    labels = Labels.from_matrix(M)
    kappa = cohen_kappa(labels, annotators=(0, 2))
    assert kappa.value == pytest.approx(0.55)
    assert kappa.n == 9
    assert fleiss_kappa(Labels.from_matrix(COMPLETE)).value == pytest.approx(0.37254901960784315)
    assert cohen_kappa(Labels.from_matrix(O), annotators=(0, 1)).value == pytest.approx(0.282051, abs=1e-6)


@pytest.mark.parametrize(("weights", "value"), [("none", 0.282051), ("linear", 0.666667), ("quadratic", 0.875)])
def test_weighted_kappa_has_its_golden_values(weights, value):
    found = cohen_kappa(Labels.from_matrix(O), annotators=(0, 1), weights=weights)
    assert found.value == pytest.approx(value, abs=1e-6)
    assert found.n == 7


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_is_its_definition(weights):
    """One pair of labels at a time: what was seen, against every label of the one beside every label of the other."""
    rng = np.random.default_rng(4)
    table = rng.integers(-3, 4, size=(50, 2)).astype(float)
    power = 1 if weights == "linear" else 2
    seen = np.mean([abs(a - b) ** power for a, b in table])
    by_chance = np.mean([abs(a - b) ** power for a in table[:, 0] for b in table[:, 1]])
    found = cohen_kappa(Labels.from_matrix(table), weights=weights, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(1 - seen / by_chance)
    low, high = ends(found)
    assert low < found.value < high


def test_two_values_have_one_kappa_whatever_the_weights():
    labels = Labels.from_matrix(np.random.default_rng(1).integers(0, 2, size=(40, 2)).astype(float))
    plain, linear, quadratic = (cohen_kappa(labels, weights=weights).value for weights in agreement.KAPPA_WEIGHTS)
    assert linear == pytest.approx(plain)
    assert quadratic == pytest.approx(plain)


def test_weights_need_distances_and_a_known_name():
    names = Labels.from_columns([1, 1], [1, 2], ["a", "b"])
    with pytest.raises(ValueError, match="only a nominal measure"):
        cohen_kappa(names, weights="linear")
    with pytest.raises(ValueError, match="Known are none, linear, quadratic"):
        cohen_kappa(names, weights="cubic")  # type: ignore[arg-type]
    assert cohen_kappa(Labels.from_matrix([[1, 1], [1, 1]]), weights="linear").reason == ONE_VALUE


def test_kappa_does_not_care_which_of_the_two_is_named_first():
    labels = Labels.from_matrix(M)
    assert cohen_kappa(labels, annotators=(2, 0)).value == pytest.approx(cohen_kappa(labels, annotators=(0, 2)).value)


@pytest.mark.parametrize(
    ("counts", "entropy", "normalised", "agrees"),
    [
        ((3, 0, 0), 0.0, 0.0, 1.0),
        ((2, 1, 0), 0.636514, 0.579380, 0.333333),
        ((1, 1, 1), 1.098612, 1.0, 0.0),
        ((4, 1, 0), 0.500402, 0.455486, 0.6),
        ((2, 2, 1), 1.054920, 0.960230, 0.2),
    ],
)
def test_an_items_entropy_and_agreement_have_their_golden_values(counts, entropy, normalised, agrees):
    labels = Labels.from_counts([counts])
    assert item_entropy(labels)[0] == pytest.approx(entropy, abs=1e-6)
    assert item_entropy(labels, normalised=True)[0] == pytest.approx(normalised, abs=1e-6)
    assert item_agreement(labels)[0] == pytest.approx(agrees, abs=1e-6)


def test_an_item_with_one_label_or_none_is_undefined_and_not_in_agreement():
    labels = Labels.from_counts([[1, 0], [0, 0], [2, 0]])
    assert np.isnan(item_agreement(labels)).tolist() == [True, True, False]
    assert np.isnan(item_entropy(labels)).tolist() == [True, True, False]


def test_pairs_agree_with_ties_kept_and_with_ties_dropped():
    labels = Labels.from_columns(
        [1, 1, 1, 2, 2, 3], ["a", "b", "c", "a", "b", "a"], ["first", "first", "tie", "tie", "tie", "second"]
    )
    assert agreeing_pairs(labels) == (2, 4)
    assert agreeing_pairs(labels, drop=("tie",)) == (1, 1)
    kept = percent_agreement(labels)
    assert (kept.value, kept.n) == (0.5, 4)
    assert percent_agreement(labels, drop=("tie",)).value == 1.0


# ---- undefined: a reason, never 0 or 1 -----------------------------------------------------------------------------

UNDEFINED = {
    "nobody said anything": (Labels.from_matrix(np.empty((0, 0))), "There are no labels."),
    "items without labels": (Labels.from_matrix([[NAN, NAN]]), "There are no labels."),
    "one label each": (Labels.from_matrix([[0, NAN], [NAN, 1]]), None),
    "one annotator": (Labels.from_matrix([[0], [1]]), None),
}


@pytest.mark.parametrize("case", UNDEFINED)
@pytest.mark.parametrize("measure", [krippendorff_alpha, percent_agreement, cohen_kappa, fleiss_kappa, gwet_ac1])
def test_what_is_undefined_has_a_reason_and_no_value(case, measure):
    labels, reason = UNDEFINED[case]
    found = measure(labels, rng=np.random.default_rng(0))
    assert math.isnan(found.value)
    assert found.reason
    assert found.as_json()["value"] is None
    if reason and measure is not cohen_kappa:
        assert found.reason == reason


@pytest.mark.parametrize("measure", [krippendorff_alpha, cohen_kappa, fleiss_kappa, gwet_ac1])
def test_one_value_throughout_is_no_perfect_agreement(measure):
    found = measure(Labels.from_matrix([[1, 1], [1, 1], [1, 1]]), rng=np.random.default_rng(0))
    assert found.reason == ONE_VALUE
    assert found.n == 3


def test_fleiss_needs_the_same_number_of_labels_and_says_so():
    assert "from 2 to 3 labels" in (fleiss_kappa(Labels.from_matrix(M)).reason or "")


def test_an_unknown_level_and_names_without_distances_fail_loudly():
    labels = Labels.from_columns([1, 1], [1, 2], ["a", "b"])
    with pytest.raises(ValueError, match="Unknown level 'ratio'"):
        krippendorff_alpha(labels, level="ratio")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only a nominal measure"):
        krippendorff_alpha(labels, level="ordinal")


def test_an_estimate_has_a_value_or_a_reason():
    with pytest.raises(ValueError, match="a value or a reason"):
        Estimate(NAN)
    with pytest.raises(ValueError, match="a value or a reason"):
        Estimate(0.5, "and yet a reason")


# ---- intervals -----------------------------------------------------------------------------------------------------


def noisy(n_items, *, seed=0, right=0.8):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, size=(n_items, 1))
    return Labels.from_matrix(np.where(rng.random((n_items, 3)) < right, truth, rng.integers(0, 3, size=(n_items, 3))))


def test_the_interval_is_that_of_resampling_the_items_themselves():
    """The same quantiles as the slow way, which draws rows of the table and measures each resample anew."""
    labels = noisy(200)
    fast = krippendorff_alpha(labels, rng=np.random.default_rng(1), resamples=4000)
    rng = np.random.default_rng(2)
    counts = labels.counts()
    slow = [
        krippendorff_alpha(Labels.from_counts(counts[rng.integers(0, len(counts), size=len(counts))])).value
        for _ in range(1000)
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert fast.low == pytest.approx(low, abs=0.012)
    assert fast.high == pytest.approx(high, abs=0.012)


@pytest.mark.parametrize("level", agreement.LEVELS)
def test_the_interval_surrounds_the_value_and_narrows_with_more_items(level):
    few = krippendorff_alpha(noisy(100), level=level, rng=np.random.default_rng(0))
    many = krippendorff_alpha(noisy(10_000), level=level, rng=np.random.default_rng(0))
    for found in (few, many):
        low, high = ends(found)
        assert low < found.value < high
    assert np.ptp(ends(few)) > 5 * np.ptp(ends(many))


@pytest.mark.parametrize("measure", [krippendorff_alpha, percent_agreement, cohen_kappa, fleiss_kappa, gwet_ac1])
def test_the_same_seed_gives_the_same_interval_in_whatever_order_the_labels_stand(measure):
    labels = noisy(60)
    order = np.random.default_rng(5).permutation(len(labels))
    shuffled = Labels(
        labels.item[order], labels.annotator[order], labels.value[order], labels.items, labels.annotators, labels.values
    )
    assert measure(labels, rng=np.random.default_rng(3)) == measure(shuffled, rng=np.random.default_rng(3))
    assert measure(labels, rng=np.random.default_rng(3)) != measure(labels, rng=np.random.default_rng(4))


def test_an_interval_from_mostly_undefined_resamples_is_none():
    # One item of two disagrees: a quarter of the resamples hold one value only.
    found = krippendorff_alpha(Labels.from_matrix([[0, 0], [1, 1]]), rng=np.random.default_rng(0))
    assert found.value == 1.0
    assert (found.low, found.high) == (None, None)


def test_no_resamples_no_interval():
    rng = np.random.default_rng(0)
    found = bootstrap_interval(np.ones((1, 1)), np.array([3]), lambda totals: totals[:, 0], rng=rng, resamples=0)
    assert found == (None, None)


def test_kinds_of_items_are_counted_whether_they_fit_a_number_or_not():
    small = np.array([[1, 0], [0, 2], [1, 0], [1, 0]])
    rows, times = patterns(small)
    assert sorted(zip(map(tuple, rows.tolist()), times.tolist(), strict=True)) == [((0, 2), 1), ((1, 0), 3)]
    wide = np.zeros((3, 80), dtype=np.int64)
    wide[0, 7] = 5
    rows, times = patterns(wide)
    assert sorted(times.tolist()) == [1, 2]


def test_joint_tables_cover_every_two_annotators_with_a_common_item_once():
    labels = Labels.from_columns([1, 1, 1, 2, 2, 3], ["a", "b", "c", "b", "a", "c"], [0, 1, 0, 1, 1, 0])
    found = {(one, other): table.tolist() for one, other, table in joint_tables(labels)}
    assert found == {(0, 1): [[0, 1], [0, 1]], (0, 2): [[1, 0], [0, 0]], (1, 2): [[0, 0], [1, 0]]}


def test_a_million_labels_and_a_thousand_annotators_need_no_table_of_them():
    rng = np.random.default_rng(0)
    n = 1_000_000
    labels = Labels(
        np.arange(n) // 3,
        rng.integers(0, 1000, n),
        rng.integers(0, 7, n),
        np.arange(n // 3 + 1),
        np.arange(1000),
        np.arange(-3, 4),
    )
    for level in agreement.LEVELS:
        found = krippendorff_alpha(labels, level=level, rng=np.random.default_rng(0))
        # Drawn at random: no agreement beyond chance.
        assert found.value == pytest.approx(0, abs=0.01)
        low, high = ends(found)
        assert low < found.value < high


# ---- published figures, from the real data -------------------------------------------------------------------------


def read(folder, source):
    with (folder / "judgements.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["source"] == source]
    return [row["item_id"] for row in rows], [row["annotator_id"] for row in rows], [row["choice"] for row in rows]


def test_pandalm_has_its_published_agreement(shared_data):
    labels = Labels.from_columns(*read(shared_data, "pandalm-test-v1"))
    alpha = krippendorff_alpha(labels, rng=np.random.default_rng(0))
    assert (labels.n_items, len(labels)) == (999, 2997)
    assert alpha.value == pytest.approx(0.864221, abs=1e-6)
    assert ends(alpha)[0] < 0.8642 < ends(alpha)[1]
    kappas = [agreement.kappa_of_table(table) for _, _, table in joint_tables(labels)]
    assert [kappa.value for kappa in kappas] == pytest.approx([0.852023, 0.878944, 0.861662], abs=1e-6)
    assert [kappa.n for kappa in kappas] == [999, 999, 999]


@pytest.mark.parametrize(
    ("turn", "kept", "dropped"), [("-t1", (211, 338), (178, 221)), ("-t2", (229, 332), (191, 233))]
)
def test_mt_bench_experts_have_their_published_agreement(shared_data, turn, kept, dropped):
    rows = [
        row
        for row in zip(*read(shared_data, "mt-bench-human"), strict=True)
        if row[0].endswith(turn) and row[1].startswith("expert_")
    ]
    labels = Labels.from_columns(*map(list, zip(*rows, strict=True)))
    assert agreeing_pairs(labels) == kept
    assert agreeing_pairs(labels, drop=("tie",)) == dropped


@pytest.mark.parametrize(
    ("turn", "kept", "dropped"), [("-t1", (458, 670), (378, 437)), ("-t2", (449, 663), (375, 434))]
)
def test_a_judge_beside_the_experts_has_its_published_agreement(shared_data, turn, kept, dropped):
    """Pairs of the judge and an expert: all pairs less those of two experts."""
    rows = [row for row in zip(*read(shared_data, "mt-bench-human"), strict=True) if row[0].endswith(turn)]
    experts, everyone = (
        Labels.from_columns(*map(list, zip(*chosen, strict=True)))
        for chosen in (
            [row for row in rows if row[1].startswith("expert_")],
            [row for row in rows if row[1].startswith("expert_") or row[1] == "gpt4_pair"],
        )
    )
    for drop, expected in (((), kept), (("tie",), dropped)):
        found = np.subtract(agreeing_pairs(everyone, drop=drop), agreeing_pairs(experts, drop=drop))
        assert tuple(found.tolist()) == expected


def test_csc_has_its_interval_alpha(shared_data):
    items, annotators, values = read(shared_data, "lewidi/csc")
    labels = Labels.from_columns(items, annotators, [float(value) for value in values])
    assert krippendorff_alpha(labels, level="interval").value == pytest.approx(0.3345, abs=5e-5)


@pytest.mark.parametrize("seed", range(4))
def test_alpha_of_counts_is_alpha_of_the_labels_with_its_interval(seed):
    counts = np.random.default_rng(seed).integers(0, 3, size=(200, 4)).astype(np.int32)
    whole = krippendorff_alpha(Labels.from_counts(counts), rng=np.random.default_rng(7), resamples=50)
    found = krippendorff_alpha_of_counts(counts, rng=np.random.default_rng(7), resamples=50)
    assert found.n == whole.n < 200
    assert [found.value, found.low, found.high] == pytest.approx([whole.value, whole.low, whole.high], abs=1e-12)


@pytest.mark.parametrize(
    "counts", [np.zeros((0, 4), int), [[0, 0], [0, 0]], [[1, 0], [0, 1]], [[3, 0], [2, 0], [0, 1]]]
)
def test_alpha_of_counts_is_undefined_where_alpha_of_the_labels_is_and_says_the_same(counts):
    table = np.asarray(counts)
    assert krippendorff_alpha_of_counts(table) == krippendorff_alpha(Labels.from_counts(table))
    assert not krippendorff_alpha_of_counts(table).is_defined
