"""Reasons that machines wrote, for tests of what is shown after the lock."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from annotation.models import Annotator, Judgement, Project, Rationale, Run

_numbers = itertools.count(1)


def explain(pair: Any, side: str = "first", text: str = "It is short and right.", **fields: Any) -> Rationale:
    """A machine's reason for one side of a pair, by a judge of its project."""
    judge, _ = Annotator.objects.get_or_create(
        project=pair.project, kind="judge", name="canary-judge", defaults={"model": "canary-model"}
    )
    run = Run.objects.create(project=pair.project, kind="judging", code_version="test")
    values = {"template": f"general-{next(_numbers)}", "explains": side, "source": "machine", **fields}
    return Rationale.objects.create(pair=pair, annotator=judge, run=run, text=text, **values)


def judge(who: Any, pair: Any, strength: int | None = 2, verdict: str = "prefer", **fields: Any) -> Judgement:
    """`who` judges an open slot of `pair`, as if handed out here."""
    slot = pair.assignments.filter(annotator=None).earliest("slot")
    slot.annotator, slot.done_at = who, pair.created_at
    slot.save()
    values = {"key": uuid.uuid4(), "verdict": verdict, "strength": strength, "swapped": False, **fields}
    return Judgement.objects.create(assignment=slot, annotator=who, **values)


def turn_on(project: Any, machine_reasons: str = "one", control_share: float = 0.0) -> None:
    """Let the project show reasons; without a control unless a share is given."""
    project.machine_reasons, project.control_share = machine_reasons, control_share
    Project.objects.filter(pk=project.pk).update(machine_reasons=machine_reasons, control_share=control_share)
