"""Lineups: which candidates stand together, that every two of them are a pair, and when a project has them."""

from __future__ import annotations

from itertools import combinations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import lining_up, opening, ranking
from annotation.founding import change_settings
from annotation.models import Annotator, Assignment, Lineup, Pair, Project, Turn
from tests.lineups import answers


@pytest.mark.django_db
def test_three_to_eight_candidates_are_lined_up_and_every_two_are_a_pair(ranking_project: Project) -> None:
    for n in (2, 3, 5, 8, 11):
        answers(ranking_project, n, text=f"{n} answers?")
    answers(ranking_project, 4, text="All the same?", spread=False)
    assert lining_up.open_lineups(project=ranking_project) == 4
    assert sorted(len(one.candidates) for one in Lineup.objects.all()) == [3, 5, 8, 8]
    for lineup in Lineup.objects.all():
        there = set(Pair.objects.filter(prompt=lineup.prompt).values_list("first_id", "second_id"))
        assert set(combinations(lineup.candidates, 2)) <= there
    assert Turn.objects.count() == 4 * 2
    assert Pair.objects.values("rank").distinct().count() == Pair.objects.count()
    before = list(Lineup.objects.values_list("candidates", flat=True))
    assert lining_up.open_lineups(project=ranking_project) == 0
    assert list(Lineup.objects.values_list("candidates", flat=True)) == before


@pytest.mark.django_db
def test_toys_gold_and_what_is_out_of_play_are_not_lined_up(ranking_project: Project) -> None:
    for text, fields in (
        ("Toys?", {"marks": ["toy"]}),
        ("Gold?", {"is_gold": True, "gold_use": "check", "gold_verdict": "first"}),
        ("Out?", {"excluded_at": timezone.now()}),
    ):
        prompt = answers(ranking_project, 4, text=text)
        Pair.objects.filter(prompt=prompt).update(**fields)
    assert lining_up.open_lineups(project=ranking_project) == 0


@pytest.mark.django_db
def test_the_work_is_done_in_pieces_along_the_queue(ranking_project: Project, alice: Annotator) -> None:
    for n in range(5):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    assert [lining_up.open_lineups(project=ranking_project, most=2) for _ in range(4)] == [2, 2, 1, 0]
    order = [one.prompt_id for one in Lineup.objects.order_by("rank")]
    assert order == sorted(order)


@pytest.mark.django_db
def test_where_a_project_ranks_no_pair_has_an_open_slot_and_back_again(
    project: Project, lead: Annotator, alice: Annotator
) -> None:
    answers(project, 3)
    opening.open_slots(project=project)
    assert Assignment.objects.open().count() == 2 * 3
    assert lead.user is not None
    change_settings(project=project, actor=lead.user, task="rankings")
    assert Assignment.objects.open().count() == 0
    assert opening.open_slots(project=Project.objects.get(pk=project.pk)) == 0
    assert ranking.hand_out(annotator=Annotator.objects.get(pk=alice.pk)) is not None
    change_settings(project=project, actor=lead.user, task="pairs")
    assert Assignment.objects.open().count() == 3 * 3


# ---- handing out -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("n", [2, 9])
def test_a_lineup_has_three_to_eight(ranking_project: Project, n: int) -> None:
    prompt = answers(ranking_project, 3)
    with pytest.raises(IntegrityError, match="lineup_of_three_to_eight"), transaction.atomic():
        Lineup.objects.create(project=ranking_project, prompt=prompt, candidates=list(range(n)), rank=1)
