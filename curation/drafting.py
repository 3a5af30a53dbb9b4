"""A release that is being thought of -> what it would hold, counted and shown before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Pair
from curation import shelf
from curation.advising import Advice, advised
from curation.arrays import columns, places_in
from curation.choosing import Chosen, choose, is_too_harmful, uniform
from curation.criteria import COLUMN_OF, Criterion, in_play
from curation.cut_chart import Histogram, histogram
from curation.planning import HARDER, Plan
from curation.previewing import Written, written
from curation.reading import snapshot
from curation.shelf import Step
from curation.subsetting import NGRAMS
from curation.thinning import measured
from curation.trust import in_words, trust_in

# Rows that are shown.
SHOWN = 20
# Beyond so many pairs their texts are not compared while somebody waits for a page.
MOST_COMPARED = 5_000
# And so many seconds the database may take for each of its few answers.
PATIENCE = 8.0
LONGEST_TEXT = 160


@dataclass(frozen=True)
class Shown:
    """One pair of the preview. `value` is what the line is drawn by; `is_first_past` is just beyond the line.

    `answer` is the chosen one and `other` the rejected; where none is chosen, the first and the second.
    """

    pair: int
    name: str
    prompt: str
    answer: str
    other: str
    votes: str
    strength: float | None
    value: float | None = None
    is_kept: bool = True
    is_first_past: bool = False


@dataclass(frozen=True)
class Line:
    """The pairs nearest a line: those that it keeps, then those that it removes, each the nearest to it."""

    name: str
    measure: str
    at: float
    rows: list[Shown]


@dataclass(frozen=True)
class Removed:
    """Pairs that one step removes, the same ones each time. `step` is its place among the steps."""

    step: int
    name: str
    pairs: int
    rows: list[Shown]


@dataclass(frozen=True)
class Cut:
    """A cut, for which model, and how far its order can be gone by, in words; empty where trainings do not tell."""

    config: str
    model: str
    share: float
    kept: int
    hardest: float | None
    unmeasured: int
    trust_says: str


@dataclass(frozen=True)
class Counted:
    """What a plan would release.

    Attributes:
        pairs: in the project; `selected` of them meet the selection, of `decided` the rule says what is asked of it,
            and `chosen` are left after the last step. Each is the `left` of a step of `steps`.
        is_exact: False where near duplicates or a subset are left to the run: then at most `chosen`.
    """

    pairs: int
    selected: int
    decided: int
    chosen: int
    rows: int
    steps: list[Step]
    splits: list[tuple[str, int]]
    cuts: list[Cut]
    harmful: int
    is_too_harmful: bool
    is_exact: bool
    preview: list[Shown] = field(default_factory=list)
    # Whether a row of the preview has a chosen answer.
    chooses: bool = True
    # The first rows of the preview as the layout writes them.
    written: Written = field(default_factory=Written)
    line: Line | None = None
    # What the step removes that was asked for.
    removed: Removed | None = None
    histogram: Histogram | None = None
    # What the cuts go by, in words, and for which model it was measured that the line is drawn by.
    measured_by: str = ""
    measured_for: str = ""
    # How far the trainings agree on the order that is drawn, and what it says of it; None where they do not tell.
    trust: float | None = None
    trust_says: str = ""
    advice: Advice | None = None


class TooLong(Refused):
    """Counting was stopped, so that no page waits for it. The text says what can be done."""


@contextmanager
def _hurried(reader: BaseDatabaseWrapper) -> Iterator[None]:
    """Let no statement take longer than PATIENCE.

    Raises:
        TooLong: one did.
    """
    with reader.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(round(1000 * PATIENCE))])
    try:
        yield
    except (OperationalError, psycopg.errors.QueryCanceled) as error:
        # What is read by COPY comes without Django's own error around it.
        if not isinstance(error.__cause__ or error, psycopg.errors.QueryCanceled):
            raise
        raise TooLong(
            f"Counting was stopped after {PATIENCE:g} seconds, so that no page waits for it. Narrow the selection, or "
            "release without counting: the run counts, and refuses what this page would refuse."
        ) from error


def count(
    asked: Plan,
    *,
    selection: Sequence[Criterion],
    least: Sequence[Criterion],
    scores: Mapping[int, float] | None = None,
    step: int | None = None,
) -> Counted:
    """Count what the plan would release, and draw the rows to look at.

    Args:
        asked: the plan; its criteria are `selection` and then `least`.
        selection: which pairs are meant.
        least: what is asked of their judgements; lines may be drawn by them.
        scores: what models trained on so many pairs reached, for the advice on a subset.
        step: the place of a step whose removed pairs are to be shown; None, or of no step that removes any: none are.

    Raises:
        Refused: what the run would refuse.
        TooLong: there are too many pairs to be counted while somebody waits for a page.
        Broken: a text of the near duplicates would mislead a trainer.
    """
    with snapshot() as reader, _hurried(reader):
        quick = replace(asked, near_duplicates=0.0, subset=0)
        chosen = choose(quick, using=reader)
        # Ties in both orders and quotas come after: what is left here is compared at most.
        compares = bool(asked.near_duplicates or asked.subset)
        is_exact = not compares or len(chosen.pairs) <= MOST_COMPARED
        if compares and is_exact:
            chosen = choose(asked, using=reader)
        steps = chosen.sieve.steps
        n_selection = len(in_play(selection))
        n_after = len(asked.quotas)
        if is_exact:
            n_after += bool(asked.near_duplicates) + bool(asked.subset) * (1 if asked.embedding == NGRAMS else 2)
        ordered = _ordered(asked, chosen, using=reader)
        line = _line(asked, chosen, in_play(selection), least, ordered, using=reader)
        drawn = _drawn(asked, chosen)
        return Counted(
            pairs=len(chosen.facts),
            selected=steps[n_selection - 1].left if n_selection else len(chosen.facts),
            decided=steps[len(steps) - n_after - 1].left,
            chosen=len(chosen.pairs) if is_exact else min(len(chosen.pairs), asked.subset or len(chosen.pairs)),
            rows=_rows(asked, chosen),
            steps=shelf.waterfall([(one.name, one.removed, one.left) for one in steps], pairs=len(chosen.facts)),
            splits=[
                (split.partition("/")[2], len(np.unique(chosen.rows[places])))
                for split, places in chosen.splits.items()
                if split.startswith(f"{asked.layout.name}/")
            ],
            cuts=[
                Cut(
                    config=config,
                    model=cut["model"],
                    share=cut["share"],
                    kept=cut["removed"][1]["left"],
                    hardest=cut["hardest"],
                    unmeasured=cut["removed"][0]["removed"],
                    trust_says=in_words(cut["trust"]),
                )
                for config, cut in chosen.cuts.items()
            ],
            harmful=chosen.harmful,
            is_too_harmful=is_too_harmful(asked, chosen),
            is_exact=is_exact,
            preview=_shown(chosen, drawn, chooses=asked.layout.chooses),
            written=written(asked, chosen, drawn, using=reader),
            chooses=asked.layout.chooses,
            line=line,
            removed=_removed(asked, chosen, step),
            histogram=ordered.chart if ordered else None,
            measured_by=HARDER[asked.difficulty] if ordered else "",
            measured_for=ordered.model if ordered else "",
            trust=ordered.trust if ordered else None,
            trust_says=in_words(ordered.trust) if ordered else "",
            advice=advised(chosen.subset, budget=asked.subset, seed=asked.seed, measured=scores or {})
            if chosen.subset
            else None,
        )


def _rows(asked: Plan, chosen: Chosen) -> int:
    """How many rows the layout has for what was chosen."""
    facts, pairs = chosen.facts, chosen.pairs
    if chosen.rows_each is not None:
        return int(chosen.rows_each.sum())
    if asked.layout.by_prompt:
        return len(np.unique(facts.prompt[pairs]))
    if asked.layout.name == "votes":
        return int(facts.judgements[pairs].sum() + facts.skips[pairs].sum())
    return len(chosen.rows) * (2 if asked.layout.name == "trl_kto" else 1)


def _drawn(asked: Plan, chosen: Chosen) -> NDArray[np.int64]:
    """Places of the rows to look at, always the same ones."""
    return _some(chosen.pairs, chosen, seed=asked.seed)


def _some(places: NDArray[np.int64], chosen: Chosen, *, seed: int) -> NDArray[np.int64]:
    """At most SHOWN of these places, drawn by the seed."""
    return np.sort(places[np.argsort(uniform(chosen.facts.pair[places], seed=seed), kind="stable")[:SHOWN]])


def _removed(asked: Plan, chosen: Chosen, step: int | None) -> Removed | None:
    if step is None or not 0 <= step < len(chosen.sieve.steps):
        return None
    gone = np.nonzero(chosen.sieve.gone_at == step)[0]
    if not len(gone):
        return None
    # Most went before an answer was chosen: they are shown as first and second.
    rows = _shown(chosen, _some(gone, chosen, seed=asked.seed), chooses=False)
    return Removed(step, chosen.sieve.steps[step].name, len(gone), rows)


# ---- the line ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ordered:
    """How difficult the pairs are by which the largest cut is drawn; without a cut, those that one would part.

    `values` is nan for the others, `inside` says which the cut keeps; both have the shape (n_pairs,).
    """

    model: str
    trust: float | None
    values: NDArray[np.float64]
    inside: NDArray[np.bool_]
    chart: Histogram | None
    cut: dict[str, Any] | None


def _ordered(asked: Plan, chosen: Chosen, *, using: BaseDatabaseWrapper) -> _Ordered | None:
    """None: nothing is cut, and nothing was measured that one could cut by."""
    facts = chosen.facts
    config, cut = max(chosen.cuts.items(), key=lambda one: one[1]["share"], default=("", None))
    model, run = ("", cut["run"]) if cut else (asked.difficulty_model, None)
    try:
        found = measured(
            project=asked.project, metric=asked.difficulty, model=model, pairs=facts.pair, run=run, using=using
        )
    except Refused:
        return None
    meant = _mask(len(facts), chosen.pairs)
    values = np.where(meant, found.values, np.nan)
    if cut is None:
        trust = trust_in(found.run, using=using)
        return _Ordered(found.model, trust, values, meant, histogram(values, {}, meant), None)
    easy = [places for split, places in chosen.splits.items() if split.startswith(f"{config}/")]
    inside = _mask(len(facts), chosen.rows[np.concatenate(easy)])
    beside = {name: one for name, one in chosen.cuts.items() if one["run"] == cut["run"]}
    return _Ordered(found.model, cut["trust"], values, inside, histogram(values, beside, inside), cut)


def _line(
    asked: Plan,
    chosen: Chosen,
    selection: Sequence[Criterion],
    least: Sequence[Criterion],
    ordered: _Ordered | None,
    *,
    using: BaseDatabaseWrapper,
) -> Line | None:
    """The line that the largest cut draws; without a cut, that of the last minimum; without one, of the last bound of
    the selection, as a brush over difficulty is one. The first criteria are `selection`, then `least`.
    """
    if ordered and ordered.cut:
        cut = ordered.cut
        return _nearest(
            asked,
            chosen,
            ordered.values,
            ordered.inside,
            name=f"the cut {cut['name'] + ' ' if cut['name'] else ''}at {cut['share'] * 100:g} %",
            measure=HARDER[cut["metric"]],
            at=cut["hardest"],
            keeps_low=True,
        )
    for step, criterion in reversed(list(enumerate([*selection, *least]))):
        bounded = _values_of(asked, chosen, criterion, using=using)
        if bounded is None:
            continue
        inside = _mask(len(chosen.facts), chosen.pairs)
        return _nearest(
            asked,
            chosen,
            np.where(inside | (chosen.sieve.gone_at == step), bounded, np.nan),
            inside,
            name=criterion.text,
            measure=criterion.field.replace("_", " "),
            at=float(criterion.value),
            keeps_low=criterion.operator in ("<", "<="),
        )
    return None


def _mask(size: int, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[places] = True
    return mask


def _agreement(chosen: Chosen) -> NDArray[np.float64]:
    counts = chosen.facts.counts.astype(np.int64)
    n = counts.sum(axis=1)
    return np.where(n >= 2, ((counts**2).sum(axis=1) - n) / np.maximum(n * (n - 1), 1), np.nan)


def _strength(chosen: Chosen) -> NDArray[np.float64]:
    known = chosen.facts.n_strength
    return np.abs(np.where(known > 0, chosen.facts.strength_sum / np.maximum(known, 1), np.nan))


_VALUES = {
    "judgements": lambda chosen: chosen.facts.judgements.astype(np.float64),
    "agreement": _agreement,
    "strength": _strength,
}


def _values_of(
    asked: Plan, chosen: Chosen, criterion: Criterion, *, using: BaseDatabaseWrapper
) -> NDArray[np.float64] | None:
    """What a bound goes by, of every pair, nan where it is not known, shape (n_pairs,); None: it bounds no number."""
    if criterion.operator not in (">=", ">", "<", "<="):
        return None
    if criterion.field in _VALUES:
        known: NDArray[np.float64] = _VALUES[criterion.field](chosen)
        return known
    if criterion.field not in COLUMN_OF:
        return None
    column = COLUMN_OF[criterion.field]
    found = columns(
        f"SELECT f.pair_id, f.{column}::float8 FROM pair_facts f WHERE f.project_id = %s AND f.{column} IS NOT NULL",
        [asked.project.pk],
        {"pair": pa.int64(), "value": pa.float64()},
        using=using,
    )
    values = np.full(len(chosen.facts), np.nan)
    here = np.isin(found["pair"], chosen.facts.pair)
    values[places_in(chosen.facts.pair, found["pair"][here])] = found["value"][here]
    return values


def _nearest(
    asked: Plan,
    chosen: Chosen,
    values: NDArray[np.float64],
    inside: NDArray[np.bool_],
    *,
    name: str,
    measure: str,
    at: float | None,
    keeps_low: bool,
) -> Line | None:
    """Half of SHOWN on either side. `values` is nan for pairs that the line does not part."""
    if at is None:
        return None
    toward = 1 if keeps_low else -1
    known = ~np.isnan(values)
    kept, gone = np.nonzero(known & inside)[0], np.nonzero(known & ~inside)[0]
    kept = kept[np.argsort(toward * values[kept], kind="stable")][-SHOWN // 2 :]
    gone = gone[np.argsort(toward * values[gone], kind="stable")][: SHOWN // 2]
    rows = _shown(chosen, np.concatenate([kept, gone]), chooses=asked.layout.chooses)
    placed = [
        replace(row, value=float(values[place]), is_kept=bool(inside[place]), is_first_past=n == len(kept) > 0)
        for n, (row, place) in enumerate(zip(rows, [*kept.tolist(), *gone.tolist()], strict=True))
    ]
    return Line(name=name, measure=measure, at=at, rows=placed)


# ---- pairs to look at ----------------------------------------------------------------------------------------------


def _shown(chosen: Chosen, places: NDArray[np.int64], *, chooses: bool) -> list[Shown]:
    """The pairs at these places, with the beginnings of their texts. One query."""
    facts = chosen.facts
    numbers = facts.pair[places].tolist()
    found = Pair.objects.select_related("prompt", "first", "second").in_bulk(numbers)
    strength = np.where(facts.n_strength > 0, facts.strength_sum / np.maximum(facts.n_strength, 1), np.nan)
    shown = []
    for place, number in zip(places.tolist(), numbers, strict=True):
        pair = found.get(number)
        if pair is None:
            # Gone since it was counted: an import was undone.
            continue
        wins = bool(chosen.decision.first_wins[place])
        first_is_shown = wins or not chooses
        said, counts = int(facts.judgements[place]), facts.counts[place]
        mean = float(strength[place])
        shown.append(
            Shown(
                pair=number,
                name=pair.external_id or str(number),
                prompt=_beginning(pair.prompt.messages),
                answer=_beginning((pair.first if first_is_shown else pair.second).messages),
                other=_beginning((pair.second if first_is_shown else pair.first).messages),
                votes=f"{int(counts[0 if first_is_shown else 1])} of {said}",
                strength=None if np.isnan(mean) else mean if first_is_shown else 0.0 - mean,
            )
        )
    return shown


def _beginning(messages: list[dict[str, Any]]) -> str:
    """How the last message begins, on one line."""
    last = messages[-1] if isinstance(messages, list) and messages else {}
    text = " ".join(str(last.get("content", "") if isinstance(last, dict) else "")[: 4 * LONGEST_TEXT].split())
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT].rstrip()} …"
