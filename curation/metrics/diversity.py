"""How different candidates are from one another. Pure numbers: probabilities, tokens, texts and wins in."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.labels import Floats
from curation.metrics.metric import SHARE, Metric
from curation.metrics.resemblance import near_duplicate_share

# Up to this many tokens the mean entropy is used, above it the likelihood of the samples.
SHORT = 50

Regime = Literal["entropy", "likelihood"]


# ---- how many ways on -----------------------------------------------------------------------------------------------


def truncate(log_probabilities: ArrayLike, sampled: ArrayLike, *, top_p: float = 0.9) -> tuple[Floats, Floats]:
    """Entropy and the sampled token's log-probability at every position, over the likeliest tokens only.

    At each position the fewest tokens whose probabilities reach `top_p` are kept, and the sampled one always; what is
    kept is made to add up to 1.

    Args:
        log_probabilities: (n_positions, n_tokens), in nats; -inf for tokens that were not stored.
        sampled: (n_positions,), the token that was drawn.

    Returns:
        (entropies, log-probabilities), each (n_positions,), in nats.

    Source: Yang and Holtzman, Branching factor, 2025 (arXiv 2506.17871), the authors' code.
    """
    logs = np.asarray(log_probabilities, dtype=np.float64)
    drawn = np.asarray(sampled, dtype=np.int64)
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is above 0 and at most 1, not {top_p}.")
    p = np.exp(logs)
    order = np.argsort(-p, axis=1, kind="stable")
    ordered = np.take_along_axis(p, order, axis=1)
    # What stands before a token is not yet top_p: it is still needed. Rounding must not ask for one token more.
    needed = np.cumsum(ordered, axis=1) - ordered < top_p - 1e-12
    kept = np.zeros_like(needed)
    np.put_along_axis(kept, order, needed, axis=1)
    kept[np.arange(len(drawn)), drawn] = True
    p = np.where(kept, p, 0.0)
    p /= p.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies = -np.where(p > 0, p * np.log(p), 0.0).sum(axis=1)
        return entropies + 0.0, np.log(p[np.arange(len(drawn)), drawn])


def regime(length: int) -> Regime:
    """Which of the two estimators `branching_factor` uses for outputs of this many tokens."""
    return "entropy" if length <= SHORT else "likelihood"


def branching_factor(entropies: Sequence[ArrayLike], log_probabilities: Sequence[ArrayLike]) -> Estimate:
    """Branching factor of a prompt: how many ways on a model sees at each token, by the two-regime estimator.

    log BF = the mean over positions of the mean entropy of the samples there, where the longest of them has up to 50
    tokens; above, it is minus the mean log-probability by token of the samples, which tends to the same (`regime` says
    which). There are other estimators of the same name: figures of this one compare with each other only.

    Args:
        entropies: for each of the sampled outputs, (its tokens,), as `truncate` gives them.
        log_probabilities: the same of the sampled tokens.

    Returns:
        From 1, a single way, to the size of the vocabulary; higher is more diverse. `n` counts the samples. The figure
        of a dataset is the mean over its prompts. Undefined: no sample has a token.

    Source: Yang and Holtzman, 2025, the authors' code.
    """
    pairs = [
        (np.asarray(h, dtype=np.float64), np.asarray(logs, dtype=np.float64))
        for h, logs in zip(entropies, log_probabilities, strict=True)
    ]
    if any(h.shape != logs.shape for h, logs in pairs):
        raise ValueError("Every token of a sample has an entropy and a log-probability.")
    return branching_factor_of_sums(
        [h for h, _ in pairs], [float(logs.sum()) for _, logs in pairs], [len(h) for h, _ in pairs]
    )


def branching_factor_of_sums(
    entropies: Sequence[ArrayLike], log_probabilities: Sequence[float], tokens: Sequence[int]
) -> Estimate:
    """`branching_factor` from what is kept of each sample; otherwise as there.

    Args:
        entropies: for each of the sampled outputs those of its first 50 tokens; not read where an output is longer.
        log_probabilities: the sum over all of its tokens.
        tokens: how many they are.

    Source: Yang and Holtzman, 2025, the authors' code.
    """
    some = [place for place, n in enumerate(tokens) if n]
    if not some:
        return Estimate.undefined("No sample has a token.")
    if regime(max(tokens)) == "likelihood":
        log_factor = -float(np.mean([log_probabilities[place] / tokens[place] for place in some]))
        return Estimate(math.exp(log_factor), n=len(some))
    total, there = np.zeros(SHORT), np.zeros(SHORT)
    for place in some:
        h = np.asarray(entropies[place], dtype=np.float64)
        total[: len(h)] += h
        there[: len(h)] += 1
    if not there.any():
        return Estimate.undefined("No sample carries the entropies of its tokens.")
    return Estimate(math.exp(float((total[there > 0] / there[there > 0]).mean())), n=len(some))


def mean_branching_factor(factors: ArrayLike, *, rng: np.random.Generator | None = None) -> Estimate:
    """The branching factor of a dataset: the mean over its prompts, (n_prompts,); nan is left out."""
    return mean_of(np.asarray(factors, dtype=np.float64), none="No prompt has a branching factor.", rng=rng)


# ---- words ----------------------------------------------------------------------------------------------------------


def distinct_n(candidates: Sequence[Sequence[Hashable]], *, n: int = 2) -> Estimate:
    """distinct-n: how many of the n-grams of all candidates are different, divided by how many there are.

    Args:
        candidates: for each its tokens or words.
        n: the length of the n-grams.

    Returns:
        A share above 0, at most 1; higher is more diverse. It falls with length: compare like with like. `n` counts the
        n-grams. Undefined: no candidate has n tokens.

    Source: Li et al., A diversity-promoting objective function, 2016 (arXiv 1510.03055).
    """
    if n < 1:
        raise ValueError(f"n-grams have at least one token, not {n}.")
    seen: set[tuple[Hashable, ...]] = set()
    total = 0
    for tokens in candidates:
        grams = [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
        seen.update(grams)
        total += len(grams)
    if not total:
        return Estimate.undefined(f"No candidate has {n} tokens.")
    return Estimate(len(seen) / total, n=total)


# ---- circles --------------------------------------------------------------------------------------------------------


def cycle_share(wins: Sequence[ArrayLike]) -> Estimate:
    """The share of triples of candidates in a circle: a beats b, b beats c, c beats a.

    Args:
        wins: for each prompt how often candidate i beat j, (n_candidates, n_candidates).

    Returns:
        0 where preferences are in order; 1/4 where they are drawn at random. `n` counts the triples of which all three
        pairs are decided; a pair with as many wins either way is not. Undefined: there is no such triple.

    Source: Kendall and Babington Smith, On the method of paired comparisons, 1940; as a question about preferences
        Wu et al., Multiplayer Nash preference optimization, 2025.
    """
    circles = decided = 0
    for table in wins:
        won = np.asarray(table, dtype=np.float64)
        if won.ndim != 2 or won.shape[0] != won.shape[1]:
            raise ValueError(f"Wins are a square table; this one has the shape {won.shape}.")
        beats = (won > won.T).astype(np.int64)
        met = beats + beats.T
        circles += int(np.trace(beats @ beats @ beats)) // 3
        decided += int(np.trace(met @ met @ met)) // 6
    if not decided:
        return Estimate.undefined("No three candidates of a prompt have all been compared and decided.")
    return Estimate(circles / decided, n=decided)


# ---- the table ------------------------------------------------------------------------------------------------------

METRICS: dict[str, Metric] = {
    "branching_factor": Metric(
        "Branching factor, two regimes",
        branching_factor,
        "prompt",
        "higher is more diverse",
        "ways on at each token, from 1",
        "samples",
        "no sample with a token",
        "Yang and Holtzman, arXiv 2506.17871",
    ),
    "distinct_2": Metric(
        "distinct-2",
        partial(distinct_n, n=2),
        "prompt",
        "higher is more diverse",
        SHARE,
        "tokens",
        "no candidate with two tokens",
        "Li et al., arXiv 1510.03055",
    ),
    "near_duplicate_share": Metric(
        "Share of near duplicates",
        near_duplicate_share,
        "project",
        "higher is less diverse",
        SHARE,
        "texts",
        "fewer than two texts",
        "Broder, On the resemblance and containment of documents, 1997",
    ),
    "cycle_share": Metric(
        "Share of circular triples",
        cycle_share,
        "project",
        "higher is more circular",
        "share, 0 to 1; random is 1/4",
        "wins",
        "no triple with three decided pairs",
        "Kendall and Babington Smith, On the method of paired comparisons, 1940",
    ),
}
