"""A run that generates: plan what is missing, call the model, record, pair.

The unit of work is one prompt under one model: its candidates are recorded together or not at all, so that a run which
goes on after a crash finds each unit done or not begun. Batches of units go to the model at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet, Sum

from annotation.errors import Refused
from annotation.generating import GenerationPlan, Made, prompts_of, record_candidates, storable, taken_indexes
from annotation.models import Candidate, Pair, Project, Prompt
from annotation.pairing import pair_candidates
from annotation.phrasing import hierarchy_of
from annotation.running import Hold
from workers.backends.primitives import Backend, CannotAnswer, Generated, Sampling
from workers.opening import open_model
from workers.pacing import Pace
from workers.strategies import STRATEGIES, Asked, Request, Strategy
from workers.strategies.janus import Janus
from workers.strategies.requests import BETTER, WORSE
from workers.strategies.scoring import ranks_of, scores_of

Open = Callable[[str], Backend]

# Texts that are asked for at once; a crash loses at most so many.
TEXTS_AT_ONCE = 64
# Prompts that are looked up, and paired, at once.
PROMPTS_AT_ONCE = 500
# After so many units in a row that the model could not answer, the model is at fault and not the prompts.
FAILURES_IN_A_ROW = 5
# The log names so many prompts that were left out.
NAMED = 20
# Scores that are no further apart are the same, but for how their sums were rounded.
SAME_SCORE = 1e-9


@dataclass
class _Unit:
    """One prompt under one model: its requests by their places in the prompt's list, and their texts so far."""

    prompt: Asked
    requests: dict[int, Request]
    made: dict[int, Generated] = field(default_factory=dict)


@dataclass
class _Work:
    """One run on its way."""

    hold: Hold
    plan: GenerationPlan
    strategy: Strategy
    open: Open
    pace: Pace = field(init=False)
    # Of the candidates that this attempt recorded.
    tokens: int = 0
    failed: int = 0
    failures_in_a_row: int = 0
    last_failure: str = ""


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the kind "generation" and return its result. Run twice, it adds only what is missing.

    Raises:
        Refused: its parameters are not possible, there are no prompts, or a model cannot be used.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} belongs to no project.")
    plan = GenerationPlan.from_parameters(run.parameters)
    prompts = list(prompts_of(project=run.project, plan=plan).values_list("pk", flat=True))
    if not prompts:
        raise Refused("There are no prompts to generate from. Import prompts, or choose fewer conditions.")
    here = Candidate.objects.filter(run=run)
    done = here.count()
    # An attempt that died may not have told the last of them.
    run.tokens = _tokens_of(here)
    work = _Work(hold, plan, _strategy(run.project, plan), open_model)
    work.pace = Pace(hold, done=done, total=len(prompts) * plan.per_prompt_count, spent=lambda: work.tokens)
    hold.say(
        f"{len(prompts):,} prompts, {plan.per_prompt_count} candidates each, strategy {plan.strategy}"
        + (f"; {done:,} candidates are here already." if done else ".")
    )
    for model in range(0 if plan.only_pair else len(plan.models)):
        _generate(work, model, prompts)
    made = here.count()
    if not made:
        raise Refused(f"Nothing was made. The model's last reason: {work.last_failure}")
    result: dict[str, Any] = {
        "candidates": made,
        "prompts": len(prompts),
        "prompts_left_out": work.failed,
        "left_out_because": work.last_failure,
        # Of the whole run, earlier attempts among them; thoughts are not counted.
        "tokens": _tokens_of(here),
        "toys": sorted(here.filter(provenance__toy=True).values_list("model", flat=True).distinct()),
    }
    if plan.rule != "none":
        result |= _pair(work, prompts)
    return result


def _strategy(project: Project, plan: GenerationPlan) -> Strategy:
    """The plan's; where it draws values, from those that the plan names."""
    if plan.values:
        return Janus(*hierarchy_of(project=project, reference=plan.values))
    return STRATEGIES[plan.strategy]


def _tokens_of(candidates: QuerySet[Candidate]) -> int:
    return candidates.aggregate(total=Sum("token_count"))["total"] or 0


def _generate(work: _Work, model: int, prompts: Sequence[int]) -> None:
    """Everything of one model that is missing. The model is opened when something is."""
    backend: Backend | None = None
    scorer: Backend | None = None
    for batch in _batches(work, model, prompts):
        if backend is None:
            name = work.plan.models[model]
            work.hold.say(f"Loading {name}.")
            backend = work.open(name)
            work.hold.say(f"{backend.model} is ready (revision {backend.revision or 'not known'}).")
            # The same model is not loaded beside itself.
            scores_itself = work.plan.scorer_model in ("", name)
            scorer = backend if scores_itself else work.open(work.plan.scorer_model)
            work.pace.ready()
        assert scorer is not None
        for units in _answered(work, backend, batch):
            _record(work, backend, scorer, units)


def _batches(work: _Work, model: int, prompts: Sequence[int]) -> Iterator[list[_Unit]]:
    """The units of this model that are not recorded, in batches of about TEXTS_AT_ONCE texts."""
    batch: list[_Unit] = []
    size = 0
    for at in range(0, len(prompts), PROMPTS_AT_ONCE):
        some = prompts[at : at + PROMPTS_AT_ONCE]
        taken = taken_indexes(run=work.hold.run, prompts=some)
        loaded = Prompt.objects.in_bulk(some)
        for key in some:
            row = loaded[key]
            asked = Asked(row.pk, tuple({"role": m["role"], "content": m["content"]} for m in row.messages), row.system)
            laid_out = work.strategy.requests(asked, work.plan, seed=work.hold.run.seed)
            mine = {place: one for place, one in enumerate(laid_out) if one.model == model}
            wanted = {one.index for one in mine.values() if one.index is not None}
            if wanted <= taken[key]:
                continue
            batch.append(_Unit(asked, mine))
            size += len(mine)
            if size >= TEXTS_AT_ONCE:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _answered(work: _Work, backend: Backend, batch: list[_Unit]) -> Iterator[list[_Unit]]:
    """The batch with its texts. If the model refuses it, one unit after another, so that one bad prompt costs one."""
    try:
        _ask(work, backend, batch)
    except CannotAnswer:
        for unit in batch:
            unit.made.clear()
            try:
                _ask(work, backend, [unit])
            except CannotAnswer as error:
                _left_out(work, unit, error)
                continue
            yield [unit]
        return
    yield batch


def _left_out(work: _Work, unit: _Unit, error: CannotAnswer) -> None:
    work.failed += 1
    work.failures_in_a_row += 1
    work.last_failure = str(error)
    if work.failures_in_a_row >= FAILURES_IN_A_ROW:
        raise Refused(f"The model answered none of {FAILURES_IN_A_ROW} prompts in a row. The last reason: {error}")
    if work.failed <= NAMED:
        work.hold.say(f"Prompt {unit.prompt.id} was left out: {error}")


def _ask(work: _Work, backend: Backend, batch: list[_Unit]) -> None:
    """Generate every text of these units: first those that need no other, then those that follow, and so on."""
    waiting = [(unit, place, one) for unit in batch for place, one in unit.requests.items()]
    while waiting:
        ready = [row for row in waiting if row[2].after is None or row[2].after in row[0].made]
        waiting = [row for row in waiting if not (row[2].after is None or row[2].after in row[0].made)]
        # Strategies may add texts that end a generation: those with the same ones go together.
        for stop in dict.fromkeys(one.stop for _, _, one in ready):
            together = [row for row in ready if row[2].stop == stop]
            sampling = Sampling.of({**work.plan.sampling, "stop": (*work.plan.stop, *stop)})
            answers = backend.generate(
                [_conversation(work, unit, one) for unit, _, one in together],
                sampling=sampling,
                seeds=[one.seed for _, _, one in together],
                beat=work.pace,
            )
            for place, generated in answers:
                unit, at, _ = together[place]
                unit.made[at] = generated
                work.pace()


def _conversation(work: _Work, unit: _Unit, one: Request) -> list[dict[str, str]]:
    earlier = None if one.after is None else work.strategy.tidied(unit.made[one.after].text)
    return one.conversation(earlier)


def _record(work: _Work, backend: Backend, scorer: Backend, units: Sequence[_Unit]) -> None:
    made: list[Made] = []
    for unit in units:
        try:
            made += _candidates(work, backend, scorer, unit)
        except CannotAnswer as error:  # It was written, but the scorer cannot say how good it is.
            _left_out(work, unit, error)
        else:
            work.failures_in_a_row = 0
    with work.hold.fenced():
        new = record_candidates(run=work.hold.run, plan=work.plan, made=made)
    work.tokens += sum(one.token_count for one in made)
    work.pace.add(new)


def _candidates(work: _Work, backend: Backend, scorer: Backend, unit: _Unit) -> list[Made]:
    """The unit's texts as candidates, with everything that is known of their origin."""
    places = [place for place, one in unit.requests.items() if one.index is not None]
    texts = {place: work.strategy.tidied(unit.made[place].text) for place in places}
    graded = _graded(work, scorer, unit.prompt, [texts[place] for place in places])
    # An empty text has no score and ranks last. It is no answer, so that it is meant to be neither.
    scored = {grade["rank"]: grade["score"] for grade in graded if grade and grade["score"] is not None}
    found = []
    for place, grade in zip(places, graded, strict=True):
        request, generated = unit.requests[place], unit.made[place]
        assert request.index is not None
        provenance = {**request.provenance, **grade, "finish": generated.finish}
        if request.after is not None and unit.requests[request.after].index is None:
            provenance["thought"] = storable(work.strategy.tidied(unit.made[request.after].text))
        if backend.is_toy:
            provenance["toy"] = True
        polarity = request.polarity
        if grade:
            polarity = _polarity(grade["rank"], scored)
        found.append(
            Made(
                prompt_id=unit.prompt.id,
                index=request.index,
                text=texts[place],
                model=backend.model,
                revision=backend.revision,
                polarity=polarity,
                template_version=work.strategy.version,
                seed=request.seed,
                token_count=generated.token_count,
                log_probability=generated.log_probability,
                quantiles=generated.quantiles,
                mean_entropy=generated.mean_entropy,
                branching=generated.branching,
                truncated_entropies=generated.truncated_entropies,
                truncated_log_probability=generated.truncated_log_probability,
                provenance=provenance,
            )
        )
    return found


def _polarity(rank: int, scores: Mapping[int, float]) -> str:
    """What a scored candidate is meant to be, from its rank and the scores of all by rank.

    Where all have the same score, as with a judge that looks at the place alone, ranks go by the places of the texts: a
    label from them would be made up.
    """
    if rank not in scores or max(scores.values()) - min(scores.values()) <= SAME_SCORE:
        return ""
    return BETTER if rank == 1 else WORSE if rank == max(scores) else ""


def _graded(work: _Work, scorer: Backend, prompt: Asked, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Score, rank and n of each text, where the strategy scores; else nothing."""
    if not work.plan.scorer:
        return [{} for _ in texts]
    scores = scores_of(work.plan.scorer, scorer, prompt, texts, beat=work.pace)
    origin = {"n": len(texts), "scorer": work.plan.scorer, "scorer_model": scorer.model}
    return [
        {"rank": rank, "score": None if math.isnan(score) else float(score), **origin}
        for score, rank in zip(scores.tolist(), ranks_of(scores), strict=True)
    ]


def _pair(work: _Work, prompts: Sequence[int]) -> dict[str, Any]:
    """Pair what was made. Pairs that are here stay; all of the run's are counted, and what is left out, anew."""
    plan, run, left_out = work.plan, work.hold.run, Counter[str]()
    for at in range(0, len(prompts), PROMPTS_AT_ONCE):
        with work.hold.fenced():
            _, without = pair_candidates(
                run=run,
                prompts=prompts[at : at + PROMPTS_AT_ONCE],
                rule=plan.rule,
                near=plan.near,
                per_prompt=plan.per_prompt,
            )
        left_out += without
        work.pace()
    pairs = Pair.objects.filter(first__run=run, second__run=run).count()
    work.hold.say(f"{pairs:,} pairs made; left out: {_in_words(left_out)}.")
    return {"pairs": pairs, "pairs_left_out": dict(left_out), "pairing": plan.rule}


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason.replace('_', '-')}" for reason, number in counts.items()) or "none"
