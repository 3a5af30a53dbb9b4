"""Loading the demo project: the same for the same seed, all or nothing, and nobody else's project is touched."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation import demonstrating, registering
from annotation.demonstrating import SLUG, load_demo
from annotation.errors import Refused
from annotation.models import (
    JudgeAnswer,
    Judgement,
    LanguageModel,
    Project,
    User,
)


def said(project):
    """What everybody said, without the numbers of rows."""
    rows = Judgement.objects.by_people().filter(assignment__project=project).order_by("id")
    return list(
        rows.values_list(
            "annotator__name", "assignment__pair__external_id", "verdict", "strength", "swapped", "active_ms", "key"
        )
    )


def judged(project):
    """What every judge answered, without the numbers of rows."""
    rows = JudgeAnswer.objects.filter(pair__project=project)
    return sorted(
        rows.values_list(
            "annotator__name", "pair__external_id", "principle__short", "swapped", "probability_a", "probability_na"
        ),
        key=str,
    )


def test_the_same_seed_says_the_same(db):
    now = timezone.now()
    first = load_demo(now=now)
    before = said(first.project)
    times = list(Judgement.objects.by_people().order_by("id").values_list("created_at", flat=True))
    answers = judged(first.project)
    # Another demo beside it: the first one moves out of the way.
    Project.objects.filter(pk=first.project.pk).update(slug="earlier")
    Judgement.objects.filter(assignment__project=first.project).delete()
    second = load_demo(now=now)
    assert said(second.project) == before
    assert judged(second.project) == answers
    assert list(Judgement.objects.by_people().order_by("id").values_list("created_at", flat=True)) == times


def test_an_interrupted_load_leaves_nothing(db, monkeypatch):
    def stumble(*args, **kwargs):
        raise RuntimeError("the power went out")

    monkeypatch.setattr(demonstrating, "_simulate", stumble)
    with pytest.raises(RuntimeError, match="power"):
        load_demo()
    assert not Project.objects.exists()
    assert not User.objects.exists()


def test_another_project_at_its_address_is_left_alone(db):
    Project.objects.create(slug=SLUG, name="Ours")
    with pytest.raises(Refused, match="is not the demo"):
        load_demo()
    with pytest.raises(CommandError, match="is not the demo"):
        call_command("load_demo")
    assert Project.objects.get().name == "Ours"


def test_the_toy_is_registered_allowed_and_holds_no_path_of_a_machine(db):
    toy = demonstrating.ensure_toy()
    assert (toy.is_toy, toy.location, toy.allowed_at is not None, toy.is_sound) == (True, "shipped:toy", True, None)
    registering.withdraw_model(model=toy)
    again = demonstrating.ensure_toy()
    assert (again.pk, again.allowed_at) == (toy.pk, None)
    assert LanguageModel.objects.count() == 1
