"""Simulated annotators and judges: what somebody of known skill and bias says about a pair. Pure numbers.

The demo project shows what they said, marked as simulated everywhere; tests ask whether a measure finds again what was
put in. Randomness is the generator that the caller passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

Verdict = Literal["prefer", "tie", "both_bad", "skip"]

# How far a leaning must lie beyond the tie for the second and the third strength, in logits.
STRONGER = (1.0, 2.5)
# Nobody reads faster than this, in seconds.
FASTEST = 2.0
# How much the time for a pair varies: the standard deviation of its logarithm.
SPEED_SPREAD = 0.5


@dataclass(frozen=True)
class Simulated:
    """The parameters of one annotator, in logits unless said otherwise.

    skill          slope on the difference of quality: 0 guesses, 3 is nearly always right about clear differences
    left_bias      in favour of the answer on the left
    length_bias    in favour of the longer answer, for every 100 words that it is longer
    tie_width      a leaning weaker than this becomes "about the same"
    both_bad_rate, skip_rate, rationale_rate     shares, 0..1
    speed_seconds  median seconds for a pair
    seed           of this annotator's own generator
    """

    name: str
    skill: float
    left_bias: float
    length_bias: float
    tie_width: float
    both_bad_rate: float
    skip_rate: float
    rationale_rate: float
    speed_seconds: float
    seed: int

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Said:
    """A verdict with its strength: positive for the first candidate, 0 for a tie, None for both bad and skip."""

    verdict: Verdict
    strength: int | None


def say(
    *, who: Simulated, difference: float, words: int, first_on_left: bool, badness: float, rng: np.random.Generator
) -> Said:
    """Draw one verdict.

    Args:
        difference: quality of the first candidate minus quality of the second.
        words: how many words longer the first is; negative when it is shorter.
        badness: how much likelier than average it is that both are bad; 1 is average.

    The leaning is skill x difference + side + length + a logistic draw, so that with `tie_width` 0 the first is
    preferred with probability 1 / (1 + exp(-leaning without the draw)).
    """
    # Always the same number of draws, so that a change of one rate does not change every later verdict.
    skips, condemns, noise = rng.random(), rng.random(), rng.logistic()
    if skips < who.skip_rate:
        return Said("skip", None)
    if condemns < who.both_bad_rate * badness:
        return Said("both_bad", None)
    side = who.left_bias if first_on_left else -who.left_bias
    leaning = who.skill * difference + side + who.length_bias * words / 100 + noise
    beyond = abs(leaning) - who.tie_width
    if beyond < 0:
        return Said("tie", 0)
    strength = 1 + sum(beyond >= limit for limit in STRONGER)
    return Said("prefer", strength if leaning > 0 else -strength)


@dataclass(frozen=True)
class SimulatedJudge:
    """The parameters of one judge, in logits.

    skill        slope on what it is asked about: 0 guesses
    first_bias   in favour of the candidate that stands as A
    length_bias  in favour of the longer candidate, for every 100 words that it is longer
    decline      for NA where the question does not apply, and against NA where it does
    wavering     standard deviation of what changes from one order to the other
    asks         "overall", "principles"
    seed         of this judge's own generator
    """

    name: str
    skill: float
    first_bias: float
    length_bias: float
    decline: float
    wavering: float
    asks: tuple[str, ...]
    seed: int


def answer_in_both_orders(
    *, who: SimulatedJudge, leaning: float, words: int, applies: bool, rng: np.random.Generator
) -> np.ndarray:
    """Draw the answers to one question, in both orders.

    Args:
        leaning: how much more the first candidate deserves to win; 0 where neither does.
        words: how many words longer the first is.
        applies: whether the question says anything about this pair.

    Returns shape (2, 3): order (first candidate as A, second as A); probabilities of A, B, NA, which add up to 1. The
    opinion of the pair is drawn once, and wavers from one order to the other.
    """
    opinion = who.skill * leaning + who.length_bias * words / 100 + rng.logistic()
    wavering, doubt = rng.normal(scale=who.wavering, size=2), rng.normal(size=2)
    a = _sigmoid(np.array([opinion, -opinion]) + who.first_bias + wavering)
    na = _sigmoid(doubt + (-who.decline if applies else who.decline))
    return np.stack([a * (1 - na), (1 - a) * (1 - na), na], axis=1)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def seconds_for_pair(*, who: Simulated, rng: np.random.Generator) -> float:
    """How long this annotator looked at a pair: log-normal around the median."""
    return max(FASTEST, float(who.speed_seconds * math.exp(SPEED_SPREAD * rng.standard_normal())))


def badness_of(qualities: np.ndarray) -> np.ndarray:
    """How much likelier than average "both bad" is for each pair: 2 for the worst, falling to 0 for the best.

    Args:
        qualities: shape (pairs,), the quality of the better candidate of each pair.

    Returns shape (pairs,) with mean 1, so that `both_bad_rate` stays the share of pairs that it promises to be.
    """
    n = len(qualities)
    places = np.argsort(np.argsort(-qualities, kind="stable"), kind="stable")
    return 2 * (places + 0.5) / n


def fill_slots(*, slots: int, open_share: float, rng: np.random.Generator) -> int:
    """How many of a pair's slots have been judged: all, but for about `open_share` of pairs one or two fewer."""
    if rng.random() >= open_share:
        return slots
    return max(0, slots - int(rng.integers(1, 3)))


def session_times(
    *, seconds: list[float], until: datetime, days: float, per_session: int, rng: np.random.Generator
) -> list[datetime]:
    """When each judgement was submitted: sittings of about `per_session` pairs within the last `days`, oldest first."""
    at: list[datetime] = []
    sittings = [seconds[start : start + per_session] for start in range(0, len(seconds), per_session)]
    starts = np.sort(rng.uniform(0, days, size=len(sittings)))[::-1]
    for sitting, ago in zip(sittings, starts, strict=True):
        length = timedelta(seconds=sum(sitting))
        # A sitting ends before now and does not overlap the one before it.
        begin = min(until - timedelta(days=float(ago)), until - length)
        clock = max(begin, at[-1]) if at else begin
        for took in sitting:
            clock += timedelta(seconds=took)
            at.append(clock)
    # Where sittings pushed each other past now, all move back together.
    late = max(timedelta(0), at[-1] - until) if at else timedelta(0)
    return [moment - late for moment in at]
