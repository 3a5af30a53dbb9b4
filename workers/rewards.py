"""A run that measures rewards: one pass of a reward model over every candidate. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from annotation.errors import Refused
from annotation.models import Candidate, Pair
from annotation.running import Hold
from curation.measuring import rewards
from curation.measuring.preferred import preferred_pairs
from curation.measuring.rewards import RewardsRequest
from workers.backends.primitives import CannotAnswer, Message, Rewarder
from workers.opening import open_rewarder
from workers.pacing import Pace
from workers.preferring import conversation, sides

PAIRS_AT_ONCE = 32

Open = Callable[[str], Rewarder]


def execute(hold: Hold, *, open_rewarder: Open = open_rewarder) -> dict[str, Any]:
    """Do a run of the measure "rewards" and return its result. Run twice, it measures the same again.

    Raises:
        Refused: its parameters are not possible, the model cannot be used, or it can read no pair.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} does not say what to measure of which project.")
    asked = RewardsRequest.from_parameters(run.parameters)
    if not asked.model:
        raise Refused(asked.lacks_a_model)
    chosen = preferred_pairs(project=run.project, asked=asked)
    pace = Pace(hold, done=0, total=len(chosen))
    hold.say(f"Loading {asked.model}.")
    rewarder = open_rewarder(asked.model)
    found, failed, why = np.full((len(chosen), 2), np.nan), 0, ""

    def ask(some: list[tuple[int, Pair, bool]]) -> None:
        """Together; where the model refuses, one by one, so that one bad pair costs one."""
        nonlocal failed, why
        asks = [read(pair, side) for _, pair, is_first in some for side in sides(pair, is_first)]
        try:
            given = rewarder.rewards(asks, beat=pace)
        except CannotAnswer as error:
            if len(some) > 1:
                for one in some:
                    ask([one])
                return
            failed, why = failed + 1, str(error)
        else:
            found[[place for place, _, _ in some]] = np.array(given).reshape(-1, 2)
        pace.add(len(some))

    waiting: list[tuple[int, Pair, bool]] = []
    for place, (pair, is_first) in enumerate(chosen.rows()):
        waiting.append((place, pair, is_first))
        if len(waiting) == PAIRS_AT_ONCE:
            ask(waiting)
            waiting = []
    if waiting:
        ask(waiting)
    if failed == len(chosen):
        raise Refused(f"{rewarder.model} could read no pair. The last reason: {why}")
    result = {"revision": rewarder.revision, "not_scored": failed}
    return rewards.store(hold, chosen, rewards=found, toy=rewarder.is_toy, result=result)


def read(pair: Pair, candidate: Candidate) -> Sequence[Message]:
    """What the model reads: the prompt of a pair and one of its candidates, which may be several messages."""
    answer = [{"role": one["role"], "content": one["content"]} for one in candidate.messages]
    return [*conversation(pair), *answer]
