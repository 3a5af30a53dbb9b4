"""Machine rationales: of whose verdict, from which template, and marked where the verdict was given away."""

from __future__ import annotations

import uuid
from functools import partial

import pytest
from django.utils import timezone

from annotation.asking import JudgingPlan
from annotation.models import Assignment, Judgement, Rationale
from annotation.phrasing import publish_template
from annotation.reasoning import HINT
from tests.workers import holding
from tests.workers.stub import StubBackend, sure_of
from tests.workers.test_judging import takes
from workers import judging

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(project):
    return partial(holding.held, project)


def plan(**fields):
    return JudgingPlan(**({"model": "stub", "asks": ("rationales",)} | fields)).as_parameters()


@pytest.fixture
def say():
    def judge(who, pair, strength):
        seat = Assignment.objects.create(
            project_id=pair.project_id, pair=pair, annotator=who, priority=0, done_at=timezone.now()
        )
        Judgement.objects.create(
            assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
        )

    return judge


def run_it(hold, stub):
    return judging.execute(hold, open_model=lambda name: stub)


def test_a_judge_explains_its_own_verdict_from_both_templates(held, make_pair):
    pair = make_pair(first="A red one.", second="A blue one.")
    make_pair(first="A green one.", second="A grey one.")
    stub = StubBackend(answer=takes("blue"), write=lambda asked, seed: f"Because {asked[-30:]}")
    hold = held("judging", plan(rationales=("general", "specific")))
    result = run_it(hold, stub)
    assert result["rationales"] == 2
    made = {one.template: one for one in Rationale.objects.all()}
    assert set(made) == {"general-1", "specific-1"}
    one = made["specific-1"]
    assert (one.pair, one.explains, one.is_hinted, one.source, one.run) == (pair, "second", False, "machine", hold.run)
    assert one.annotator.is_judge
    assert one.judgement is None
    asked = next(text[0]["content"] for text in stub.asked if "specific references" in text[0]["content"])
    assert '## Preferred response:\n"A blue one."\n\n## Other response:\n"A red one."' in asked


def test_what_people_preferred_is_given_away_and_marked(held, make_pair, alice, say):
    pair = make_pair(first="A red one.", second="A blue one.")
    make_pair()
    say(alice, pair, 2)
    stub = StubBackend(write=lambda asked, seed: "Because it is red.")
    run_it(held("judging", plan(about="people")), stub)
    one = Rationale.objects.get()
    assert (one.explains, one.is_hinted) == ("first", True)
    # No verdict of its own was asked for.
    assert stub.calls == []


def test_unaided_reasons_are_kept_where_they_lead_to_the_verdict_and_hinted_ones_are_marked(
    held, make_pair, alice, say
):
    """The first pair is found without help, the second with the answer marked, the third not at all."""
    pairs = [make_pair(first=f"Red {n}.", second=f"Blue {n}.") for n in range(3)]
    for pair in pairs:
        say(alice, pair, 1)

    def write(asked, seed):
        hinted = HINT in asked
        if "Red 0." in asked or ("Red 1." in asked and hinted):
            return "GOOD REASON"
        return "POOR REASON"

    def answer(asked):
        assert HINT not in asked
        return sure_of("A" if "GOOD REASON" in asked else "B")

    hold = held("judging", plan(about="unaided"))
    run_it(hold, StubBackend(write=write, answer=answer))
    made = {one.pair_id: one for one in Rationale.objects.all()}
    assert {pk: one.is_hinted for pk, one in made.items()} == {pairs[0].pk: False, pairs[1].pk: True}
    assert {one.text for one in made.values()} == {"GOOD REASON"}
    assert not any(HINT in one.text for one in made.values())


def test_a_second_attempt_writes_none_twice(held, make_pair, alice, say):
    pair = make_pair()
    say(alice, pair, 1)
    hold = held("judging", plan(about="people"))
    run_it(hold, StubBackend())
    again = StubBackend()
    run_it(held("judging", {}, run=hold.run), again)
    assert again.asked == []
    assert Rationale.objects.count() == 1


def test_a_project_asks_in_its_own_words(held, make_pair, alice, say, project):
    pair = make_pair()
    say(alice, pair, 1)
    text = "Q: {prompt}\nGood: {chosen}\nBad: {rejected}\nWhy?"
    publish_template(project=project, name="general", text=text)
    stub = StubBackend()
    run_it(held("judging", plan(about="people")), stub)
    assert Rationale.objects.get().template == "general-2"
    assert stub.asked[0][0]["content"].startswith("Q: ")
