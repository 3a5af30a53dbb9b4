"""The hooks of generation: who steers the logits, and who decides at a checkpoint which texts go on.

Both methods that they are for are written here in a few lines, and hold what their papers promise: ARGS (Khanov et al.,
arXiv 2402.01694) and Speculative Rejection (Sun et al., arXiv 2410.20290).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.workers.backends.plainly import QUESTIONS, asked, forward, plain_generate, rendered, texts
from workers.backends import Checkpoint, Generated, Partial, Sampling

pytestmark = pytest.mark.gpu_stack

SEEDS = [11, 12, 13, 14, 15, 16, 17, 18]


def hooked(local, *, max_tokens=24, temperature=1.0, **hooks):
    """The eight questions with a hook: results by their places."""
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
    told = list(local.generate([asked(q) for q in QUESTIONS], sampling=sampling, seeds=SEEDS, **hooks))
    assert len(dict(told)) == len(told), "nothing comes twice"
    return dict(told)


def plain(local, *, max_tokens=24, temperature=1.0):
    found = texts(local, QUESTIONS, seeds=SEEDS, max_tokens=max_tokens, temperature=temperature)
    return dict(enumerate(found))


def assert_same(one: dict[int, Generated], other: dict[int, Generated]) -> None:
    """The same texts; figures to the rounding of another batch."""
    assert {place: (got.text, got.token_count, got.finish) for place, got in one.items()} == {
        place: (got.text, got.token_count, got.finish) for place, got in other.items()
    }
    for place, got in one.items():
        assert got.log_probability == pytest.approx(other[place].log_probability, abs=1e-3)
        assert got.mean_entropy == pytest.approx(other[place].mean_entropy, abs=1e-4)
        np.testing.assert_allclose(got.truncated_entropies, other[place].truncated_entropies, atol=1e-4)


# ---- logits_processor ----------------------------------------------------------------------------------------------


def no_repeat(tokens, logits):
    """Halves what was said before, prompt included; like transformers' penalty, it hangs on all tokens so far."""
    seen = np.unique(tokens)
    logits[seen] -= 2.0
    return logits


class NoRepeat:
    """The same as transformers takes it."""

    def __call__(self, input_ids, scores):
        import torch

        rows = [no_repeat(ids.tolist(), row.numpy().copy()) for ids, row in zip(input_ids, scores, strict=True)]
        return torch.from_numpy(np.stack(rows))


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_a_logits_processor_is_that_of_model_generate_whatever_the_batch(local, rows, temperature):
    local.decoder.rows = rows
    got = hooked(local, temperature=temperature, logits_processor=[no_repeat] * len(QUESTIONS))
    assert {one.text for one in got.values()} != {one.text for one in plain(local, temperature=temperature).values()}
    more = {"temperature": temperature, "top_k": 0} if temperature else {}
    for place, question in enumerate(QUESTIONS):
        seed = SEEDS[place] if temperature else None
        tokens = plain_generate(local, question, seed=seed, max_new_tokens=24, logits_processor=[NoRepeat()], **more)
        assert got[place].text == local.wording.tokenizer.decode(tokens, skip_special_tokens=True)
        assert got[place].token_count == len(tokens)


def test_a_processor_sees_its_own_conversation_and_nobody_elses(local):
    """Each of three is led along another text, by what it was told so far."""
    tokenizer = local.wording.tokenizer
    wanted = ["plumb line", "A", "the numbers do not add up"]
    seen: dict[int, list[list[int]]] = {place: [] for place in range(3)}

    def leading(place):
        head, path = rendered(local, QUESTIONS[place]), [*tokenizer(wanted[place])["input_ids"], 2]

        def lead(tokens, logits):
            seen[place].append(list(tokens))
            assert list(tokens[: len(head)]) == head
            only = np.full_like(logits, -np.inf)
            only[path[len(tokens) - len(head)]] = 0
            return only

        return lead

    got = dict(
        local.generate(
            [asked(q) for q in QUESTIONS[:3]],
            sampling=Sampling(),
            seeds=[0, 0, 0],
            logits_processor=[leading(place) for place in range(3)],
        )
    )
    assert [got[place].text for place in range(3)] == wanted
    assert [len(asked_of) for asked_of in seen.values()] == [got[place].token_count + 1 for place in range(3)]


def test_the_figures_stay_those_of_the_model(local):
    (got,) = [
        one
        for _, one in local.generate(
            [asked("Count to ten.")],
            sampling=Sampling(temperature=0, max_tokens=12),
            seeds=[0],
            logits_processor=[no_repeat],
        )
    ]
    head = rendered(local, "Count to ten.")
    tokens = plain_generate(local, "Count to ten.", max_new_tokens=12, logits_processor=[NoRepeat()])
    logs = forward(local, head + tokens)[len(head) - 1 : -1].numpy()
    assert got.token_count == len(tokens) == 12
    assert got.log_probability == pytest.approx(logs[np.arange(12), tokens].sum(), abs=1e-3)
    assert got.mean_entropy == pytest.approx(-(np.exp(logs) * logs).sum(axis=1).mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda logits: logits[:-1], r"the shape \(399,\); it was given \(400,\)"),
        (lambda logits: np.full_like(logits, -np.inf), "at least one token possible"),
        (lambda logits: np.where(logits > 0, np.nan, logits), "no NaN"),
        (lambda logits: np.full_like(logits, np.inf), "no inf"),
    ],
)
def test_what_a_processor_may_not_answer_is_said(answer, sentence, local):
    with pytest.raises(ValueError, match=sentence):
        list(
            local.generate(
                [asked("a")], sampling=Sampling(), seeds=[0], logits_processor=[lambda tokens, logits: answer(logits)]
            )
        )
    with pytest.raises(ValueError, match="one logits processor if any, per conversation"):
        list(local.generate([asked("a")] * 2, sampling=Sampling(), seeds=[0, 1], logits_processor=[no_repeat]))


def args(*, k, w):
    """ARGS: among the k most probable, the logit and w times the reward of what it would make. `reward`: by parity."""

    def process(tokens, logits):
        best = np.argsort(-logits)[:k]
        scored = np.full_like(logits, -np.inf)
        scored[best] = logits[best] + w * reward(tokens, best)
        return scored

    return process


def reward(tokens, following):
    """Of each token that could follow: a number that hangs on it and on the one before."""
    return np.sin(following * 7.0 + tokens[-1])


@pytest.mark.parametrize(("k", "w"), [(10, 0.0), (400, 0.0), (1, 0.0), (1, 5.0), (1, 1e6)])
def test_args_without_weight_or_choice_is_greedy(local, k, w):
    got = hooked(local, temperature=0, logits_processor=[args(k=k, w=w)] * len(QUESTIONS))
    assert_same(got, plain(local, temperature=0))


def test_args_with_a_huge_weight_takes_the_best_rewarded_of_the_k(local):
    got = hooked(local, temperature=0, max_tokens=8, logits_processor=[args(k=10, w=1e6)] * len(QUESTIONS))
    for place, question in enumerate(QUESTIONS):
        ids = rendered(local, question)
        made: list[int] = []
        while len(made) < 8 and 2 not in made:
            best = np.argsort(-forward(local, ids + made)[-1].numpy())[:10]
            made.append(int(best[reward([*ids, *made], best).argmax()]))
        expected = [token for token in made if token != 2]
        assert got[place].text == local.wording.tokenizer.decode(expected, skip_special_tokens=True)


# ---- checkpoint ----------------------------------------------------------------------------------------------------


def keep_all(partials):
    return [one.place for one in partials]


def ending(local, when):
    """A processor per question: at these places the text ends after so many tokens, at the others it does not end."""

    def process(place):
        head = len(rendered(local, QUESTIONS[place]))

        def end(tokens, logits):
            only = np.full_like(logits, -np.inf)
            only[2], logits[2] = 0, -np.inf
            return only if len(tokens) - head >= when.get(place, 1000) else logits

        return end

    return [process(place) for place in range(len(QUESTIONS))]


# One is done before the first checkpoint of six tokens, one at it, and one between the second and the third.
WHEN = {1: 3, 4: 6, 6: 14}


@pytest.mark.parametrize(("every", "rows"), [(1, 3), (5, 1), (5, 3), (5, 8), (24, 3), (1000, 8)])
def test_a_checkpoint_that_keeps_all_changes_nothing(local, rows, every):
    local.decoder.rows = rows
    steered = {"logits_processor": ending(local, WHEN)}
    without = hooked(local, **steered)
    assert {place: one.token_count for place, one in without.items() if one.finish == "stop"} == WHEN
    assert_same(hooked(local, checkpoint=Checkpoint(every, keep_all), **steered), without)


@pytest.mark.parametrize("rows", [3, 8])
def test_nothing_is_drawn_twice_for_a_checkpoint(local, rows):
    """Who had to leave its slot reads its own tokens again, and the pass is counted; it does not write them again."""
    local.decoder.rows = rows
    drawn = [0]

    def count(tokens, logits):
        drawn[0] += 1
        logits[2] = -np.inf
        return logits

    before = local.spent
    hooked(local, checkpoint=Checkpoint(6, keep_all), logits_processor=[count] * 8)
    assert drawn[0] == 8 * 24
    once = sum(len(rendered(local, question)) + 24 for question in QUESTIONS)
    assert (local.spent - before == once) == (rows == 8)
    assert once <= local.spent - before < once + 3 * (once - 8 * 6)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_all_are_asked_about_at_the_same_count_with_their_texts_so_far(local, rows):
    """Also those that had no slot to wait in; what is done is among them to the end."""
    local.decoder.rows = rows
    steered: dict[str, Any] = {"logits_processor": ending(local, WHEN)}
    whole, seen = hooked(local, **steered), []

    def keep(partials):
        seen.append(list(partials))
        return keep_all(partials)

    hooked(local, checkpoint=Checkpoint(6, keep), **steered)
    assert len(seen) == 3
    for at, partials in enumerate(seen, start=1):
        assert [one.place for one in partials] == list(range(8))
        for one in partials:
            full = whole[one.place]
            assert one.token_count == min(6 * at, full.token_count)
            # At six tokens it is not known yet that nothing follows.
            assert one.done == (full.token_count < 6 * at)
            assert one.text == full.text if one.done else full.text.startswith(one.text)
            assert one.done or not one.text.endswith("\ufffd"), "half a character is not shown"


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_who_is_dropped_is_written_no_further_and_never_comes(local, rows, monkeypatch):
    """Whether it was under way or done; who stays is written as ever, into the slots that are free."""
    local.decoder.rows = rows
    steered = {"logits_processor": ending(local, WHEN)}
    whole, dropped = hooked(local, **steered), {1, 2, 5}
    widths: list[int] = []
    network = local.network.forward

    def watched(*arguments, **kwargs):
        if kwargs["input_ids"].shape[1] == 1:
            widths.append(len(kwargs["input_ids"]))
        return network(*arguments, **kwargs)

    monkeypatch.setattr(local.network, "forward", watched)
    keep = Checkpoint(6, lambda partials: {one.place for one in partials} - dropped)
    got = hooked(local, checkpoint=keep, **steered)
    assert_same(got, {place: one for place, one in whole.items() if place not in dropped})
    # Of eight one is done at its third token; at six two are dropped, and one more is done with its next draw.
    assert rows < 8 or widths == [8] * 3 + [7] * 2 + [5] + [4] * 8 + [3] * 9


def test_a_checkpoint_may_drop_everything_and_keeps_only_what_is_there(local):
    assert hooked(local, checkpoint=Checkpoint(3, lambda partials: [])) == {}
    with pytest.raises(ValueError, match="keeps 8, which is not there"):
        hooked(local, checkpoint=Checkpoint(3, lambda partials: [8]))
    assert_same(hooked(local, checkpoint=Checkpoint(9, keep_all)), plain(local))  # And the next work is done as ever.


@pytest.mark.parametrize(("rows", "enough_for"), [(8, 10), (4, 6)])
def test_a_checkpoint_and_little_memory_change_no_text(local, rows, enough_for, monkeypatch):
    """Those that begin again after the memory ran out are held where the others are.

    It runs out between two checkpoints, and while some that are held have left their slots.
    """
    import torch

    whole, network, passes = plain(local), local.network.forward, [0]

    def limited(*arguments, **kwargs):
        passes[0] += 1
        if len(kwargs["input_ids"]) > 3 and passes[0] > enough_for:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return network(*arguments, **kwargs)

    counts: list[set[int]] = []

    def keep(partials):
        counts.append({one.token_count for one in partials if not one.done})
        return keep_all(partials)

    local.decoder.rows = rows
    monkeypatch.setattr(local.network, "forward", limited)
    assert_same(hooked(local, checkpoint=Checkpoint(4, keep)), whole)
    assert passes[0] > enough_for
    assert counts == [{4 * at} for at in range(1, len(counts) + 1)]


def test_both_hooks_and_a_prefix_go_together(local):
    prefix = ["one two"] * len(QUESTIONS)
    steered = {"prefix": prefix, "logits_processor": [no_repeat] * len(QUESTIONS)}
    assert_same(hooked(local, checkpoint=Checkpoint(5, keep_all), **steered), hooked(local, **steered))


@dataclass
class Rejection:
    """Speculative Rejection: at each checkpoint the best round((1 - alpha) x pool) go on, by a score of the text."""

    alpha: float
    pools: list[set[int]] = field(default_factory=list)

    def __call__(self, partials: Sequence[Partial]) -> set[int]:
        ranked = sorted(partials, key=lambda one: (-score(one.text), one.place))
        kept = {one.place for one in ranked[: max(1, round((1 - self.alpha) * len(partials)))]}
        self.pools.append(kept)
        return kept


def score(text: str) -> float:
    """Valid on partial text: the share of vowels, drawn towards a half while there is little of it."""
    return (sum(letter in "aeiou" for letter in text) + 1) / (len(text) + 2)


def endless(tokens, logits):
    """No text is done before the others: one that is, and stays, costs nothing more, whatever is rejected."""
    logits[2] = -np.inf
    return logits


def rejecting(local, alpha):
    """(the best text, tokens spent, the places that came, the rejection) of 8 continuations of one prompt."""
    rejection = Rejection(alpha)
    before = local.spent
    came = dict(
        local.generate(
            [asked("Count to ten.")] * 8,
            sampling=Sampling(max_tokens=40),
            seeds=SEEDS,
            logits_processor=[endless] * 8,
            checkpoint=Checkpoint(8, rejection),
        )
    )
    best = max(came.values(), key=lambda one: score(one.text))
    return best.text, local.spent - before, set(came), rejection


def test_speculative_rejection_spends_less_the_more_it_rejects(local):
    sampling, all_8 = Sampling(max_tokens=40), [asked("Count to ten.")] * 8
    steered = [endless] * 8
    made = [one.text for _, one in local.generate(all_8, sampling=sampling, seeds=SEEDS, logits_processor=steered)]
    best_of_8 = max(made, key=score)
    told = {alpha: rejecting(local, alpha) for alpha in (0.0, 0.25, 0.5, 0.75)}
    assert told[0.0][0] == best_of_8
    assert told[0.0][2] == set(range(8))
    spent = [tokens for _, tokens, _, _ in told.values()]
    assert spent == sorted(set(spent), reverse=True), "each rejects more, and spends less"
    for _, _, came, rejection in told.values():
        assert came == rejection.pools[-1], "the best is among what the last checkpoint kept"
