"""How hard each pair is for the model to be trained: its loss under adapters that never saw it.

A worker trains (workers/difficulty.py) and appends every loss; what they come to is computed and stored here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from django.db import connection
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Pair, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.measuring.preferred import ModelRequest, Preferred, preferred_pairs
from curation.measuring.request import setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics.difficulty import BETA, between_run_spearman, held_out_loss, learned_step, percentile
from curation.models import HeldOutTraining, Measurement

# What an untrained adapter gives: the model knows nothing of the preference.
UNTRAINED = float(np.log(2))
NO_LOSS = "No training held this pair out."
NOT_LEARNED = "Not ranked right at the last checkpoint."
HARDEST = 10
# Up to so many pairs of a project it is looked at, when somebody asks, whether they are enough.
MOST_CHECKED = 5000


@dataclass(frozen=True, kw_only=True)
class DifficultyRequest(ModelRequest):
    """By default the paper's halves, seeds and checkpoints. The smallest project has two pairs a half."""

    measure: ClassVar[str] = "difficulty"

    beta: float = setting(BETA, says="the pull to the reference model")
    learning_rate: float = setting(3e-5, says="of the adapter; 3e-5 for models of 7 to 9 billion, more for small ones")
    halves: int = setting(2, says="parts; each is held out once")
    seeds: str = setting("41,42,43", says="one set of trainings for each, with commas between")
    checkpoints: int = setting(5, says="how often a training is evaluated")
    batch: int = setting(16, says="pairs per step of the optimiser")
    epochs: int = setting(1, says="passes over the pairs")
    rank: int = setting(16, says="rank of the adapter")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (("beta", 0, 100), ("learning_rate", 0, 1)):
            if not low < getattr(self, name) <= high:
                raise Refused(f"The setting {name} is above {low} and at most {high}, not {getattr(self, name)}.")
        limits = {"halves": (2, 20), "checkpoints": (1, 100), "batch": (1, 4096), "epochs": (1, 100), "rank": (1, 512)}
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise Refused(f"The setting {name} is {least} to {most}, not {getattr(self, name)}.")
        if len(set(self.seed_list)) != len(self.seed_list) or not 1 <= len(self.seed_list) <= 20:
            raise Refused(f"Give 1 to 20 different seeds, not {self.seeds!r}.")

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers.

        Raises:
            Refused: one is none, or negative.
        """
        texts = [one.strip() for one in self.seeds.split(",")]
        if not all(one.isascii() and one.isdigit() and len(one) <= 9 for one in texts):
            raise Refused(
                f"The setting seeds is whole numbers with commas between, such as 41,42,43; not {self.seeds!r}."
            )
        return [int(one) for one in texts]

    def check_in(self, project: Project) -> None:
        """That there are pairs enough for these settings: known before a model is loaded and every text is read.

        Raises:
            Refused: no pair has a better candidate, or they give fewer steps than checkpoints.
        """
        # In a large project there are enough, and to count them takes seconds.
        if not Pair.objects.filter(project=project)[MOST_CHECKED:].exists():
            chosen = preferred_pairs(project=project, asked=self)
            self.steps(len(chosen) - len(chosen) // self.halves)

    def steps(self, trained_on: int) -> list[int]:
        """After which steps a training on so many pairs is evaluated; the last one ends it.

        Raises:
            Refused: there are fewer steps than checkpoints.
        """
        total = trained_on * self.epochs // self.batch
        every = total // self.checkpoints
        if not every:
            raise Refused(
                f"{trained_on} pairs to train on give {total} steps of {self.batch} pairs, fewer than the "
                f"{self.checkpoints} checkpoints. Set a smaller batch, more epochs, or judge more pairs."
            )
        return [every * (place + 1) for place in range(self.checkpoints)]


# ---- one training ----------------------------------------------------------------------------------------------------


def finished(*, run: Run, digest: str) -> set[tuple[int, int]]:
    """(seed, half) of the trainings on this data that the run has done."""
    return set(HeldOutTraining.objects.filter(run=run, digest=digest).values_list("seed", "half"))


def record_training(
    *,
    hold: Hold,
    asked: DifficultyRequest,
    revision: str,
    digest: str,
    seed: int,
    half: int,
    trained_on: int,
    steps: Sequence[int],
    seconds: float,
    pairs: NDArray[np.int64],
    losses: NDArray[np.float64],
) -> HeldOutTraining:
    """Append one training with all of its losses, shape (n_pairs, n_steps): both or neither.

    Raises:
        Superseded: another worker has the run now.
    """
    with hold.fenced():
        training = HeldOutTraining.objects.create(
            run=hold.run,
            model=asked.model,
            revision=revision,
            digest=digest,
            seed=seed,
            half=half,
            trained_on=trained_on,
            steps=list(steps),
            seconds=seconds,
        )
        statement = "COPY held_out_loss (training_id, pair_id, checkpoint, loss) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for pair, row in zip(pairs.tolist(), losses.tolist(), strict=True):
                for checkpoint, loss in enumerate(row):
                    copy.write_row((training.pk, pair, checkpoint, loss))
    return training


# ---- all of them -----------------------------------------------------------------------------------------------------


def losses_of(*, run: Run, digest: str, pairs: NDArray[np.int64], asked: DifficultyRequest) -> NDArray[np.float64]:
    """Every loss of the run's trainings on this data, shape (n_pairs, n_seeds, n_checkpoints); nan: none.

    `pairs` ascend and hold every pair that has one.
    """
    found = arrays.columns(
        """SELECT l.pair_id, t.seed, l.checkpoint, l.loss FROM held_out_loss l
           JOIN held_out_training t ON t.id = l.training_id WHERE t.run_id = %s AND t.digest = %s""",
        [run.pk, digest],
        {"pair": pa.int64(), "seed": pa.int64(), "checkpoint": pa.int32(), "loss": pa.float64()},
    )
    seeds = np.array(asked.seed_list)
    order = np.argsort(seeds)
    table = np.full((len(pairs), len(seeds), asked.checkpoints), np.nan)
    seed = order[np.searchsorted(seeds[order], found["seed"])]
    table[arrays.places_in(pairs, found["pair"]), seed, found["checkpoint"]] = found["loss"]
    return table


def store(
    hold: Hold, asked: DifficultyRequest, chosen: Preferred, *, revision: str, steps: Sequence[int]
) -> dict[str, Any]:
    """Store what all trainings come to. Returns the run's result.

    Stored are for every pair its held-out loss (with the mean of each seed), its percentile and its learned step, and
    for the column how far the seeds agree. The learned step goes by the margin's mean over the seeds.

    Raises:
        Superseded: another worker has the run now.
    """
    began, run = time.monotonic(), hold.run
    digest = chosen.digest(revision)
    losses = losses_of(run=run, digest=digest, pairs=chosen.pair, asked=asked)
    found = held_out_loss(losses)
    by_seed = losses.mean(axis=2)
    hold.beat()
    # The loss is log(1 + exp(-z)), so it gives back the margin z.
    with np.errstate(divide="ignore", over="ignore"):
        margins = -np.log(np.expm1(losses)).mean(axis=1)
    learned = learned_step(margins, steps)
    details = (
        # JSON has no nan: one loss has no spread, and a pair that no training held out has no mean of a seed.
        {"spread": _rounded(spread), "seeds": [_rounded(one) for one in row], "first": first}
        for spread, row, first in zip(found.spread.tolist(), by_seed.tolist(), chosen.first.tolist(), strict=True)
    )
    n = found.n.astype(np.int64)
    measured = np.full(len(chosen), int((n > 0).sum()), dtype=np.int64)
    with hold.fenced():
        replace_all(hold, [as_row(run, "between_run_spearman", between_run_spearman(by_seed))])
        for metric, values, size, undefined, more in (
            ("held_out_loss", found.loss, n, NO_LOSS, details),
            ("difficulty_percentile", percentile(found.loss), measured, NO_LOSS, None),
            ("learned_step", learned, np.full(len(chosen), asked.checkpoints), NOT_LEARNED, None),
        ):
            arrays.store_pair_values(
                run=run, metric=metric, pairs=chosen.pair, values=values, n=size, undefined=undefined, details=more
            )
    trainings = HeldOutTraining.objects.filter(run=run, digest=digest)
    return {
        "pairs": len(chosen),
        "left_out": chosen.left_out,
        "revision": revision,
        "steps": list(steps),
        "trainings": trainings.count(),
        "training_seconds": round(sum(trainings.values_list("seconds", flat=True)), 3),
        "storing_seconds": round(time.monotonic() - began, 3),
        "still_wrong": int((found.loss > UNTRAINED).sum()),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


# ---- reading it back -------------------------------------------------------------------------------------------------


def hardest(run: Run, *, most: int = HARDEST) -> list[Measurement]:
    """The pairs with the highest held-out loss, hardest first, with their texts."""
    rows = run.measurements.filter(metric="held_out_loss", value__isnull=False)
    return list(rows.select_related("pair__prompt", "pair__first", "pair__second").order_by("-value", "pair")[:most])


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: how far the seeds agree, quantiles of the loss, and the hardest pairs."""
    trust = run.measurements.get(metric="between_run_spearman")
    values = run.measurements.filter(metric="held_out_loss", value__isnull=False).values_list("value", flat=True)
    shares = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
    ends = np.quantile(np.array(values, dtype=np.float64), shares).tolist() if values else []
    return {
        **asked_of(run),
        "between_run_spearman": as_shown(trust),
        "quantiles": {f"{share:g}": round(end, 6) for share, end in zip(shares, ends, strict=False)},
        "hardest": [{"pair": row.pair_id, **as_shown(row)} for row in hardest(run)],
    }


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    trust = found["between_run_spearman"]
    low = f" ({trust['low']:.2f} to {trust['high']:.2f})" if trust["low"] is not None else ""
    agree = f"{trust['value']:.2f}{low}" if trust["value"] is not None else f"undefined. {trust['reason']}"
    left = ", ".join(f"{count} {why}" for why, count in found["left_out"].items() if count)
    ends = found["quantiles"]
    lines = [
        f"{found['pairs']} pairs for {found['model']} (run {found['run']}){f'; left out: {left}' if left else ''}.",
        f"Held-out loss: median {ends['0.5']:.4f}, from {ends['0']:.4f} (easy) to {ends['1']:.4f} (hard) nats. "
        f"{found['still_wrong']} pairs are above ln 2: still wrong after learning from the others.",
        f"Spearman between the seeds: {agree}",
        "The hardest, to be looked at and judged again, not to be deleted unseen: "
        + ", ".join(str(one["pair"]) for one in found["hardest"]),
    ]
    return "\n".join(lines)
