"""How different the candidates of a project are, and whether preferences run in circles."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Candidate, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS, diversity
from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.resemblance import near_duplicate_share

# Near duplicates are looked for among as many candidates, drawn at random.
MOST_TEXTS = 5_000
# The table by model has so many, those with the most candidates.
MOST_MODELS = 24
# Of so many first tokens the branching factor is also told apart from their length.
FIRST = 16
SHOWN = ("distinct_2", "near_duplicate_share", "branching_factor", "cycle_share")
NO_SUMS = "No candidate carries the figures of its generation: only workers store them."


@dataclass(frozen=True, kw_only=True)
class DiversityRequest(Request):
    """Of all candidates; circles by default of what people said."""

    measure: ClassVar[str] = "diversity"

    threshold: float = setting(0.8, says="the Jaccard similarity of near duplicates")
    texts: int = setting(MOST_TEXTS, says="candidates among which near duplicates are looked for")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise Refused(f"Near duplicates have a similarity above 0 and at most 1, not {self.threshold}.")
        if not 2 <= self.texts <= 100_000:
            raise Refused(f"Near duplicates are looked for among 2 to 100000 candidates, not {self.texts}.")


def execute(hold: Hold, project: Project, asked: DiversityRequest) -> dict[str, Any]:
    """Measure diversity and store it. Returns the run's result.

    Stored are distinct-2 and the branching factor as means over prompts, with those of each model beside them, the
    latter also by strategy and of the first 16 tokens alone; the share of near duplicates; and the share of circles
    among triples of candidates, of the majority of each pair.

    Raises:
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    rng = np.random.default_rng(run.seed) if asked.bootstrap else None
    distinct, by_model, sample, count = _words(project, asked, np.random.default_rng(run.seed), hold)
    sampled, unknown = _samples(project)
    near = near_duplicate_share(sample, rng=np.random.default_rng(run.seed), threshold=asked.threshold)
    hold.beat()
    models = sorted(by_model, key=lambda model: (-len(by_model[model]), model))[:MOST_MODELS]
    none = "No prompt has a candidate of two words."
    rows = [
        as_row(
            run,
            "distinct_2",
            _mean(distinct, none, rng, asked),
            detail={"by_model": {model: _mean(by_model[model], none, None, asked).as_json() for model in models}},
        ),
        as_row(run, "near_duplicate_share", near, detail={"of": count}),
        as_row(
            run,
            "branching_factor",
            _mean([one.factor for one in sampled], NO_SUMS, rng, asked),
            detail={
                "first_16": _mean([one.first_16 for one in sampled], NO_SUMS, None, asked).as_json(),
                "by_model": _factors_by(sampled, asked, key=lambda one: one.model),
                "by_strategy": _factors_by(sampled, asked, key=lambda one: one.strategy),
                "regimes": Counter(one.regime for one in sampled if not math.isnan(one.factor)),
                "without_figures": unknown,
            },
        ),
        as_row(run, "cycle_share", diversity.cycle_share(list(_wins(project, asked)))),
    ]
    with hold.fenced():
        replace_all(hold, rows)
    return {"candidates": count}


def _mean(values: Iterable[float], none: str, rng: np.random.Generator | None, asked: Request) -> Estimate:
    return mean_of(np.array([*values], dtype=np.float64), none=none, rng=rng, resamples=asked.bootstrap or 1)


def _words(
    project: Project, asked: DiversityRequest, rng: np.random.Generator, hold: Hold
) -> tuple[list[float], dict[str, list[float]], list[str], int]:
    """distinct-2 of every prompt, the same of each model's candidates of it, a sample of texts, and how many there are.

    Candidates come prompt by prompt; no more of them are held than the sample (drawn as they pass, Vitter's R).
    """
    found: list[float] = []
    by_model: dict[str, list[float]] = defaultdict(list)
    sample: list[str] = []
    count = 0
    for prompt in _prompts(project):
        of_model: dict[str, list[list[str]]] = defaultdict(list)
        for model, text in prompt:
            of_model[model].append(text.casefold().split())
            count += 1
            if len(sample) < asked.texts:
                sample.append(text)
            elif (place := int(rng.integers(count))) < asked.texts:
                sample[place] = text
        everything = [words for each in of_model.values() for words in each]
        # One candidate alone says nothing of how different candidates are.
        if len(everything) > 1 and (one := diversity.distinct_n(everything, n=2)).is_defined:
            found.append(one.value)
        for model, words in of_model.items():
            if len(words) > 1 and (one := diversity.distinct_n(words, n=2)).is_defined:
                by_model[model].append(one.value)
        if count % 1000 < len(prompt):
            hold.beat()
    return found, by_model, sample, count


def _prompts(project: Project) -> Iterator[list[tuple[str, str]]]:
    """For each prompt its candidates as (model, text), streamed."""
    rows = Candidate.objects.filter(prompt__project=project).order_by("prompt_id", "id")
    held: list[tuple[str, str]] = []
    last = None
    for prompt, model, messages in rows.values_list("prompt_id", "model", "messages").iterator(chunk_size=2000):
        if prompt != last and held:
            yield held
            held = []
        last = prompt
        held.append((model, "\n".join(str(one.get("content", "")) for one in messages)))
    if held:
        yield held


@dataclass(frozen=True)
class _Sampled:
    """The branching factor of what a model, asked in one way, gave to a prompt; nan where it is undefined."""

    model: str
    strategy: str
    regime: str
    factor: float
    first_16: float


def _samples(project: Project) -> tuple[list[_Sampled], int]:
    """For each prompt the factor of each model and strategy: samples of one distribution are put together, no others.

    And how many candidates of a worker carry too little for it: an earlier version kept less of short ones.
    """
    found: list[_Sampled] = []
    rows = Candidate.objects.filter(prompt__project=project, branching_share__isnull=False)
    unknown = rows.filter(truncated_log_probability=None).count()
    rows = rows.exclude(truncated_log_probability=None).order_by("prompt_id", "model", "strategy", "id")
    columns = ("prompt_id", "model", "strategy", "truncated_entropies", "truncated_log_probability", "token_count")
    every = rows.values_list(*columns).iterator(chunk_size=2000)
    for (_, model, strategy), samples in itertools.groupby(every, key=lambda row: row[:3]):
        heads, sums, tokens = zip(*((row[3] or (), row[4] or 0.0, row[5] or 0) for row in samples), strict=True)
        factor = diversity.branching_factor_of_sums(heads, sums, tokens)
        starts = [head[:FIRST] for head in heads]
        first = diversity.branching_factor_of_sums(starts, sums, [len(head) for head in starts])
        found.append(_Sampled(model, strategy, diversity.regime(max(tokens)), factor.value, first.value))
    return found, unknown


def _factors_by(
    sampled: list[_Sampled], asked: DiversityRequest, *, key: Callable[[_Sampled], str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in sampled:
        found[key(one)].append(one.factor)
    shown = sorted(found, key=lambda name: (-len(found[name]), name))[:MOST_MODELS]
    return {name: _mean(found[name], NO_SUMS, None, asked).as_json() for name in shown}


def _wins(project: Project, asked: DiversityRequest) -> Iterator[NDArray[np.float64]]:
    """For each prompt with three candidates how often one beat the other."""
    said = arrays.preferences(project=project, voices=asked.voices, where=asked.where)
    pairs = arrays.columns(
        "SELECT id, prompt_id, first_id, second_id FROM pair WHERE project_id = %s",
        [project.pk],
        {name: pa.int64() for name in ("pair", "prompt", "first", "second")},
    )
    order = np.argsort(pairs["pair"])
    pairs = {name: column[order] for name, column in pairs.items()}
    decided = ~np.isnan(said.value)
    place = np.searchsorted(pairs["pair"], said.pair[decided])
    is_first = said.value[decided] > 0
    winner = np.where(is_first, pairs["first"][place], pairs["second"][place])
    loser = np.where(is_first, pairs["second"][place], pairs["first"][place])
    prompt = pairs["prompt"][place]
    order = np.argsort(prompt, kind="stable")
    starts = np.flatnonzero(np.diff(prompt[order])) + 1
    for rows in np.split(order, starts):
        names, codes = np.unique(np.concatenate([winner[rows], loser[rows]]), return_inverse=True)
        if len(names) < 3:
            continue
        table = np.zeros((len(names), len(names)))
        np.add.at(table, (codes[: len(rows)], codes[len(rows) :]), 1)
        yield table


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: `metrics` by name."""
    rows = {row.metric: as_shown(row) for row in run.measurements.order_by("id")}
    return {**asked_of(run), "metrics": rows}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [f"{found['candidates']} candidates (run {found['run']})."]
    for name in SHOWN:
        one = found["metrics"][name]
        said = f"undefined. {one['reason']}" if one["value"] is None else f"{one['value']:.4f}, n {one['n']}"
        regimes = ", ".join(f"{n} by {regime}" for regime, n in sorted(one.get("regimes", {}).items()))
        lines.append(f"{METRICS[name].title}: {said}" + (f" ({regimes})" if regimes else ""))
    return "\n".join(lines)
