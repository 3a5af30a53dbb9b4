"""Own answers -> a hint to rest, where they drift from how one usually judges. docs/design/0020-a-hint-to-rest.md

This sitting is held against what came before it: the share of checks that were right, and the time that a pair takes
for its length. Nobody is compared with anybody else, nothing is stored, nothing is blocked. The hint is one sentence,
whatever it goes by, and comes with the heartbeat, minutes after the answers: it tells of no pair that it was a check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import comb
from statistics import median

from annotation.calibrating import is_right
from annotation.models import Annotator, Judgement, Pair

# As long as the page counts for a break (pace.js).
BREAK = timedelta(minutes=5)
# How far back is looked.
LATEST = 400
# Fewer say nothing: of this sitting's checks, of the checks before it, of the latest answers, and of those before them.
FEWEST_CHECKS, FEWEST_BEFORE = 4, 10
RECENT, FEWEST_ANSWERS = 15, 30
# How seldom chance alone would leave as few checks right.
CHANCE = 0.05
# Twice as fast as usual, or half as fast. To decide takes as long as to read this many characters, so that short pairs
# and long ones can be held against each other.
TIMES = 2.0
TO_DECIDE = 600


@dataclass(frozen=True, slots=True)
class Given:
    """One answer: when it came; the time in front of the pair, in ms (None: not measured); the characters of both
    candidates together; and whether it was right (None: the pair was no check).
    """

    at: datetime
    active_ms: int | None
    characters: int
    right: bool | None = None


# ---- pure ------------------------------------------------------------------------------------------------------------


def has_drifted(answers: Sequence[Given]) -> bool:
    """Whether the latest sitting drifts from what was before it; `answers` with the oldest first."""
    begins = sitting_begins(answers)
    checks = [[one.right for one in part if one.right is not None] for part in (answers[:begins], answers[begins:])]
    if fewer_right(before=checks[0], now=checks[1]):
        return True
    return len(answers) - begins >= RECENT and pace_changed(before=answers[:-RECENT], now=answers[-RECENT:])


def sitting_begins(answers: Sequence[Given]) -> int:
    """The place of the first answer since the latest break: a time in which nobody sat in front of a pair."""
    for n in range(len(answers) - 1, 0, -1):
        worked = timedelta(milliseconds=answers[n].active_ms or 0)
        if answers[n].at - worked - answers[n - 1].at >= BREAK:
            return n
    return 0


def fewer_right(*, before: Sequence[bool], now: Sequence[bool]) -> bool:
    """Fisher's exact test, one-sided: whether `now` holds fewer right than chance leaves of all that were right."""
    if len(now) < FEWEST_CHECKS or len(before) < FEWEST_BEFORE:
        return False
    right, wrong, n = sum(before) + sum(now), len(before) + len(now) - sum(before) - sum(now), len(now)
    as_few = sum(comb(right, k) * comb(wrong, n - k) for k in range(sum(now) + 1))
    return as_few <= CHANCE * comb(right + wrong, n)


def pace_changed(*, before: Sequence[Given], now: Sequence[Given]) -> bool:
    """Whether the median time for the length of a pair is TIMES what it was, or that share of it."""
    usual, lately = list(_paces(before)), list(_paces(now))
    if len(usual) < FEWEST_ANSWERS or len(lately) < RECENT:
        return False
    ratio = median(lately) / median(usual)
    return not 1 / TIMES < ratio < TIMES


def _paces(answers: Sequence[Given]) -> Iterator[float]:
    """Milliseconds a character, of the answers that were measured."""
    return (one.active_ms / (one.characters + TO_DECIDE) for one in answers if one.active_ms)


# ---- of an annotator -------------------------------------------------------------------------------------------------


def is_due(*, annotator: Annotator) -> bool:
    """Whether my latest answers say that a break would do me good: LATEST of them, as they were first given."""
    pair = "assignment__pair"
    found = (
        Judgement.objects.current()
        .filter(annotator=annotator, assignment__slot__isnull=False, revision=1)
        .order_by("-id")
        .values_list(
            "created_at",
            "active_ms",
            f"{pair}__first__characters",
            f"{pair}__second__characters",
            f"{pair}__gold_use",
            f"{pair}__gold_verdict",
            "verdict",
            "strength",
        )[:LATEST]
    )
    return has_drifted([_given(*row) for row in found][::-1])


def _given(
    at: datetime, ms: int | None, first: int, second: int, use: str, gold: str, verdict: str, strength: int | None
) -> Given:
    is_check = use == Pair.GoldUse.CHECK
    right = is_right(verdict=verdict, strength=strength, gold=gold) if is_check else None
    return Given(at=at, active_ms=ms, characters=first + second, right=right)
