"""Losses that are ranked once for all parts: the same percentiles, to the last digit, and nothing left over."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import running
from annotation.models import Pair
from curation import gathering, percentiles
from curation.models import FactsArray, PairFact
from tests.curation.gathered import gather

pytestmark = pytest.mark.django_db

SPAN = (1, 2**63 - 1)


@pytest.fixture
def measured(project: Any, make_pair: Any, losses: Any) -> tuple[list[Any], Any]:
    """Forty pairs with losses, many of them the same, three without and one out of play; and the run."""
    pairs, draw = [make_pair() for _ in range(44)], random.Random(2)
    run = losses("tiny", {pair: draw.choice([draw.random(), 0.25, 0.5]) for pair in pairs[:41]})
    Pair.objects.filter(pk=pairs[40].pk).update(excluded_at=timezone.now())
    return pairs, run


def test_they_are_those_of_the_database_to_the_last_digit(project: Any, measured: Any) -> None:
    pairs, run = measured
    gather(project)
    whole = dict(PairFact.objects.exclude(difficulty=None).values_list("pair", "difficulty"))
    assert len(whole) == 40
    loss = (run.pk, "held_out_loss")
    percentiles.keep(project=project, loss=loss, version=7)
    found = percentiles.within(SPAN, project=project, loss=loss, version=7)
    assert found is not None
    assert {pair: share for pair, _, share in found} == whole
    some = percentiles.within((pairs[3].pk, pairs[9].pk), project=project, loss=loss, version=7)
    assert sorted(some or []) == sorted(one for one in found if pairs[3].pk <= one[0] <= pairs[9].pk)
    assert percentiles.within(SPAN, project=project, loss=loss, version=8) is None


def test_a_pair_that_comes_back_meanwhile_has_a_place_among_the_others(project: Any, measured: Any) -> None:
    _, run = measured
    loss = (run.pk, "held_out_loss")
    percentiles.keep(project=project, loss=loss, version=1)
    Pair.objects.update(excluded_at=None)
    found = percentiles.within(SPAN, project=project, loss=loss, version=1)
    assert found is not None
    assert len(found) == 41
    assert all(0 <= share <= 1 for _, _, share in found)
    by_loss = sorted(found, key=lambda one: one[1])
    assert [share for _, _, share in by_loss] == sorted(share for _, _, share in found)


@pytest.mark.parametrize("is_ranked", [True, False])
def test_a_gathering_in_parts_ranks_all_losses_once(
    project: Any, measured: Any, monkeypatch: pytest.MonkeyPatch, is_ranked: bool
) -> None:
    """And where what was ranked is gone, each part ranks for itself: the facts are the same."""
    gather(project)
    expected = list(PairFact.objects.order_by("pk").values())
    PairFact.objects.update(difficulty=None, loss=None)
    monkeypatch.setattr(gathering, "PART_PAIRS", 10)
    if not is_ranked:
        monkeypatch.setattr(percentiles, "keep", lambda **_: None)
    run = gathering.ask_for_facts(project=project, actor=None)
    hold = running.claim(run_id=run.pk, worker="test")
    assert hold is not None
    with CaptureQueriesContext(connection) as seen:
        gathering.execute(hold)
    parts = [one["sql"] for one in seen if "INSERT INTO pair_facts" in one["sql"]]
    assert len(parts) == 5
    assert sum("rank() OVER" in sql for sql in parts) == (0 if is_ranked else 5)
    assert list(PairFact.objects.order_by("pk").values()) == expected
    assert not FactsArray.objects.filter(key=percentiles.KEY).exists()
