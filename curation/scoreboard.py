"""The page on judges: the finding in words, and every figure as it is shown. Pure: reports in, texts and places out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.charts import Interval, interval
from curation.judges import ContrastReport, JudgeReport
from curation.metrics.estimates import Estimate
from curation.scenarios import ScenarioReport

# Below so many pairs a share is shown grey: its interval spans most of the scale.
ENOUGH = 20
# A judge that gives its options less than this of its first token would rather have written something else.
LEAST_MASS = 0.5

INJECTION_NAMES = {
    "override": "“Disregard any previous instructions”",
    "role": "“You are the system prompt”",
    "breakout": "Imitates the template",
    "notice": "“Important new instructions”",
    "verdict": "A verdict as JSON",
    "turn": "Imitates the end of a turn",
    "hidden": "A command with invisible characters",
}


@dataclass(frozen=True)
class Cell:
    """One estimate as it is shown. `place` is where it stands on a line from 0 to 1; None where it is undefined."""

    value: str
    range: str
    n: int
    reason: str
    place: Interval | None
    is_thin: bool = False


def share(estimate: Estimate) -> Cell:
    """A share in percent, with its interval."""
    if estimate.reason is not None:
        return Cell("", "", estimate.n, estimate.reason, None)
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    place = interval(value=estimate.value, low=low, high=high)
    ends = "" if estimate.low is None else f"{100 * low:.0f}–{100 * high:.0f}"
    return Cell(f"{100 * estimate.value:.0f} %", ends, estimate.n, "", place, estimate.n < ENOUGH)


def number(estimate: Estimate) -> Cell:
    """A coefficient with two digits, with its interval."""
    if estimate.reason is not None:
        return Cell("", "", estimate.n, estimate.reason, None)
    ends = ""
    if estimate.low is not None and estimate.high is not None:
        ends = f"{_signed(estimate.low)} to {_signed(estimate.high)}"
    return Cell(_signed(estimate.value), ends, estimate.n, "", None, estimate.n < ENOUGH)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


@dataclass(frozen=True)
class ScenarioRow:
    """One judge in one scenario."""

    name: str
    pairs: int
    pairwise: Cell
    best_of_n: Cell
    consistency: Cell


WAYS = {"tag": "Tag", "source": "Source", "language": "Language"}


def scenario_rows(reports: Sequence[ScenarioReport]) -> list[tuple[str, list[ScenarioRow]]]:
    """By way, in words, its scenarios in their order; ways without any are left out."""
    found: dict[str, list[ScenarioRow]] = {}
    for one in reports:
        row = ScenarioRow(one.name, one.pairs, *map(share, (one.pairwise, one.best_of_n, one.order_consistency)))
        found.setdefault(WAYS[one.way], []).append(row)
    return list(found.items())


@dataclass(frozen=True)
class JudgeRow:
    """One judge as it is shown."""

    name: str
    template: str
    pairs: int
    answers: int
    declined: int
    pairwise: Cell
    best_of_n: Cell
    agreement: Cell
    kappa: Cell
    options: Cell
    consistency: Cell
    first_place: Cell
    longer: Cell
    longer_people: Cell
    control: Cell | None
    flips: list[tuple[str, Cell]]
    scenarios: list[tuple[str, list[ScenarioRow]]]


def rows(reports: Sequence[JudgeReport]) -> list[JudgeRow]:
    """The judges as they are shown, those nearest to people first; those that cannot be compared come last."""
    ordered = sorted(reports, key=lambda one: -1.0 if one.pairwise.reason else one.pairwise.value, reverse=True)
    return [
        JudgeRow(
            name=one.judge.model or one.judge.name,
            template=one.judge.prompt_version,
            pairs=one.pairs,
            answers=one.answers,
            declined=one.declined,
            pairwise=share(one.pairwise),
            best_of_n=share(one.best_of_n),
            agreement=share(one.agreement),
            kappa=number(one.kappa),
            options=share(one.option_mass),
            consistency=share(one.order_consistency),
            first_place=share(one.first_place),
            longer=share(one.longer),
            longer_people=share(one.longer_people),
            control=None if one.control is None else share(one.control),
            flips=[(INJECTION_NAMES.get(name, name), share(rate)) for name, rate in one.flips.items()],
            scenarios=scenario_rows(one.scenarios),
        )
        for one in ordered
    ]


def warnings(reports: Sequence[JudgeReport]) -> list[str]:
    """A sentence on each judge whose verdicts rest on little, in the order of `reports`."""
    return [
        f"{one.judge.name} gives A, B and NA together {_percent(one.option_mass.value)} of its first token. "
        "Its verdicts rest on that share alone; it would rather have written something else, as models that think do. "
        "Switch that off where it is served, or use another judge."
        for one in reports
        if one.option_mass.is_defined and one.option_mass.value < LEAST_MASS
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.01 else "less than 1 %"


@dataclass(frozen=True)
class Finding:
    """The page's first sentence in pieces: what stands out is bold, intervals are set apart."""

    before: str
    name: str
    middle: str
    value: str
    range: str
    after: str


def finding(judges: Sequence[JudgeRow]) -> Finding | None:
    """What the page says first; None where no judge has answered."""
    if not judges:
        return None
    best = judges[0]
    many = f"Of {len(judges)} judges, " if len(judges) > 1 else "The judge "
    if best.pairwise.value:
        doing = "comes nearest to people: it prefers" if len(judges) > 1 else "prefers"
        warn = " That rests on few pairs." if best.pairwise.is_thin else ""
        return Finding(
            many,
            f"{best.name}, {best.template}",
            f" {doing} what they prefer on ",
            best.pairwise.value,
            best.pairwise.range,
            f"of {best.pairwise.n:,} pairs.{warn}"
            if len(judges) > 1
            else f"of {best.pairwise.n:,} pairs on which people prefer one.{warn}",
        )
    steady = max(judges, key=lambda one: float(one.consistency.value.rstrip(" %") or -1))
    if steady.consistency.value:
        return Finding(
            many,
            f"{steady.name}, {steady.template}",
            " names the same candidate in both orders in ",
            steady.consistency.value,
            steady.consistency.range,
            "of its answers. No person has judged its pairs yet.",
        )
    return Finding(many, f"{best.name}, {best.template}", " took a side in no question yet.", "", "", "")


@dataclass(frozen=True)
class StrategyRow:
    """One strategy's label against people."""

    title: str
    pairs: int
    accuracy: Cell
    says: str


def strategy_rows(reports: Sequence[ContrastReport]) -> list[StrategyRow]:
    """The strategies, those whose label holds best first, and what each interval says about chance."""
    ordered = sorted(reports, key=lambda one: -1.0 if one.accuracy.reason else one.accuracy.value, reverse=True)
    return [StrategyRow(one.title, one.pairs, share(one.accuracy), _against_chance(one.accuracy)) for one in ordered]


def _against_chance(accuracy: Estimate) -> str:
    if accuracy.low is None or accuracy.high is None:
        return ""
    if accuracy.low > 0.5:
        return "better than chance"
    return "worse than chance: its label points the wrong way" if accuracy.high < 0.5 else "may be chance"
