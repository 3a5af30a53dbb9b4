"""Why somebody sees it differently: asked where they were shown that they do, stored, and changed by saying it anew."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from annotation import calibrating, disagreeing
from annotation.answering import Unfit
from annotation.errors import Refused
from annotation.models import Annotator, Cause, Disagreement, Judgement, Pair, Project
from tests.annotation.test_calibrating import gold as gold
from tests.annotation.test_calibrating import judge

pytestmark = pytest.mark.django_db
TRAINING = "/p/everyday/training"


@pytest.fixture
def missed(project: Project, alice: Annotator, gold: list[Pair]) -> Judgement:
    """A round that is over, with one answer that was not as expected."""
    Project.objects.update(shows_results=True)
    judge(alice, True, False, True, True)
    me = Annotator.objects.select_related("project").get(pk=alice.pk)
    (one,) = calibrating.missed(me)
    return one


def test_a_cause_is_given_once_and_changed_by_giving_another(missed: Judgement, alice: Annotator) -> None:
    first = disagreeing.give_cause(annotator=alice, judgement_id=missed.pk, cause="style", note=" Too long.\r\n")
    assert (first.cause, first.note) == ("style", "Too long.")
    again = disagreeing.give_cause(annotator=alice, judgement_id=missed.pk, cause="style", note="Too long.")
    assert again == first
    second = disagreeing.give_cause(annotator=alice, judgement_id=missed.pk, cause="error")
    assert disagreeing.causes_given([missed.pk]) == {missed.pk: second}
    assert Disagreement.objects.count() == 2
    with pytest.raises(IntegrityError, match="disagreement_is_appended"), transaction.atomic():
        Disagreement.objects.filter(pk=first.pk).update(cause="other")
    with pytest.raises(IntegrityError, match="disagreement_cause_is_known"), transaction.atomic():
        Disagreement.objects.create(judgement=missed, cause="mood")


@pytest.mark.parametrize(
    ("cause", "note", "field"), [("mood", "", "cause"), ("", "", "cause"), ("task", "a\0b", "note")]
)
def test_what_cannot_be_stored_is_refused(
    missed: Judgement, alice: Annotator, cause: str, note: str, field: str
) -> None:
    with pytest.raises(Unfit) as refused:
        disagreeing.give_cause(annotator=alice, judgement_id=missed.pk, cause=cause, note=note)
    assert refused.value.field == field


def test_it_is_asked_only_of_whom_it_was_shown_to(missed: Judgement, alice: Annotator, bob: Annotator) -> None:
    right = Judgement.objects.filter(annotator=alice).exclude(pk=missed.pk).first()
    assert right is not None
    for who, number in ((bob, missed.pk), (alice, right.pk), (alice, 0)):
        with pytest.raises(Refused, match="Only an answer of yours"):
            disagreeing.give_cause(annotator=who, judgement_id=number, cause="task")
    Project.objects.update(shows_results=False)
    with pytest.raises(Refused):
        disagreeing.give_cause(annotator=alice, judgement_id=missed.pk, cause="task")


def test_the_training_page_asks_and_shows_what_was_said(missed: Judgement, alice: Annotator, sign_in: Any) -> None:
    desk = sign_in(alice)
    page = desk.get(TRAINING).content.decode()
    assert all(str(words).split(":")[0] in page for _, words in Cause.choices)
    assert "You said: " in page
    sent = desk.post(f"{TRAINING}/disagree", {"judgement": missed.pk, "cause": "task", "note": "What is “open”?"})
    assert (sent.status_code, sent["Location"]) == (303, f"{TRAINING}#judged-{missed.pk}")
    page = desk.get(TRAINING).content.decode()
    assert "What is “open”?" in page
    assert 'value="task" required checked' in page
    assert desk.post(f"{TRAINING}/disagree", {"judgement": "x", "cause": "task"}).status_code == 303
    assert Disagreement.objects.count() == 1


def test_strangers_find_nothing(missed: Judgement, stranger: Annotator, sign_in: Any) -> None:
    sent = sign_in(stranger).post(f"{TRAINING}/disagree", {"judgement": missed.pk, "cause": "task"})
    assert sent.status_code == 404
    assert not Disagreement.objects.exists()
