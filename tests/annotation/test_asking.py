"""Judges: a judging that is asked for, and answers that are appended; the database refuses what must never be."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from annotation.asking import (
    Answer,
    JudgingPlan,
    Question,
    ensure_judge,
    pairs_of,
    principles_of,
    record_answers,
    request_judging,
)
from annotation.errors import Refused
from annotation.guiding import Entry, publish_guideline
from annotation.models import Annotator, Event, JudgeAnswer, Judgement, Principle, PrincipleVote, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def guideline(project):
    principles = [Entry("Kind", "The answer should be kind."), Entry("Brief", "The answer should be brief.")]
    publish_guideline(project=project, text="Be good.", principles=principles)
    project.refresh_from_db()
    return list(Principle.objects.filter(project=project).order_by("pk"))


@pytest.fixture
def judge(project):
    return ensure_judge(project=project, model="m", revision="r", template="oracle")


@pytest.fixture
def run(project):
    return Run.objects.create(project=project, kind="judging", code_version="test")


def chosen(project, **fields):
    return list(pairs_of(project=project, plan=JudgingPlan(model="m", **fields)))


def test_a_plan_says_which_pairs_along_the_queue(project, make_pair, alice):
    late, early = make_pair(rank=9, tags=["hard"]), make_pair(rank=2, source="f")
    out = make_pair(rank=5)
    type(out).objects.filter(pk=out.pk).update(excluded_at=out.created_at)
    assert chosen(project) == [early, late]
    assert chosen(project, limit=1) == [early]
    assert chosen(project, tag="hard") == [late]
    assert chosen(project, source="f") == [early]
    assert chosen(project, generation=1) == []
    assert chosen(project, judged_only=True) == []
    seat = early.assignments.first()
    type(seat).objects.filter(pk=seat.pk).update(annotator=alice, done_at=out.created_at)
    Judgement.objects.create(
        assignment=seat,
        annotator=alice,
        key="00000000-0000-4000-8000-000000000001",
        verdict="tie",
        strength=0,
        swapped=False,
    )
    assert chosen(project, judged_only=True) == [early]


def test_a_request_fixes_pairs_and_principles(project, make_pair, guideline, lead):
    pair = make_pair()
    run = request_judging(project=project, plan=JudgingPlan(model="m"), actor=lead.user)
    make_pair()
    publish_guideline(project=project, text="Be better.", principles=[Entry("New", "Something new.")])
    project.refresh_from_db()
    plan = JudgingPlan.from_parameters(run.parameters)
    assert list(pairs_of(project=project, plan=plan)) == [pair]
    assert principles_of(project=project, plan=plan) == guideline
    assert Event.objects.get(act="run.judge").after == run.parameters


def test_what_cannot_be_asked_for(project, make_pair, stranger):
    with pytest.raises(Refused, match="No pair of this project fits"):
        request_judging(project=project, plan=JudgingPlan(model="m", asks=("overall",)))
    make_pair()
    with pytest.raises(Refused, match="No principles are in force"):
        request_judging(project=project, plan=JudgingPlan(model="m"))
    theirs = Principle.objects.create(project=stranger.project, key="k", short="K", text="Theirs.")
    with pytest.raises(Refused, match=f"no principle with the number {theirs.pk}"):
        request_judging(project=project, plan=JudgingPlan(model="m", principles=(theirs.pk,)))


def test_a_judge_is_one_model_revision_and_template(project):
    made = [
        ensure_judge(project=project, model=model, revision=revision, template=template)
        for model in ("m", "n" * 300)
        for revision in ("r", "s")
        for template in ("oracle", "principle-last")
        for _ in range(2)
    ]
    assert len({one.pk for one in made}) == 8
    assert {one.kind for one in made} == {Annotator.Kind.JUDGE}
    assert all(one.prompt_version in one.name and len(one.name) <= 200 for one in made)


def answers_to(pair, principle, *, first=(0.8, 0.1, 0.1), second=(0.1, 0.8, 0.1)):
    return [
        Answer(Question(pair.pk, principle, False), *first),
        Answer(Question(pair.pk, principle, True), *second),
    ]


def test_recording_twice_stores_once(project, make_pair, guideline, judge, run):
    pair = make_pair()
    answers = [*answers_to(pair, None), *answers_to(pair, guideline[0].pk)]
    assert record_answers(run=run, judge=judge, answers=answers) == 2
    assert record_answers(run=run, judge=judge, answers=answers) == 0
    assert (JudgeAnswer.objects.count(), PrincipleVote.objects.count(), Judgement.objects.count()) == (4, 1, 1)
    judgement = Judgement.objects.get()
    assert (judgement.strength, judgement.strength_known, judgement.run) == (1, False, run)
    assert judgement.confidence == pytest.approx(0.7)


def test_one_order_alone_comes_to_nothing(project, make_pair, judge, run):
    pair = make_pair()
    both = answers_to(pair, None)
    assert record_answers(run=run, judge=judge, answers=both[:1]) == 0
    assert Judgement.objects.count() == 0
    assert record_answers(run=run, judge=judge, answers=both[1:]) == 1


# ---- what must never be ----------------------------------------------------------------------------------------------


@pytest.fixture
def refuses(make_pair, judge, run):
    pair = make_pair()

    def store(name, **fields):
        values = {"probability_a": 0.5, "probability_b": 0.3, "probability_na": 0.2, "swapped": False}
        if not JudgeAnswer.objects.exists():
            JudgeAnswer.objects.create(run=run, annotator=judge, pair=pair, **values)
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            JudgeAnswer.objects.create(run=run, annotator=judge, pair=pair, **(values | fields))

    return store


def test_the_same_question_is_not_answered_twice_even_without_a_principle(refuses):
    refuses("one_answer_per_question_and_order")


@pytest.mark.parametrize(
    "fields",
    [{"probability_a": -0.1}, {"probability_b": 0.6}, {"probability_na": 1.2}, {"probability_a": float("nan")}],
)
def test_probabilities_are_shares(refuses, fields):
    refuses("answer_probabilities_are_shares", swapped=True, **fields)


def test_an_injection_is_in_one_of_the_candidates(refuses):
    refuses("an_injection_is_in_a_candidate", injection="override")
    refuses("an_injection_is_in_a_candidate", swapped=True, injected_into="first")


def test_an_answer_is_never_changed(refuses):
    refuses("one_answer_per_question_and_order")
    with pytest.raises(IntegrityError, match="judge_answer_is_appended"), transaction.atomic():
        JudgeAnswer.objects.update(probability_a=0.1)
