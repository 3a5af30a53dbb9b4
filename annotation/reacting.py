"""A machine's reason that was shown -> what its reader makes of it. What is shown, and to whom: offering.py.

One reason is accepted, edited or rejected; of several, those that fit are ticked (ILLUME, Brack et al., 2022). What was
made of a reason can be taken back: it is kept on record, and asked for again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.answering import Unfit, milliseconds
from annotation.distance import distance_share, edit_distance
from annotation.errors import Refused, Stale
from annotation.generating import storable
from annotation.models import Annotator, Judgement, Offer, Project, Rationale, Reaction, TakenBack
from annotation.offering import FRESH, standing
from annotation.reasoning import LONGEST_RATIONALE
from annotation.recording import record


@transaction.atomic
def react(
    *, annotator: Annotator, number: int, choice: str, text: str = "", active_ms: int | None = None
) -> list[Reaction]:
    """Accept, edit or reject the one reason of an offer. Doing the same twice is once.

    An edit becomes a rationale of my judgement, with what it was made from and how far it is from that.

    Raises:
        Unfit: it is none of the three, the text is empty, too long, or has not been changed.
        Stale: I have answered otherwise, or no longer prefer that side.
        Refused: it is a list, has not been shown, or the project is closed.
    """
    offer = _mine(annotator, number)
    if offer.is_list:
        raise Refused(_("There are several reasons here. Tick those that fit."))
    if choice not in (Reaction.Choice.ACCEPTED, Reaction.Choice.EDITED, Reaction.Choice.REJECTED):
        raise Unfit(_("Accept, edit or reject."), field="choice")
    origin = Rationale.objects.get(pk=offer.rationales[0])
    text = text.replace("\r\n", "\n").strip()
    if choice == Reaction.Choice.EDITED:
        _check_edit(origin, text)
    if (before := _answered(offer)) is not None:
        is_same = [one.choice for one in before] == [choice] and (
            choice != Reaction.Choice.EDITED or (before[0].edited is not None and before[0].edited.text == text)
        )
        if not is_same:
            raise Stale(_("You have answered this already, in another window. That answer stays."))
        return before
    judgement = _still_stands(offer)
    made: dict[str, object] = {}
    if choice == Reaction.Choice.EDITED:
        made = keep_edit(
            origin, text, annotator_id=judgement.annotator_id, judgement_id=judgement.pk, at=timezone.now()
        )
    return _record(offer, [Reaction(rationale=origin, judgement=judgement, choice=choice, **made)], active_ms)


@transaction.atomic
def tick(*, annotator: Annotator, number: int, ticked: Collection[int], active_ms: int | None = None) -> list[Reaction]:
    """Say which reasons of a list fit, by their places; none is an answer too. Doing the same twice is once.

    Raises:
        Unfit: a place that the list does not have.
        Stale, Refused: as `react`.
    """
    offer = _mine(annotator, number)
    if not offer.is_list:
        raise Refused(_("There is one reason here. Accept, edit or reject it."))
    if not set(ticked) <= set(range(len(offer.rationales))):
        raise Unfit(_("This list has no such reason. Load the page again."), field="tick")
    choices = [
        Reaction.Choice.TICKED if place in ticked else Reaction.Choice.LEFT for place in range(len(offer.rationales))
    ]
    if (before := _answered(offer)) is not None:
        said = {one.rationale_id: one.choice for one in before}
        if [said.get(one) for one in offer.rationales] != choices:
            raise Stale(_("You have answered this already, in another window. That answer stays."))
        return before
    judgement = _still_stands(offer)
    new = [
        Reaction(rationale_id=one, judgement=judgement, choice=choice)
        for one, choice in zip(offer.rationales, choices, strict=True)
    ]
    return _record(offer, new, active_ms)


def _mine(annotator: Annotator, number: int) -> Offer:
    """My offer, locked; raises Refused. A control is answered like one that is not there."""
    if annotator.project.state == Project.State.CLOSED:
        raise Refused(_("This project is closed. Answers can no longer be given."))
    offer = Offer.objects.of(annotator.pk).select_for_update().filter(pk=number, shown_at__isnull=False).first()
    if offer is None:
        raise Refused(_("There is no such reason to answer. Load the page again."))
    return offer


def _answered(offer: Offer) -> list[Reaction] | None:
    return None if offer.answered_at is None else list(offer.reactions.select_related("edited").order_by("pk"))


def _still_stands(offer: Offer) -> Judgement:
    if not Offer.objects.waiting().filter(pk=offer.pk).exists():
        raise Stale(_("You have changed your answer since. This reason was for the other one."))
    return standing(offer)


def _check_edit(origin: Rationale, text: str) -> None:
    if not text:
        raise Unfit(_("There is no text left. Write what fits, or reject the reason."), field="text")
    if "\0" in text:
        raise Unfit(_("Your text contains a NUL character, which cannot be stored. Remove it."), field="text")
    if len(text) > LONGEST_RATIONALE:
        raise Unfit(
            _("Your text has %(n)s characters; %(most)s is the most. Shorten it.")
            % {"n": f"{len(text):,}", "most": f"{LONGEST_RATIONALE:,}"},
            field="text",
        )
    if not edit_distance(origin.text, storable(text)):
        raise Unfit(_("Nothing has been changed. Change a word, or accept the reason as it is."), field="text")


def keep_edit(origin: Rationale, text: str, *, annotator_id: int, judgement_id: int, at: datetime) -> dict[str, object]:
    """Store an edited reason of a machine as a reason of the annotator. Returns what their reaction holds of it."""
    distance = edit_distance(origin.text, text)
    edited = Rationale.objects.create(
        pair_id=origin.pair_id,
        annotator_id=annotator_id,
        judgement_id=judgement_id,
        text=storable(text),
        source=Rationale.Source.EDITED,
        template=origin.template,
        is_hinted=origin.is_hinted,
        explains=origin.explains,
        edited_from=origin,
        edit_distance=distance,
        run_id=origin.run_id,
        created_at=at,
    )
    return {"edited": edited, "distance": distance, "distance_share": distance_share(origin.text, text)}


def _record(offer: Offer, new: list[Reaction], active_ms: int | None) -> list[Reaction]:
    for one in new:
        one.offer, one.active_ms = offer, milliseconds(active_ms)
    Reaction.objects.bulk_create(new)
    Offer.objects.filter(pk=offer.pk).update(answered_at=Now())
    return new


# ---- taking back -----------------------------------------------------------------------------------------------------


def last_answered(*, annotator: Annotator) -> Offer | None:
    """The offer of the last day that I answered last, if what I made of it can be taken back."""
    project = annotator.project
    if project.machine_reasons == Project.MachineReasons.OFF or project.state == Project.State.CLOSED:
        return None
    mine = Offer.objects.of(annotator.pk).filter(answered_at__gt=Now() - FRESH)
    return mine.prefetch_related("reactions").order_by("-answered_at", "-pk").first()


@transaction.atomic
def take_back(*, annotator: Annotator, number: int) -> Offer:
    """Take back what I made of an offer: it waits for me again. What was said stays on record. Twice is once.

    Raises:
        Refused: nothing has been made of it, it is not mine, or the project is closed.
    """
    offer = _mine(annotator, number)
    said = _answered(offer)
    if said is None:
        if offer.taken_back.exists():
            return offer
        raise Refused(_("You have not answered this reason. There is nothing to take back."))
    TakenBack.objects.bulk_create(_on_record(offer, one) for one in said)
    edits = [one.edited_id for one in said if one.edited_id]
    offer.reactions.all().delete()
    Rationale.objects.filter(pk__in=edits).delete()
    offer.answered_at = None
    offer.save(update_fields=["answered_at"])
    record(
        act="reaction.undo",
        subject=f"offer {offer.pk}",
        actor=annotator.user,
        project=annotator.project,
        before={"choices": [one.choice for one in said]},
    )
    return offer


def _on_record(offer: Offer, said: Reaction) -> TakenBack:
    return TakenBack(
        offer=offer,
        rationale_id=said.rationale_id,
        judgement_id=said.judgement_id,
        choice=said.choice,
        text=said.edited.text if said.edited else "",
        distance=said.distance,
        distance_share=said.distance_share,
        active_ms=said.active_ms,
        created_at=said.created_at,
        taken_back_at=Now(),
    )


@dataclass(frozen=True)
class Left:
    """How an offer was left when it was taken back: the choice, the edit's text, the places that were ticked."""

    choice: str = ""
    text: str = ""
    ticked: frozenset[int] = frozenset()


def left_as(offer: Offer) -> Left:
    """What its annotator had made of an offer, when they took it back last; empty where they did not."""
    latest = offer.taken_back.order_by("-taken_back_at", "-pk").first()
    if latest is None:
        return Left()
    together = offer.taken_back.filter(taken_back_at=latest.taken_back_at)
    ticked = {one.rationale_id for one in together if one.choice == Reaction.Choice.TICKED}
    places = frozenset(place for place, one in enumerate(offer.rationales) if one in ticked)
    return Left(choice=latest.choice, text=latest.text, ticked=places)
