"""Settling a pair: what is kept, what is refused, and how it is taken back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from annotation.errors import Refused, Stale
from annotation.models import Disagreement, Event
from curation import docket, settling
from curation.adjudicating import waiting_for
from curation.models import Ruling
from tests.curation.settled import settle

ADDRESS = "/p/everyday/adjudication"


@pytest.mark.parametrize("outcome", settling.OUTCOMES)
def test_every_outcome_is_kept_with_who_and_when(waiting: Any, adjudicator: Any, outcome: str) -> None:
    one = waiting()
    said = {"reason": "  Both say it. ", "note": "Is a joke harmful?"}
    ruling = settle(one, adjudicator, outcome, **said)
    one.refresh_from_db()
    assert (one.outcome, one.adjudicator, one.settled_at) == (outcome, adjudicator, ruling.created_at)
    assert (ruling.revision, ruling.reason) == (1, "Both say it.")
    assert ruling.note == ("Is a joke harmful?" if outcome == "unclear" else "")
    event = Event.objects.get(act="adjudication.settle")
    assert (event.actor, event.after) == (adjudicator.user.email, {"outcome": outcome, "revision": 1})
    assert "joke" not in str(event.after), "The record holds no texts."


def test_the_same_key_settles_once_and_a_second_adjudicator_comes_too_late(
    waiting: Any, adjudicator: Any, lead: Any
) -> None:
    one, other, key = waiting(), waiting(), uuid.uuid4()
    first = settle(one, adjudicator, "tie", key=key)
    assert settle(one, adjudicator, "first", key=key) == first
    assert Ruling.objects.count() == 1
    with pytest.raises(Stale, match="settled meanwhile"):
        settle(one, lead, "second")
    with pytest.raises(Refused, match="another decision"):
        settle(other, adjudicator, "tie", key=key)


def test_what_cannot_be_settled_says_why(waiting: Any, adjudicator: Any, alice: Any, say: Any, make_pair: Any) -> None:
    mine = make_pair()
    say(adjudicator, mine, "first")
    with pytest.raises(Refused, match="You have judged this pair"):
        settle(waiting(mine), adjudicator, "first")
    one = waiting()
    with pytest.raises(Refused, match="Only adjudicators"):
        settle(one, alice, "first")
    with pytest.raises(Refused, match="Choose one of the outcomes"):
        settle(one, adjudicator, "")
    with pytest.raises(Refused, match="what the guideline leaves unclear"):
        settle(one, adjudicator, "unclear", reason="It is", note="  ")
    with pytest.raises(Refused, match="NUL"):
        settle(one, adjudicator, "first", reason="a\0b")
    assert not Ruling.objects.exists()


def test_who_settled_a_pair_is_not_handed_it_and_who_began_to_judge_does_not_settle_it(
    waiting: Any, adjudicator: Any, make_pair: Any
) -> None:
    from django.utils import timezone

    from annotation.assigning import claim
    from annotation.models import Assignment, Draft

    settled, begun = make_pair(slots=1), make_pair(slots=1)
    one, other = waiting(settled), waiting(begun)
    settle(one, adjudicator, "first")
    taken = claim(user_id=adjudicator.user_id, slug="everyday")
    assert taken is not None
    assert taken.pair_id == begun.pk
    Draft.objects.create(assignment_id=taken.assignment_id, body={}, saved_at=timezone.now())
    assert list(waiting_for(adjudicator)) == []
    with pytest.raises(Refused, match="You have begun to judge this pair"):
        settle(other, adjudicator, "first")
    settling.take_back(adjudication=one, adjudicator=adjudicator)
    assert claim(user_id=adjudicator.user_id, slug="everyday") is None, "What they read they have read."
    assert Assignment.objects.filter(pair=settled, annotator=adjudicator, is_recused=True).count() == 1
    settle(one, adjudicator, "second")


def test_taking_back_appends_and_the_pair_waits_for_anybody(waiting: Any, adjudicator: Any, lead: Any) -> None:
    one = waiting()
    settle(one, adjudicator, "first", reason="Shorter.")
    with pytest.raises(Refused, match="what you decided yourself"):
        settling.take_back(adjudication=one, adjudicator=lead)
    for _ in range(2):
        settling.take_back(adjudication=one, adjudicator=adjudicator)
    one.refresh_from_db()
    assert (one.outcome, one.adjudicator, one.settled_at) == ("", None, None)
    assert [each.outcome for each in one.rulings.order_by("revision")] == ["first", ""]
    assert list(waiting_for(lead)) == [one]
    settle(one, lead, "second")
    assert [each.revision for each in one.rulings.order_by("revision")] == [1, 2, 3]
    assert docket.decisions_of(adjudicator) == []
    assert [each.outcome for each in docket.decisions_of(lead)] == ["second"]
    assert Event.objects.filter(act="adjudication.take_back").count() == 1


def test_a_pair_that_was_sent_again_cannot_be_reopened_beside_it(waiting: Any, adjudicator: Any) -> None:
    one = waiting()
    settle(one, adjudicator, "first")
    waiting(one.pair)
    with pytest.raises(Refused, match="sent to adjudication again"):
        settling.take_back(adjudication=one, adjudicator=adjudicator)


def test_the_database_keeps_rulings_as_they_are(waiting: Any, adjudicator: Any, lead: Any) -> None:
    ruling = settle(waiting(), adjudicator, "tie")
    with pytest.raises(IntegrityError, match="ruling_is_appended"), transaction.atomic():
        Ruling.objects.filter(pk=ruling.pk).update(outcome="first")
    held = {"adjudication": ruling.adjudication, "adjudicator": adjudicator, "revision": 2}
    with pytest.raises(IntegrityError, match="settler_is_recused"), transaction.atomic():
        Ruling.objects.create(**{**held, "adjudicator": lead, "key": uuid.uuid4(), "outcome": "tie"})
    for wrong, name in (
        ({"key": uuid.uuid4(), "outcome": "first", "revision": 1}, "one_ruling_per_revision"),
        ({"key": ruling.key, "outcome": "first"}, "ruled_once"),
        ({"key": uuid.uuid4(), "outcome": "left"}, "ruling_is_known"),
        ({"key": uuid.uuid4(), "outcome": "unclear"}, "unclear_says_what"),
        ({"key": uuid.uuid4(), "outcome": "tie", "note": "x"}, "unclear_says_what"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Ruling.objects.create(**{**held, **wrong})


def test_a_cause_is_kept_with_the_ruling_and_counted(
    waiting: Any, adjudicator: Any, lead: Any, alice: Any, bob: Any, say: Any, make_pair: Any, sign_in: Any, api: Any
) -> None:
    pair = make_pair()
    mine = say(alice, pair, "first")
    say(bob, pair, "second")
    Disagreement.objects.create(judgement=mine, cause="error")
    Disagreement.objects.create(judgement=mine, cause="style", note="A matter of taste.")
    one = waiting(pair)
    desk = sign_in(adjudicator)
    page = desk.get(ADDRESS).content.decode()
    assert "It is a matter of style" in page
    assert "A matter of taste." in page
    sent = {"adjudication": one.pk, "key": uuid.uuid4(), "outcome": "ambiguous", "cause": "task"}
    assert desk.post(ADDRESS, sent).status_code == 302
    assert Ruling.objects.get().cause == "task"
    counted = {row.cause: (row.by_adjudicators, row.by_annotators) for row in docket.causes_of(one.project)}
    assert counted == {"task": (1, 0), "style": (0, 1)}
    for address in (ADDRESS, "/p/everyday/reports/agreement"):
        assert "Why people differ" in sign_in(lead).get(address).content.decode(), address
    settling.take_back(adjudication=one, adjudicator=adjudicator)
    assert {row.cause for row in docket.causes_of(one.project)} == {"style"}
    put = {"outcome": "tie", "cause": "refusal"}
    answer = api(adjudicator).put(f"/api/v1/projects/everyday/adjudications/{one.pk}/ruling", put, format="json")
    assert (answer.status_code, answer.json()["cause"]) == (200, "refusal")


def test_a_cause_that_nobody_knows_is_refused(waiting: Any, adjudicator: Any) -> None:
    one = waiting()
    with pytest.raises(Refused, match="one of the causes"):
        settle(one, adjudicator, "tie", cause="mood")
    made = settle(one, adjudicator, "tie")
    assert made.cause == ""
    fields = {"adjudication": one, "adjudicator": adjudicator, "revision": 2, "key": uuid.uuid4(), "outcome": "tie"}
    with pytest.raises(IntegrityError, match="ruling_cause_is_known"), transaction.atomic():
        Ruling.objects.create(**fields, cause="mood")
