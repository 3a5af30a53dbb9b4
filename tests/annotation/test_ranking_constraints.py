"""What must never be false of rankings and turns, tested by trying it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import ranking
from annotation.models import Annotator, Judgement, Project, Ranking, Turn
from tests.lineups import answers, rank


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"ranks": [1, 3, 2, 5]}, "ranking_is_whole"),
        ({"ranks": [1, 2, 3]}, "ranking_is_whole"),
        ({"ranks": [2, 3, 4, None]}, "ranking_is_whole"),
        ({"ranks": [1, 3, 3, None]}, "ranking_is_whole"),
        ({"ranks": [1, None, None, None]}, "ranking_is_whole"),
        ({"ranks": [0, 1, 2, None]}, "ranking_is_whole"),
        ({"skip_reason": "language"}, "ranking_is_whole"),
        ({"shown": "of another"}, "ranking_is_whole"),
        ({"skip_reason": "tired", "ranks": [None] * 4}, "ranking_skip_is_known"),
        ({"revision": 1}, "one_ranking_per_revision"),
        ({"key": "the same"}, "ranked_once"),
        ({"is_current": True}, "one_current_ranking"),
    ],
)
def test_the_database_refuses_a_ranking_that_is_not_whole(
    ranking_project: Project, alice: Annotator, change: dict[str, Any], name: str
) -> None:
    answers(ranking_project, 4)
    made = rank(alice, 1, 2, 3, None)
    fields: dict[str, Any] = {
        "turn": made.turn,
        "annotator": alice,
        "revision": 2,
        "is_current": False,
        "key": uuid.uuid4(),
        "shown": made.shown,
        "ranks": [1, 2, 2, None],
        **change,
    }
    if change.get("shown"):
        fields["shown"] = [*made.shown[:3], made.shown[3] + 10_000]
    if change.get("key"):
        fields["key"] = made.key
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Ranking.objects.create(**fields)


@pytest.mark.django_db
def test_the_database_keeps_rankings_as_they_are(ranking_project: Project, alice: Annotator) -> None:
    answers(ranking_project, 3)
    made = rank(alice, 1, 2, 3)
    for change in ({"ranks": [3, 2, 1]}, {"note": "later"}, {"is_current": True}):
        with pytest.raises(IntegrityError, match="ranking_is_appended"), transaction.atomic():
            Ranking.objects.filter(pk=made.pk).update(**change)
    implied = Judgement.objects.filter(ranking=made).first()
    assert implied is not None
    wrong = {**_plain(implied), "strength": 2, "revision": 9, "is_current": False, "key": uuid.uuid4()}
    with pytest.raises(IntegrityError, match="implied_without_strength"), transaction.atomic():
        Judgement.objects.create(**wrong)


def _plain(judgement: Judgement) -> dict[str, Any]:
    return {
        field.attname: getattr(judgement, field.attname) for field in Judgement._meta.fields if field.name != "id"
    } | {"verdict": "prefer"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"slot": 1}, "one_turn_per_slot"),
        ({"slot": 0}, "turns_count_from_one"),
        ({"slot": 9, "lease_until": timezone.now()}, "turn_open_leased_or_done"),
        ({"slot": 9, "annotator": "alice", "done_at": timezone.now()}, "ranked_never_twice"),
    ],
)
def test_the_database_refuses_turns_that_cannot_be(
    ranking_project: Project, alice: Annotator, fields: dict[str, Any], name: str
) -> None:
    answers(ranking_project, 3)
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    fields = {**fields, **({"annotator": alice} if "annotator" in fields else {})}
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Turn.objects.create(lineup=turn.lineup, **fields)
