"""Saved judgements -> machine reasons to look at. What their readers make of them: reacting.py.

Nothing of a machine is shown before an annotator's own judgement of the pair is saved (suggestions that come first move
the labels towards them: arXiv 2507.15821). Afterwards a project may offer what machines wrote for the side that was
preferred: one reason, to accept, edit or reject, or several, to tick those that fit (ILLUME, Brack et al., 2022). A
share of the judgements is drawn as a control, of which nothing is ever shown, so that what reasons change can be
measured (curation/metrics/anchoring.py).

Nothing here is on the way of a judgement: it asks for itself when the judgement is saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from annotation.models import Annotator, Judgement, LanguageModel, Offer, Project, Rationale, Verdict
from annotation.phrasing import is_open

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
