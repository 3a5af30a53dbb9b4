"""What a lead wants to start -> an estimate, and a run: one way in for pages, API and commands.

Only models that are allowed and were found sound are used. What a plan means stands in generating.py and asking.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation import asking, generating, prompting
from annotation.asking import JudgingPlan, pairs_of, principles_of
from annotation.errors import Refused
from annotation.estimating import Estimate, estimate
from annotation.generating import GenerationPlan, prompts_of
from annotation.models import Candidate, Project, Prompt, Run, User
from annotation.phrasing import USUAL_VALUES, hierarchy_of
from annotation.questions import INJECTIONS
from annotation.registering import check_usable
from annotation.values import sets_of

Plan = GenerationPlan | JudgingPlan

# Which prompts a run takes: how the choice is called, beside `tag:NAME` and `selection:NAME`.
WHICH_PROMPTS = {"without": "Without candidates", "all": "All prompts"}


@dataclass(frozen=True)
class Offer:
    """A run as it would be: what it makes, in words, and what it takes."""

    plan: Plan
    # Prompts or pairs.
    items: int
    # Candidates, or calls of the judge.
    units: int
    unit: str
    sum: str
    expected: Estimate
    # What is known of the strategy's figures before it runs; mostly nothing.
    fact: str = ""


def chosen(*, project: Project, plan: GenerationPlan, which: str) -> GenerationPlan:
    """The plan with the prompts of a choice: `all`, `without` (those that have no candidates), `tag:NAME`, or
    `selection:NAME` (those whose pairs are in this saved selection; NAME or NAME@VERSION).

    Raises:
        Refused: the choice is not known, or there is no such prompt.
    """
    if which == "all":
        return plan
    if which == "without":
        keys = tuple(without_candidates(project).order_by("pk").values_list("pk", flat=True))
        if not keys:
            raise Refused("Every prompt of this project has candidates. Choose all prompts, or import new ones.")
        return replace(plan, prompts=keys)
    kind, _, name = which.partition(":")
    if kind not in ("tag", "selection") or not name:
        raise Refused(f"There is no choice of prompts {which!r}. Known are: all, without, tag:NAME, selection:NAME.")
    return replace(plan, tag=name) if kind == "tag" else replace(plan, selection=name)


def without_candidates(project: Project) -> QuerySet[Prompt]:
    mine = Candidate.objects.filter(prompt=OuterRef("pk"))
    return Prompt.objects.filter(~Exists(mine), project=project)


def offer(*, project: Project, plan: Plan) -> Offer:
    """What the run would do and take.

    Raises:
        Refused: nothing fits, or a model cannot be used.
    """
    return _generation(project, plan) if isinstance(plan, GenerationPlan) else _judging(project, plan)


def _generation(project: Project, plan: GenerationPlan) -> Offer:
    if plan.only_pair:
        raise Refused("A new run has made nothing that could be paired. Leave out only_pair.")
    check_usable([*plan.models, *filter(None, [plan.scorer_model])])
    if plan.selection:
        name, there = prompting.prompts_of(project, plan.selection)
        if plan.prompts and plan.prompts != there:
            raise Refused(f"The saved selection {name} has other prompts now than were named. Estimate again.")
        plan = replace(plan, selection=name, prompts=there)
    if generating.STRATEGIES[plan.strategy].draws_values:
        plan = _with_values(project, plan)
    prompts = prompts_of(project=project, plan=plan).count()
    if not prompts:
        raise Refused("No prompt of this project fits. Import prompts, or choose fewer conditions.")
    units = prompts * plan.per_prompt_count
    expected = estimate(
        kind=Run.Kind.GENERATION,
        models=plan.models,
        units=units,
        now=timezone.now(),
        most_tokens=plan.max_tokens,
        like=(Q(parameters__strategy=plan.strategy), Q()),
    )
    how = f"{prompts:,} {_n(prompts, 'prompt')} × {plan.per_prompt_count} = {units:,} {_n(units, 'candidate')}"
    if generating.STRATEGIES[plan.strategy].is_two_sided:
        how += ", {} meant to be better than {}".format(*plan.models)
    unit = _n(units, "candidate")
    return Offer(plan=plan, items=prompts, units=units, unit=unit, sum=how, expected=expected, fact=_fact(plan))


def _with_values(project: Project, plan: GenerationPlan) -> GenerationPlan:
    """The plan with the version that its list of values has now.

    Raises:
        Refused: there is no such list, or it is too short.
    """
    label, hierarchy = hierarchy_of(project=project, reference=plan.values or USUAL_VALUES)
    there, wanted = sets_of(hierarchy), plan.n * len(plan.models)
    if there < wanted:
        raise Refused(f"The values {label} make {there:,} sets, and a prompt would need {wanted:,}. Lower n.")
    return replace(plan, values=label)


def _fact(plan: GenerationPlan) -> str:
    """What choosing the best of n by a score is known to do."""
    if not plan.scorer:
        return ""
    wins, away = generating.best_of_n_win_rate(plan.n), generating.best_of_n_divergence(plan.n)
    return (
        f"By its scorer the best of {plan.n} beats one plain sample in {100 * wins:.0f} % of meetings. It lies at most "
        f"{away:.2f} nats (KL) from what the model answers by itself."
    )


def _judging(project: Project, plan: JudgingPlan) -> Offer:
    check_usable([plan.model])
    plan = asking.with_versions(project=project, plan=plan)
    pairs = pairs_of(project=project, plan=plan).count()
    if not pairs:
        raise Refused("No pair of this project fits. Import or generate pairs, or choose fewer conditions.")
    units = _calls(project, plan, pairs)
    expected = estimate(
        kind=Run.Kind.JUDGING,
        models=[plan.model],
        units=units,
        now=timezone.now(),
        most_tokens=None,
        like=_alike(plan),
    )
    how = f"{pairs:,} {_n(pairs, 'pair')}, each question in both orders: {units:,} calls"
    return Offer(plan=plan, items=pairs, units=units, unit="calls", sum=how, expected=expected)


def _alike(plan: JudgingPlan) -> tuple[Q, ...]:
    """Judging runs whose pace says something about this one, the most alike first.

    A verdict is one token and a rationale hundreds: a run with rationales is never estimated from one without.
    """
    writes = Q(parameters__asks__contains=["rationales"])
    family = writes if "rationales" in plan.asks else ~writes
    template = Q(parameters__template=plan.template)
    return template & Q(parameters__asks=list(plan.asks)), template & family, family


def _calls(project: Project, plan: JudgingPlan, pairs: int) -> int:
    """How often the judge is asked; what it has answered in an earlier run is not taken off."""
    asks_overall = {"overall", "injections"} & set(plan.asks) or ("rationales" in plan.asks and plan.about == "own")
    calls = 2 * pairs * (len(principles_of(project=project, plan=plan)) + bool(asks_overall))
    if "injections" in plan.asks:
        calls += 2 * min(pairs, plan.injection_limit) * len(INJECTIONS)
    if "rationales" in plan.asks:
        calls += pairs * len(plan.rationales)
    return calls


@transaction.atomic
def start(*, project: Project, plan: Plan, actor: User | None = None, command: str = "", seed: int = 0) -> Run:
    """Ask a worker to do it, and keep what was expected with the run.

    Raises:
        Refused: nothing fits, a model cannot be used, or the seed is negative.
    """
    offered = offer(project=project, plan=plan)
    who: dict[str, Any] = {"actor": actor, "command": command, "seed": seed}
    if isinstance(plan, GenerationPlan):
        assert isinstance(offered.plan, GenerationPlan)
        run = generating.request_generation(project=project, plan=offered.plan, **who)
    else:
        run = asking.request_judging(project=project, plan=plan, **who)
    run.estimate = offered.expected.as_json()
    run.save(update_fields=["estimate"])
    return run


def _n(count: int, one: str) -> str:
    return one if count == 1 else f"{one}s"
