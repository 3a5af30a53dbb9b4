"""What readers make of a machine's reason: what may be answered and taken back, and what the database refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import offering, reacting
from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.models import Event, Judgement, Offer, Project, Rationale, Reaction, TakenBack
from tests.machines import explain, offered, revise, seat_of, turn_on
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(project: Any) -> Any:
    turn_on(project)
    return project


# ---- what is answered ------------------------------------------------------------------------------------------------


def test_accepted_and_rejected_are_stored_once(on: Any, alice: Any, make_pair: Any) -> None:
    for choice in ("accepted", "rejected"):
        offer = offered(alice, make_pair())
        for _ in range(2):
            reacting.react(annotator=seat_of(alice), number=offer.pk, choice=choice, active_ms=4200)
        [stored] = Reaction.objects.filter(offer=offer)
        assert (stored.choice, stored.active_ms, stored.distance, stored.edited) == (choice, 4200, None, None)
        offer.refresh_from_db()
        assert offer.answered_at is not None
        assert offer.shown_at is not None
        other = "rejected" if choice == "accepted" else "accepted"
        with pytest.raises(Stale, match="answered this already"):
            reacting.react(annotator=seat_of(alice), number=offer.pk, choice=other)
    assert not Rationale.objects.filter(source="edited").exists()


def test_an_edit_keeps_where_it_came_from_and_how_far_it_went(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair(), "It is short and right.", template="general-1", is_hinted=True)
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="edited", text="It is short, and right.\r\n")
    made = Rationale.objects.get(source="edited")
    origin = Rationale.objects.get(source="machine")
    assert made.text == "It is short, and right."
    assert (made.edited_from, made.edit_distance, made.judgement, made.annotator) == (
        origin,
        1,
        Judgement.objects.get(),
        alice,
    )
    assert (made.template, made.run, made.explains, made.is_hinted) == ("general-1", origin.run, "first", True)
    reaction = Reaction.objects.get()
    assert (reaction.edited, reaction.distance, reaction.distance_share) == (made, 1, pytest.approx(1 / 23))  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (" \n", "There is no text left"),
        ("It is short and right.", "Nothing has been changed"),
        ("It is short and right. ", "Nothing has been changed"),
        ("a\0b", "NUL"),
        ("x" * 20_001, "20,001 characters"),
    ],
)
def test_an_edit_that_is_none(on: Any, alice: Any, make_pair: Any, text: str, sentence: str) -> None:
    offer = offered(alice, make_pair())
    with pytest.raises(Unfit, match=sentence) as refused:
        reacting.react(annotator=seat_of(alice), number=offer.pk, choice="edited", text=text)
    assert refused.value.field == "text"
    assert not Reaction.objects.exists()


def test_ticks_are_stored_for_every_reason_of_the_list(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    offer = offered(alice, make_pair(), *(f"Reason {n}." for n in range(3)))
    with pytest.raises(Refused, match="Tick those that fit"):
        reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    with pytest.raises(Unfit, match="no such reason"):
        reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[3])
    for _ in range(2):
        reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[2, 0], active_ms=9000)
    said = dict(Reaction.objects.values_list("rationale_id", "choice"))
    assert [said[one] for one in offer.rationales] == ["ticked", "left", "ticked"]
    with pytest.raises(Stale):
        reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[])


def test_none_of_a_list_may_fit(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    offer = offered(alice, make_pair(), *(f"Reason {n}." for n in range(2)))
    reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[])
    assert set(Reaction.objects.values_list("choice", flat=True)) == {"left"}
    assert offering.waiting(annotator=seat_of(alice)) == 0


def test_a_reason_is_not_asked_about_once_the_other_side_is_preferred(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    revise(alice, offer, -1)
    assert offering.waiting(annotator=seat_of(alice)) == 0
    with pytest.raises(Stale, match="changed your answer"):
        reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    revise(alice, offer, 1)
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    # It belongs to the revision that was in force.
    assert Reaction.objects.get().judgement.revision == 3


# ---- what is taken back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "other"), [("accepted", "rejected"), ("rejected", "accepted")])
def test_what_was_taken_back_waits_again_and_stays_on_record(
    on: Any, alice: Any, make_pair: Any, choice: str, other: str
) -> None:
    offer = offered(alice, make_pair())
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice=choice, active_ms=4200)
    assert offering.waiting(annotator=seat_of(alice)) == 0
    for _ in range(2):
        assert reacting.take_back(annotator=seat_of(alice), number=offer.pk).answered_at is None
    assert not Reaction.objects.exists()
    [kept] = TakenBack.objects.all()
    assert (kept.offer, kept.choice, kept.active_ms, kept.text) == (offer, choice, 4200, "")
    assert kept.rationale_id == offer.rationales[0]
    assert kept.judgement == Judgement.objects.get()
    assert Event.objects.filter(act="reaction.undo", before={"choices": [choice]}).count() == 1
    shown = offering.show(annotator=seat_of(alice), number=offer.pk)
    assert shown == offer
    assert reacting.left_as(offer).choice == choice
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice=other)
    assert Reaction.objects.get().choice == other
    assert TakenBack.objects.count() == 1


def test_an_edit_that_is_taken_back_is_no_reason_of_mine_any_more(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair(), "It is short and right.")
    for text in ("It is short, and right.", "It is right."):
        reacting.react(annotator=seat_of(alice), number=offer.pk, choice="edited", text=text)
        assert Rationale.objects.get(source="edited").text == text
        reacting.take_back(annotator=seat_of(alice), number=offer.pk)
        assert not Rationale.objects.filter(source="edited").exists()
        assert reacting.last_answered(annotator=seat_of(alice)) is None
    kept = list(TakenBack.objects.order_by("pk").values_list("text", "distance"))
    assert kept == [("It is short, and right.", 1), ("It is right.", 10)]
    assert reacting.left_as(offer).text == "It is right."
    assert Rationale.objects.get().source == "machine"


def test_a_list_comes_back_with_its_ticks(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    offer = offered(alice, make_pair(), *(f"Reason {n}." for n in range(3)))
    reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[2, 0])
    assert reacting.last_answered(annotator=seat_of(alice)) == offer
    reacting.take_back(annotator=seat_of(alice), number=offer.pk)
    assert reacting.left_as(offer).ticked == {0, 2}
    reacting.tick(annotator=seat_of(alice), number=offer.pk, ticked=[])
    assert set(Reaction.objects.values_list("choice", flat=True)) == {"left"}


def test_only_ones_own_answer_in_an_open_project_is_taken_back(on: Any, alice: Any, bob: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    with pytest.raises(Refused, match="nothing to take back"):
        reacting.take_back(annotator=seat_of(alice), number=offer.pk)
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    with pytest.raises(Refused, match="There is no such reason"):
        reacting.take_back(annotator=seat_of(bob), number=offer.pk)
    assert reacting.last_answered(annotator=seat_of(bob)) is None
    Project.objects.update(state="closed")
    with pytest.raises(Refused, match="closed"):
        reacting.take_back(annotator=seat_of(alice), number=offer.pk)
    assert reacting.last_answered(annotator=seat_of(alice)) is None
    assert Reaction.objects.get().choice == "accepted"


def test_the_last_one_is_the_one_that_was_answered_last(on: Any, alice: Any, make_pair: Any) -> None:
    first, second = (offered(alice, make_pair()) for _ in range(2))
    reacting.react(annotator=seat_of(alice), number=second.pk, choice="accepted")
    assert reacting.last_answered(annotator=seat_of(alice)) == second
    later = timezone.now() + timedelta(hours=1)
    Offer.objects.filter(pk=first.pk).update(answered_at=later)
    assert reacting.last_answered(annotator=seat_of(alice)) == first


# ---- what the database refuses ---------------------------------------------------------------------------------------


@pytest.fixture
def values(on: Any, alice: Any, make_pair: Any) -> dict[str, Any]:
    """What a reaction to an offer that is drawn and not yet shown is made of."""
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    offering.draw(annotator=seat_of(alice))
    offer = Offer.objects.get()
    return {"offer": offer, "rationale_id": offer.rationales[0], "judgement": offer.judgement}


def test_the_database_refuses_a_reaction_to_what_was_not_shown(values: Any, make_pair: Any) -> None:
    with pytest.raises(IntegrityError, match="reaction_is_to_what_was_shown"), transaction.atomic():
        Reaction.objects.create(**values, choice="accepted")
    Offer.objects.update(shown_at=timezone.now() + timedelta(seconds=1))
    other = explain(make_pair())
    with pytest.raises(IntegrityError, match="reaction_is_to_what_was_shown"), transaction.atomic():
        Reaction.objects.create(**{**values, "rationale_id": other.pk}, choice="accepted")
    Reaction.objects.create(**values, choice="accepted")
    with pytest.raises(IntegrityError, match="one_reaction_per_offer_and_rationale"), transaction.atomic():
        Reaction.objects.create(**values, choice="rejected")
    with pytest.raises(IntegrityError, match="reaction_is_appended"), transaction.atomic():
        Reaction.objects.update(choice="rejected")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("only_an_edit_has_a_distance", {"choice": "accepted", "distance": 3, "distance_share": 0.1}),
        ("only_an_edit_has_a_distance", {"choice": "edited"}),
        ("reaction_distance_is_a_share", {"choice": "edited", "distance": 3, "distance_share": 1.2, "edited": "own"}),
    ],
)
def test_the_database_refuses_a_distance_that_is_none(values: Any, name: str, wrong: dict[str, Any]) -> None:
    Offer.objects.update(shown_at=timezone.now() + timedelta(seconds=1))
    if "edited" in wrong:
        wrong = {**wrong, "edited_id": values["rationale_id"]}
        del wrong["edited"]
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Reaction.objects.create(**values, **wrong)


def test_the_database_keeps_what_was_taken_back(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    # As long as a reaction stands, its offer is answered.
    with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
        Offer.objects.update(answered_at=None)
    Reaction.objects.all().delete()
    # And nothing is forgotten: without a record of what was taken back it stays answered.
    with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
        Offer.objects.update(answered_at=None)
    offer = offered(alice, make_pair())
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="accepted")
    reacting.take_back(annotator=seat_of(alice), number=offer.pk)
    with pytest.raises(IntegrityError, match="taken_back_is_appended"), transaction.atomic():
        TakenBack.objects.update(choice="rejected")
    kept: dict[str, Any] = {name: value for name, value in TakenBack.objects.values().get().items() if name != "id"}
    for name, wrong in (
        ("taken_back_after_it_was_given", {"taken_back_at": kept["created_at"] - timedelta(seconds=1)}),
        ("only_an_edit_taken_back_has_a_text", {"text": "Mine."}),
        ("only_an_edit_taken_back_has_a_text", {"choice": "edited", "distance": 3, "distance_share": 0.5}),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            TakenBack.objects.create(**{**kept, **wrong})
