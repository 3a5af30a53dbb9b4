"""One training: its loss is TRL's, its log-probabilities are the model's own, and the memory's end is met."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curation.metrics.difficulty import dpo_loss
from tests.workers.backends import models
from workers.backends.primitives import CannotAnswer
from workers.preference_training import Recipe, Tokens, Trainer, log_probabilities

pytestmark = pytest.mark.gpu_stack

PAIRS = [
    Tokens([5, 6, 7][: 1 + n % 3], list(range(10 + n, 14 + 2 * n)), list(range(40, 43 + n % 4))) for n in range(12)
]
EVERYTHING = np.arange(len(PAIRS))


@pytest.fixture
def network():
    return models.make_network("llama")


def trainer(network, beat=lambda: None):
    return Trainer(network, PAIRS, beat=beat)


def test_log_probabilities_are_those_of_one_plain_pass_per_row(network):
    rows = [row for pair in PAIRS for row in pair.rows]
    with torch.no_grad():
        batched = log_probabilities(network, rows).numpy()
        for row, found in zip(rows, batched, strict=True):
            prompt, completion = row
            logits = network(torch.tensor([prompt + completion])).logits[0]
            logs = torch.log_softmax(logits, dim=-1)
            alone = sum(float(logs[len(prompt) + at - 1, token]) for at, token in enumerate(completion))
            assert found == pytest.approx(alone, abs=1e-3)


def test_an_adapter_that_has_not_learned_gives_ln_2(network):
    losses = trainer(network).held_out_losses(
        train=EVERYTHING[:6], held_out=EVERYTHING[6:], steps=[1], recipe=Recipe(0.1, 1e-12, 4), seed=3
    )
    assert losses == pytest.approx(np.full((6, 1), np.log(2)), abs=1e-5)


def test_pairs_that_are_trained_on_get_easier_and_a_seed_repeats_itself(network):
    def losses(seed):
        return trainer(network).held_out_losses(
            train=EVERYTHING, held_out=EVERYTHING, steps=[2, 20], recipe=Recipe(0.1, 5e-3, 4), seed=seed
        )

    found = losses(1)
    assert found[:, 1].mean() < found[:, 0].mean() < np.log(2)
    assert (losses(1) == found).all()
    assert (losses(2) != found).any()


def test_the_gradient_is_that_of_the_dpo_loss(network):
    """One step of plain descent lowers the loss by what its gradient promises."""
    one = trainer(network)
    recipe = Recipe(0.1, 1e-3, 4, dropout=0.0)
    with one._adapter(recipe, 0) as adapted:
        weights = [weight for weight in adapted.parameters() if weight.requires_grad]
        one._learn(adapted, [0, 1, 2, 3], recipe)
        size = sum(float((weight.grad**2).sum()) for weight in weights if weight.grad is not None)
        rate = 1e-3 / size**0.5
        with torch.no_grad():
            for weight in weights:
                if weight.grad is not None:
                    weight -= rate * weight.grad
        now, reference = one.scores([0, 1, 2, 3], network=adapted), one.reference[:4]
    loss = dpo_loss(now[:, 0], now[:, 1], reference[:, 0], reference[:, 1], beta=0.1).mean()
    assert np.log(2) - loss == pytest.approx(rate * size, rel=0.05)


def test_fewer_pairs_to_a_pass_once_the_memory_does_not_suffice(network, monkeypatch):
    whole = trainer(network)
    usual = whole.scores(EVERYTHING)
    room = 80

    def narrow(asked, rows):
        if sum(len(prompt) + len(completion) for prompt, completion in rows) > room:
            raise torch.OutOfMemoryError
        return log_probabilities(asked, rows)

    monkeypatch.setattr("workers.preference_training.log_probabilities", narrow)
    found = trainer(network)
    assert found.tokens < whole.tokens
    assert found.reference == pytest.approx(usual, abs=1e-3)
    room = 5
    with pytest.raises(CannotAnswer, match="Lower max_length, or use a smaller model"):
        trainer(network)


def test_it_beats_at_every_pass(network):
    beats = []
    trainer(network, beat=lambda: beats.append(1)).held_out_losses(
        train=EVERYTHING[:6], held_out=EVERYTHING[6:], steps=[3], recipe=Recipe(0.1, 1e-3, 4), seed=3
    )
    assert len(beats) >= 5  # The reference, three steps, one checkpoint.
