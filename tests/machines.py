"""Reasons that machines wrote, for tests of what is shown after the lock."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from annotation import offering, revising
from annotation.answering import Answer
from annotation.models import Annotator, Judgement, Offer, Project, Rationale, Run
from tests.verdicts import judge

_numbers = itertools.count(1)


def explain(pair: Any, side: str = "first", text: str = "It is short and right.", **fields: Any) -> Rationale:
    """A machine's reason for one side of a pair, by a judge of its project."""
    judge, _ = Annotator.objects.get_or_create(
        project=pair.project, kind="judge", name="canary-judge", defaults={"model": "canary-model"}
    )
    run = Run.objects.create(project=pair.project, kind="judging", code_version="test")
    values = {"template": f"general-{next(_numbers)}", "explains": side, "source": "machine", **fields}
    return Rationale.objects.create(pair=pair, annotator=judge, run=run, text=text, **values)


def turn_on(project: Any, machine_reasons: str = "one", control_share: float = 0.0) -> None:
    """Let the project show reasons; without a control unless a share is given."""
    project.machine_reasons, project.control_share = machine_reasons, control_share
    Project.objects.filter(pk=project.pk).update(machine_reasons=machine_reasons, control_share=control_share)


def seat_of(who: Any) -> Annotator:
    """The annotator with the project as it is now."""
    return Annotator.objects.select_related("project").get(pk=who.pk)


def shown_to(who: Any) -> Offer:
    """Draw for `who`, and show the latest offer that waits."""
    offering.draw(annotator=seat_of(who))
    offer = offering.show(annotator=seat_of(who))
    assert offer is not None
    return offer


def offered(who: Any, pair: Any, *texts: str, **fields: Any) -> Offer:
    """A judgement of `who` with these reasons for it (one, unless told), drawn and shown."""
    for text in texts or ("It is short and right.",):
        explain(pair, text=text, **fields)
    judge(who, pair)
    return shown_to(who)


def revise(who: Any, offer: Offer, strength: int) -> Judgement:
    """`who` answers the pair of an offer anew."""
    assignment = offer.judgement.assignment
    answer = Answer(assignment_id=assignment.pk, key=uuid.uuid4(), verdict="prefer", strength=strength)
    revision = assignment.judgements.current().get().revision
    return revising.revise(annotator=seat_of(who), assignment=assignment, answer=answer, expected_revision=revision)
