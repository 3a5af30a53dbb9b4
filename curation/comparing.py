"""Two selections -> how they differ, each difference with its interval. Shares by Newcombe, means by Welch.

Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10 (hybrid score: from
two Wilson intervals). Welch, The generalization of "Student's" problem, 1947; with thousands of pairs the t
distribution is the normal one to three digits. Pairs that are in both selections make the two numbers move together, as
a part does with its whole: the interval is narrower by their correlation (as in Newcombe, Improved confidence intervals
for the difference between binomial proportions based on paired data, 1998, method 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection

from annotation.models import Project
from curation.dimensions import READINGS, Dimension
from curation.filters import Filter
from curation.metrics.estimates import wilson_interval

# Fewer pairs than this on a side: no interval, and it says so.
FEWEST = 10


@dataclass(frozen=True)
class Sample:
    """A selection's values of one kind: how many, their mean and variance."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of_share(cls, k: int, n: int) -> Sample:
        share = k / n if n else 0.0
        return cls(n, share, share * (1 - share))


NOTHING = Sample(0, 0.0, 0.0)


def covariance(one: Sample, other: Sample, both: Sample) -> float:
    """Of the means of two samples that have the values `both` in common: each of these moves both means."""
    if not both.n:
        return 0.0
    apart = (both.mean - one.mean) * (both.mean - other.mean)
    return both.n * (both.variance + apart) / (one.n * other.n)


def newcombe(k1: int, n1: int, k2: int, n2: int, *, k_both: int = 0, n_both: int = 0) -> tuple[float, float]:
    """The 95 % interval of k1 / n1 - k2 / n2, of which `n_both` pairs are in both. nan where a side has no pairs."""
    if not n1 or not n2:
        return math.nan, math.nan
    if n1 == n2 == n_both:
        return 0.0, 0.0
    one, other, both = Sample.of_share(k1, n1), Sample.of_share(k2, n2), Sample.of_share(k_both, n_both)
    spread = math.sqrt(one.variance / n1 * other.variance / n2)
    rho = max(-1.0, min(1.0, covariance(one, other, both) / spread)) if spread else 0.0
    p1, p2 = one.mean, other.mean
    (l1, u1), (l2, u2) = ((low or 0.0, high or 0.0) for low, high in (wilson_interval(k1, n1), wilson_interval(k2, n2)))
    return p1 - p2 - _hybrid(p1 - l1, u2 - p2, rho), p1 - p2 + _hybrid(u1 - p1, p2 - l2, rho)


def _hybrid(one: float, other: float, rho: float) -> float:
    return math.sqrt(max(one * one + other * other - 2 * rho * one * other, 0.0))


def welch(
    mean1: float, sd1: float, n1: int, mean2: float, sd2: float, n2: int, *, both: Sample = NOTHING
) -> tuple[float, float]:
    """The 95 % interval of mean1 - mean2; `both` are the values that both have. nan below two pairs on a side."""
    # Half a second that no start of a process has to wait for.
    from scipy.special import stdtrit

    if n1 < 2 or n2 < 2:
        return math.nan, math.nan
    v1, v2 = sd1 * sd1 / n1, sd2 * sd2 / n2
    if v1 + v2 == 0 or n1 == n2 == both.n:
        return mean1 - mean2, mean1 - mean2
    freedom = (v1 + v2) ** 2 / (v1 * v1 / (n1 - 1) + v2 * v2 / (n2 - 1))
    together = covariance(Sample(n1, mean1, sd1 * sd1), Sample(n2, mean2, sd2 * sd2), both)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(max(v1 + v2 - 2 * together, 0.0))
    return mean1 - mean2 - half, mean1 - mean2 + half


@dataclass(frozen=True)
class Difference:
    """One line: both values with their n, the difference first minus second, its interval, or why there is none."""

    name: str
    kind: Literal["share", "mean"]
    first: float | None
    n_first: int
    second: float | None
    n_second: int
    low: float | None
    high: float | None
    places: int = 2

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.first - self.second

    @property
    def said(self) -> dict[str, str]:
        """Every number as the page shows it: shares in per cent, differences of shares in points, signed."""
        signed = {"difference": self.difference, "low": self.low, "high": self.high}
        return {
            **{name: self._shown(value, "") for name, value in (("first", self.first), ("second", self.second))},
            **{name: self._shown(value, "+") for name, value in signed.items()},
        }

    def _shown(self, value: float | None, sign: str) -> str:
        if value is None:
            return "unknown"
        is_share = self.kind == "share"
        shown, places = (100 * value, 1) if is_share else (value, self.places)
        # What rounds to zero has no sign: a share that is the same on both sides did not rise.
        text = f"{shown:{sign},.{places}f}" if round(shown, places) else f"{0:.{places}f}"
        return text.replace("-", "−") + (f" {'points' if sign else '%'}" if is_share else "")

    @property
    def why_not(self) -> str:
        if self.low is not None:
            return ""
        return f"Not enough data: at least {FEWEST} pairs on each side."

    @property
    def is_clear(self) -> bool:
        """The interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


# Name, what counts, and among which pairs.
_SHARES = (
    ("In conflict", "discretion = 'conflict'", "discretion <> ''"),
    ("Principles indifferent", "discretion = 'indifference'", "discretion <> ''"),
    ("With a dissent", "dissents > 0", "judgements >= 2"),
    ("With an arbitrary judgement", "arbitrary > 0", "discretion = 'consensus' AND judgements > 0"),
    ("Without a majority", "majority = ''", "judgements > 0"),
    # Among the pairs of which a reading can be made at all.
    *(
        (one.name, f"b_reading = {place}", "difficulty IS NOT NULL" if one.needs_difficulty else "discretion <> ''")
        for place, one in enumerate(READINGS, start=1)
    ),
)
_MEANS = (
    ("Agreement, weighted", "agreement", 3),
    ("Item agreement", "item_agreement", 3),
    ("Difficulty, percentile", "difficulty", 3),
    ("Preference strength", "strength", 2),
    ("Likelihood margin, nats", "margin", 2),
    ("Reward margin, the model’s own unit", "reward_margin", 2),
    ("Length difference, characters", "length_difference", 0),
    ("Judgements", "judgements", 2),
)


@dataclass(frozen=True)
class Compared:
    n_first: int
    n_second: int
    both: int
    lines: list[Difference]


@dataclass(frozen=True)
class Numbers:
    """Of some pairs: how many; by `_SHARES` how many count, and among how many; by `_MEANS` a sample of the values."""

    n: int
    shares: list[tuple[int, int]]
    means: list[Sample]


def compare(*, project: Project, first: Filter, second: Filter, dims: Sequence[Dimension]) -> Compared:
    """What sets the pairs of two filters apart."""
    only_first, only_second, shared = _numbers(project=project, first=first, second=second, dims=dims)
    one, other = _together(only_first, shared), _together(only_second, shared)
    lines = []
    for place, (name, _, _) in enumerate(_SHARES):
        (k1, n1), (k2, n2) = one.shares[place], other.shares[place]
        k, n = shared.shares[place]
        enough = min(n1, n2) >= FEWEST
        low, high = newcombe(k1, n1, k2, n2, k_both=k, n_both=n) if enough else (math.nan, math.nan)
        lines.append(
            Difference(name, "share", k1 / n1 if n1 else None, n1, k2 / n2 if n2 else None, n2, _no(low), _no(high))
        )
    for place, (name, _, places) in enumerate(_MEANS):
        x, y, both = one.means[place], other.means[place], shared.means[place]
        enough = min(x.n, y.n) >= FEWEST
        low, high = (
            welch(x.mean, math.sqrt(x.variance), x.n, y.mean, math.sqrt(y.variance), y.n, both=both)
            if enough
            else (math.nan, math.nan)
        )
        known = (x.mean if x.n else None, x.n, y.mean if y.n else None, y.n)
        lines.append(Difference(name, "mean", *known, _no(low), _no(high), places))
    return Compared(n_first=one.n, n_second=other.n, both=shared.n, lines=lines)


def _numbers(
    *, project: Project, first: Filter, second: Filter, dims: Sequence[Dimension]
) -> tuple[Numbers, Numbers, Numbers]:
    """Of the pairs that pass the first filter only, the second only, and both.

    In one statement: each pair is looked at once, and no facts that are gathered meanwhile come between two of them.
    """
    (passes_first, first_params), (passes_second, second_params) = first.sql(dims), second.sql(dims)
    shares = [
        f"count(*) FILTER (WHERE {among} AND {what}), count(*) FILTER (WHERE {among})" for _, what, among in _SHARES
    ]
    means = [f"count({name}), avg({name})::float8, var_samp({name})::float8" for _, name, _ in _MEANS]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT is_first, is_second, count(*), {", ".join([*shares, *means])}
            FROM (SELECT f.*, {passes_first} AS is_first, {passes_second} AS is_second FROM pair_facts f
                  WHERE f.project_id = %s AND NOT f.is_excluded) f
            WHERE is_first OR is_second GROUP BY is_first, is_second""",
            [*first_params, *second_params, project.pk],
        )
        found = {(is_first, is_second): _read(rest) for is_first, is_second, *rest in cursor.fetchall()}
    none = Numbers(0, [(0, 0)] * len(_SHARES), [NOTHING] * len(_MEANS))
    return found.get((True, False), none), found.get((False, True), none), found.get((True, True), none)


def _read(row: Sequence[Any]) -> Numbers:
    n, *rest = row
    split = 2 * len(_SHARES)
    return Numbers(
        n,
        [(rest[place], rest[place + 1]) for place in range(0, split, 2)],
        [Sample(rest[place], rest[place + 1] or 0.0, rest[place + 2] or 0.0) for place in range(split, len(rest), 3)],
    )


def _together(one: Numbers, other: Numbers) -> Numbers:
    """Of pairs that have none in common."""
    return Numbers(
        one.n + other.n,
        [(k1 + k2, n1 + n2) for (k1, n1), (k2, n2) in zip(one.shares, other.shares, strict=True)],
        [pooled(x, y) for x, y in zip(one.means, other.means, strict=True)],
    )


def pooled(one: Sample, other: Sample) -> Sample:
    """Both samples as one; each variance is that of a sample, by n - 1.

    Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """
    if not one.n or not other.n:
        return one if one.n else other
    n, apart = one.n + other.n, other.mean - one.mean
    squares = (one.n - 1) * one.variance + (other.n - 1) * other.variance + apart * apart * one.n * other.n / n
    return Sample(n, one.mean + apart * other.n / n, squares / (n - 1))


def _no(value: float) -> float | None:
    return None if math.isnan(value) else value
