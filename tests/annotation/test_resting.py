"""A hint to rest: where somebody judges differently from how they usually do, and never from how others do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client

from annotation import marking_gold, resting
from annotation.marking_gold import Gold
from annotation.models import Annotator, Judgement, Pair, Project
from annotation.resting import Given, fewer_right, has_drifted, pace_changed, sitting_begins
from tests.verdicts import judge

MakePair = Callable[..., Pair]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sat(n: int, *, since: datetime = START, ms: int = 50_000, right: bool | None = None) -> list[Given]:
    """`n` answers, one a minute."""
    return [Given(at=since + k * MINUTE, active_ms=ms, characters=2_000, right=right) for k in range(n)]


def after(answers: list[Given], pause: timedelta = timedelta(hours=15)) -> datetime:
    return answers[-1].at + pause


# ---- pure ------------------------------------------------------------------------------------------------------------


def test_a_sitting_begins_after_the_latest_break() -> None:
    one = sat(10)
    two = one + sat(5, since=after(one))
    assert (sitting_begins([]), sitting_begins(one), sitting_begins(two)) == (0, 0, 10)
    assert sitting_begins(one + sat(5, since=after(one, 6 * MINUTE))) == 10
    # Twenty minutes in front of one pair are no break; nor is a time that nobody measured taken for work.
    long = Given(at=after(one, 21 * MINUTE), active_ms=20 * 60_000, characters=2_000)
    assert sitting_begins([*one, long]) == 0
    assert sitting_begins([*one, Given(at=long.at, active_ms=None, characters=2_000)]) == 10


@pytest.mark.parametrize(
    ("before", "now", "fewer"),
    [
        # By hand: of 36, seven wrong; four or more of them among six: 14,826 of 1,947,792 ways.
        ([True] * 27 + [False] * 3, [False] * 4 + [True] * 2, True),
        # Three or more of six: 87,906 of 1,947,792, less than one in twenty.
        ([True] * 27 + [False] * 3, [False] * 3 + [True] * 3, True),
        ([True] * 27 + [False] * 3, [False] * 2 + [True] * 4, False),
        # As many wrong as ever; all right; too few to tell, of either.
        ([True, False] * 15, [True, False] * 3, False),
        ([True] * 30, [True] * 10, False),
        ([True] * 30, [False] * 3, False),
        ([True] * 9, [False] * 6, False),
        # More right than before is no reason to rest.
        ([False] * 20 + [True] * 10, [True] * 10, False),
    ],
)
def test_fewer_checks_right_than_chance_leaves(before: list[bool], now: list[bool], fewer: bool) -> None:
    assert fewer_right(before=before, now=now) is fewer


@pytest.mark.parametrize(
    ("ms", "changed"), [(50_000, False), (30_000, False), (24_000, True), (90_000, False), (101_000, True)]
)
def test_a_pace_changes_when_it_doubles_or_halves(ms: int, changed: bool) -> None:
    assert pace_changed(before=sat(30), now=sat(15, ms=ms)) is changed


def test_a_pace_is_of_the_length_of_a_pair_and_needs_enough_answers() -> None:
    short = [Given(at=START, active_ms=15_000, characters=200) for _ in range(15)]
    assert not pace_changed(before=sat(30), now=short), "Short pairs take less."
    assert not pace_changed(before=sat(29), now=sat(15, ms=5_000))
    unmeasured = [Given(at=START, active_ms=None, characters=200) for _ in range(15)]
    assert not pace_changed(before=sat(30), now=unmeasured)


def test_it_is_this_sitting_that_is_held_against_what_came_before() -> None:
    usual = sat(40) + sat(12, since=after(sat(40)), right=True)
    tired = sat(4, since=after(usual), right=False)
    assert has_drifted(usual + tired)
    rested = usual + tired + sat(3, since=after(tired))
    assert not has_drifted(rested), "A break was made."
    assert has_drifted(usual + sat(15, since=after(usual), ms=20_000))
    assert not has_drifted(usual + sat(14, since=after(usual), ms=20_000))
    assert not has_drifted([])


def test_who_judges_as_ever_is_hardly_ever_told() -> None:
    """300 people who neither tire nor hurry, nine of ten checks right: at most one in twenty is told."""
    rng, told = np.random.default_rng(11), 0
    for _ in range(300):
        answers: list[Given] = []
        for sitting in range(4):
            for k in range(60):
                characters = int(rng.lognormal(7, 0.7))
                ms = int((characters + 900) * 20 * rng.lognormal(0, 0.6))
                right = bool(rng.random() < 0.9) if rng.random() < 0.1 else None
                at = START + timedelta(days=sitting) + k * MINUTE
                answers.append(Given(at=at, active_ms=min(ms, 59_000), characters=characters, right=right))
        told += has_drifted(answers)
    assert told <= 15, told


# ---- of an annotator -------------------------------------------------------------------------------------------------


@pytest.fixture
def tired(project: Project, make_pair: MakePair, alice: Annotator) -> Annotator:
    """Alice got twelve checks right the other day, and four wrong since this morning, among pairs of the queue."""
    for day in (0, 1):
        for n in range(12 if day == 0 else 4):
            for kind in ("check", "plain"):
                pair = make_pair(slots=1)
                right = kind == "plain" or day == 0
                at = START + timedelta(days=day) + n * MINUTE
                judge(alice, pair, 2 if right else -2, at=at, active_ms=40_000)
                if kind == "check":
                    marking_gold.mark_gold(project=project, gold=[Gold(verdict="first", pair=pair.pk)])
    return alice


def test_the_heartbeat_brings_the_hint_and_tells_of_no_pair(
    tired: Annotator, desk: Client, bob: Annotator, sign_in: Any
) -> None:
    beat = desk.post("/p/everyday/judge/beat", headers={"X-Plumbline": "1"})
    assert (beat.status_code, beat.content) == (200, b'{"rest": true}')
    # Others are not looked at; nor is told who judges as ever.
    assert sign_in(bob).post("/p/everyday/judge/beat", headers={"X-Plumbline": "1"}).status_code == 204
    Pair.objects.filter(assignments__judgements__strength=-2).update(gold_verdict="second")
    assert desk.post("/p/everyday/judge/beat", headers={"X-Plumbline": "1"}).status_code == 204


def test_it_is_asked_in_one_query(tired: Annotator, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert resting.is_due(annotator=tired)


def test_an_answer_that_was_corrected_counts_neither_way(tired: Annotator) -> None:
    """What is told of a round must not be made right by a change, and a second look has a time of its own."""
    wrong = Judgement.objects.filter(annotator=tired, strength=-2).first()
    assert wrong is not None
    Judgement.objects.filter(pk=wrong.pk).update(is_current=False)
    values = {"assignment_id": wrong.assignment_id, "annotator": tired, "revision": 2, "key": uuid.uuid4()}
    Judgement.objects.create(**values, verdict="prefer", strength=-2, swapped=False)
    assert not resting.is_due(annotator=tired), "Three checks of this sitting are too few."
