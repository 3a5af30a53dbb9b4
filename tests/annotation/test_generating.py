"""A generation that is asked for, and candidates that are recorded: each once, and nothing of their origin leaks."""

from __future__ import annotations

import pytest

from annotation.errors import Refused
from annotation.generating import GenerationPlan, Made, prompts_of, record_candidates, request_generation
from annotation.models import Candidate, Event, Project, Prompt, Run
from annotation.pairing import as_json, prompt_digest

pytestmark = pytest.mark.django_db

PLAN = GenerationPlan(models=("m",))


@pytest.fixture
def prompts(project):
    made = []
    for n in range(4):
        messages = [{"role": "user", "content": f"Question {n}"}]
        made.append(
            Prompt.objects.create(
                project=project,
                messages=messages,
                digest=prompt_digest(as_json(messages)),
                tags=["even"] if n % 2 == 0 else [],
                source="a" if n < 3 else "b",
                language="de",
            )
        )
    return made


def made_of(prompt, **fields):
    values = {
        "prompt_id": prompt.pk,
        "index": 0,
        "text": "Four.",
        "model": "m",
        "revision": "r",
        "polarity": "",
        "template_version": "plain-1",
        "seed": 1,
        "token_count": 2,
    }
    return Made(**(values | fields))


def chosen(project, **fields):
    return list(prompts_of(project=project, plan=GenerationPlan(models=("m",), **fields)))


def test_a_plan_says_which_prompts(project, prompts, stranger):
    assert chosen(project) == prompts
    assert chosen(project, limit=2) == prompts[:2]
    assert chosen(project, tag="even") == prompts[::2]
    assert chosen(project, source="b") == prompts[3:]
    assert chosen(project, prompts=(prompts[1].pk, prompts[2].pk)) == prompts[1:3]
    assert chosen(Project.objects.get(slug="elsewhere"), prompts=(prompts[0].pk,)) == []


def test_a_request_fixes_its_prompts_and_is_recorded(project, prompts, lead):
    run = request_generation(project=project, plan=PLAN, actor=lead.user, seed=9)
    assert (run.kind, run.state, run.seed, run.started_by) == ("generation", "waiting", 9, lead.user)
    later = Prompt.objects.create(project=project, messages=[], digest=b"later")
    plan = GenerationPlan.from_parameters(run.parameters)
    assert later not in prompts_of(project=project, plan=plan)
    assert prompts_of(project=project, plan=plan).count() == 4
    assert Event.objects.get(act="run.generate").after == run.parameters


def test_what_cannot_be_asked_for(project, prompts):
    with pytest.raises(Refused, match="No prompt of this project fits"):
        request_generation(project=project, plan=GenerationPlan(models=("m",), tag="odd"))
    with pytest.raises(Refused, match="A seed is a whole number from 0"):
        request_generation(project=project, plan=PLAN, seed=-1)
    assert Run.objects.count() == 0


def test_recording_twice_stores_once_and_changes_nothing(project, prompts):
    run = request_generation(project=project, plan=PLAN)
    made = [made_of(prompts[0]), made_of(prompts[0], index=1), made_of(prompts[1])]
    assert record_candidates(run=run, plan=PLAN, made=made) == 3
    again = [made_of(prompts[0], text="Five."), made_of(prompts[1], index=1)]
    assert record_candidates(run=run, plan=PLAN, made=again) == 1
    assert Candidate.objects.filter(run=run).count() == 4
    assert {one.text for one in Candidate.objects.filter(run=run)} == {"Four."}
    assert {one.language for one in Candidate.objects.all()} == {"de"}


def test_another_run_makes_its_own(project, prompts):
    for _ in range(2):
        run = request_generation(project=project, plan=PLAN)
        assert record_candidates(run=run, plan=PLAN, made=[made_of(prompts[0])]) == 1
