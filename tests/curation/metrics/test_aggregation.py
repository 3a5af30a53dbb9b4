"""Golden values come from other programs (crowd-kit, cleanlab) on the same labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from curation.metrics.aggregation import crowdlab, dawid_skene, glad, majority_vote, one_coin
from curation.metrics.agreement import krippendorff_alpha
from curation.metrics.estimates import NO_LABELS, NO_OVERLAP
from curation.metrics.labels import Labels

NAN = float("nan")
A, B, TIE = 0, 1, 2
# Ten items, four annotators.
M = np.array(
    [
        [NAN if cell == "." else float(cell) for cell in row]
        for row in ["0001", "0011", "1110", "1.11", "0100", "1101", "22.2", "0000", "1110", "0201"]
    ]
)
TINY = [[A, A, B], [B, B, B], [A, B, B]]
EVERY = [majority_vote, dawid_skene, one_coin, glad]


def crowd(rng, *, n_items, n_labels, confusion, prior):
    """Labels of annotators with known confusions, shape (n_annotators, true, said): each item gets `n_labels`."""
    n_annotators, k, _ = confusion.shape
    truth = rng.choice(k, size=n_items, p=prior)
    annotator = np.array([rng.permutation(n_annotators)[:n_labels] for _ in range(n_items)]).ravel()
    item = np.repeat(np.arange(n_items), n_labels)
    chances = confusion[annotator, truth[item]].cumsum(axis=1)
    value = (rng.random(len(item))[:, None] > chances[:, :-1]).sum(axis=1)
    return truth, Labels(item, annotator, value, np.arange(n_items), np.arange(n_annotators), np.arange(k))


# ---- majority -------------------------------------------------------------------------------------------------------


def test_majority_has_its_golden_labels_and_says_where_it_is_tied():
    found = majority_vote(Labels.from_matrix(M))
    assert found.best.tolist() == [A, A, B, B, A, B, TIE, A, B, A]
    # Two for A and two for B: `best` is the first of them, and says so.
    assert np.nonzero(found.is_tied)[0].tolist() == [1]
    assert found.posterior[9].tolist() == [0.5, 0.25, 0.25]


def test_soft_labels_add_up_and_keep_every_vote():
    labels = Labels.from_matrix(M)
    found = majority_vote(labels)
    np.testing.assert_allclose(found.posterior * found.n[:, None], labels.counts())


# ---- Dawid and Skene ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("iterations", "first"), [(1, 0.812061), (2, 0.809561), (5, 0.962531), (100, 0.999941)])
def test_dawid_skene_has_its_golden_values_at_every_step(iterations, first):
    found = dawid_skene(Labels.from_matrix(M), max_iterations=iterations)
    assert found.posterior[4, A] == pytest.approx(first, abs=1e-6)
    assert found.best.tolist() == [A, A, B, B, A, B, TIE, A, B, A]
    assert found.iterations == min(iterations, 12)
    assert found.has_converged == (iterations == 100)


def test_dawid_skene_has_its_golden_values_on_a_tiny_table():
    posterior, confusion = dawid_skene(Labels.from_matrix(TINY))
    assert posterior[2, B] == pytest.approx(0.7679, abs=5e-5)
    assert posterior[0, A] == pytest.approx(0.9998, abs=5e-5)
    assert dawid_skene(Labels.from_matrix(TINY)).best.tolist() == [A, B, B]
    assert posterior.shape == (3, 2)
    assert confusion.shape == (3, 2, 2)
    np.testing.assert_allclose(confusion.sum(axis=2), 1)


def test_planted_confusions_are_found_again():
    """Planted truth (a): 30 annotators with their own ways to err, 20 labels an item."""
    rng = np.random.default_rng(11)
    planted = 0.5 * np.eye(3) + 0.5 * rng.dirichlet([1, 1, 1], size=(30, 3))
    truth, labels = crowd(rng, n_items=2000, n_labels=20, confusion=planted, prior=[0.5, 0.3, 0.2])
    found = dawid_skene(labels)
    assert np.abs(found.confusion - planted).mean() <= 0.03
    assert (found.best == truth).mean() > 0.99
    np.testing.assert_allclose(found.prior, [0.5, 0.3, 0.2], atol=0.04)
    right = np.einsum("att,t->a", planted, found.prior)
    assert np.abs(found.skill - right).mean() < 0.02


def test_an_annotator_who_says_the_opposite_is_of_use():
    planted = np.array([[[0.9, 0.1], [0.1, 0.9]]] * 3 + [[[0.05, 0.95], [0.95, 0.05]]] * 2)
    truth, labels = crowd(np.random.default_rng(3), n_items=600, n_labels=5, confusion=planted, prior=[0.5, 0.5])
    found = dawid_skene(labels)
    assert (found.best == truth).mean() > (majority_vote(labels).best == truth).mean() + 0.1
    assert (found.confusion[3:, 0, 0] < 0.2).all()


def test_the_likelihood_never_falls_with_more_steps():
    rng = np.random.default_rng(5)
    labels = Labels.from_matrix(rng.integers(0, 3, size=(40, 4)).astype(float))

    def likelihood(found):
        chances = np.maximum(found.confusion, 1e-12)[labels.annotator, :, labels.value]
        logs = np.tile(np.log(np.maximum(found.prior, 1e-12)), (40, 1))
        np.add.at(logs, labels.item, np.log(chances))
        return np.logaddexp.reduce(logs, axis=1).sum()

    steps = [likelihood(dawid_skene(labels, max_iterations=n, tolerance=0)) for n in range(8)]
    assert (np.diff(steps) > -1e-9).all()


# ---- one coin, GLAD -------------------------------------------------------------------------------------------------


def test_one_coin_has_its_golden_skills():
    found = one_coin(Labels.from_matrix(M))
    np.testing.assert_allclose(found.skill, [1.0, 0.7778, 0.7778, 0.5], atol=5e-5)
    wrong = 1 - found.confusion[3, A, A]
    np.testing.assert_allclose(found.confusion[3, A], [1 - wrong, wrong / 2, wrong / 2])


def test_glad_has_its_golden_abilities():
    """crowd-kit ends its steps early; carried to the end, it gives the second line."""
    found = glad(Labels.from_matrix(M))
    np.testing.assert_allclose(found.ability, [1.3563, 0.6360, 0.7130, 0.0810], atol=3e-3)
    np.testing.assert_allclose(found.ability, [1.357182, 0.637104, 0.710176, 0.079394], atol=5e-5)
    assert found.best.tolist() == [A, A, B, B, A, B, TIE, A, B, A]


def test_glad_on_a_tiny_table_is_near_its_golden_values_and_at_its_own():
    """Three items: where crowd-kit ends its steps is the first line, the maximum itself the second."""
    found = glad(Labels.from_matrix(TINY))
    np.testing.assert_allclose(found.ability, [0.5467, 1.1010, 0.5467], atol=0.06)
    np.testing.assert_allclose(found.ability, [0.563121, 1.048053, 0.563121], atol=5e-5)
    assert found.posterior[0, A] == pytest.approx(0.8989, abs=0.04)
    assert found.posterior[0, A] == pytest.approx(0.861133, abs=5e-5)


def test_glad_is_at_the_top_of_its_posterior():
    """No step in any direction is better: the maximum and not a point where steps became small."""
    labels = Labels.from_matrix(TINY)
    found = glad(labels)

    def against(ability, log_easiness):
        x = ability[labels.annotator] * np.exp(log_easiness[labels.item])
        right, wrong = -np.logaddexp(0, -x), -np.logaddexp(0, x)
        logs = np.zeros((3, 2))
        for label, (item, value) in enumerate(zip(labels.item, labels.value, strict=True)):
            logs[item, value] += right[label]
            logs[item, 1 - value] += wrong[label]
        prior = ((ability - 1) ** 2).sum() + ((log_easiness - 1) ** 2).sum()
        return prior / 2 - np.logaddexp.reduce(logs, axis=1).sum()

    ability, log_easiness = found.ability, np.log(found.easiness)
    best = against(ability, log_easiness)
    for step in np.eye(3) * 0.01:
        for sign in (-1, 1):
            assert against(ability + sign * step, log_easiness) > best - 1e-6
            assert against(ability, log_easiness + sign * step) > best - 1e-6


def test_glad_taken_in_pieces_is_glad(monkeypatch):
    """One item of many labels, items of none: the pieces are whole items, and add up to the same."""
    rng = np.random.default_rng(9)
    item = np.concatenate([np.full(60, 7), rng.integers(0, 40, size=200)])
    item = item[item != 11]
    labels = Labels(
        item, rng.integers(0, 8, len(item)), rng.integers(0, 3, len(item)), np.arange(41), np.arange(8), np.arange(3)
    )
    whole = glad(labels)
    monkeypatch.setattr("curation.metrics.abilities.PIECE", 16)
    found = glad(labels)
    assert found.has_converged
    np.testing.assert_allclose(found.posterior, whole.posterior, atol=1e-9)
    np.testing.assert_allclose(found.ability, whole.ability, atol=1e-9)
    assert np.flatnonzero(np.isnan(found.easiness)).tolist() == [11, 40]


def test_glad_finds_the_hard_items_and_the_able():
    rng = np.random.default_rng(2)
    ability = np.repeat([0.2, 2.0], 10)
    easiness = np.repeat([0.3, 3.0], 150)
    right = rng.random((300, 20)) < 1 / (1 + np.exp(-ability * easiness[:, None]))
    truth = rng.integers(0, 2, size=(300, 1))
    found = glad(Labels.from_matrix(np.where(right, truth, 1 - truth)))
    assert found.ability[:10].max() < found.ability[10:].min()
    assert np.median(found.easiness[:150]) < np.median(found.easiness[150:])


# ---- CROWDLAB -------------------------------------------------------------------------------------------------------


def crowdlab_example():
    labels = Labels.from_matrix(np.array([[0, 0, 1], [1, 1, 1], [0, NAN, 0], [1, 0, 1], [0, 0, 0]]))
    first = np.array([0.7, 0.2, 0.9, 0.4, 0.8])
    return labels, np.column_stack([first, 1 - first])


def test_crowdlab_has_its_golden_values():
    found = crowdlab(*crowdlab_example())
    assert found.consensus.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(found.quality, [0.695759, 0.819135, 0.891083, 0.657009, 0.819135], atol=1e-6)
    np.testing.assert_allclose(found.annotator_quality, [0.837485, 0.691307, 0.725945], atol=1e-6)
    np.testing.assert_allclose(found.annotator_weight, [0.444444, 0.0625, 0.166667], atol=1e-6)
    assert found.model_weight == pytest.approx(1.67332, abs=1e-5)
    # Its likeliest values are the consensus, as the first annotator's are.
    assert found.model_quality == pytest.approx(0.837485, abs=1e-6)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)


def test_crowdlab_takes_the_likeliest_for_the_consensus_once():
    """cleanlab's figures for these 200 items; on a few of them the likeliest value is not the majority's."""
    rng = np.random.default_rng(7)
    truth, skill = rng.integers(0, 3, 200), rng.uniform(0.4, 0.95, 8)
    table = np.where(rng.random((200, 8)) < skill, truth[:, None], rng.integers(0, 3, (200, 8))).astype(float)
    table[rng.random((200, 8)) < 0.5] = NAN
    table[np.isnan(table).all(axis=1), 0] = 0
    model = rng.dirichlet([1] * 3, 200) * 0.5
    model[np.arange(200), truth] += 0.5
    labels = Labels.from_matrix(table)
    found = crowdlab(labels, model)
    assert found.model_weight == pytest.approx(1.9748417658131499)
    assert found.annotator_weight[:3] == pytest.approx([0.61931702, 0.58470948, 0.34891923], abs=1e-8)
    clear = ~majority_vote(labels).is_tied
    assert (found.consensus != majority_vote(labels).best)[clear].any()


def test_renaming_the_values_renames_crowdlabs_posterior():
    """No item is tied here: CROWDLAB breaks ties between values by their order."""
    rng = np.random.default_rng(3)
    truth = rng.choice(3, size=60, p=[0.5, 0.3, 0.2])
    table = np.where(rng.random((60, 5)) < 0.8, truth[:, None], rng.integers(0, 3, (60, 5))).astype(float)
    model = rng.dirichlet([1] * 3, 60) * 0.5
    model[np.arange(60), truth] += 0.5
    renamed = np.array([2, 0, 1])
    moved = np.empty_like(model)
    moved[:, renamed] = model
    found = crowdlab(Labels.from_matrix(table), model)
    turned = crowdlab(Labels.from_matrix(renamed[table.astype(int)].astype(float)), moved)
    np.testing.assert_allclose(turned.posterior[:, renamed], found.posterior)
    np.testing.assert_array_equal(turned.consensus, renamed[found.consensus])
    np.testing.assert_allclose(turned.annotator_quality, found.annotator_quality)


def test_a_model_that_is_wrong_has_a_low_quality():
    labels, model = crowdlab_example()
    found = crowdlab(labels, 1 - model)
    likely = found.posterior[np.arange(5), np.argmax(1 - model, axis=1)].mean()
    assert (found.consensus == np.argmax(1 - model, axis=1)).sum() == 0
    # Never right, and of no weight: what remains is how likely its values are, times nothing.
    assert 0 <= found.model_quality < 1e-5 < likely


def test_crowdlab_needs_a_probability_for_every_cell():
    with pytest.raises(ValueError, match="5 x 2 cells"):
        crowdlab(crowdlab_example()[0], np.ones((5, 3)))


def test_crowdlab_of_single_labels_is_undefined():
    found = crowdlab(Labels.from_matrix([[0, NAN], [NAN, 1]]), np.full((2, 2), 0.5))
    assert found.reason == NO_OVERLAP
    assert np.isnan(found.quality).all()


# ---- what is not there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregate", EVERY)
def test_nothing_at_all_has_a_reason(aggregate):
    found = aggregate(Labels.from_matrix(np.full((2, 3), NAN)))
    assert found.reason == NO_LABELS
    assert np.isnan(found.posterior).all()
    assert found.best.tolist() == [-1, -1]


@pytest.mark.parametrize("aggregate", EVERY)
def test_an_item_and_an_annotator_without_labels_are_nan_and_change_nothing(aggregate):
    table = np.full((12, 5), NAN)
    table[:10, :4] = M
    found, alone = aggregate(Labels.from_matrix(table)), aggregate(Labels.from_matrix(M))
    np.testing.assert_allclose(found.posterior[:10], alone.posterior, atol=1e-6)
    assert np.isnan(found.posterior[10:]).all()
    assert found.best[10:].tolist() == [-1, -1]
    for name in ("confusion", "ability"):
        if hasattr(found, name):
            assert np.isnan(getattr(found, name)[4]).all()
            np.testing.assert_allclose(getattr(found, name)[:4], getattr(alone, name), atol=1e-4)


@pytest.mark.parametrize("aggregate", EVERY)
def test_the_order_of_the_labels_does_not_matter(aggregate):
    labels = Labels.from_matrix(M)
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = Labels(
        labels.item[order], labels.annotator[order], labels.value[order], labels.items, labels.annotators, labels.values
    )
    np.testing.assert_allclose(aggregate(labels).posterior, aggregate(shuffled).posterior, atol=1e-5)


@pytest.mark.parametrize("aggregate", EVERY)
def test_renaming_the_values_renames_the_posterior(aggregate):
    renamed = np.array([2, 0, 1])
    moved = np.where(np.isnan(M), NAN, renamed[np.nan_to_num(M).astype(int)])
    np.testing.assert_allclose(
        aggregate(Labels.from_matrix(moved)).posterior[:, renamed],
        aggregate(Labels.from_matrix(M)).posterior,
        atol=1e-5,
    )


def test_a_million_labels_and_a_thousand_annotators_need_no_table_of_them():
    rng = np.random.default_rng(0)
    n = 1_000_000
    truth, skill = rng.integers(0, 4, n // 5), rng.uniform(0.5, 0.95, 1000)
    item, annotator = np.arange(n) // 5, rng.integers(0, 1000, n)
    value = np.where(rng.random(n) < skill[annotator], truth[item], rng.integers(0, 4, n))
    found = dawid_skene(Labels(item, annotator, value, np.arange(n // 5), np.arange(1000), np.arange(4)))
    assert (found.best == truth).mean() > 0.97


# ---- real crowds ----------------------------------------------------------------------------------------------------


# Accuracy and F1 of the second value, by the majority and by Dawid and Skene; GLAD's accuracy; alpha.
REAL = {
    "crowd_truth_infer/d_Duck Identification": ((0.7593, 0.675), (0.8889, 0.8723), 0.7222, 0.1255),
    "crowd_truth_infer/d_jn-product": ((0.8966, 0.5905), (0.9397, 0.7209), 0.9283, 0.1575),
}


@pytest.mark.parametrize("source", REAL)
def test_real_crowds_have_their_reference_figures(shared_data, source):
    by_majority, by_dawid_skene, by_glad, alpha = REAL[source]
    with (shared_data / "judgements.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["source"] == source]
    with (shared_data / "items.jsonl").open(encoding="utf-8") as lines:
        gold = {row["item_id"]: row["gold"] for row in map(json.loads, lines) if row["source"] == source}
    labels = Labels.from_columns(*([row[key] for row in rows] for key in ("item_id", "annotator_id", "choice")))
    truth = np.array([int(gold[item]) for item in labels.items.tolist()])

    def figures(found):
        said = labels.values[found.best]
        both = ((said == 1) & (truth == 1)).sum()
        return (said == truth).mean(), 2 * both / ((said == 1).sum() + (truth == 1).sum())

    assert figures(majority_vote(labels)) == pytest.approx(by_majority, abs=5e-5)
    assert figures(dawid_skene(labels)) == pytest.approx(by_dawid_skene, abs=5e-5)
    assert figures(glad(labels))[0] == pytest.approx(by_glad, abs=5e-5)
    assert krippendorff_alpha(labels).value == pytest.approx(alpha, abs=5e-5)
