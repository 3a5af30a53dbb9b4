"""What a model says of the pairs without any training: margins of likelihood and reward, misalignment, surprise.

A worker asks the model (workers/margins.py); what its answers come to is computed and stored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Run
from annotation.running import Hold
from curation import arrays
from curation.measuring import misalignment
from curation.measuring.preferred import ModelRequest, Preferred
from curation.measuring.request import setting
from curation.measuring.storing import as_row, as_shown, asked_of, quartiles, replace_all
from curation.metrics.difficulty import (
    BETA,
    NOISY_GAP,
    Chow,
    implicit_reward_margin,
    is_noisy,
    log_likelihood_margin,
)
from curation.metrics.estimates import Estimate

NO_SCORE = "A candidate has no log-probability."


@dataclass(frozen=True, kw_only=True)
class MarginsRequest(ModelRequest):
    """One pass of the model over every candidate; a second one of the reference, where it is named."""

    measure: ClassVar[str] = "margins"
    # A text that is too long is refused by the model, and its pair counted.
    without: ClassVar[tuple[str, ...]] = ("bootstrap", "max_length")

    reference: str = setting("", says="a registered model that the model was trained from; adds the implicit reward")
    beta: float = setting(BETA, says="of the implicit reward")
    gap: float = setting(NOISY_GAP, says="at most this gap of log-likelihoods is tagged as noisy")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta <= 100:
            raise Refused(f"The setting beta is above 0 and at most 100, not {self.beta}.")
        if not 0 <= self.gap <= 1000:
            raise Refused(f"The setting gap is 0 to 1000 nats, not {self.gap}.")
        if self.reference and self.reference == self.model:
            raise Refused("The reference is the model itself: every implicit reward would be 0. Name another.")


@dataclass(frozen=True)
class Scores:
    """What a model says of the better and the other candidate of each pair. Shapes (n_pairs, 2); nan: not scored."""

    total: NDArray[np.float64]
    tokens: NDArray[np.float64]


def store(
    hold: Hold,
    asked: MarginsRequest,
    chosen: Preferred,
    *,
    scores: Scores,
    reference: Scores | None,
    surprise: dict[int, Chow],
    result: dict[str, Any],
) -> dict[str, Any]:
    """Store the margins of every pair, the shares of misaligned pairs, and every candidate's surprise.

    The tag `noisy_likelihood` goes by the reference model where one is named, as the paper has it; otherwise by the
    model, as the paper's code has it. Returns the run's result, `result` with what was counted.

    Raises:
        Superseded: another worker has the run now.
    """
    run = hold.run
    margin = log_likelihood_margin(scores.total[:, 0], scores.total[:, 1])
    judged_by = reference or scores
    noisy = is_noisy(log_likelihood_margin(judged_by.total[:, 0], judged_by.total[:, 1]), gap=asked.gap)
    n = np.nan_to_num(scores.tokens.sum(axis=1)).astype(np.int64)
    tags = ({"noisy_likelihood": flag} for flag in noisy.tolist())
    found = misalignment.rows(run, asked, chosen, total=scores.total, tokens=scores.tokens)
    for candidate, one in surprise.items():
        value = Estimate(one.mean, n=one.n) if one.n else Estimate.undefined(one.reason or "")
        detail = {"total": one.total, "quantiles": [round(each, 6) for each in one.quantiles.tolist()]} if one.n else {}
        found.append(as_row(run, "chow_quantiles", value, candidate_id=candidate, detail=detail))
    with hold.fenced():
        replace_all(hold, found)
        arrays.store_pair_values(
            run=run,
            metric="log_likelihood_margin",
            pairs=chosen.pair,
            values=margin,
            n=n,
            undefined=NO_SCORE,
            details=tags,
        )
        if reference is not None:
            sides = (scores.total[:, 0], scores.total[:, 1], reference.total[:, 0], reference.total[:, 1])
            reward = implicit_reward_margin(*sides, beta=asked.beta)
            arrays.store_pair_values(
                run=run, metric="implicit_reward_margin", pairs=chosen.pair, values=reward, n=n, undefined=NO_SCORE
            )
    return {"pairs": len(chosen), "left_out": chosen.left_out, "noisy": int(noisy.sum()), **result}


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: the shares of misaligned pairs, and quartiles of each margin."""
    metrics = ("log_likelihood_margin", "implicit_reward_margin")
    margins = {metric: ends for metric in metrics if (ends := quartiles(run, metric))}
    rows = run.measurements.filter(metric=misalignment.METRIC)
    by_annotator = [
        {"annotator": row.annotator.name, "kind": row.annotator.kind, **as_shown(row)}
        for row in rows.exclude(annotator=None).select_related("annotator").order_by("-n", "annotator__name")
        if row.annotator is not None
    ]
    return {
        **asked_of(run),
        "assessment_misalignment": as_shown(rows.get(annotator=None)),
        "by_annotator": by_annotator,
        "quartiles": margins,
    }


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    share = found["assessment_misalignment"]
    lines = [
        f"{found['pairs']} pairs for {found['model']} (run {found['run']}).",
        f"Assessment misalignment: {_line(share)}",
        *(f"  {strategy_in_words(one['strategy'])}: {_line(one)}" for one in share.get("by_strategy", [])),
        *(f"  {one['annotator']}: {_line(one)}" for one in found["by_annotator"]),
        f"Tagged noisy, a gap of at most {found['gap']:g} nats: {found['noisy']} pairs. A tag, no reason to delete.",
    ]
    for metric, ends in found["quartiles"].items():
        lines.append(
            f"{metric}: median {ends[2]:.4f}, quartiles {ends[1]:.4f} and {ends[3]:.4f} nats; higher is easier."
        )
    return "\n".join(lines)


def _line(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"undefined. {one['reason']}"
    return f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f}), n {one['n']}"


def strategy_in_words(names: list[str]) -> str:
    """The strategy of a pair's candidates, or both of them where they differ."""
    return " and ".join(name or "no strategy" for name in names)
