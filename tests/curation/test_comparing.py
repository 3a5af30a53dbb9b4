"""Differences with intervals: against the published examples."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from django.db import connection

from curation import browsing
from curation.comparing import Difference, Sample, compare, newcombe, pooled, welch
from curation.filters import Filter
from curation.models import FactsState, PairFact
from tests.curation.conftest import random_filter


def test_newcombe_gives_the_papers_examples() -> None:
    """Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20."""
    for counts, low, high in (
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ):
        assert newcombe(*counts) == pytest.approx((low, high), abs=5e-5)


def test_welch_gives_scipys_interval() -> None:
    from scipy import stats

    a, b = [3.0, 4.5, 2.0, 5.5, 4.0], [1.0, 2.5, 2.0, 3.5]
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    import statistics as s

    ours = welch(s.mean(a), s.stdev(a), len(a), s.mean(b), s.stdev(b), len(b))
    assert ours == pytest.approx((theirs.low, theirs.high))


def test_pairs_in_both_make_no_difference() -> None:
    assert newcombe(30, 50, 30, 50, k_both=30, n_both=50) == (0.0, 0.0)
    assert welch(1.0, 2.0, 9, 1.0, 2.0, 9, both=Sample(9, 1.0, 4.0)) == (0.0, 0.0)
    assert newcombe(56, 70, 48, 80, k_both=0, n_both=0) == newcombe(56, 70, 48, 80)


@pytest.mark.parametrize("is_share", [True, False])
@pytest.mark.parametrize(("part", "narrower"), [(0.2, 0.9), (0.5, 0.65), (0.9, 0.3)])
def test_a_part_against_its_whole_has_the_right_interval(part: float, narrower: float, is_share: bool) -> None:
    """Drawn many times, it holds the truth as often as it says; apart, the two would make it wider than need be."""
    draw, held, width, naive = np.random.default_rng(7), 0, 0.0, 0.0
    for _ in range(2000):
        inside = draw.random(400) < part
        # What is in the part is .1 higher on average.
        level = 0.5 + 0.1 * inside
        whole = (draw.random(400) < level).astype(float) if is_share else level + draw.normal(0, 0.3, 400)
        one = whole[inside]
        n, k = len(one), int(one.sum())
        if is_share:
            low, high = newcombe(k, n, int(whole.sum()), 400, k_both=k, n_both=n)
            apart = newcombe(k, n, int(whole.sum()), 400)
        else:
            told = (one.mean(), one.std(ddof=1), n, whole.mean(), whole.std(ddof=1), 400)
            low, high = welch(*told, both=Sample(n, one.mean(), one.var(ddof=1)))
            apart = welch(*told)
        held += low <= 0.1 * (1 - part) <= high
        width, naive = width + high - low, naive + apart[1] - apart[0]
    assert held / 2000 == pytest.approx(0.95, abs=0.02)
    assert width / naive < narrower


def test_too_little_has_no_interval() -> None:
    assert all(map(math.isnan, newcombe(0, 0, 1, 5)))
    assert all(map(math.isnan, welch(1.0, 0.0, 1, 2.0, 1.0, 9)))
    line = Difference("x", "share", 0.5, 4, 0.25, 4, None, None)
    assert line.why_not == "Not enough data: at least 10 pairs on each side."
    assert line.said["difference"] == "+25.0 points"
    assert not line.is_clear


@pytest.mark.parametrize(
    ("kind", "places", "second", "said"),
    [
        ("share", 2, 0.5, "0.0 points"),
        ("share", 2, 0.5004, "0.0 points"),
        ("share", 2, 0.4996, "0.0 points"),
        ("share", 2, 0.501, "−0.1 points"),
        ("share", 2, 0.499, "+0.1 points"),
        ("mean", 3, 0.5, "0.000"),
        ("mean", 3, 0.5004, "0.000"),
        ("mean", 3, 0.501, "−0.001"),
        ("mean", 0, -1699.5, "+1,700"),
        ("mean", 0, 1700.5, "−1,700"),
    ],
)
def test_no_difference_has_no_sign(kind: Any, places: int, second: float, said: str) -> None:
    line = Difference("x", kind, 0.5, 40, second, 40, None, None, places)
    assert line.said["difference"] == said


def test_two_samples_are_one() -> None:
    """The same numbers as of all values at once; and values that are all the same stay so to the last digit."""
    draw = np.random.default_rng(3)
    for n, m in ((1, 1), (1, 40), (7, 300), (0, 5), (5, 0)):
        one, other = draw.normal(3, 2, n), draw.normal(-1, 5, m)
        whole = np.concatenate([one, other])
        told = pooled(_sample(one), _sample(other))
        assert told.n == n + m
        assert (told.mean, told.variance) == pytest.approx((whole.mean(), whole.var(ddof=1)))
    same = pooled(Sample(3, 0.7, 0.0), Sample(11, 0.7, 0.0))
    assert same == Sample(14, 0.7, 0.0)
    assert pooled(Sample(0, 0.0, 0.0), Sample(0, 0.0, 0.0)).n == 0


def _sample(values: np.ndarray) -> Sample:
    if not len(values):
        return Sample(0, 0.0, 0.0)
    return Sample(len(values), float(values.mean()), float(values.var(ddof=1)) if len(values) > 1 else 0.0)


@pytest.mark.django_db
def test_every_line_is_that_of_the_pairs_themselves(project: Any, many: Any, django_assert_num_queries: Any) -> None:
    """Random filters: apart, within one another, crossing, empty. One statement counts both sides and both."""
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    facts = {one.pair_id: one for one in PairFact.objects.filter(project=project)}
    draw, crossing = random.Random(11), 0

    def one_dimension() -> Filter:
        wide = [one for one in dims if one.key in ("difficulty", "agreement", "judgements", "discretion", "source")]
        return Filter(dict([*random_filter(draw, wide).passing.items()][:1]))

    for turn in range(60):
        first = one_dimension()
        second = (Filter(), first, one_dimension())[turn % 3]
        with django_assert_num_queries(1):
            told = compare(project=project, first=first, second=second, dims=dims)
        one, other = _passing(project, first, dims), _passing(project, second, dims)
        assert (told.n_first, told.n_second, told.both) == (len(one), len(other), len(one & other))
        crossing += bool(one & other and one - other and other - one)
        lines = {line.name: line for line in told.lines}
        for name, column in (
            ("Agreement, weighted", "agreement"),
            ("Length difference, characters", "length_difference"),
        ):
            x, y, both = (_sample(_known(facts, pairs, column)) for pairs in (one, other, one & other))
            line = lines[name]
            assert (line.n_first, line.n_second) == (x.n, y.n)
            assert line.first == (pytest.approx(x.mean) if x.n else None)
            if min(x.n, y.n) >= 10:
                low, high = welch(x.mean, x.variance**0.5, x.n, y.mean, y.variance**0.5, y.n, both=both)
                assert [line.low, line.high] == pytest.approx([low, high])
        line = lines["Without a majority"]
        for pairs, share, n in ((one, line.first, line.n_first), (other, line.second, line.n_second)):
            judged = [facts[pair] for pair in pairs if facts[pair].judgements > 0]
            assert n == len(judged)
            assert share == (sum(each.majority == "" for each in judged) / n if n else None)
    assert crossing > 2


def _passing(project: Any, asked: Filter, dims: Any) -> set[int]:
    sql, params = browsing.pairs_sql(project=project, asked=asked, dims=dims)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return {pair for (pair,) in cursor.fetchall()}


def _known(facts: dict[int, PairFact], pairs: set[int], column: str) -> np.ndarray:
    return np.array([value for pair in pairs if (value := getattr(facts[pair], column)) is not None], dtype=float)
