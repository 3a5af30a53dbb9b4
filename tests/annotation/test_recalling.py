"""What I have answered, read again: nothing that I wrote is out of my reach."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation import opening, recalling, revising
from annotation.models import Annotator, Assignment, Judgement, Project
from tests.verdicts import MakePair, claim, send, shown

pytestmark = pytest.mark.django_db

ANSWERS = "/p/everyday/answers"
WORDS = "The second names its source. " * 20


def lapse() -> None:
    """The lease of the one pair that is open runs out."""
    Assignment.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(minutes=1))
    assert opening.sweep() == 1


def test_an_answer_that_was_taken_back_and_left_stays_with_its_author(
    make_pair: MakePair, alice: Annotator, bob: Annotator, desk: Client
) -> None:
    make_pair()
    send(alice, shown(claim(alice), "a2", text=WORDS))
    revising.undo(annotator=alice)
    page = desk.get(ANSWERS)
    assert "The pair is open with you." in page.content.decode()
    lapse()
    page = desk.get(ANSWERS)
    (row,) = page.context["rows"]
    assert (row["taken_back"], row["note"]) == (True, WORDS)
    assert WORDS.strip() in page.content.decode(), "All of it: it is nowhere else."
    assert "The pair went back to the queue" in page.content.decode()
    assert f"{ANSWERS}/{row['assignment']}" not in page.content.decode(), "There is no page behind it."
    # It counts nowhere, and whoever has the pair now learns nothing of it.
    assert not Judgement.objects.current().exists()
    assert list(recalling.history(bob)) == []


def test_whoever_judges_the_pair_anew_has_one_answer(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    send(alice, shown(mine, "a2", text=WORDS))
    revising.undo(annotator=alice)
    send(alice, shown(mine, "b2"))
    (now,) = recalling.history(alice)
    assert (now.is_current, now.strength is not None) == (True, True)


def test_the_words_of_a_slot_that_somebody_else_has_answered_since_stay(
    make_pair: MakePair, alice: Annotator, bob: Annotator, project: Project, desk: Client
) -> None:
    make_pair(slots=1)
    send(alice, shown(claim(alice), "a2", text=WORDS))
    revising.undo(annotator=alice)
    lapse()
    send(bob, shown(claim(bob), "b2", text="other words"))
    assert [one.annotator_id for one in recalling.history(alice)] == [alice.pk]
    assert [one.is_current for one in recalling.history(bob)] == [True]
    assert "other words" not in desk.get(ANSWERS).content.decode()
    assert desk.get(ANSWERS, {"q": "names its source"}).context["page"].paginator.count == 1
