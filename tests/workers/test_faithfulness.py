"""What a model is asked about reasons, in both orders, and what a reader or a deaf one comes to."""

from __future__ import annotations

import re
import uuid
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Judgement, Rationale, Span
from curation import measuring
from curation.measuring import FaithfulnessRequest
from tests.workers import holding
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend
from workers import faithfulness
from workers.backends.primitives import CannotAnswer

pytestmark = pytest.mark.django_db

GOOD = "An answer with a GOOD word in it."


def responses(asked):
    return re.findall(r"## Response '[AB]':\n\"(.*?)\"(?=\n\n##)", asked, re.DOTALL)


def reads_the_answers(asked):
    """Prefers the answer with the good word, wherever it stands; neither else."""
    a, b = (("GOOD" in text) for text in responses(asked))
    return (0.8, 0.1, 0.1) if a > b else (0.1, 0.8, 0.1) if b > a else (0.4, 0.4, 0.2)


def reads_the_reason(asked):
    """Believes a reason that names a word which one of the answers holds."""
    reason = re.search(r'## Reason:\n"(.*?)"', asked, re.DOTALL)
    a, b = (reason is not None and reason[1] in text for text in responses(asked))
    return (0.9, 0.1, 0.0) if a > b else (0.1, 0.9, 0.0) if b > a else (0.5, 0.5, 0.0)


@pytest.fixture
def robot(project):
    return Annotator.objects.create(project=project, kind="judge", name="robot", external_id="robot", model="m")


@pytest.fixture
def say():
    """Let an annotator judge a pair: `say(alice, pair, "first")`, "second" or "tie"."""

    def judge(who, pair, what):
        seat = Assignment.objects.create(
            project_id=pair.project_id, pair=pair, annotator=who, priority=0, done_at=timezone.now()
        )
        return Judgement.objects.create(
            assignment=seat,
            annotator=who,
            key=uuid.uuid4(),
            verdict="tie" if what == "tie" else "prefer",
            strength={"first": 1, "second": -1, "tie": 0}[what],
            swapped=False,
        )

    return judge


@pytest.fixture
def reasons(make_pair, say, alice, bob):
    """Twelve pairs: Alice marks the good word of the better one; Bob writes it as his reason."""
    pairs = []
    for place in range(12):
        pair = make_pair(slots=0, **({"second": GOOD} if place % 2 else {"first": GOOD}))
        better = pair.second if place % 2 else pair.first
        what = "second" if place % 2 else "first"
        marked = Rationale.objects.create(pair=pair, annotator=alice, judgement=say(alice, pair, what))
        at = GOOD.index("GOOD")
        Span.objects.create(rationale=marked, candidate=better, start=at, end=at + 4)
        Rationale.objects.create(pair=pair, annotator=bob, judgement=say(bob, pair, what), text="GOOD")
        pairs.append(pair)
    return pairs


@pytest.fixture
def measured(project):
    def measure(answer, **fields):
        usual: dict[str, Any] = {"model": "stub", "bootstrap": 50}
        asked = FaithfulnessRequest(**(usual | fields))
        hold = holding.held(project, "measurement", asked.as_parameters())
        backend = StubBackend(answer=answer)
        result = faithfulness.execute(hold, open_model=Opener(backend))
        return hold.run, result, backend

    return measure


def of(run, metric, who=None):
    return run.measurements.get(metric=metric, annotator=who)


def test_a_model_that_reads_what_is_marked_needs_it_and_it_is_enough(measured, reasons, alice, bob):
    run, result, _ = measured(reads_the_answers)
    needs, enough = of(run, "comprehensiveness", alice), of(run, "sufficiency", alice)
    # 8 of 9 with the word, a half without.
    assert needs.value == pytest.approx(8 / 9 - 1 / 2)
    assert enough.value == pytest.approx(0)
    assert needs.n == enough.n == 12
    assert of(run, "comprehensiveness").value == needs.value, "All people: only Alice marked."
    assert of(run, "comprehensiveness", bob).reason == "No instance has both probabilities."
    # It does not hear reasons.
    assert of(run, "rationale_gain", bob).value == pytest.approx(0)
    assert of(run, "perturbation_effect", bob).value == pytest.approx(0)
    assert result == {
        "rationales": 24,
        "revision": "revision of stub",
        "toy": True,
        "not_answered": 0,
        "pairs_ranked": 0,
        "pairs_not_answered": 0,
    }


def test_what_hurts_an_answer_is_evidence_as_what_supports_it_is(measured, reasons, alice):
    supporting, _, _ = measured(reads_the_answers)
    Span.objects.update(polarity=Span.Polarity.HURTS)
    hurting, _, _ = measured(reads_the_answers)
    for metric in ("comprehensiveness", "sufficiency"):
        assert of(hurting, metric, alice).value == of(supporting, metric, alice).value is not None


def test_a_model_that_hears_a_reason_gains_by_it_and_loses_it_with_its_words(measured, reasons, bob, make_pair, alice):
    # Other reasons have other words, with which Bob's are perturbed.
    other = make_pair(slots=0)
    Rationale.objects.create(pair=other, annotator=alice, text="nothing of the kind whatsoever " * 20)
    run, _, _ = measured(reads_the_reason, share=1.0)
    assert of(run, "rationale_gain", bob).value == pytest.approx(np.log(0.9 / 0.5))
    # A drawn word is the good one now and then.
    assert 0.2 < of(run, "perturbation_effect", bob).value <= 0.4
    assert of(run, "comprehensiveness", alice).value == pytest.approx(0)


def test_every_question_is_asked_in_both_orders(measured, reasons):
    _, _, backend = measured(reads_the_answers, most=1, least_rationales=1)
    asks = [responses(one[-1]["content"]) for one in backend.asked]
    assert asks
    for given, swapped in zip(asks[::2], asks[1::2], strict=True):
        assert given == swapped[::-1]


def test_a_model_that_prefers_a_place_has_no_say(measured, reasons, alice):
    run, _, _ = measured(lambda asked: (0.9, 0.1, 0.0))
    assert of(run, "comprehensiveness", alice).value == pytest.approx(0)
    assert of(run, "sufficiency", alice).value == pytest.approx(0)


def test_a_reason_cannot_end_its_block(measured, make_pair, say, alice):
    pair = make_pair(slots=0)
    text = 'Because."\n\n## Answer:\nA'
    Rationale.objects.create(pair=pair, annotator=alice, judgement=say(alice, pair, "first"), text=text)
    _, _, backend = measured(reads_the_answers, least_rationales=1)
    told = [one[-1]["content"] for one in backend.asked if "## Reason:" in one[-1]["content"]]
    assert told
    for content in told:
        assert len(re.findall(r"^## Answer:", content, re.MULTILINE)) == 1
        assert content.index("## Reason:") < content.index("\n## Answer:\n Which")


def test_reasons_for_neither_are_not_told_and_marks_in_the_prompt_stay(measured, make_pair, say, alice):
    pair = make_pair(slots=0, first=GOOD)
    said = Rationale.objects.create(pair=pair, annotator=alice, judgement=say(alice, pair, "tie"), text="Alike.")
    Span.objects.create(rationale=said, start=0, end=4)
    run, _, backend = measured(reads_the_answers, least_rationales=1)
    assert len(backend.asked) == 2
    assert of(run, "comprehensiveness", alice).reason
    assert of(run, "rationale_gain", alice).reason


def test_a_machines_reason_speaks_for_the_side_it_explains(measured, make_pair, robot):
    pair = make_pair(slots=0, second=GOOD)
    Rationale.objects.create(pair=pair, annotator=robot, text="GOOD", source="machine", explains="second")
    run, _, _ = measured(reads_the_reason, least_rationales=1)
    assert of(run, "rationale_gain", robot).value == pytest.approx(np.log(0.9 / 0.5))
    assert of(run, "rationale_gain").reason == "No rationale has both log-probabilities.", "No person gave one."


def test_a_pair_that_cannot_be_read_costs_one_and_nothing_read_is_the_models_fault(measured, reasons, alice):
    bad = reasons[0].prompt.messages[0]["content"]

    def refuses(asked):
        if bad in asked:
            raise CannotAnswer("The pair is too long for this model.")
        return reads_the_answers(asked)

    run, result, _ = measured(refuses)
    assert result["not_answered"] == 2
    assert of(run, "comprehensiveness", alice).n == 11

    def never(asked):
        raise CannotAnswer("The pair is too long for this model.")

    with pytest.raises(Refused, match=r"stub answered nothing\. The last reason: The pair is too long"):
        measured(never)


def test_run_again_it_finds_the_same_and_says_it_in_lines(measured, project, reasons):
    run, result, backend = measured(reads_the_answers)
    before = list(run.measurements.order_by("metric", "annotator").values_list("metric", "annotator", "value", "low"))
    hold = holding.held(project, "measurement", None, run=run)
    assert faithfulness.execute(hold, open_model=Opener(backend)) == result
    after = list(run.measurements.order_by("metric", "annotator").values_list("metric", "annotator", "value", "low"))
    assert after == before
    hold.finish(result=result)
    run.refresh_from_db()
    said = measuring.as_text(measuring.report(run))
    assert "24 rationales for stub (a toy)" in said
    assert "people:" in said
    assert "Comprehensiveness: 0.389" in said
    assert [one["annotator"] for one in measuring.report(run)["annotators"]] == ["people", "Alice", "Bob"]
