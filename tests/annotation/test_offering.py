"""Reasons after the lock: who is drawn, what is shown, what may be answered, and what the database refuses."""

from __future__ import annotations

import math
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import judging, offering, revising
from annotation.answering import Answer, Unfit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Event, Judgement, LanguageModel, Offer, Project, Rationale, Reaction, TakenBack
from tests.machines import explain, judge, turn_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(project: Any) -> Any:
    turn_on(project)
    return project


def mine(who: Any) -> Annotator:
    """The annotator with the project as it is now."""
    return Annotator.objects.select_related("project").get(pk=who.pk)


def offered(who: Any, pair: Any, **fields: Any) -> Offer:
    """A judgement of `who` with one reason for it, drawn and shown."""
    explain(pair, **fields)
    judge(who, pair)
    offering.draw(annotator=mine(who))
    found = offering.show(annotator=mine(who))
    assert found is not None
    return found


# ---- the draw --------------------------------------------------------------------------------------------------------


def test_the_draw_is_uniform_and_hangs_on_everything_it_should() -> None:
    places = np.array(
        [
            offering.place_of(seed=seed, annotator_id=who, pair_id=pair)
            for seed in (1, 2)
            for who in range(20)
            for pair in range(250)
        ]
    )
    assert len(set(places.tolist())) == 10_000
    assert places.min() >= 0
    assert places.max() < 1
    counts = np.histogram(places, bins=10, range=(0, 1))[0]
    # Chi-square with 9 degrees of freedom: 27.9 is its quantile at 99.9 %.
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9
    # No annotator and no pair is drawn more often than others: the standard deviation of a mean of 250 or 40.
    for axis, size in ((2, 500), (1, 40)):
        means = (places < 0.2).reshape(2, 20, 250).mean(axis=(0, axis))
        assert np.abs(means - 0.2).max() < 4.5 * math.sqrt(0.2 * 0.8 / size)
    assert offering.place_of(seed=1, annotator_id=3, pair_id=5) == offering.place_of(seed=1, annotator_id=3, pair_id=5)


def test_every_order_of_a_list_is_as_likely() -> None:
    orders = [tuple(offering.in_order([1, 2, 3], seed=9, annotator_id=4, pair_id=pair)) for pair in range(6000)]
    counts = np.array([orders.count(one) for one in set(orders)])
    assert len(counts) == 6
    # Chi-square with 5 degrees of freedom: 20.5 is its quantile at 99.9 %.
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5


def test_the_arm_follows_the_share_and_is_stored_with_it(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, control_share=0.5)
    pairs = [make_pair() for _ in range(20)]
    for pair in pairs:
        explain(pair)
        judge(alice, pair)
    waits = offering.draw(annotator=mine(alice))
    found = {offer.pair_id: offer for offer in Offer.objects.all()}
    assert set(found) == {pair.pk for pair in pairs}
    for offer in found.values():
        place = offering.place_of(seed=project.seed, annotator_id=alice.pk, pair_id=offer.pair_id)
        assert (offer.draw, offer.control_share, offer.is_control) == (place, 0.5, place < 0.5)
    controls = sum(offer.is_control for offer in found.values())
    assert 0 < controls < 20
    assert waits == 20 - controls


def test_drawing_again_draws_nothing_anew(on: Any, alice: Any, make_pair: Any) -> None:
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    assert offering.draw(annotator=mine(alice)) == 1
    explain(pair, text="Another, later.")
    turn_on(on, control_share=0.9)
    assert offering.draw(annotator=mine(alice)) == 1
    offer = Offer.objects.get()
    assert (len(offer.rationales), offer.control_share) == (1, 0)


def test_the_order_of_a_list_is_the_drawn_one_and_its_length_bounded(
    project: Any, alice: Any, bob: Any, make_pair: Any
) -> None:
    turn_on(project, "several")
    pair = make_pair()
    written = [explain(pair, text=f"Reason {n}.").pk for n in range(7)]
    for who in (alice, bob):
        judge(who, pair)
        offering.draw(annotator=mine(who))
    for who in (alice, bob):
        drawn = offering.in_order(written, seed=project.seed, annotator_id=who.pk, pair_id=pair.pk)
        assert Offer.objects.get(annotator=who).rationales == drawn[: offering.LISTED]


@pytest.mark.parametrize(
    "what",
    ["off", "closed", "no side", "other side", "human", "toy", "old", "withdrawn", "empty text", "not handed out"],
)
def test_where_nothing_is_offered(on: Any, alice: Any, bob: Any, make_pair: Any, what: str) -> None:
    pair = make_pair()
    if what == "human":
        Rationale.objects.create(pair=pair, annotator=bob, text="Mine.", explains="first")
    else:
        explain(pair, "second" if what == "other side" else "first", "" if what == "empty text" else "So.")
    if what == "toy":
        LanguageModel.objects.create(
            name="toy-1", backend="openai_compatible", location="http://localhost:1/v1", is_toy=True
        )
        Annotator.objects.filter(name="canary-judge").update(model="toy-1")
    verdict, strength = ("tie", 0) if what == "no side" else ("prefer", 2)
    made = {"created_at": timezone.now() - timedelta(hours=25)} if what == "old" else {}
    judgement = judge(alice, pair, strength, verdict, **made)
    if what == "withdrawn":
        Judgement.objects.filter(pk=judgement.pk).update(is_current=False)
    if what == "not handed out":
        pair.assignments.filter(annotator=alice).update(slot=None)
    if what == "off":
        turn_on(on, "off")
    if what == "closed":
        Project.objects.update(state="closed")
    assert offering.draw(annotator=mine(alice)) == 0
    assert not Offer.objects.exists()


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_the_latest_comes_first_and_is_marked_as_shown_once(on: Any, alice: Any, make_pair: Any) -> None:
    pairs = [make_pair() for _ in range(2)]
    for pair in pairs:
        explain(pair)
        judge(alice, pair)
        offering.draw(annotator=mine(alice))
    shown = offering.show(annotator=mine(alice))
    assert shown is not None
    assert shown.pair == pairs[1]
    at = Offer.objects.get(pk=shown.pk).shown_at
    assert at is not None
    assert offering.show(annotator=mine(alice)) == shown
    assert Offer.objects.get(pk=shown.pk).shown_at == at
    assert Offer.objects.get(pair=pairs[0]).shown_at is None


def test_a_control_is_never_shown_or_counted_or_answered(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, control_share=0.9)
    pair = make_pair()
    # The first pair of this annotator that is drawn into the control.
    while offering.place_of(seed=project.seed, annotator_id=alice.pk, pair_id=pair.pk) >= 0.9:
        pair = make_pair()
    explain(pair)
    judge(alice, pair)
    assert offering.draw(annotator=mine(alice)) == 0
    control = Offer.objects.get()
    assert control.is_control
    assert offering.show(annotator=mine(alice)) is None
    assert offering.show(annotator=mine(alice), number=control.pk) is None
    with pytest.raises(Refused, match="There is no such reason"):
        offering.react(annotator=mine(alice), number=control.pk, choice="accepted")


def test_a_reason_of_another_annotator_is_not_mine(on: Any, alice: Any, bob: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    assert offering.show(annotator=mine(bob), number=offer.pk) is None
    with pytest.raises(Refused, match="There is no such reason"):
        offering.react(annotator=mine(bob), number=offer.pk, choice="accepted")


@pytest.mark.parametrize(("swapped", "strength", "called"), [(False, 2, ""), (True, 2, "A"), (True, -2, "B")])
def test_a_text_that_calls_them_otherwise_says_so(
    on: Any, alice: Any, make_pair: Any, swapped: bool, strength: int, called: str
) -> None:
    """The template “unaided” calls the first candidate A, whatever side it stood on for this annotator."""
    pair = make_pair()
    side = "first" if strength > 0 else "second"
    explain(pair, side, template="unaided-1")
    judge(alice, pair, strength, swapped=swapped)
    offering.draw(annotator=mine(alice))
    offer = offering.show(annotator=mine(alice))
    assert offer is not None
    assert [one.called for one in offering.reasons(offer, swapped=swapped)] == [called]
    Offer.objects.all().delete()
    Rationale.objects.update(template="general-1")
    offering.draw(annotator=mine(alice))
    again = offering.show(annotator=mine(alice))
    assert again is not None
    assert [one.called for one in offering.reasons(again, swapped=swapped)] == [""]


# ---- what is answered ------------------------------------------------------------------------------------------------


def test_accepted_and_rejected_are_stored_once(on: Any, alice: Any, make_pair: Any) -> None:
    for choice in ("accepted", "rejected"):
        offer = offered(alice, make_pair())
        for _ in range(2):
            offering.react(annotator=mine(alice), number=offer.pk, choice=choice, active_ms=4200)
        [stored] = Reaction.objects.filter(offer=offer)
        assert (stored.choice, stored.active_ms, stored.distance, stored.edited) == (choice, 4200, None, None)
        offer.refresh_from_db()
        assert offer.answered_at is not None
        assert offer.shown_at is not None
        other = "rejected" if choice == "accepted" else "accepted"
        with pytest.raises(Stale, match="answered this already"):
            offering.react(annotator=mine(alice), number=offer.pk, choice=other)
    assert not Rationale.objects.filter(source="edited").exists()


def test_an_edit_keeps_where_it_came_from_and_how_far_it_went(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair(), text="It is short and right.", template="general-1", is_hinted=True)
    offering.react(annotator=mine(alice), number=offer.pk, choice="edited", text="It is short, and right.\r\n")
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
        offering.react(annotator=mine(alice), number=offer.pk, choice="edited", text=text)
    assert refused.value.field == "text"
    assert not Reaction.objects.exists()


def test_ticks_are_stored_for_every_reason_of_the_list(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    pair = make_pair()
    for n in range(3):
        explain(pair, text=f"Reason {n}.")
    judge(alice, pair)
    offering.draw(annotator=mine(alice))
    offer = offering.show(annotator=mine(alice))
    assert offer is not None
    with pytest.raises(Refused, match="Tick those that fit"):
        offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    with pytest.raises(Unfit, match="no such reason"):
        offering.tick(annotator=mine(alice), number=offer.pk, ticked=[3])
    for _ in range(2):
        offering.tick(annotator=mine(alice), number=offer.pk, ticked=[2, 0], active_ms=9000)
    said = dict(Reaction.objects.values_list("rationale_id", "choice"))
    assert [said[one] for one in offer.rationales] == ["ticked", "left", "ticked"]
    with pytest.raises(Stale):
        offering.tick(annotator=mine(alice), number=offer.pk, ticked=[])


def test_none_of_a_list_may_fit(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    pair = make_pair()
    for n in range(2):
        explain(pair, text=f"Reason {n}.")
    judge(alice, pair)
    offering.draw(annotator=mine(alice))
    offer = offering.show(annotator=mine(alice))
    assert offer is not None
    offering.tick(annotator=mine(alice), number=offer.pk, ticked=[])
    assert set(Reaction.objects.values_list("choice", flat=True)) == {"left"}
    assert offering.waiting(annotator=mine(alice)) == 0


# ---- what is taken back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "other"), [("accepted", "rejected"), ("rejected", "accepted")])
def test_what_was_taken_back_waits_again_and_stays_on_record(
    on: Any, alice: Any, make_pair: Any, choice: str, other: str
) -> None:
    offer = offered(alice, make_pair())
    offering.react(annotator=mine(alice), number=offer.pk, choice=choice, active_ms=4200)
    assert offering.waiting(annotator=mine(alice)) == 0
    for _ in range(2):
        assert offering.take_back(annotator=mine(alice), number=offer.pk).answered_at is None
    assert not Reaction.objects.exists()
    [kept] = TakenBack.objects.all()
    assert (kept.offer, kept.choice, kept.active_ms, kept.text) == (offer, choice, 4200, "")
    assert kept.rationale_id == offer.rationales[0]
    assert kept.judgement == Judgement.objects.get()
    assert Event.objects.filter(act="reaction.undo", before={"choices": [choice]}).count() == 1
    shown = offering.show(annotator=mine(alice), number=offer.pk)
    assert shown == offer
    assert offering.left_as(offer).choice == choice
    offering.react(annotator=mine(alice), number=offer.pk, choice=other)
    assert Reaction.objects.get().choice == other
    assert TakenBack.objects.count() == 1


def test_an_edit_that_is_taken_back_is_no_reason_of_mine_any_more(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair(), text="It is short and right.")
    for text in ("It is short, and right.", "It is right."):
        offering.react(annotator=mine(alice), number=offer.pk, choice="edited", text=text)
        assert Rationale.objects.get(source="edited").text == text
        offering.take_back(annotator=mine(alice), number=offer.pk)
        assert not Rationale.objects.filter(source="edited").exists()
        assert offering.last_answered(annotator=mine(alice)) is None
    kept = list(TakenBack.objects.order_by("pk").values_list("text", "distance"))
    assert kept == [("It is short, and right.", 1), ("It is right.", 10)]
    assert offering.left_as(offer).text == "It is right."
    assert Rationale.objects.get().source == "machine"


def test_a_list_comes_back_with_its_ticks(project: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    pair = make_pair()
    for n in range(3):
        explain(pair, text=f"Reason {n}.")
    judge(alice, pair)
    offering.draw(annotator=mine(alice))
    offer = offering.show(annotator=mine(alice))
    assert offer is not None
    offering.tick(annotator=mine(alice), number=offer.pk, ticked=[2, 0])
    assert offering.last_answered(annotator=mine(alice)) == offer
    offering.take_back(annotator=mine(alice), number=offer.pk)
    assert offering.left_as(offer).ticked == {0, 2}
    offering.tick(annotator=mine(alice), number=offer.pk, ticked=[])
    assert set(Reaction.objects.values_list("choice", flat=True)) == {"left"}


def test_only_ones_own_answer_in_an_open_project_is_taken_back(on: Any, alice: Any, bob: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    with pytest.raises(Refused, match="nothing to take back"):
        offering.take_back(annotator=mine(alice), number=offer.pk)
    offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    with pytest.raises(Refused, match="There is no such reason"):
        offering.take_back(annotator=mine(bob), number=offer.pk)
    assert offering.last_answered(annotator=mine(bob)) is None
    Project.objects.update(state="closed")
    with pytest.raises(Refused, match="closed"):
        offering.take_back(annotator=mine(alice), number=offer.pk)
    assert offering.last_answered(annotator=mine(alice)) is None
    assert Reaction.objects.get().choice == "accepted"


def test_the_last_one_is_the_one_that_was_answered_last(on: Any, alice: Any, make_pair: Any) -> None:
    first, second = (offered(alice, make_pair()) for _ in range(2))
    offering.react(annotator=mine(alice), number=second.pk, choice="accepted")
    assert offering.last_answered(annotator=mine(alice)) == second
    later = timezone.now() + timedelta(hours=1)
    Offer.objects.filter(pk=first.pk).update(answered_at=later)
    assert offering.last_answered(annotator=mine(alice)) == first


def test_the_database_keeps_what_was_taken_back(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    # As long as a reaction stands, its offer is answered.
    with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
        Offer.objects.update(answered_at=None)
    Reaction.objects.all().delete()
    # And nothing is forgotten: without a record of what was taken back it stays answered.
    with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
        Offer.objects.update(answered_at=None)
    offer = offered(alice, make_pair())
    offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    offering.take_back(annotator=mine(alice), number=offer.pk)
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


# ---- the judgement afterwards ----------------------------------------------------------------------------------------


def revise(who: Any, offer: Offer, strength: int) -> Judgement:
    seat = mine(who)
    assignment = offer.judgement.assignment
    answer = Answer(assignment_id=assignment.pk, key=uuid.uuid4(), verdict="prefer", strength=strength)
    revision = assignment.judgements.current().get().revision
    return revising.revise(annotator=seat, assignment=assignment, answer=answer, expected_revision=revision)


def test_a_judgement_that_is_changed_after_a_reason_was_shown_is_marked(on: Any, alice: Any, make_pair: Any) -> None:
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    offering.draw(annotator=mine(alice))
    unseen = revise(alice, Offer.objects.get(), 1)
    offer = offering.show(annotator=mine(alice))
    assert offer is not None
    seen = revise(alice, offer, 3)
    marks = dict(Judgement.objects.values_list("revision", "saw_machine"))
    assert (unseen.revision, seen.revision) == (2, 3)
    assert marks == {1: False, 2: False, 3: True}


def test_a_reason_is_not_asked_about_once_the_other_side_is_preferred(on: Any, alice: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    revise(alice, offer, -1)
    assert offering.waiting(annotator=mine(alice)) == 0
    with pytest.raises(Stale, match="changed your answer"):
        offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    revise(alice, offer, 1)
    offering.react(annotator=mine(alice), number=offer.pk, choice="accepted")
    # It belongs to the revision that was in force.
    assert Reaction.objects.get().judgement.revision == 3


def test_an_answer_taken_back_and_given_anew_is_marked_too(on: Any, alice: Any, make_pair: Any) -> None:
    """The way of the judging page: one statement, which knows nothing of reasons."""
    pair = make_pair()
    explain(pair)
    item = judging.hand_out(user_id=alice.user_id, slug=on.slug)[0]
    answer: dict[str, Any] = {"assignment_id": item.assignment_id, "verdict": "prefer", "strength": 2}
    judging.submit(user_id=alice.user_id, project=on, answer=Answer(key=uuid.uuid4(), **answer))
    offering.draw(annotator=mine(alice))
    assert offering.show(annotator=mine(alice)) is not None
    revising.undo(annotator=mine(alice))
    assert offering.waiting(annotator=mine(alice)) == 0
    judging.submit(user_id=alice.user_id, project=on, answer=Answer(key=uuid.uuid4(), **answer))
    assert list(Judgement.objects.order_by("revision").values_list("saw_machine", flat=True)) == [False, True]
    assert offering.draw(annotator=mine(alice)) == 1


# ---- what the database refuses ---------------------------------------------------------------------------------------


@pytest.fixture
def drawn(on: Any, alice: Any, make_pair: Any) -> dict[str, Any]:
    """What a sound offer is made of."""
    pair = make_pair()
    reason = explain(pair)
    judgement = judge(alice, pair)
    return {
        "annotator": alice,
        "pair": pair,
        "judgement": judgement,
        "side": "first",
        "draw": 0.5,
        "control_share": 0.2,
        "is_control": False,
        "rationales": [reason.pk],
    }


def test_a_sound_offer_is_taken(drawn: Any) -> None:
    Offer.objects.create(**drawn)


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("offer_comes_after_its_judgement", {"drawn_at": timezone.now() - timedelta(days=1)}),
    ("offer_comes_after_its_judgement", {"side": "second"}),
    ("offer_arm_follows_its_draw", {"is_control": True}),
    ("offer_arm_follows_its_draw", {"draw": 0.1}),
    ("offer_draw_is_a_share", {"draw": 1.0}),
    ("offer_has_rationales", {"rationales": []}),
    ("offer_shows_machines_of_its_side", {"rationales": [2**40]}),
    ("offer_is_drawn_before_it_is_shown", {"shown_at": timezone.now() - timedelta(days=1)}),
    ("offer_is_shown_before_it_is_answered", {"answered_at": timezone.now() + timedelta(days=1)}),
]


@pytest.mark.parametrize(("name", "wrong"), BROKEN, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BROKEN)])
def test_the_database_refuses_an_offer(drawn: Any, name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Offer.objects.create(**{**drawn, **wrong})


def test_the_database_refuses_an_offer_without_its_annotators_judgement(drawn: Any, bob: Any, make_pair: Any) -> None:
    for wrong in ({"annotator": bob}, {"pair": make_pair()}):
        with pytest.raises(IntegrityError, match="offer_comes_after_its_judgement"), transaction.atomic():
            Offer.objects.create(**{**drawn, **wrong})
    human = Rationale.objects.create(pair=drawn["pair"], annotator=bob, text="Mine.", explains="first")
    with pytest.raises(IntegrityError, match="offer_shows_machines_of_its_side"), transaction.atomic():
        Offer.objects.create(**{**drawn, "rationales": [human.pk]})


def test_the_database_refuses_a_second_draw(drawn: Any) -> None:
    Offer.objects.create(**drawn)
    with pytest.raises(IntegrityError, match="one_offer_per_annotator_and_pair"), transaction.atomic():
        Offer.objects.create(**drawn)
    for change in ({"draw": 0.9}, {"rationales": [1]}, {"control_share": 0.1}):
        with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
            Offer.objects.update(**change)
    now = timezone.now() + timedelta(seconds=1)
    Offer.objects.update(shown_at=now)
    for later in (now + timedelta(seconds=1), None):
        with pytest.raises(IntegrityError, match="offer_is_drawn_once"), transaction.atomic():
            Offer.objects.update(shown_at=later)


def test_the_database_refuses_to_show_a_control_or_to_take_a_reaction_to_it(drawn: Any) -> None:
    control = Offer.objects.create(**{**drawn, "draw": 0.1, "is_control": True})
    with pytest.raises(IntegrityError, match="control_is_never_shown"), transaction.atomic():
        Offer.objects.update(shown_at=timezone.now() + timedelta(seconds=1))
    values = {"offer": control, "rationale_id": control.rationales[0], "judgement": drawn["judgement"]}
    with pytest.raises(IntegrityError, match="control_has_no_reaction"), transaction.atomic():
        Reaction.objects.create(**values, choice="rejected")


def test_the_database_refuses_a_reaction_to_what_was_not_shown(drawn: Any, make_pair: Any) -> None:
    offer = Offer.objects.create(**drawn)
    values = {"offer": offer, "rationale_id": offer.rationales[0], "judgement": drawn["judgement"]}
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
def test_the_database_refuses_a_distance_that_is_none(drawn: Any, name: str, wrong: dict[str, Any]) -> None:
    offer = Offer.objects.create(**drawn)
    Offer.objects.update(shown_at=timezone.now() + timedelta(seconds=1))
    if "edited" in wrong:
        wrong = {**wrong, "edited_id": offer.rationales[0]}
        del wrong["edited"]
    values = {"offer": offer, "rationale_id": offer.rationales[0], "judgement": drawn["judgement"]}
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Reaction.objects.create(**values, **wrong)


def test_the_share_of_the_control_is_bounded(project: Any) -> None:
    for share in (-0.1, 0.91):
        with (
            pytest.raises(IntegrityError, match="project_control_share_0_to_9_tenths"),
            transaction.atomic(),
        ):
            Project.objects.update(control_share=share)
