"""Faithfulness of a tiny random model: every figure is that of forward passes which are written out here."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from annotation.models import Assignment, Judgement, Rationale, Span
from curation.measuring import FaithfulnessRequest
from tests.workers import holding
from tests.workers.backends import models
from tests.workers.holding import Opener
from workers import faithfulness
from workers.backends import load_backend

pytestmark = [pytest.mark.django_db, pytest.mark.gpu_stack]

SYSTEM = (
    "You are a assistant that simply responds whether another AI assistant's Response 'A' or Response 'B' is better by "
    "just saying 'A' or 'B'. If neither response is clearly better, you respond with 'NA'."
)
ANSWER = (
    "## Answer:\n Which AI Response is better?\n**Answer only with 'A' or 'B'. "
    "Respond with 'NA' if neither response is clearly better.**"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = models.save(tmp_path_factory.mktemp("model"), "llama", max_position_embeddings=4096)
    return load_backend(name="tiny", kind="transformers_local", folder_or_url=str(folder), device="cpu")


@pytest.fixture(scope="module")
def by_hand():
    """How likely the first of two texts is the better one, by the same network and two forward passes."""
    import torch

    network = models.make_network("llama", max_position_embeddings=4096)
    tokenizer = models.make_tokenizer()
    letters = {}
    for letter in ("A", "B"):
        spelled = (letter, f"Ġ{letter}")
        letters[letter] = [tokenizer.get_vocab()[one] for one in spelled if one in tokenizer.get_vocab()]
        assert letters[letter]

    def passed(prompt: str, a: str, b: str, reason: str) -> tuple[float, float]:
        told = f'## Reason:\n"{reason}"\n\n' if reason else ""
        asked = f'## Prompt:\n"{prompt}"\n\n## Response \'A\':\n"{a}"\n\n## Response \'B\':\n"{b}"\n\n{told}{ANSWER}'
        text = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            shares = torch.softmax(network(input_ids=ids).logits[0, -1].double(), dim=-1)
        return tuple(float(shares[letters[letter]].sum()) for letter in ("A", "B"))  # type: ignore[return-value]

    def first(prompt: str, one: str, other: str, reason: str = "") -> float:
        a, b = passed(prompt, one, other, reason)
        swapped_a, swapped_b = passed(prompt, other, one, reason)
        return (a + swapped_b) / (a + b + swapped_a + swapped_b)

    return first


@pytest.fixture
def judge():
    def judged(who: Any, pair: Any, what: str) -> Judgement:
        seat = Assignment.objects.create(
            project_id=pair.project_id, pair=pair, annotator=who, priority=0, done_at=timezone.now()
        )
        strength = {"first": 2, "second": -2}[what]
        return Judgement.objects.create(
            assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
        )

    return judged


@pytest.fixture
def measured(project, tiny):
    def measure(**fields):
        asked = FaithfulnessRequest(**{"model": "tiny", "bootstrap": 0, "least_rationales": 1, **fields})
        hold = holding.held(project, "measurement", asked.as_parameters())
        result = faithfulness.execute(hold, open_model=Opener(tiny))
        return hold.run, result

    return measure


def value(run, metric, who=None):
    row = run.measurements.get(metric=metric, annotator=who)
    assert row.reason is None, row.reason
    return row.value, row.n


# The prompt; both answers; those without what is marked; and what is marked, written out by hand.
CASES = [
    (
        "Is a short answer right?",
        ("It is right, and it is short.", "The numbers do not add up, I think."),
        ("It is and it is short.", "The numbers I think."),
        ("right,", "do not add up,"),
        [(0, 6, 12), (1, 12, 26)],
    ),
    (
        "Which line is true?",
        ("The plumb line.", "Neither of the two is a line of any kind."),
        ("The plumb line.", "Neither of the two is of any kind."),
        ("", "a line"),
        [(1, 22, 28)],
    ),
    (
        "Say a number.",
        ("A longer answer, with more numbers than one.", "One."),
        ("A with more than one.", "One."),
        ("longer answer, … numbers", ""),
        [(0, 2, 16), (0, 27, 34)],
    ),
]


def test_what_is_marked_is_needed_and_enough_as_far_as_the_forward_passes_say(
    measured, by_hand, make_pair, judge, alice
):
    needs, enough = [], []
    for prompt, texts, without, only, spans in CASES:
        pair = make_pair(slots=0, prompt=prompt, first=texts[0], second=texts[1])
        marked = Rationale.objects.create(pair=pair, annotator=alice, judgement=judge(alice, pair, "first"))
        for side, start, end in spans:
            candidate = (pair.first, pair.second)[side]
            Span.objects.create(rationale=marked, candidate=candidate, start=start, end=end)
        whole = by_hand(prompt, *texts)
        of = (lambda first: first) if whole >= 0.5 else (lambda first: 1 - first)
        needs.append(of(whole) - of(by_hand(prompt, *without)))
        enough.append(of(whole) - of(by_hand(prompt, *only)))
    run, result = measured()
    assert result["not_answered"] == 0
    assert value(run, "comprehensiveness", alice) == (pytest.approx(np.mean(needs), abs=1e-6), 3)
    assert value(run, "sufficiency", alice) == (pytest.approx(np.mean(enough), abs=1e-6), 3)
    # This network does not say the same of everything: what is compared is not nothing.
    assert min(map(abs, needs + enough)) > 1e-4


def test_a_reason_gains_what_the_forward_passes_with_it_say(measured, by_hand, make_pair, judge, bob):
    told, without, reasons = [], [], ["The numbers add up.", "It is short.", "A line is true."]
    for (prompt, texts, *_), what, reason in zip(CASES, ("first", "second", "first"), reasons, strict=True):
        pair = make_pair(slots=0, prompt=prompt, first=texts[0], second=texts[1])
        Rationale.objects.create(pair=pair, annotator=bob, judgement=judge(bob, pair, what), text=reason)
        firsts = [by_hand(prompt, *texts, reason), by_hand(prompt, *texts)]
        with_it, plain = (one if what == "first" else 1 - one for one in firsts)
        told.append(with_it)
        without.append(plain)
    run, _ = measured(perturbations=1)
    gains = np.log(told) - np.log(without)
    assert value(run, "rationale_gain", bob) == (pytest.approx(np.mean(gains), abs=1e-5), 3)
    assert min(map(abs, gains)) > 1e-4


def test_the_areas_are_those_of_forward_passes_without_the_best_words_and_with_them_alone(
    measured, by_hand, make_pair, alice, bob
):
    prompt, (one, other), *_ = CASES[0]
    pair = make_pair(slots=0, prompt=prompt, first=one, second=other)
    # Of fifteen words both mark "short.", and one of them "right," and "numbers": 1 % are one word, 20 % all three.
    for who, marked in ((alice, [(0, 23, 29)]), (bob, [(0, 23, 29), (0, 6, 12), (1, 4, 11)])):
        said = Rationale.objects.create(pair=pair, annotator=who)
        for side, start, end in marked:
            Span.objects.create(rationale=said, candidate=(pair.first, pair.second)[side], start=start, end=end)
    run, result = measured(thresholds="0.01,0.2")
    assert result["pairs_ranked"] == 1
    without = [("It is right, and it is ", other), ("It is and it is ", "The do not add up, I think.")]
    alone = [("short.", ""), ("right, … short.", "numbers")]
    whole = by_hand(prompt, one, other)
    of = (lambda first: first) if whole >= 0.5 else (lambda first: 1 - first)
    for metric, texts in (("aopc_comprehensiveness", without), ("aopc_sufficiency", alone)):
        changes = [of(whole) - of(by_hand(prompt, *two)) for two in texts]
        assert value(run, metric) == (pytest.approx(np.mean(changes), abs=1e-6), 1)
        at = run.measurements.get(metric=metric).detail["at"]
        assert [point["change"] for point in at] == pytest.approx(changes, abs=2e-6)
        assert min(map(abs, changes)) > 1e-4
