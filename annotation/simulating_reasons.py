"""The demo's machine reasons, and what its simulated annotators made of them. No machine wrote, and nobody read them.

Reasons are put together from those of the demo's pairs, under the name of a simulated judge and in a run that says so.
Arms are drawn as for everybody; readers accept, edit and reject at random, and change no judgement for it: whoever
measures anchoring here should find none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np

from annotation.models import Annotator, Judgement, Offer, Pair, Project, Rationale, Reaction, Run
from annotation.offering import in_order, place_of
from annotation.reacting import keep_edit
from annotation.reasoning import Written, record_rationales
from annotation.running import claim, request_run

SEED = 808
TEMPLATES: Final = {"first": "simulated-first", "second": "simulated-second"}
# How many of the offers are opened, and what is made of those.
OPENED = 0.85
CHOICES = {"accepted": 0.5, "edited": 0.2, "rejected": 0.3}


def write(
    *, project: Project, latent: Mapping[str, dict[str, Any]], sentences: Mapping[str, list[str]], command: str
) -> Run:
    """Let a simulated judge give a reason for either side of every pair. `latent` is the demo's file, by identifier."""
    rng = np.random.default_rng(SEED)
    judge = Annotator.objects.judges().filter(project=project, is_simulated=True).earliest("pk")
    run = request_run(project=project, kind=Run.Kind.JUDGING, parameters={"simulated": True}, actor=None, seed=SEED)
    hold = claim(run_id=run.pk, worker=f"command {command}")
    assert hold is not None
    written = []
    for pair in Pair.objects.filter(project=project).select_related("first").order_by("rank"):
        row = latent[pair.external_id]
        # The import may have put the file's second response first.
        of = {"first": "a", "second": "b"} if pair.first.text == row["response_a"] else {"first": "b", "second": "a"}
        for side, template in TEMPLATES.items():
            reason = row["meta"]["reasons"][of[side]]
            more = sentences[str(rng.choice([tag for tag in reason["tags"] if tag in sentences]))]
            text = f"{reason['text']} {rng.choice(more)}"
            written.append(Written(pair.pk, text, template, side, is_hinted=True))
    with hold.fenced():
        record_rationales(run=hold.run, judge=judge, written=written)
    hold.finish(result={"judge": judge.pk, "rationales": len(written), "simulated": True})
    first = Judgement.objects.filter(annotator__project=project).order_by("created_at").first()
    if first is not None:
        # They were there before anybody judged.
        Rationale.objects.filter(run=run).update(created_at=first.created_at - timedelta(days=1))
    return run


def read(*, project: Project) -> int:
    """Offer the reasons to the simulated annotators, as the draw says, and let them react. Returns how many offers."""
    rng = np.random.default_rng([SEED, 1])
    written = {
        (pair, side): number
        for pair, side, number in Rationale.objects.filter(
            pair__project=project, template__in=TEMPLATES.values()
        ).values_list("pair_id", "explains", "pk")
    }
    offers = []
    said = Judgement.objects.current().by_people().filter(annotator__project=project, verdict="prefer").order_by("pk")
    for judgement in said.select_related("assignment"):
        pair, side = judgement.assignment.pair_id, "first" if (judgement.strength or 0) > 0 else "second"
        whose = {"seed": project.seed, "annotator_id": judgement.annotator_id, "pair_id": pair}
        place = place_of(**whose)
        is_control = place < project.control_share
        drawn = judgement.created_at + timedelta(seconds=1)
        # A reason is looked at at once, or not at all: the next pair takes longer.
        is_opened = not is_control and bool(rng.random() < OPENED)
        took = timedelta(seconds=float(rng.lognormal(1.9, 0.5)))
        offers.append(
            Offer(
                annotator_id=judgement.annotator_id,
                pair_id=pair,
                judgement=judgement,
                side=side,
                draw=place,
                control_share=project.control_share,
                is_control=is_control,
                rationales=in_order([written[(pair, side)]], **whose),
                drawn_at=drawn,
                shown_at=drawn + timedelta(seconds=1) if is_opened else None,
                answered_at=drawn + timedelta(seconds=1) + took if is_opened else None,
            )
        )
    Offer.objects.bulk_create(offers)
    _react([offer for offer in offers if offer.shown_at is not None], rng)
    return len(offers)


def _react(offers: list[Offer], rng: np.random.Generator) -> None:
    texts = Rationale.objects.in_bulk([offer.rationales[0] for offer in offers])
    reactions = []
    for offer in offers:
        assert offer.shown_at is not None
        assert offer.answered_at is not None
        origin, choice = texts[offer.rationales[0]], str(rng.choice(list(CHOICES), p=list(CHOICES.values())))
        made: dict[str, object] = {}
        if choice == Reaction.Choice.EDITED:
            # The second sentence fits any pair: it goes.
            text = origin.text.split(". ")[0].rstrip(".") + "."
            if text == origin.text:
                text = origin.text.rstrip(".!?") + ", I think."
            made = keep_edit(
                origin, text, annotator_id=offer.annotator_id, judgement_id=offer.judgement_id, at=offer.answered_at
            )
        reaction = Reaction(
            offer=offer,
            rationale=origin,
            judgement_id=offer.judgement_id,
            choice=choice,
            active_ms=round((offer.answered_at - offer.shown_at).total_seconds() * 1000),
            created_at=offer.answered_at,
            **made,
        )
        reactions.append(reaction)
    Reaction.objects.bulk_create(reactions)
