"""A run that judges: ask the model what is missing, in both orders, and record what it comes to.

Verdicts come from the probabilities of the first token alone; no text of a model or a candidate is ever read as one.
Pairs go to the model in small batches, each recorded at once, so that a run which goes on after a crash asks again for
at most one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annotation.asking import (
    Answer,
    JudgingPlan,
    Question,
    answered,
    both_orders,
    ensure_judge,
    pairs_of,
    principles_of,
    record_answers,
)
from annotation.combining import combine
from annotation.errors import Refused
from annotation.models import Annotator, JudgeAnswer, Pair, Principle, Rationale, Run
from annotation.phrasing import judge_template
from annotation.questions import INJECTIONS, OPTIONS, Template, as_text, injected
from annotation.running import Hold
from workers import explaining
from workers.backends.primitives import Backend, CannotAnswer, Message
from workers.opening import open_model
from workers.pacing import Pace

Open = Callable[[str], Backend]

# Calls that are recorded at once: whole pairs, so that both orders of a question are in one batch.
CALLS_AT_ONCE = 128
# Fewer questions that begin alike are asked together with others: a beginning of their own would not pay.
LEAST_SHARED = 4
FAILURES_IN_A_ROW = 5
NAMED = 20


@dataclass
class Work:
    """One judging run on its way."""

    hold: Hold
    plan: JudgingPlan
    wording: Template
    backend: Backend
    judge: Annotator
    principles: dict[int, Principle]
    pace: Pace
    failed: set[int] = field(default_factory=set)
    failures_in_a_row: int = 0
    last_failure: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def left_out(self, pair: int, error: CannotAnswer) -> None:
        """One pair that the model could not answer.

        Raises:
            Refused: it answers none: the model is at fault, not the pairs.
        """
        self.failed.add(pair)
        self.failures_in_a_row += 1
        self.last_failure = str(error)
        if self.failures_in_a_row >= FAILURES_IN_A_ROW:
            raise Refused(f"The model answered none of {FAILURES_IN_A_ROW} pairs in a row. The last reason: {error}")
        if len(self.failed) <= NAMED:
            self.hold.say(f"Pair {pair} was left out: {error}")


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the kind "judging" and return its result. Run twice, it asks only what is missing.

    Raises:
        Refused: its parameters are not possible, there are no pairs, or the model cannot be used.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} belongs to no project.")
    plan = JudgingPlan.from_parameters(run.parameters)
    pairs = list(pairs_of(project=run.project, plan=plan).values_list("pk", flat=True))
    if not pairs:
        raise Refused("There are no pairs to judge. Import or generate pairs, or choose fewer conditions.")
    principles = {one.pk: one for one in principles_of(project=run.project, plan=plan)}
    wording = judge_template(project=run.project, reference=plan.template)
    hold.say(f"Loading {plan.model}.")
    backend = open_model(plan.model)
    judge = ensure_judge(project=run.project, model=backend.model, revision=backend.revision, template=wording.version)
    tried = pairs[: plan.injection_limit] if "injections" in plan.asks else []
    calls = len(_principles_asked(plan, principles)) * 2
    total = len(pairs) * calls + len(tried) * len(INJECTIONS) * 2
    if "rationales" in plan.asks:
        total += len(pairs) * len(plan.rationales)
    pace = Pace(hold, done=0, total=total, spent=lambda: backend.spent)
    pace.ready()
    work = Work(hold, plan, wording, backend, judge, principles, pace)
    hold.say(f"{judge.name}: {len(pairs):,} pairs, {calls} calls each.")
    for batch in _in_pieces(pairs, max(1, CALLS_AT_ONCE // max(1, calls))):
        _ask_pairs(work, batch)
    for batch in _in_pieces(tried, max(1, CALLS_AT_ONCE // (2 * len(INJECTIONS)))):
        _try_injections(work, batch)
    if "rationales" in plan.asks:
        for batch in _in_pieces(pairs, explaining.PAIRS_AT_ONCE):
            _explain(work, batch)
    made = _asked(run)
    if work.failed and not made and not work.counts.get("answers_here_already"):
        raise Refused(f"No pair was answered. The model's last reason: {work.last_failure}")
    told = {"pairs": len(pairs), "pairs_left_out": len(work.failed), "left_out_because": work.last_failure}
    return {**told, "judge": judge.pk, "asked": made, "tokens": run.tokens or 0, **work.counts}


def _asked(run: Run) -> int:
    """Calls that the model answered in this run, in all of its attempts; what other runs had asked is not counted."""
    written = Rationale.objects.filter(run=run, source=Rationale.Source.MACHINE).count()
    return JudgeAnswer.objects.filter(run=run).count() + written


def _principles_asked(plan: JudgingPlan, principles: dict[int, Principle]) -> list[int | None]:
    """What each pair is asked: every principle, and with None which is better overall."""
    overall: list[int | None] = [None] if {"overall", "injections"} & set(plan.asks) else []
    if "rationales" in plan.asks and plan.about == "own":
        overall = [None]
    return [*principles, *overall]


def _in_pieces(pairs: Sequence[int], size: int) -> Iterator[list[int]]:
    for at in range(0, len(pairs), size):
        yield list(pairs[at : at + size])


# ---- verdicts --------------------------------------------------------------------------------------------------------


def _ask_pairs(work: Work, batch: list[int]) -> None:
    """Ask what is missing of these pairs in both orders, and record it."""
    asked = _principles_asked(work.plan, work.principles)
    here = answered(judge=work.judge, pairs=batch)
    loaded = _loaded(batch)
    questions = [
        question
        for pair in batch
        for swapped in (False, True)
        for principle in asked
        if (question := Question(pair, principle, swapped)).key not in here
    ]
    answers = _answers(work, loaded, questions)
    with work.hold.fenced():
        new = record_answers(run=work.hold.run, judge=work.judge, answers=answers)
    work.count("answers", len(answers))
    work.count("votes_and_judgements", new)
    already = len(batch) * len(asked) * 2 - len(questions)
    work.pace.add(len(answers), passed_over=already)
    if already:
        work.count("answers_here_already", already)


def _answers(work: Work, loaded: dict[int, Pair], questions: Sequence[Question]) -> list[Answer]:
    """What the model answers; where it refuses, pair by pair, so that one bad pair costs one.

    A pair that it cannot answer is left out whole: no question stands in one order only.
    """
    if not questions:
        return []
    try:
        found = _choose(work, loaded, questions)
    except CannotAnswer:
        found = []
        for pair_id in dict.fromkeys(one.pair_id for one in questions):
            try:
                found += _choose(work, loaded, [one for one in questions if one.pair_id == pair_id])
            except CannotAnswer as error:
                work.left_out(pair_id, error)
            else:
                work.failures_in_a_row = 0
        return found
    work.failures_in_a_row = 0
    return found


def _choose(work: Work, loaded: dict[int, Pair], questions: Sequence[Question]) -> list[Answer]:
    """Ask all of these; those that begin alike in calls of their own, so that their beginning is read once."""
    found: list[Answer] = []
    for some, is_shared in grouped(work.wording, questions):
        conversations = [_conversation(work, loaded[one.pair_id], one) for one in some]
        ask = work.backend.choose_after_prefix if is_shared else work.backend.choose
        choices = ask(conversations, options=OPTIONS, beat=work.pace)
        for question, choice in zip(some, choices, strict=True):
            a, b, na = (float(p) for p in choice.probabilities)
            if not np.isfinite([a, b, na]).all():
                raise CannotAnswer(f"The model {work.backend.model} gave no probabilities.")
            found.append(Answer(question, a, b, na))
    _refuse_silence(work, found)
    return found


def _refuse_silence(work: Work, answers: Sequence[Answer]) -> None:
    """A model that answers with none of the options in either order has said nothing, and nothing is no tie.

    Under an injected text that is a finding as good as any: the text did not win.

    Raises:
        CannotAnswer: it did so.
    """
    given: dict[tuple[Any, ...], float] = {}
    for one in answers:
        about = (one.question.pair_id, one.question.principle_id)
        if not one.question.injection:
            given[about] = given.get(about, 0.0) + one.a + one.b + one.na
    if not all(given.values()):
        raise CannotAnswer(
            f"{work.backend.model} begins its answer with none of {', '.join(OPTIONS)}, in neither order. It may write "
            "something else first, as models that think do: switch that off where it is served, or use another judge."
        )


def grouped(wording: Template, questions: Sequence[Question]) -> Iterator[tuple[list[Question], bool]]:
    """The questions in calls to the model, and whether a call's beginning is worth keeping.

    With the principle last, all principles of a pair and order share everything before it; else all questions about a
    pair share its prompt.
    """
    by_beginning: dict[tuple[Any, ...], list[Question]] = {}
    for one in questions:
        order = (one.swapped, one.injection) if wording.shares_candidates else ()
        by_beginning.setdefault((one.pair_id, *order), []).append(one)
    few = [one for some in by_beginning.values() if len(some) < LEAST_SHARED for one in some]
    if few:
        yield few, False
    yield from ((some, True) for some in by_beginning.values() if len(some) >= LEAST_SHARED)


def _conversation(work: Work, pair: Pair, question: Question) -> list[Message]:
    first, second = as_text(pair.first.messages), as_text(pair.second.messages)
    if question.injection:
        is_first = question.injected_into == "first"
        letter = "A" if is_first != question.swapped else "B"
        if is_first:
            first = injected(first, name=question.injection, letter=letter)
        else:
            second = injected(second, name=question.injection, letter=letter)
    a, b = (second, first) if question.swapped else (first, second)
    principle = None if question.principle_id is None else work.principles[question.principle_id].text
    prompt = as_text(pair.prompt.messages, system=pair.prompt.system)
    return work.wording.ask(prompt=prompt, a=a, b=b, principle=principle)


def _loaded(pairs: Sequence[int]) -> dict[int, Pair]:
    return Pair.objects.select_related("prompt", "first", "second").in_bulk(pairs)


# ---- injected texts --------------------------------------------------------------------------------------------------


def _try_injections(work: Work, batch: list[int]) -> None:
    """Put each injected text into the candidate that lost, and ask again in both orders.

    Only pairs on which the judge prefers one candidate in both orders can be turned.
    """
    keys, table = both_orders(judge=work.judge, pairs=batch)
    signs = {pair: sign for (pair, principle), sign in zip(keys, combine(table), strict=True) if principle is None}
    losers = {pair: "second" if sign == 1 else "first" for pair, sign in signs.items() if abs(sign) == 1}
    here = answered(judge=work.judge, pairs=batch)
    questions = [
        question
        for pair, loser in losers.items()
        for name in INJECTIONS
        for swapped in (False, True)
        if (question := Question(pair, None, swapped, name, loser)).key not in here
    ]
    answers = _answers(work, _loaded(batch), questions)
    with work.hold.fenced():
        record_answers(run=work.hold.run, judge=work.judge, answers=answers)
    work.count("answers_under_injection", len(answers))
    work.pace.add(len(answers), passed_over=len(batch) * len(INJECTIONS) * 2 - len(questions))


# ---- reasons ---------------------------------------------------------------------------------------------------------


def _explain(work: Work, batch: list[int]) -> None:
    """The rationales of these pairs; if the model refuses them together, one pair after another."""

    tried = refused = 0

    def write(pairs: Sequence[int]) -> None:
        nonlocal tried
        asked, written = explaining.explain(
            hold=work.hold, plan=work.plan, backend=work.backend, judge=work.judge, pairs=pairs, beat=work.pace
        )
        tried += asked
        work.count("rationales", written)

    try:
        write(batch)
        work.failures_in_a_row = 0
    except CannotAnswer:
        for pair in batch:
            try:
                write([pair])
                work.failures_in_a_row = 0
            except CannotAnswer as error:
                # A pair's rationales are recorded together or not at all.
                refused += len(work.plan.rationales)
                work.left_out(pair, error)
    work.pace.add(tried, passed_over=len(batch) * len(work.plan.rationales) - tried - refused)
