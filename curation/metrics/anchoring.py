"""What seeing a machine's reason changes, and what its readers make of it. Pure numbers.

After a judgement is saved a machine's reason for it is offered, or, in a drawn share of the cases (the control), held
back. The two arms differ in nothing else, so that a difference between them is what the offer does. Cases count by the
arm that was drawn, opened or not: leaving out what nobody opened would compare the curious with everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.estimates import Estimate, difference, mean_of, not_enough, share_of
from curation.metrics.labels import Floats
from curation.metrics.metric import SHARE, Metric

# Fewer cases in an arm are not enough data; with a fifth as control, 150 offers.
LEAST_IN_ARM = 30
LEAST_REACTIONS = 20

NOTHING = "There is no case in this arm."
NO_REACTIONS = "Nobody has accepted, edited or rejected anything."
NO_EDITS = "Nobody has edited a reason."


@dataclass(frozen=True)
class Arms:
    """One figure of both arms."""

    offered: Estimate
    control: Estimate

    @property
    def difference(self) -> Estimate:
        """Offered less control; 0 is no change, and `n` is that of the smaller arm. With the interval of two of theirs.

        Source: Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10; for
            means Zou and Donner, Construction of confidence limits about effect measures, 2008.
        """
        return difference(self.offered, self.control)


def shares(happened: ArrayLike, is_control: ArrayLike, *, least: int = LEAST_IN_ARM) -> Arms:
    """How often something happened in each arm.

    Args:
        happened: 1 or 0, nan where it could not happen; shape (n_cases,).
        is_control: the drawn arm, bool of shape (n_cases,).
        least: an arm with fewer cases is not enough data.

    Returns:
        Shares with Wilson intervals, for cases that are drawn one by one, as the arms are.
    """
    values, of_arm = _split(happened, is_control)
    return Arms(
        *(
            share_of(int(values[arm].sum()), int(arm.sum()), none=NOTHING, least=least, of=f"cases in the arm {name}")
            for name, arm in of_arm.items()
        )
    )


def means(
    size: ArrayLike,
    is_control: ArrayLike,
    *,
    least: int = LEAST_IN_ARM,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Arms:
    """How large something was in each arm.

    Args:
        size: in any unit, nan where there was none to measure; shape (n_cases,).
        is_control, least: as in `shares`.
        rng: of the bootstrap over the cases of each arm; without it there is no interval, and so no difference.
        resamples: how many.

    Returns:
        Means with bootstrap intervals.
    """
    values, of_arm = _split(size, is_control)
    found = []
    for name, arm in of_arm.items():
        n = int(arm.sum())
        if 0 < n < least:
            found.append(Estimate.undefined(not_enough(n, least, f"cases in the arm {name}"), n=n))
        else:
            found.append(mean_of(values[arm], none=NOTHING, rng=rng, resamples=resamples))
    return Arms(*found)


def _split(values: ArrayLike, is_control: ArrayLike) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
    """The values, and which of those that are known belong to each arm."""
    found, control = np.asarray(values, dtype=np.float64), np.asarray(is_control, dtype=bool)
    if found.shape != control.shape or found.ndim != 1:
        raise ValueError(f"There is one arm for each case: {found.shape} values, {control.shape} arms.")
    known = ~np.isnan(found)
    return found, {"offered": known & ~control, "control": known & control}


def revision_effect(changed: ArrayLike, is_control: ArrayLike, *, least: int = LEAST_IN_ARM) -> Estimate:
    """Whether more judgements are changed afterwards, in verdict or strength, where a reason was offered.

    Arguments as in `shares`. Returns the difference, -1 to 1.

    Undefined: fewer than `least` cases in an arm.

    Source: Newcombe, 1998, method 10.
    """
    return shares(changed, is_control, least=least).difference


def agreement_effect(agrees: ArrayLike, is_control: ArrayLike, *, least: int = LEAST_IN_ARM) -> Estimate:
    """Whether the annotator's next judgement, of another pair, is more often what the machines say.

    `agrees` is nan where that judgement chose no side, or machines say nothing of its pair. Arguments as in `shares`.
    Returns the difference, -1 to 1.

    Source: Newcombe, 1998, method 10.
    """
    return shares(agrees, is_control, least=least).difference


def reason_effect(
    length: ArrayLike,
    is_control: ArrayLike,
    *,
    least: int = LEAST_IN_ARM,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Whether the annotator's own reason for the next judgement is longer or shorter, in code points; 0 for none.

    Arguments as in `means`. Returns the difference in code points.

    Undefined: fewer than `least` cases in an arm.

    Source: Zou and Donner, 2008.
    """
    return means(length, is_control, least=least, rng=rng, resamples=resamples).difference


def reaction_rate(choice: ArrayLike, *, of: str, least: int = LEAST_REACTIONS) -> Estimate:
    """How often a single reason was accepted, edited or rejected.

    Args:
        choice: "accepted", "edited" or "rejected", shape (n_reactions,).
        of: which of them.
        least: fewer reactions are not enough data.

    Returns:
        A share with its Wilson interval. Neither direction is good: whoever accepts everything does not read.

    Undefined: fewer than `least` reactions.

    Source: interval: Wilson, 1927.
    """
    chosen = np.asarray(choice)
    return share_of(int((chosen == of).sum()), len(chosen), none=NO_REACTIONS, least=least, of="reactions")


def edit_size(share: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000) -> Estimate:
    """How far edits are from what the machine wrote: the mean of annotation.distance.distance_share, 0 to 1.

    Args:
        share: of each edit, shape (n_edits,).
        rng: where given, a bootstrap interval over the edits.
        resamples: how many.

    Undefined: no edit.

    Source: Levenshtein, 1966; computed as Myers, 1999.
    """
    return mean_of(np.asarray(share, dtype=np.float64), none=NO_EDITS, rng=rng, resamples=resamples)


def agreed_share(rationale: ArrayLike, agreed: ArrayLike, *, n_rationales: int, least: int = 1) -> list[Estimate]:
    """For each rationale the share of its readers who agreed: accepted it, or ticked it in a list.

    Args:
        rationale: codes, shape (n_reactions,).
        agreed: bool, shape (n_reactions,). An edit is no agreement with what stood there.
        n_rationales: how many there are.
        least: fewer readers are not enough data.

    Returns:
        Shares with Wilson intervals; `n` counts the readers.

    Undefined: no reader.

    Source: the marks of ILLUME, Brack et al., arXiv 2208.08241; the share over several readers is ours.
    """
    which, hit = np.asarray(rationale, dtype=np.int64), np.asarray(agreed, dtype=bool)
    total = np.bincount(which, minlength=n_rationales)
    hits = np.bincount(which[hit], minlength=n_rationales)
    return [
        share_of(int(one), int(all_), none="Nobody was shown it.", least=least, of="readers")
        for one, all_ in zip(hits, total, strict=True)
    ]


METRICS: dict[str, Metric] = {
    "anchoring_revision": Metric(
        "Judgements changed after a machine's reason",
        revision_effect,
        "project",
        "0 is no change",
        "difference of shares, -1 to 1",
        "arms",
        f"fewer than {LEAST_IN_ARM} cases in an arm",
        "Newcombe, 1998, method 10",
    ),
    "anchoring_agreement": Metric(
        "Next judgement as the machines say",
        agreement_effect,
        "project",
        "0 is no change",
        "difference of shares, -1 to 1",
        "arms",
        f"fewer than {LEAST_IN_ARM} cases in an arm",
        "Newcombe, 1998, method 10",
    ),
    "anchoring_reason": Metric(
        "Length of the next own reason",
        reason_effect,
        "project",
        "0 is no change",
        "difference of means, code points",
        "arms",
        f"fewer than {LEAST_IN_ARM} cases in an arm",
        "Zou and Donner, 2008",
    ),
    "reaction_rate": Metric(
        "Machine reasons accepted",
        reaction_rate,
        "annotator",
        "higher is more often",
        SHARE,
        "reactions",
        f"fewer than {LEAST_REACTIONS} reactions",
        "interval: Wilson, 1927",
    ),
    "edit_size": Metric(
        "Size of edits",
        edit_size,
        "project",
        "higher is further apart",
        "Levenshtein distance by the longer text, 0 to 1",
        "reactions",
        "no edit",
        "Levenshtein, 1966; computed as Myers, 1999",
    ),
    "agreed_share": Metric(
        "Readers who agree with a machine's reason",
        agreed_share,
        "rationale",
        "higher is better",
        SHARE,
        "reactions",
        "no reader",
        "ILLUME, arXiv 2208.08241",
    ),
}
