"""Reasons after the lock: who is drawn, what is shown, and what the database refuses."""

from __future__ import annotations

import math
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import judging, offering, reacting, revising
from annotation.answering import Answer
from annotation.errors import Refused
from annotation.models import Annotator, Judgement, LanguageModel, Offer, Project, Rationale, Reaction
from tests.machines import explain, offered, revise, seat_of, shown_to, turn_on
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(project: Any) -> Any:
    turn_on(project)
    return project


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
    waits = offering.draw(annotator=seat_of(alice))
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
    assert offering.draw(annotator=seat_of(alice)) == 1
    explain(pair, text="Another, later.")
    turn_on(on, control_share=0.9)
    assert offering.draw(annotator=seat_of(alice)) == 1
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
        offering.draw(annotator=seat_of(who))
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
    assert offering.draw(annotator=seat_of(alice)) == 0
    assert not Offer.objects.exists()


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_the_latest_comes_first_and_is_marked_as_shown_once(on: Any, alice: Any, make_pair: Any) -> None:
    pairs = [make_pair() for _ in range(2)]
    for pair in pairs:
        explain(pair)
        judge(alice, pair)
        offering.draw(annotator=seat_of(alice))
    shown = offering.show(annotator=seat_of(alice))
    assert shown is not None
    assert shown.pair == pairs[1]
    at = Offer.objects.get(pk=shown.pk).shown_at
    assert at is not None
    assert offering.show(annotator=seat_of(alice)) == shown
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
    assert offering.draw(annotator=seat_of(alice)) == 0
    control = Offer.objects.get()
    assert control.is_control
    assert offering.show(annotator=seat_of(alice)) is None
    assert offering.show(annotator=seat_of(alice), number=control.pk) is None
    with pytest.raises(Refused, match="There is no such reason"):
        reacting.react(annotator=seat_of(alice), number=control.pk, choice="accepted")


def test_a_reason_of_another_annotator_is_not_mine(on: Any, alice: Any, bob: Any, make_pair: Any) -> None:
    offer = offered(alice, make_pair())
    assert offering.show(annotator=seat_of(bob), number=offer.pk) is None
    with pytest.raises(Refused, match="There is no such reason"):
        reacting.react(annotator=seat_of(bob), number=offer.pk, choice="accepted")


@pytest.mark.parametrize(("swapped", "strength", "called"), [(False, 2, ""), (True, 2, "A"), (True, -2, "B")])
def test_a_text_that_calls_them_otherwise_says_so(
    on: Any, alice: Any, make_pair: Any, swapped: bool, strength: int, called: str
) -> None:
    """The template “unaided” calls the first candidate A, whatever side it stood on for this annotator."""
    pair = make_pair()
    side = "first" if strength > 0 else "second"
    explain(pair, side, template="unaided-1")
    judge(alice, pair, strength, swapped=swapped)
    offer = shown_to(alice)
    assert [one.called for one in offering.reasons(offer, swapped=swapped)] == [called]
    Offer.objects.all().delete()
    Rationale.objects.update(template="general-1")
    again = shown_to(alice)
    assert [one.called for one in offering.reasons(again, swapped=swapped)] == [""]


# ---- the judgement afterwards ----------------------------------------------------------------------------------------


def test_a_judgement_that_is_changed_after_a_reason_was_shown_is_marked(on: Any, alice: Any, make_pair: Any) -> None:
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    offering.draw(annotator=seat_of(alice))
    unseen = revise(alice, Offer.objects.get(), 1)
    offer = offering.show(annotator=seat_of(alice))
    assert offer is not None
    seen = revise(alice, offer, 3)
    marks = dict(Judgement.objects.values_list("revision", "saw_machine"))
    assert (unseen.revision, seen.revision) == (2, 3)
    assert marks == {1: False, 2: False, 3: True}


def test_an_answer_taken_back_and_given_anew_is_marked_too(on: Any, alice: Any, make_pair: Any) -> None:
    """The way of the judging page: one statement, which knows nothing of reasons."""
    pair = make_pair()
    explain(pair)
    item = judging.hand_out(user_id=alice.user_id, slug=on.slug)[0]
    answer: dict[str, Any] = {"assignment_id": item.assignment_id, "verdict": "prefer", "strength": 2}
    judging.submit(user_id=alice.user_id, project=on, answer=Answer(key=uuid.uuid4(), **answer))
    offering.draw(annotator=seat_of(alice))
    assert offering.show(annotator=seat_of(alice)) is not None
    revising.undo(annotator=seat_of(alice))
    assert offering.waiting(annotator=seat_of(alice)) == 0
    judging.submit(user_id=alice.user_id, project=on, answer=Answer(key=uuid.uuid4(), **answer))
    assert list(Judgement.objects.order_by("revision").values_list("saw_machine", flat=True)) == [False, True]
    assert offering.draw(annotator=seat_of(alice)) == 1


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


def test_the_share_of_the_control_is_bounded(project: Any) -> None:
    for share in (-0.1, 0.91):
        with (
            pytest.raises(IntegrityError, match="project_control_share_0_to_9_tenths"),
            transaction.atomic(),
        ):
            Project.objects.update(control_share=share)
