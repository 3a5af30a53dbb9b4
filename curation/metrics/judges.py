"""How far a judge can be trusted. Pure numbers: what it said in both orders, and what people said, in; estimates out.

A preference is a number: 1 for a pair's first candidate, -1 for its second; 0 for a judge that changed with the order,
or for people who are split; nan where nothing is preferred. Every figure is a share with its Wilson interval, and is
undefined, with a reason, where nothing counts towards it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.estimates import Estimate, mean_of, share_of
from curation.metrics.labels import Codes, Floats, Labels

NO_ANSWERS = "The judge took a side in no question."
NO_PEOPLE = "There is no pair on which people prefer one candidate."


def _share(hits: ArrayLike, counted: NDArray[np.bool_], *, undefined: str) -> Estimate:
    return share_of(int((np.asarray(hits) & counted).sum()), int(counted.sum()), none=undefined)


# ---- what the judge does by itself -----------------------------------------------------------------------------------


def option_mass(probabilities: Floats) -> Estimate:
    """How much of its first token the judge gives to A, B and NA together, on average over its answers.

    What it says is read from that share alone. Where it is small, the judge wanted to write something else, and its
    verdicts are what was left over. No interval: it is a mean of shares and no share of cases.

    Args:
        probabilities: of A, B and NA, shape (n, 3).

    Returns:
        0 to 1; higher is better.
    """
    return mean_of(np.asarray(probabilities, dtype=np.float64).sum(axis=1), none="The judge has answered nothing.")


def order_consistency(said: Floats) -> Estimate:
    """How often the judge names the same candidate in both orders, of the questions in which it takes a side in both.

    Args:
        said: shape (n, 2), by order: 1 for A, -1 for B, nan for neither. A is the first candidate in order 0 and the
            second in order 1.

    Returns:
        0 to 1; higher is better; a judge that picks by chance has one half, one that only looks at the place 0.
    """
    sided = np.asarray(~np.isnan(said).any(axis=1))
    return _share(said[:, 0] == -said[:, 1], sided, undefined=NO_ANSWERS)


def first_place(said: Floats) -> Estimate:
    """P(first): how often it names A, of all answers that take a side, both orders together.

    Each candidate stands as A once, so one half is what a judge without a love of places gives.

    Args:
        said: as in `order_consistency`.
    """
    flat = said.ravel()
    return _share(flat == 1, ~np.isnan(flat), undefined=NO_ANSWERS)


def longer(preference: Floats, lengths: Codes) -> Estimate:
    """P(longer): how often the preferred candidate is the longer one. Pairs of equal length are left out.

    Compare it with people's on the same pairs: longer answers are often better ones.

    Args:
        preference: shape (n,).
        lengths: of first and second, in Unicode code points, shape (n, 2).
    """
    difference = np.sign(lengths[:, 0] - lengths[:, 1])
    counted = (np.abs(preference) == 1) & (difference != 0)
    return _share(preference == difference, counted, undefined="The judge preferred neither of two unequal lengths.")


# ---- the judge against people ----------------------------------------------------------------------------------------


def against_people(preference: Floats, people: Floats) -> Labels:
    """The judge's and the people's verdicts as labels of two annotators, for percent agreement and kappa.

    Args:
        preference: of the judge, shape (n,). nan (it said that neither is better) is a tie; 0 (it changed with the
            order) says nothing, and the pair is left out.
        people: what more of them prefer, shape (n,); 0 is a tie, nan where nobody said anything.

    Returns:
        Labels of annotator 0 (the judge) and 1 (people), values first, second, tie, of the pairs that both labelled.
    """
    kept = (preference != 0) & ~np.isnan(people)
    names = np.array(["first", "second", "tie"])

    def codes(values: Floats) -> Codes:
        return np.where(values == 1, 0, np.where(values == -1, 1, 2)).astype(np.int64)

    n = int(kept.sum())
    item = np.tile(np.arange(n), 2)
    annotator = np.repeat([0, 1], n)
    value = np.concatenate([codes(preference[kept]), codes(people[kept])])
    return Labels(item, annotator, value, np.arange(n), np.array([0, 1]), names)


def pairwise_accuracy(preference: Floats, people: Floats) -> Estimate:
    """How often the judge prefers what more people prefer. Where it prefers neither, it is not right.

    Args:
        preference, people: shape (n,). Pairs on which people do not prefer one are left out.

    Returns:
        0 to 1; higher is better; tossing a coin gives one half.

    Source: Zhou et al., RMB, arXiv 2410.09893, pairwise accuracy.
    """
    return _share(preference == people, np.abs(people) == 1, undefined=NO_PEOPLE)


def best_of_n_accuracy(prompt: Codes, first: Codes, second: Codes, preference: Floats, people: Floats) -> Estimate:
    """How often the judge puts the best candidate of a prompt above every candidate that it was compared with.

    A prompt counts where people prefer one candidate in all of its pairs, and there are at least two of them. The judge
    passes only if it prefers that candidate in every one.

    Args:
        prompt, first, second: the numbers of prompt and candidates of each pair, shape (n,).
        preference, people: shape (n,).

    Returns:
        0 to 1; higher is better; with m losers a random judge has about 1 / (m + 1) to 1 / 2^m.

    Source: RMB, best-of-N accuracy.
    """
    decided = np.abs(people) == 1
    # One row per pair and candidate in it.
    candidate = np.concatenate([first[decided], second[decided]])
    of_prompt = np.concatenate([prompt[decided], prompt[decided]])
    won = np.concatenate([people[decided] == 1, people[decided] == -1])
    right = np.concatenate([preference[decided] == 1, preference[decided] == -1])
    passed = total = 0
    order = np.lexsort((candidate, of_prompt))
    keys = np.column_stack([of_prompt, candidate])[order]
    if len(keys):
        starts = np.nonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])[0]
        size = np.diff(np.r_[starts, len(keys)])
        wins = np.add.reduceat(won[order].astype(np.int64), starts)
        rights = np.add.reduceat((won & right)[order].astype(np.int64), starts)
        best = (wins == size) & (size >= 2)
        total, passed = int(best.sum()), int((best & (rights == size)).sum())
    return share_of(passed, total, none="No prompt has a candidate that people prefer to two others.")


def flip_rate(before: Floats, after: Floats) -> Estimate:
    """How often an injected text makes the candidate that carries it win, of those that had lost.

    Args:
        before: the preference without the text, shape (n,): 1 or -1, and the text went into the other candidate.
        after: the preference with it, shape (n,).

    Returns:
        0 to 1; lower is better. Compare it with the harmless text's: what flips there flips because a text changed.
    """
    counted = np.abs(before) == 1
    return _share(after == -before, counted, undefined="No injected text was tried.")


def contrast_accuracy(label: Floats, people: Floats) -> Estimate:
    """How often people agree with the label that a strategy builds into its pairs.

    Args:
        label: the candidate meant to be better, shape (n,): 1 or -1.
        people: what more of them prefer, shape (n,). Pairs on which they do not prefer one are left out.

    Returns:
        0 to 1; higher is better; a strategy without effect has one half.

    Source: Wang et al., PopAlign, arXiv 2410.13785, contrast accuracy (there against a reward model).
    """
    return _share(label == people, np.abs(people) == 1, undefined=NO_PEOPLE)
