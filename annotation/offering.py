"""Saved judgements -> machine reasons to look at -> what their readers make of them.

Nothing of a machine is shown before an annotator's own judgement of the pair is saved (suggestions that come first move
the labels towards them: arXiv 2507.15821). Afterwards a project may offer what machines wrote for the side that was
preferred: one reason, to accept, edit or reject, or several, to tick those that fit (ILLUME, Brack et al., 2022). A
share of the judgements is drawn as a control, of which nothing is ever shown, so that what reasons change can be
measured (curation/metrics/anchoring.py). What was made of a reason can be taken back, and is then asked for again.

Nothing here is on the way of a judgement: it asks for itself when the judgement is saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.answering import Unfit, milliseconds
from annotation.distance import distance_share, edit_distance
from annotation.errors import Refused, Stale
from annotation.generating import storable
from annotation.models import (
    Annotator,
    Judgement,
    LanguageModel,
    Offer,
    Project,
    Rationale,
    Reaction,
    TakenBack,
    Verdict,
)
from annotation.phrasing import is_open
from annotation.reasoning import LONGEST_RATIONALE
from annotation.recording import record

# Only what is fresh in mind: judgements of the last day, and of these the latest.
FRESH = timedelta(hours=24)
LATEST = 20
# Reasons in a list: as many as ILLUME samples for an item.
LISTED = 5

# ---- the draws: pure ------------------------------------------------------------------------------------------------


def place_of(*, seed: int, annotator_id: int, pair_id: int) -> float:
    """A fixed draw from 0 to 1, uniform, for one annotator and one pair: below the control's share nothing is shown.

    It hangs on the project's seed, which no annotator knows, and comes out the same whenever it is drawn.
    """
    return int.from_bytes(_digest(f"{seed}:control:{annotator_id}:{pair_id}")[:6], "big") / 2**48


def in_order(rationales: Iterable[int], *, seed: int, annotator_id: int, pair_id: int) -> list[int]:
    """Rationales (ids) in an order drawn for one annotator and one pair, uniform over all orders.

    Whatever they are worth or whoever wrote them, each is as likely in front as any other.
    """
    return sorted(rationales, key=lambda one: _digest(f"{seed}:order:{annotator_id}:{pair_id}:{one}"))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


# ---- drawing --------------------------------------------------------------------------------------------------------


@transaction.atomic
def draw(*, annotator: Annotator) -> int:
    """Draw the arms of my saved judgements that have none, where there is a machine's reason. Drawing twice is once.

    Looked at are the LATEST judgements of the last day that prefer a side. Returns how many offers wait for me; those
    that are controls are not among them.
    """
    project = annotator.project
    if project.machine_reasons == Project.MachineReasons.OFF or project.state == Project.State.CLOSED:
        return 0
    fresh = _undrawn(annotator)
    written = _written([judgement.assignment.pair_id for judgement in fresh]) if fresh else {}
    at_most = 1 if project.machine_reasons == Project.MachineReasons.ONE else LISTED
    new = []
    for judgement in fresh:
        pair, side = judgement.assignment.pair_id, _side(judgement)
        whose = {"seed": project.seed, "annotator_id": annotator.pk, "pair_id": pair}
        if found := in_order(written.get((pair, side), []), **whose)[:at_most]:
            place = place_of(**whose)
            new.append(
                Offer(
                    annotator=annotator,
                    pair_id=pair,
                    judgement=judgement,
                    side=side,
                    draw=place,
                    control_share=project.control_share,
                    is_control=place < project.control_share,
                    rationales=found,
                )
            )
    # Two tabs draw the same.
    Offer.objects.bulk_create(new, ignore_conflicts=True)
    return waiting(annotator=annotator)


def waiting(*, annotator: Annotator) -> int:
    """How many offers I could look at now."""
    project = annotator.project
    if project.machine_reasons == Project.MachineReasons.OFF or project.state == Project.State.CLOSED:
        return 0
    return Offer.objects.of(annotator.pk).waiting().count()


def _undrawn(annotator: Annotator) -> list[Judgement]:
    """My latest judgements that prefer a side, less those that have an offer."""
    latest = (
        Judgement.objects.current()
        .filter(annotator=annotator, assignment__slot__isnull=False)
        .order_by("-id")
        .values("pk")[:LATEST]
    )
    drawn = Offer.objects.filter(annotator=annotator, pair=OuterRef("assignment__pair"))
    return list(
        Judgement.objects.filter(
            ~Exists(drawn), pk__in=latest, verdict=Verdict.PREFER, created_at__gt=Now() - FRESH
        ).select_related("assignment")
    )


def _written(pairs: Collection[int]) -> dict[tuple[int, str], list[int]]:
    """What machines wrote, by pair and by the side that it explains. A toy's text is never handed to people."""
    toys = LanguageModel.objects.filter(is_toy=True).values("name")
    rows = (
        Rationale.objects.filter(pair__in=pairs, source=Rationale.Source.MACHINE)
        .exclude(explains="")
        .exclude(text="")
        .exclude(annotator__model__in=toys)
        .values_list("pair_id", "explains", "pk")
    )
    found: dict[tuple[int, str], list[int]] = {}
    for pair, side, number in rows:
        found.setdefault((pair, side), []).append(number)
    return found


def _side(judgement: Judgement) -> str:
    return "first" if (judgement.strength or 0) > 0 else "second"


# ---- showing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reason:
    """One machine's reason as its reader sees it: nothing of who wrote it. `place` counts from 0.

    `called` is the letter by which the text calls the preferred candidate, where that is not the one on the screen.
    """

    place: int
    text: str
    called: str


@transaction.atomic
def show(*, annotator: Annotator, number: int | None = None) -> Offer | None:
    """The offer to look at: the latest that waits, or the one asked for. From now on it counts as shown.

    None: there is none, or that one is not mine to see any more.
    """
    if not waiting(annotator=annotator):
        return None
    mine = Offer.objects.of(annotator.pk).waiting().select_related("pair__prompt", "pair__first", "pair__second")
    offer = (mine if number is None else mine.filter(pk=number)).order_by("-id").first()
    if offer is not None and offer.shown_at is None:
        Offer.objects.filter(pk=offer.pk, shown_at=None).update(shown_at=Now())
    return offer


def standing(offer: Offer) -> Judgement:
    """What its annotator says of the pair now. An offer that waits has one."""
    return (
        Judgement.objects.current()
        .filter(annotator=offer.annotator_id, assignment__pair=offer.pair_id)
        .select_related("assignment__project")
        .latest("pk")
    )


def reasons(offer: Offer, *, swapped: bool) -> list[Reason]:
    """The offer's rationales in their drawn order. `swapped`: the second candidate stands as A on the screen."""
    found = Rationale.objects.select_related("annotator").in_bulk(offer.rationales)
    on_screen = "A" if (offer.side == "first") != swapped else "B"
    # Templates that do not give the verdict away call the first candidate A, whatever the annotator saw.
    there = "A" if offer.side == "first" else "B"
    return [
        Reason(
            place,
            found[number].text,
            there
            if there != on_screen and is_open(found[number].template, project=found[number].annotator.project)
            else "",
        )
        for place, number in enumerate(offer.rationales)
    ]


# ---- reacting -------------------------------------------------------------------------------------------------------


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
