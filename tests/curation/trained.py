"""Trainings as a worker would have recorded them, for tests of what their losses are used for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from annotation.models import Project, Run
from curation.measuring import DifficultyRequest, difficulty
from curation.measuring.preferred import preferred_pairs
from tests.workers.holding import held


def trained(project: Project, asked: DifficultyRequest, loss: Callable[[int], NDArray[np.float64]]) -> Run:
    """A finished measurement of difficulty, each half of the pairs held out of a training on the other.

    `loss` gives for a number of pairs the loss of each when it was held out, by pair; it is asked once per seed. It
    stays the same from checkpoint to checkpoint.
    """
    hold = held(project, "measurement", asked.as_parameters())
    run: Run = hold.run
    chosen = preferred_pairs(project=project, asked=asked)
    steps = [5 * n for n in range(1, asked.checkpoints + 1)]
    for seed in asked.seed_list:
        losses = np.repeat(loss(len(chosen))[:, None], len(steps), axis=1)
        for half in (0, 1):
            out = np.arange(len(chosen)) % 2 == half
            difficulty.record_training(
                hold=hold,
                asked=asked,
                revision="r1",
                digest=chosen.digest("r1"),
                seed=seed,
                half=half,
                trained_on=int((~out).sum()),
                steps=steps,
                seconds=1.0,
                pairs=chosen.pair[out],
                losses=losses[out],
            )
    hold.finish(result=difficulty.store(hold, asked, chosen, revision="r1", steps=steps) | {"cut": 0})
    return run
