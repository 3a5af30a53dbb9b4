"""The aggregation report: what soft labels change, who errs how, and how models score.

Everything is read from one finished run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Annotator, Project, Run
from curation.arrays import VERDICTS
from curation.measuring import as_shown, whole_runs
from curation.measuring.aggregation import WAYS
from curation.metrics import METRICS
from curation.reports.estimates import Axis, Line, line, place
from curation.reports.words import number, percent

SAID = dict(zip(VERDICTS, ("First", "Second", "Tie", "Both bad"), strict=True))
# The ways that can change an answer, the one that is told first before the others.
TOLD = ("dawid_skene", "one_coin", "crowdlab", "glad")
# What the column of an annotator says, by the way.
OF_ANNOTATORS = {
    "dawid_skene": "Right",
    "one_coin": "Right, one coin",
    "glad": "GLAD’s ability",
    "crowdlab": "CROWDLAB’s quality",
    "crowd_bradley_terry": "Says what the crowd’s scores say",
}
# Scores are drawn at least this far to both sides, in log odds.
LEAST_SCORE = 1.0


@dataclass(frozen=True)
class Way:
    """One way of adding up. `changed` of `clear` pairs have another answer than the majority's."""

    name: str
    why: str
    sure: str = ""
    pairs: int = 0
    tied: int = 0
    changed: int = 0
    clear: int = 0
    beside: dict[str, Any] | None = None

    @property
    def share(self) -> str:
        return percent(self.changed / self.clear) if self.clear else ""


@dataclass(frozen=True)
class Confused:
    """An annotator.

    Attributes:
        cells: what each figure is, the figure, and where it is empty why.
        confusion: of each true answer how often each is said, in percent, empty below one label; and its labels.
    """

    name: str
    kind: str
    n: int
    cells: list[tuple[str, str, str]]
    confusion: list[tuple[str, list[str], str]]


@dataclass(frozen=True)
class Changed:
    """A pair whose answer another way changes."""

    pair: int
    asks: str
    majority: str
    best: str
    sure: str
    votes: str


@dataclass(frozen=True)
class Report:
    run: Run
    ways: list[Way]
    told: Way | None
    annotators: list[Confused]
    answers: list[str]
    changed: list[Changed]
    models: list[Line]
    no_models: str
    axis: Axis


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "aggregation").first()


def leading(run: Run) -> Way | None:
    """The way that is told first; None where only votes were counted."""
    rows = {row.metric: row for row in run.measurements.filter(pair=None, annotator=None, candidate=None)}
    name = next((name for name in TOLD if name in rows), "")
    return _way(name, as_shown(rows[name])) if name else None


def report(*, run: Run) -> Report:
    """Everything that the page shows of a finished measurement."""
    rows = {row.metric: as_shown(row) for row in run.measurements.filter(pair=None, annotator=None, candidate=None)}
    ways = {name: _way(name, rows[name]) for name in WAYS if name in rows}
    first = next((name for name in TOLD if name in ways), "")
    axis, models = _models(rows["bradley_terry"])
    return Report(
        run=run,
        ways=list(ways.values()),
        told=ways.get(first),
        annotators=_annotators(run),
        answers=list(SAID.values()),
        changed=_changed(run, first, rows[first].get("surest_changes", [])) if first else [],
        models=models,
        no_models=rows["bradley_terry"].get("reason") or "",
        axis=axis,
    )


def _way(name: str, one: dict[str, Any]) -> Way:
    beside = {"judge": one["judge"], **one["left_out"]} if "judge" in one else None
    if one["value"] is None:
        return Way(METRICS[name].title, one["reason"], beside=beside)
    return Way(
        METRICS[name].title,
        "",
        sure=f"{percent(one['value'])} %",
        pairs=one["n"],
        tied=one["tied"],
        changed=one["changed"],
        clear=one["clear"],
        beside=beside,
    )


def _annotators(run: Run) -> list[Confused]:
    """Those with the most labels first."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for row in run.measurements.filter(annotator__isnull=False, metric__in=OF_ANNOTATORS):
        found.setdefault(row.annotator_id or 0, {})[row.metric] = as_shown(row)
    known = Annotator.objects.in_bulk(found)
    entries = [_annotator(known[who], figures) for who, figures in found.items()]
    return sorted(entries, key=lambda one: (-one.n, one.name))


def _annotator(who: Annotator, figures: dict[str, dict[str, Any]]) -> Confused:
    cells = []
    for name in OF_ANNOTATORS:
        one = figures.get(name)
        if one is not None and one["value"] is None:
            cells.append((OF_ANNOTATORS[name], "", one["reason"]))
        elif one is not None:
            value = number(one["value"]) if name == "glad" else f"{percent(one['value'])} %"
            cells.append((OF_ANNOTATORS[name], value, ""))
    learned = next((figures[name] for name in ("dawid_skene", "one_coin") if name in figures), None)
    confusion = []
    if learned and learned["value"] is not None:
        for truth, said, weight in zip(SAID.values(), learned["confusion"], learned["weight"], strict=True):
            # A row that rests on nothing is a guess.
            shown = [percent(share, 0) for share in said] if weight >= 1 else []
            confusion.append((truth, shown, number(weight, 1)))
    return Confused(who.name, who.kind, max(one["n"] for one in figures.values()), cells, confusion)


def _changed(run: Run, name: str, surest: list[int]) -> list[Changed]:
    """The pairs on which this way is surest of another answer than the majority's. Of a tied vote there is none."""
    of = run.measurements.filter(metric=name, pair__in=surest).select_related("pair__prompt")
    rows = sorted(of, key=lambda row: surest.index(row.pair_id or 0))
    found = []
    for row in rows:
        assert row.pair is not None
        votes = row.detail["votes"]
        messages = row.pair.prompt.messages
        asks = " ".join(str(messages[-1]["content"]).split())[:160] if messages else ""
        told = ", ".join(f"{SAID[one].lower()} {count}" for one, count in zip(VERDICTS, votes, strict=True) if count)
        most, best = (SAID[one].lower() for one in (VERDICTS[votes.index(max(votes))], row.detail["best"]))
        found.append(Changed(row.pair.pk, asks, most, best, f"{percent(row.value or 0)} %", told))
    return found


def _models(one: dict[str, Any]) -> tuple[Axis, list[Line]]:
    """The scores of models, best first, on an axis that holds them and their intervals."""
    models = one.get("models") or []
    ends = [abs(each[key]) for each in models for key in ("score", "low", "high") if each[key] is not None]
    end = max([LEAST_SCORE, *ends])
    axis = Axis(
        low=-end,
        high=end,
        spans=f"From {number(-end, 1)} to {number(end, 1)} log odds",
        value="Log odds",
        is_percent=False,
        ticks=(
            ("0.00", number(-end, 1), "start"),
            ("50.00", "0", "middle"),
            ("100.00", number(end, 1), "end"),
        ),
        marks=(("0.00", "g"), (place(0, -end, end), "g"), ("100.00", "g")),
    )
    why = "Without a ridge there is no score: it never lost."
    lines = [
        line(
            each["model"],
            "",
            {"value": each["score"], "low": each["low"], "high": each["high"], "n": each["n"], "reason": why},
            axis,
        )
        for each in models
    ]
    return axis, lines
