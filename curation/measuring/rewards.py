"""How much better a reward model finds the better candidate of each pair.

A worker asks the model (workers/rewards.py); what its answers come to is computed and stored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.models import Run
from annotation.running import Hold
from curation import arrays
from curation.measuring.preferred import ModelRequest, Preferred
from curation.measuring.request import setting
from curation.measuring.storing import as_row, as_shown, asked_of, quartiles, replace_all
from curation.metrics.difficulty import reward_accuracy, reward_margin

NO_REWARD = "A candidate has no reward."


@dataclass(frozen=True, kw_only=True)
class RewardsRequest(ModelRequest):
    """One pass of a reward model over every candidate."""

    measure: ClassVar[str] = "rewards"
    without: ClassVar[tuple[str, ...]] = ("bootstrap", "max_length")
    rewards: ClassVar[bool] = True
    lacks_a_model: ClassVar[str] = "Name a reward model: --set model=NAME, one of the page of models."

    model: str = setting("", says="a registered reward model")


def store(
    hold: Hold, chosen: Preferred, *, rewards: NDArray[np.float64], toy: bool, result: dict[str, Any]
) -> dict[str, Any]:
    """Store the margin of every pair, with both rewards in its detail, and how often the better one is found.

    Args:
        rewards: of the better and the other candidate of each pair, shape (n_pairs, 2); nan: none.
        toy: whether the model is one, which the result says.

    Returns:
        The run's result, `result` with what was counted.

    Raises:
        Superseded: another worker has the run now.
    """
    run = hold.run
    better, other = rewards[:, 0], rewards[:, 1]
    details = ({"rewards": [one if one == one else None for one in row]} for row in rewards.tolist())
    with hold.fenced():
        replace_all(hold, [as_row(run, "reward_accuracy", reward_accuracy(better, other))])
        arrays.store_pair_values(
            run=run,
            metric="reward_margin",
            pairs=chosen.pair,
            values=reward_margin(better, other),
            n=(~np.isnan(rewards)).sum(axis=1),
            undefined=NO_REWARD,
            details=details,
        )
    return {"pairs": len(chosen), "left_out": chosen.left_out, "toy": toy, **result}


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: how often the better candidate is found, and quartiles of the margin."""
    accuracy = as_shown(run.measurements.get(metric="reward_accuracy"))
    return {**asked_of(run), "reward_accuracy": accuracy, "quartiles": quartiles(run, "reward_margin")}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    share, ends = found["reward_accuracy"], found["quartiles"]
    said = (
        f"{share['value']:.4f} ({share['low']:.4f} to {share['high']:.4f})"
        if share["value"] is not None
        else f"undefined. {share['reason']}"
    )
    lines = [
        f"{found['pairs']} pairs for {found['model']}{' (a toy)' if found['toy'] else ''} (run {found['run']}).",
        f"It finds the better candidate better: {said}",
    ]
    if ends:
        lines.append(
            f"Margin: median {ends[2]:.4f}, quartiles {ends[1]:.4f} and {ends[3]:.4f}, in the model's own unit; "
            "below 0 it contradicts the preference."
        )
    return "\n".join(lines)
