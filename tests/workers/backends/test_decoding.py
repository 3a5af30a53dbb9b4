"""What is written in slots, against plain transformers, on tiny models with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.workers.backends.plainly import QUESTIONS, asked, forward, plain_generate, rendered, texts
from workers.backends import Sampling

pytestmark = pytest.mark.gpu_stack


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_greedy_is_model_generate_whatever_the_batch(local, rows):
    local.decoder.rows = rows
    for question, got in zip(QUESTIONS, texts(local, QUESTIONS, temperature=0, max_tokens=24), strict=True):
        tokens = plain_generate(local, question, max_new_tokens=24)
        assert got.text == local.wording.tokenizer.decode(tokens, skip_special_tokens=True)
        assert got.token_count == len(tokens)
        assert got.finish == ("length" if len(tokens) == 24 else "stop")


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 0.7, "top_p": 0.9}, {"temperature": 1.3, "top_k": 20, "min_p": 0.05}]
)
def test_a_seeded_text_is_model_generate_with_that_seed_alone_and_in_any_batch(local, rows, sampling):
    local.decoder.rows = rows
    seeds = [11, 12, 13, 14, 15, 16, 17, 2**31]
    plain = {"top_k": 0, "top_p": 1.0, "min_p": None, "temperature": 1.0, **sampling}
    for question, seed, got in zip(
        QUESTIONS, seeds, texts(local, QUESTIONS, seeds=seeds, max_tokens=20, **sampling), strict=True
    ):
        tokens = plain_generate(local, question, seed=seed, max_new_tokens=20, **plain)
        assert got.text == local.wording.tokenizer.decode(tokens, skip_special_tokens=True)


def test_draws_follow_the_distribution(local):
    """First tokens of 3,000 seeds against the model's own probabilities: chi-square over the likely tokens."""
    import torch
    from scipy import stats

    from workers.backends.decoding import draw

    logs = forward(local, rendered(local, "Count to ten."))[-1].float()
    n = 3_000
    generators = [torch.Generator().manual_seed(seed) for seed in range(n)]
    drawn = draw(logs.expand(n, -1), sampling=Sampling(), generators=generators)
    counts, expected = np.bincount(drawn.numpy(), minlength=400), n * logs.exp().double().numpy()
    likely = expected >= 10
    observed = [*counts[likely], counts[~likely].sum()]
    wanted = [*expected[likely], expected[~likely].sum()]
    assert stats.chisquare(observed, np.array(wanted) * n / np.sum(wanted)).pvalue > 0.001


def test_figures_of_a_text_are_those_of_its_score(local):
    (got,) = texts(local, ["Count to ten."], seeds=[5], max_tokens=60, temperature=1.4)
    assert got.token_count == 60, "the seed gives a long text"
    head = rendered(local, "Count to ten.")
    tokens = plain_generate(local, "Count to ten.", seed=5, max_new_tokens=60, temperature=1.4, top_k=0)
    logs = forward(local, head + tokens)[len(head) - 1 : -1].numpy()
    drawn = logs[np.arange(60), tokens]
    assert got.log_probability == pytest.approx(drawn.sum(), abs=1e-3)
    np.testing.assert_allclose(got.quantiles, np.quantile(drawn, np.linspace(0, 1, 11)), atol=1e-4)
    assert got.mean_entropy == pytest.approx(-(np.exp(logs) * logs).sum(axis=1).mean(), abs=1e-4)
    entropies, likelihoods = [], []
    for row, token in zip(np.exp(logs), tokens, strict=True):
        order = np.argsort(-row)
        kept = set(order[: np.searchsorted(np.cumsum(row[order]), 0.9) + 1].tolist()) | {token}
        cut = np.array([row[i] for i in kept]) / sum(row[i] for i in kept)
        entropies.append(-(cut * np.log(cut)).sum())
        likelihoods.append(np.log(row[token] / sum(row[i] for i in kept)))
    np.testing.assert_allclose(got.truncated_entropies, entropies[:50], atol=1e-4)
    assert got.truncated_log_probability == pytest.approx(sum(likelihoods), abs=1e-3)
    assert got.branching == pytest.approx(-sum(likelihoods) / 60, abs=1e-4)
    (short,) = texts(local, ["Count to ten."], seeds=[5], max_tokens=20, temperature=1.4)
    assert short.branching == pytest.approx(np.mean(entropies[:20]), abs=1e-4)


def test_a_prefix_is_continued_and_not_repeated(local):
    (got,) = [
        result
        for _, result in local.generate(
            [asked("Count.")], sampling=Sampling(temperature=0, max_tokens=8), seeds=[0], prefix=["one two"]
        )
    ]
    (whole,) = local.score([(asked("Count."), "one two")])
    ids = rendered(local, "Count.") + list(whole.token_ids)
    expected: list[int] = []
    for _ in range(8):
        expected.append(int(forward(local, ids + expected)[-1].argmax()))
    expected = expected[: expected.index(2)] if 2 in expected else expected
    decode = local.wording.tokenizer.decode
    assert got.text == decode([*whole.token_ids, *expected], skip_special_tokens=True)[len("one two") :]


def test_a_stop_text_ends_a_generation_and_is_cut_off(local):
    (free,) = texts(local, ["Count to ten."], seeds=[3], max_tokens=30)
    stop = free.text[5:7]
    (got,) = texts(local, ["Count to ten."], seeds=[3], max_tokens=30, stop=(stop,))
    assert got.text == free.text[: free.text.index(stop)]
    assert got.finish == "stop"
    assert got.token_count < free.token_count


def test_text_without_a_template_is_continued_as_it_stands(local):
    (got,) = [
        result
        for _, result in local.generate(
            [[{"role": "text", "content": "# Query:\nWhy?"}]], sampling=Sampling(temperature=0, max_tokens=6), seeds=[0]
        )
    ]
    ids = local.wording.tokenizer("# Query:\nWhy?")["input_ids"]
    expected: list[int] = []
    for _ in range(6):
        expected.append(int(forward(local, ids + expected)[-1].argmax()))
    expected = expected[: expected.index(2)] if 2 in expected else expected
    assert got.text == local.wording.tokenizer.decode(expected, skip_special_tokens=True)


def test_the_beat_comes_at_every_step_and_can_stop_the_work(local):
    class Cancelled(Exception):
        pass

    left = [4]

    def beat():
        left[0] -= 1
        if not left[0]:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(local.generate([asked("Count.")], sampling=Sampling(max_tokens=400), seeds=[0], beat=beat))
    assert len(texts(local, ["Count."], max_tokens=3)) == 1  # And the next work is done as ever.
