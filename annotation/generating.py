"""Prompts -> runs that generate -> candidates.

A plan says what a run of the kind "generation" does; it is the run's parameters, read strictly. What a strategy asks of
the models stands in workers/strategies; here is what pages and commands must know of it, and every write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from annotation.errors import Refused
from annotation.models import Candidate, Project, Prompt, Run, User
from annotation.pairing import as_json, generated_digest
from annotation.plans import Fields, check_choice, check_range
from annotation.recording import record
from annotation.running import check_seed, request_run

MOST_MODELS = 8
# With both polarities and all models that is 1,024 candidates, and a candidate's place is a small integer.
MOST_PER_PROMPT = 64


@dataclass(frozen=True)
class StrategyFacts:
    """What pages and commands show of a strategy. Its templates and their version stand in workers/strategies.

    Attributes:
        models: how many models it takes: None for one or more, each of which does the same.
        candidates: how many candidates it makes per model and unit of n; for two models in all.
        polarity: whether it builds a pseudo-label into its candidates.
        pairing: how its candidates are paired unless the plan says otherwise.
        draws_values: whether it draws system messages from a list of values.
    """

    title: str
    about: str
    models: int | None = None
    candidates: int = 1
    polarity: bool = False
    pairing: str = "all"
    scorer: bool = False
    draws_values: bool = False

    @property
    def is_two_sided(self) -> bool:
        """It sets one model against another: the first that is named is meant to be better."""
        return self.models == 2


def _contrast(title: str, about: str, *, models: int | None = None) -> StrategyFacts:
    return StrategyFacts(title, about, models=models, candidates=2, polarity=True, pairing="contrast")


STRATEGIES: dict[str, StrategyFacts] = {
    "plain": StrategyFacts("Plain sampling", "The prompt as it is, n times."),
    "prefix": _contrast("Prefix", "The prompt after “(helpful, harmless)” and after “(unhelpful, harmful)”."),
    "demon": _contrast("Demonstrations", "The prompt after good examples and after bad ones."),
    "elicitive": _contrast(
        "Elicitive", "The model first thinks about how to write a good or a bad answer, then writes it."
    ),
    "nparam": _contrast(
        "Number of parameters", "A large model against a small one, which is meant to be worse.", models=2
    ),
    "leaderboard": _contrast("Leaderboard", "A model against one that ranks lower and is meant to be worse.", models=2),
    "refine": _contrast("Refine", "The model answers, then improves its own answer."),
    "best_worst_of_n": StrategyFacts(
        "Best and worst of n",
        "n candidates, scored; the best is paired with the worst.",
        polarity=True,
        pairing="best_worst",
        scorer=True,
    ),
    "janus": StrategyFacts(
        "System messages",
        "Each candidate under a system message of its own, drawn from a hierarchy of values.",
        pairing="across",
        draws_values=True,
    ),
    "urial": StrategyFacts("URIAL", "For base models: a preamble and three examples, then the prompt."),
}

# How candidates are paired, in words: the keys of annotation.pairing.PAIRINGS, and "none".
PAIRING_TITLES: dict[str, str] = {
    "all": "All: every two of a prompt",
    "sampled": "Sampled: some of all, drawn",
    "best_worst": "Best with worst, by score",
    "across": "Across: of unlike models or system messages",
    "contrast": "Contrast: meant to be better with meant to be worse",
    "none": "None: candidates only",
}

SCORERS: dict[str, str] = {
    "likelihood": "The mean log-probability of the candidate's tokens under the scoring model",
    "judge": "The mean probability of winning against the other candidates, in both orders",
}


@dataclass(frozen=True, kw_only=True)
class GenerationPlan:
    """What a run generates: `Run.parameters` of the kind "generation" is `as_parameters()`.

    Attributes:
        models: names of the model registry. Two-sided strategies take exactly two, the one meant to be better first.
        strategy: a key of STRATEGIES.
        n: candidates per prompt and model; strategies that build a pseudo-label in make n of each polarity.
        temperature, top_p, top_k, min_p, max_tokens, stop: the sampling; top_k 0 and min_p 0 switch these off.
        prompts: the ids of prompts; empty for all of the project that `tag`, `source`, `up_to` and `limit` let through.
        selection: the saved selection, as name@version, whose pairs' prompts `prompts` are. Read again by a request.
        tag, source: only prompts with this tag, of this source.
        up_to: only prompts up to this id, so that prompts imported later do not join the run. Set by the request.
        limit: at most so many prompts, the oldest first; None for all.
        pairing: a key of PAIRING_TITLES, or empty for the strategy's own.
        per_prompt: how many pairs the pairing "sampled" draws per prompt.
        near: from this Jaccard similarity on two candidates are near-identical and not paired; 1 for identical only.
        scorer: a key of SCORERS, for strategies that score.
        scorer_model: the registry's name of the model that scores; empty for the model that generates.
        values: a list of values of the project, by its name or name and number, for strategies that draw system
            messages; empty for the built-in one. An offer fixes the number.
        only_pair: generate nothing more, and pair what the run has made. Set by a retry.
    """

    models: tuple[str, ...]
    strategy: str = "plain"
    n: int = 2
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    prompts: tuple[int, ...] = ()
    selection: str = ""
    tag: str = ""
    source: str = ""
    up_to: int | None = None
    limit: int | None = None
    pairing: str = ""
    per_prompt: int = 1
    near: float = 0.9
    scorer: str = ""
    scorer_model: str = ""
    values: str = ""
    only_pair: bool = False

    def __post_init__(self) -> None:
        check_choice("strategy", self.strategy, STRATEGIES)
        facts = STRATEGIES[self.strategy]
        if not self.models or not all(self.models):
            raise Refused("No model is named. Name at least one of the model registry.")
        if len(set(self.models)) < len(self.models):
            raise Refused("A model is named twice. Name each once and raise n instead.")
        if facts.models is not None and len(self.models) != facts.models:
            raise Refused(
                f"The strategy {facts.title} takes {facts.models} models, the one meant to be better first; "
                f"{len(self.models)} is named."
            )
        check_range("number of models", len(self.models), 1, MOST_MODELS)
        check_range("number of candidates n", self.n, 1, MOST_PER_PROMPT)
        check_range("temperature", self.temperature, 0.0, 5.0)
        check_range("top p", self.top_p, 0.01, 1.0)
        check_range("top k", self.top_k, 0, 1_000_000)
        check_range("min p", self.min_p, 0.0, 1.0)
        check_range("most tokens per candidate", self.max_tokens, 1, 32_768)
        check_range("near-identity", self.near, 0.1, 1.0)
        check_range("number of pairs per prompt", self.per_prompt, 1, 1000)
        if self.limit is not None:
            check_range("number of prompts", self.limit, 1, 10_000_000)
        if not all(self.stop) or len(self.stop) > 16:
            raise Refused("Stop texts are at most 16, and none of them is empty.")
        if self.pairing:
            check_choice("pairing", self.pairing, PAIRING_TITLES)
        if self.pairing == "best_worst" and not facts.scorer:
            raise Refused(f"The strategy {facts.title} gives no scores, so there is no best and worst to pair.")
        if self.pairing == "contrast" and not (facts.polarity and facts.candidates == 2):
            raise Refused(f"The strategy {facts.title} makes no contrasting candidates. Choose another pairing.")
        if facts.scorer:
            check_choice("scorer", self.scorer, SCORERS)
            check_range("number of candidates n", self.n, 2, MOST_PER_PROMPT)
        elif self.scorer or self.scorer_model:
            raise Refused(f"The strategy {facts.title} does not score. Leave out the scorer.")
        if self.values and not facts.draws_values:
            raise Refused(f"The strategy {facts.title} draws no values. Leave out the list of values.")

    @property
    def sampling(self) -> dict[str, Any]:
        """As the backends take it and as every candidate keeps it."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
        }

    @property
    def rule(self) -> str:
        """How candidates are paired: the plan's pairing, or the strategy's own."""
        return self.pairing or STRATEGIES[self.strategy].pairing

    @property
    def per_prompt_count(self) -> int:
        """How many candidates each prompt gets."""
        facts = STRATEGIES[self.strategy]
        return self.n * facts.candidates * (1 if facts.models else len(self.models))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> GenerationPlan:
        """What `as_parameters` gave; a key that is missing has its default.

        Raises:
            Refused: a key is not known, or a value is not possible.
        """
        given = Fields(parameters, of="A generation run", known=[field.name for field in fields(cls)])
        return cls(
            models=given.texts("models"),
            strategy=given.text("strategy", cls.strategy),
            n=given.whole("n", cls.n),
            temperature=given.number("temperature", cls.temperature),
            top_p=given.number("top_p", cls.top_p),
            top_k=given.whole("top_k", cls.top_k),
            min_p=given.number("min_p", cls.min_p),
            max_tokens=given.whole("max_tokens", cls.max_tokens),
            stop=given.texts("stop"),
            prompts=given.numbers("prompts"),
            selection=given.text("selection"),
            tag=given.text("tag"),
            source=given.text("source"),
            up_to=given.maybe("up_to"),
            limit=given.maybe("limit"),
            pairing=given.text("pairing"),
            per_prompt=given.whole("per_prompt", cls.per_prompt),
            near=given.number("near", cls.near),
            scorer=given.text("scorer"),
            scorer_model=given.text("scorer_model"),
            values=given.text("values"),
            only_pair=given.truth("only_pair", cls.only_pair),
        )

    def as_parameters(self) -> dict[str, Any]:
        """The plan as JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def prompts_of(*, project: Project, plan: GenerationPlan) -> QuerySet[Prompt]:
    """The prompts that a plan speaks of, the oldest first."""
    found = Prompt.objects.filter(project=project).order_by("pk")
    if plan.prompts:
        found = found.filter(pk__in=plan.prompts)
    if plan.tag:
        found = found.filter(tags__contains=[plan.tag])
    if plan.source:
        found = found.filter(source=plan.source)
    if plan.up_to is not None:
        found = found.filter(pk__lte=plan.up_to)
    return found if plan.limit is None else found[: plan.limit]


@transaction.atomic
def request_generation(
    *, project: Project, plan: GenerationPlan, actor: User | None = None, command: str = "", seed: int = 0
) -> Run:
    """Ask a worker to generate. The prompts are fixed now: those that come later are not in this run.

    Raises:
        Refused: the project has no prompt that the plan speaks of, or the seed is out of range.
    """
    check_seed(seed)
    last = max(prompts_of(project=project, plan=plan).values_list("pk", flat=True), default=None)
    if last is None:
        raise Refused("No prompt of this project fits. Import prompts, or choose fewer conditions.")
    from_now = GenerationPlan.from_parameters({**plan.as_parameters(), "up_to": last})
    run = request_run(
        project=project, kind=Run.Kind.GENERATION, parameters=from_now.as_parameters(), actor=actor, seed=seed
    )
    record(
        act="run.generate",
        subject=f"run {run.pk}",
        actor=actor,
        command=command,
        project=project,
        after=run.parameters,
    )
    return run


# ---- candidates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Made:
    """One candidate as a worker made it. `index` is its place within run and prompt: the same at every attempt.

    `log_probability` is the sum over tokens, in nats; `quantiles` are those of the tokens' log-probabilities at 0, .1,
    ..., 1; `mean_entropy` is in nats per token; `branching` is the log of the sequence's Branching Factor;
    `truncated_entropies` (of the first 50 tokens) and `truncated_log_probability` (the sum) are what the Branching
    Factor of a prompt is made from. `provenance` is what else the strategy knows: the thought, the system message and
    its values, score and rank.
    """

    prompt_id: int
    index: int
    text: str
    model: str
    revision: str
    polarity: str
    template_version: str
    seed: int
    token_count: int
    log_probability: float | None = None
    quantiles: Sequence[float] | None = None
    mean_entropy: float | None = None
    branching: float | None = None
    truncated_entropies: Sequence[float] = ()
    truncated_log_probability: float | None = None
    provenance: Mapping[str, Any] | None = None


def storable(text: str) -> str:
    """The text without what the database cannot hold: NUL, and halves of characters (lone surrogates)."""
    return text.replace("\0", "").encode(errors="replace").decode()


def taken_indexes(*, run: Run, prompts: Sequence[int]) -> dict[int, set[int]]:
    """Which places of a run are taken already, by prompt: what an earlier attempt recorded."""
    taken: dict[int, set[int]] = {prompt: set() for prompt in prompts}
    for prompt, index in Candidate.objects.filter(run=run, prompt__in=prompts).values_list("prompt_id", "index"):
        taken[prompt].add(index)
    return taken


def record_candidates(*, run: Run, plan: GenerationPlan, made: Sequence[Made]) -> int:
    """Store candidates of a run, all or none. Those whose place is taken are left as they are: twice does no harm.

    The caller holds the run: call it inside `hold.fenced()`. Returns how many were new.
    """
    prompts = {one.prompt_id for one in made}
    languages = dict(Prompt.objects.filter(pk__in=prompts).values_list("pk", "language"))
    here = Candidate.objects.filter(run=run, prompt__in=prompts)
    before = here.count()
    Candidate.objects.bulk_create(
        [_candidate(run, plan, one, languages[one.prompt_id]) for one in made], ignore_conflicts=True
    )
    return here.count() - before


def _candidate(run: Run, plan: GenerationPlan, one: Made, language: str) -> Candidate:
    text = storable(one.text)
    messages = [{"role": "assistant", "content": text}]
    return Candidate(
        prompt_id=one.prompt_id,
        messages=messages,
        digest=generated_digest(as_json(messages), run=run.pk, index=one.index),
        run=run,
        index=one.index,
        model=one.model,
        revision=one.revision,
        strategy=plan.strategy,
        polarity=one.polarity,
        template_version=one.template_version,
        seed=one.seed,
        sampling=plan.sampling,
        token_count=one.token_count,
        log_probability=one.log_probability,
        log_probability_quantiles=None if one.quantiles is None else [float(value) for value in one.quantiles],
        mean_entropy=one.mean_entropy,
        branching_share=one.branching,
        truncated_entropies=list(one.truncated_entropies) or None,
        truncated_log_probability=one.truncated_log_probability,
        provenance=dict(one.provenance) if one.provenance else None,
        language=language,
        characters=len(text),
    )


# ---- facts about the best of n, for display --------------------------------------------------------------------------


def best_of_n_win_rate(n: int) -> float:
    """How often the best of n beats one sample of the same model, by the scorer that chose it: n / (n + 1).

    For independent, continuous scores. Source: Gui et al., BoNBoN Alignment, arXiv 2406.00832.
    """
    return n / (n + 1)


def best_of_n_divergence(n: int) -> float:
    """At most so far the best of n lies from the model's own distribution: log n - (n - 1) / n, nats (KL).

    Source: as above.
    """
    return math.log(n) - (n - 1) / n
