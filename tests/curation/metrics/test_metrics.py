"""Properties that every measure of the table has. A new measure enters `CASES`, and inherits these tests."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.metrics import METRICS, Metric
from curation.metrics.labels import Labels
from curation.metrics.representativeness import Raked, rake

DOCS = Path(__file__).resolve().parents[3] / "docs"
NAN = float("nan")
INFINITY = float("inf")
ITEMS, ANNOTATORS, PRINCIPLES = 12, 4, 5


@dataclass(frozen=True)
class Case:
    """How a measure of the table is tried.

    Attributes:
        draw: n rows of input, as columns of the same length: what stands in one row belongs together.
        call: how the measure takes these columns.
        per_row: it gives a value for each row, rather than one of all rows.
        doubles: the same rows once more change nothing.
        low, high: where its values lie.
    """

    draw: Callable[[np.random.Generator, int], tuple[Any, ...]]
    call: Callable[..., Any]
    per_row: bool = False
    doubles: bool = True
    low: float = -INFINITY
    high: float = INFINITY


def holed(rng, values):
    return np.where(rng.random(np.shape(values)) < 0.2, NAN, values)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def items(rng, n):
    """A row is an item with its labels; nan is none."""
    return (holed(rng, rng.integers(0, 3, size=(n, ANNOTATORS)).astype(float)), rng.dirichlet([1, 1, 1], size=n))


def votes(rng, n):
    drawn = np.where(rng.random((n, PRINCIPLES)) < 0.6, NAN, rng.choice([-1.0, 1.0], size=(n, PRINCIPLES)))
    return drawn, rng.choice([1.0, -1.0, 0.0, NAN], size=n, p=[0.4, 0.4, 0.1, 0.1])


def numbers(columns, low=-200.0, high=0.0):
    return lambda rng, n: tuple(holed(rng, rng.uniform(low, high, size=n)) for _ in range(columns))


def games(rng, n):
    return (rng.integers(0, 3, size=n), rng.integers(0, 4, size=n), rng.integers(4, 8, size=n))


def runs(rng, n):
    return (holed(rng, rng.random((n, 4))),)


def texts_with_spans(rng, n):
    def spans():
        return [(int(s), int(s + rng.integers(1, 9))) for s in rng.integers(0, 30, size=rng.integers(0, 4))]

    return [spans() for _ in range(n)], [spans() for _ in range(n)]


def token_scores(rng, n):
    sizes = rng.integers(1, 9, size=n)
    return [rng.integers(0, 2, size=size) for size in sizes], [rng.random(size) for size in sizes]


def samples(rng, n):
    sizes = rng.integers(1, 80, size=n)
    return [rng.random(size) for size in sizes], [-rng.random(size) for size in sizes]


def words(rng, n):
    return ([rng.choice(list("abcd"), size=rng.integers(0, 6)).tolist() for _ in range(n)],)


def texts(rng, n):
    """Words that nobody else has, so that only a text itself is like a text."""
    return (["".join(map(chr, rng.integers(97, 123, size=60))) for _ in range(n)],)


def judgements(values):
    return lambda rng, n: (rng.integers(0, 3, size=n), rng.choice(values, size=n))


def slopes(rng, n):
    return rng.integers(0, 2, size=n), rng.normal(size=n), rng.choice([0.0, 1.0, NAN], size=n)


def people_of_groups(rng, n):
    return np.where(np.arange(n) % 3 == 0, "a", "b"), rng.choice([0.0, 1.0, NAN], size=n)


def arms(values):
    return lambda rng, n: (rng.choice(values, size=n), rng.random(n) < 0.4)


# ---- how they are called --------------------------------------------------------------------------------------------


def labels_of(table):
    """Labels of all items, annotators and values, however many of them the rows hold."""
    table = np.asarray(table, dtype=float).reshape(-1, ANNOTATORS)
    item, annotator = np.nonzero(~np.isnan(table))
    value = table[item, annotator].astype(int)
    return Labels(item, annotator, value, np.arange(len(table)), np.arange(ANNOTATORS), np.arange(3))


def of_labels(function, **options):
    return lambda table, _: function(labels_of(table), **options)


def wins_of(_, winner, loser):
    table = np.zeros((8, 8))
    np.add.at(table, (np.asarray(winner, dtype=int), np.asarray(loser, dtype=int)), 1)
    return table


def as_spans(function):
    return lambda truth, predicted: function(dict(enumerate(truth)), dict(enumerate(predicted)))


def counted(groups):
    names, counts = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def raked(groups, preferred):
    weights: Raked = rake({"group": np.asarray(groups, dtype=str)}, {"group": {"a": 1, "b": 3}})
    return METRICS["raked_rate"].function(preferred, weights)


def group_rates(groups, preferred):
    there, chose = np.asarray(groups, dtype=str), np.asarray(preferred, dtype=float)
    found = METRICS["group_rates"].function(counted(there[chose == 1]), counted(there[chose >= 0]), groups=["a", "b"])
    return [one.rate for one in found]


def plain(name, **options):
    return lambda *columns: METRICS[name].function(*columns, **options)


def by_people(name):
    return lambda *columns: METRICS[name].function(*columns, n_annotators=3, least=1)


def supremacy_conflicts(table, preferences):
    table = np.asarray(table, dtype=float).reshape(-1, PRINCIPLES)
    return METRICS["principle_supremacy"].function(table, preferences)


def table_of(function, width, **options):
    """The first column is a table of this width, though there may be no row."""
    return lambda table, *rest: function(np.asarray(table, dtype=float).reshape(-1, width), *rest, **options)


CASES: dict[str, Case] = {}
for name in ("alpha_nominal", "alpha_ordinal", "alpha_interval", "gwet_ac1", "fleiss_kappa", "cohen_kappa"):
    # Alpha corrects for few labels: twice as many are not the same.
    CASES[name] = Case(items, of_labels(METRICS[name].function), doubles="alpha" not in name, high=1)
for name in ("percent_agreement", "percent_agreement_without_ties"):
    CASES[name] = Case(items, of_labels(METRICS[name].function), low=0, high=1)
for name, most in (("item_agreement", 1), ("item_entropy", np.log(3)), ("flip_fraction", 1)):
    CASES[name] = Case(items, of_labels(METRICS[name].function), per_row=True, low=0, high=most)
for name in ("majority_vote", "dawid_skene", "one_coin"):
    # Exact to the last step: an estimation that ends early would end elsewhere with other labels.
    options = {} if name == "majority_vote" else {"max_iterations": 30, "tolerance": 0}
    CASES[name] = Case(items, of_labels(METRICS[name].function, **options), per_row=True, low=0, high=1)
CASES["glad"] = Case(items, of_labels(METRICS["glad"].function), per_row=True, doubles=False, low=0, high=1)
CASES["crowdlab"] = Case(
    items,
    lambda table, model: METRICS["crowdlab"].function(labels_of(table), np.asarray(model).reshape(-1, 3)),
    per_row=True,
    low=0,
    high=1,
)
CASES["leave_one_out_agreement"] = Case(
    items, of_labels(METRICS["leave_one_out_agreement"].function, least=1), low=0, high=1
)
# A mean week has as many items however often they come; its interval has not.
CASES["agreement_drift"] = Case(
    items,
    lambda table, model: METRICS["agreement_drift"].function(
        labels_of(table),
        np.asarray(model).reshape(-1, 3).argmax(axis=1)[labels_of(table).item],
        least=2,
        least_in_week=1,
    ),
    low=-1,
    high=1,
)
CASES["raked_winner_change"] = Case(
    items, of_labels(METRICS["raked_winner_change"].function, weights=[0.5, 2, NAN, 1.5]), low=0, high=1
)
CASES["leave_one_group_out"] = Case(
    items, of_labels(METRICS["leave_one_group_out"].function, group=["a", "a", "b", "c"]), low=0, high=1
)
CASES["gold_accuracy"] = Case(
    items,
    lambda table, model: METRICS["gold_accuracy"].function(
        labels_of(table), np.asarray(model).reshape(-1, 3).argmax(axis=1), least=1
    ),
    low=0,
    high=1,
)
# A ridge weighs less against twice as many games.
CASES["bradley_terry"] = Case(games, lambda *rows: METRICS["bradley_terry"].function(wins_of(*rows)), doubles=False)
CASES["cycle_share"] = Case(games, lambda *rows: METRICS["cycle_share"].function([wins_of(*rows)]), low=0, high=1)
CASES["crowd_bradley_terry"] = Case(
    games,
    lambda *rows: METRICS["crowd_bradley_terry"].function(np.column_stack(rows), n_items=8, n_annotators=3),
    doubles=False,
)
CASES["discretion_category"] = Case(
    votes,
    lambda table, _: METRICS["discretion_category"].function(np.asarray(table, dtype=float).reshape(-1, PRINCIPLES)),
    per_row=True,
)
for kind in ("consensus", "conflict", "indifference"):
    share = METRICS[f"{kind}_share"].function
    CASES[f"{kind}_share"] = Case(votes, lambda table, _, f=share: table_of(f, PRINCIPLES)(table), low=0, high=1)
CASES["discretion_arbitrariness"] = Case(
    votes, table_of(METRICS["discretion_arbitrariness"].function, PRINCIPLES), low=0, high=1
)
CASES["principle_supremacy"] = Case(votes, lambda *rows: supremacy_conflicts(*rows).ps, low=0, high=1)
CASES["principle_priorities"] = Case(
    votes, lambda *rows: METRICS["principle_priorities"].function(*supremacy_conflicts(*rows)), doubles=False
)
CASES["discretion_discrepancy"] = Case(numbers(2), plain("discretion_discrepancy"), doubles=False, low=0, high=1)
for name, columns in (("dpo_loss", 4), ("implicit_reward_margin", 4), ("log_likelihood_margin", 2)):
    CASES[name] = Case(numbers(columns), plain(name), per_row=True, low=0 if name == "dpo_loss" else -INFINITY)
CASES["reward_margin"] = Case(numbers(2, -3, 3), plain("reward_margin"), per_row=True)
CASES["reward_accuracy"] = Case(numbers(2, -3, 3), plain("reward_accuracy"), low=0, high=1)
CASES["held_out_loss"] = Case(runs, table_of(METRICS["held_out_loss"].function, 4), per_row=True, low=0, high=1)
CASES["learned_step"] = Case(
    lambda rng, n: (holed(rng, rng.normal(size=(n, 4))),),
    lambda table: table_of(METRICS["learned_step"].function, 4)(table, [1, 2, 3, 4]),
    per_row=True,
    low=1,
    high=4,
)
CASES["difficulty_percentile"] = Case(numbers(1), plain("difficulty_percentile"), per_row=True, low=0, high=100)
CASES["between_run_spearman"] = Case(runs, table_of(METRICS["between_run_spearman"].function, 4), low=-1, high=1)
CASES["assessment_misalignment"] = Case(
    lambda rng, n: (*numbers(2)(rng, n), *(rng.integers(0, 50, size=n) for _ in range(2))),
    plain("assessment_misalignment"),
    low=0,
    high=1,
)
# Quantiles between two values move when the values come twice.
CASES["chow_quantiles"] = Case(numbers(1), plain("chow_quantiles"), doubles=False, low=0)
for name in ("token_f1", "span_f1", "iou_f1", "eraser_iou_f1"):
    most = INFINITY if name == "eraser_iou_f1" else 1
    CASES[name] = Case(texts_with_spans, as_spans(METRICS[name].function), low=0, high=most)
for name in ("auprc", "eraser_auprc"):
    CASES[name] = Case(token_scores, plain(name), low=0, high=1)
for name in ("comprehensiveness", "sufficiency"):
    CASES[name] = Case(numbers(2, 0, 1), plain(name), low=-1, high=1)
for name in ("aopc_comprehensiveness", "aopc_sufficiency", "perturbation_effect"):
    CASES[name] = Case(
        lambda rng, n: (*numbers(1, 0, 1)(rng, n), holed(rng, rng.random((n, 3)))),
        lambda full, table, f=METRICS[name].function: f(full, np.asarray(table, dtype=float).reshape(-1, 3)),
        low=-1,
        high=1,
    )
CASES["rationale_gain"] = Case(numbers(2), plain("rationale_gain"))
CASES["branching_factor"] = Case(samples, plain("branching_factor"), low=1)
CASES["distinct_2"] = Case(words, plain("distinct_2"), doubles=False, low=0, high=1)
CASES["near_duplicate_share"] = Case(
    texts,
    lambda found: METRICS["near_duplicate_share"].function(found, rng=np.random.default_rng(0)),
    doubles=False,
    low=0,
    high=1,
)
CASES["left_rate"] = Case(judgements([0.0, 1.0, NAN]), by_people("left_rate"), low=0, high=1)
for name in ("tie_rate", "skip_rate"):
    CASES[name] = Case(judgements(["prefer", "tie", "skip"]), by_people(name), low=0, high=1)
CASES["active_time"] = Case(judgements([900.0, 4000.0, 7000.0, NAN]), by_people("active_time"), low=0.9, high=7)
CASES["length_slope"] = Case(slopes, by_people("length_slope"))
CASES["total_variation"] = Case(
    people_of_groups,
    lambda groups, _: METRICS["total_variation"].function(counted(groups), {"a": 1, "b": 3, "c": 1}),
    low=0,
    high=1,
)
CASES["group_rates"] = Case(people_of_groups, group_rates, low=0, high=1)
for name in ("anchoring_revision", "anchoring_agreement"):
    CASES[name] = Case(arms([0.0, 1.0, NAN]), plain(name, least=1), low=-1, high=1)
CASES["anchoring_reason"] = Case(
    arms([0.0, 12.0, 200.0, NAN]),
    lambda *rows: METRICS["anchoring_reason"].function(*rows, least=1, rng=np.random.default_rng(0), resamples=20),
    low=-200,
    high=200,
)
CASES["reaction_rate"] = Case(
    lambda rng, n: (rng.choice(["accepted", "edited", "rejected"], size=n),),
    lambda choice: METRICS["reaction_rate"].function(choice, of="accepted", least=1),
    low=0,
    high=1,
)
CASES["edit_size"] = Case(lambda rng, n: (holed(rng, rng.random(n)),), plain("edit_size"), low=0, high=1)
CASES["agreed_share"] = Case(
    lambda rng, n: (rng.integers(0, 3, size=n), rng.random(n) < 0.5),
    lambda *rows: METRICS["agreed_share"].function(*rows, n_rationales=3),
    low=0,
    high=1,
)
CASES["raked_rate"] = Case(people_of_groups, raked, low=0, high=1)

every_case = pytest.mark.parametrize("name", CASES)
drawn = given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, ITEMS))
quickly = settings(max_examples=15, deadline=None, derandomize=True)


# ---- what they gave -------------------------------------------------------------------------------------------------


def estimates(found):
    """What carries a value or a reason: the estimates in whatever a measure gave."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        return found
    return [found] if hasattr(found, "reason") else []


def figures(found):
    """The numbers in what a measure gave, undefined as nan; the first axis is that of the rows, where it has one."""
    if isinstance(found, np.ndarray):
        if found.dtype.kind == "U":
            return np.array([["consensus", "conflict", "indifference"].index(one) for one in found], dtype=float)
        return found.astype(float)
    if isinstance(found, (list, dict)):
        return np.array([figures(one).ravel() for one in estimates(found)]).ravel()
    for field in ("posterior", "loss", "scores", "quantiles", "value"):
        if hasattr(found, field):
            return np.atleast_1d(np.asarray(getattr(found, field), dtype=float))
    return np.array([found.precision, found.recall, found.f1])


def take(columns, rows):
    return tuple(
        column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows] for column in columns
    )


def same(one, other, tolerance=1e-7):
    np.testing.assert_allclose(figures(one), figures(other), atol=tolerance, rtol=0, equal_nan=True)


def tolerance_of(name):
    # Maximised by steps: the end is near the top, not on it.
    return 2e-3 if name in ("glad", "crowd_bradley_terry") else 1e-7


def test_every_measure_of_the_table_is_tried():
    assert set(CASES) == set(METRICS)


@every_case
@quickly
@drawn
def test_the_order_of_the_rows_does_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    columns, order = case.draw(rng, n), rng.permutation(n)
    before, after = case.call(*columns), case.call(*take(columns, order))
    if case.per_row:
        np.testing.assert_allclose(
            figures(before)[order], figures(after), atol=tolerance_of(name), rtol=0, equal_nan=True
        )
    else:
        same(before, after, tolerance_of(name))


@every_case
@quickly
@drawn
def test_every_row_twice_changes_nothing(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    if not case.doubles:
        return
    columns = case.draw(rng, n)
    before, after = figures(case.call(*columns)), figures(case.call(*take(columns, [*range(n), *range(n)])))
    # What too few rows leave undefined may be defined by twice as many.
    known = ~np.isnan(np.concatenate([before, before]) if case.per_row else before)
    expected = np.concatenate([before, before]) if case.per_row else before
    np.testing.assert_allclose(after[known], expected[known], atol=1e-6)


@every_case
@quickly
@drawn
def test_values_lie_where_they_should_and_what_is_undefined_says_why(name, seed, n):
    case = CASES[name]
    found = case.call(*case.draw(np.random.default_rng(seed), n))
    known = figures(found)
    known = known[~np.isnan(known)]
    assert (known >= case.low - 1e-9).all()
    assert (known <= case.high + 1e-9).all()
    for one in estimates(found):
        assert bool(np.isnan(figures(one)).all()) == (one.reason is not None)
        assert one.reason is None or one.reason.endswith(".")


@every_case
def test_nothing_at_all_is_undefined_and_never_a_number(name):
    case = CASES[name]
    nothing = take(case.draw(np.random.default_rng(0), 1), [])
    found = case.call(*nothing)
    assert np.isnan(figures(found)).all()
    assert all(one.reason for one in estimates(found))


@every_case
@quickly
@drawn
def test_measuring_changes_none_of_its_input(name, seed, n):
    case = CASES[name]
    columns, copy = (case.draw(np.random.default_rng(seed), n) for _ in range(2))
    case.call(*columns)
    for column, before in zip(columns, copy, strict=True):
        np.testing.assert_equal(column, before)


# ---- labels: annotators, values, items that say nothing -------------------------------------------------------------

OF_LABELS = [name for name, case in CASES.items() if case.draw is items]
OF_ITEMS = [name for name in OF_LABELS if METRICS[name].subject in ("project", "pair")]
# Takes a weight for each annotator by their place: who stands elsewhere has another one. Its own test turns both.
BY_PLACE = {"raked_winner_change"}


@pytest.mark.parametrize("name", [name for name in OF_ITEMS if name not in BY_PLACE])
@quickly
@drawn
def test_the_order_of_the_annotators_does_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    same(case.call(table, model), case.call(table[:, rng.permutation(ANNOTATORS)], model), tolerance_of(name))


@pytest.mark.parametrize("name", [name for name in OF_ITEMS if METRICS[name].values == "names"])
@quickly
@drawn
def test_the_names_of_the_values_do_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    renamed = rng.permutation(3)
    moved = np.where(np.isnan(table), NAN, renamed[np.nan_to_num(table).astype(int)])
    moved_model = np.empty_like(model)
    moved_model[:, renamed] = model
    before, after = figures(case.call(table, model)), figures(case.call(moved, moved_model))
    if before.ndim == 2:
        before, after = np.sort(before, axis=1), np.sort(after, axis=1)
    # CROWDLAB breaks ties between values by their order, in its consensus and in its commonest value.
    if name != "crowdlab":
        np.testing.assert_allclose(before, after, atol=max(1e-6, tolerance_of(name)), equal_nan=True)


@pytest.mark.parametrize("name", OF_ITEMS)
@quickly
@drawn
def test_items_that_nobody_labelled_say_nothing(name, seed, n):
    case = CASES[name]
    table, model = case.draw(np.random.default_rng(seed), n)
    more = np.vstack([table, np.full((3, ANNOTATORS), NAN)])
    before, after = case.call(table, model), case.call(more, np.vstack([model, np.full((3, 3), 1 / 3)]))
    if case.per_row:
        assert np.isnan(figures(after)[n:]).all()
        np.testing.assert_allclose(figures(before), figures(after)[:n], atol=tolerance_of(name), equal_nan=True)
    else:
        same(before, after)


AGREEING = [name for name in OF_ITEMS if "agree" in METRICS[name].direction and METRICS[name].subject == "project"]


@pytest.mark.parametrize("name", AGREEING)
def test_one_annotator_and_one_value_are_no_agreement(name):
    case = CASES[name]
    model = np.full((6, 3), 1 / 3)
    alone = np.full((6, ANNOTATORS), NAN)
    alone[:, 0] = [0, 1, 2, 0, 1, 2]
    assert case.call(alone, model).reason
    found = case.call(np.ones((6, ANNOTATORS)), model)
    # All the same: agreement, but none beyond chance.
    if name.startswith("percent"):
        assert found.value == 1
    else:
        assert found.reason


# ---- the table and the pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_says_what_it_gives_where_it_comes_from_and_when_it_is_undefined(name):
    metric = METRICS[name]
    assert all(getattr(metric, field.name) for field in fields(Metric))
    assert getattr(metric.function, "func", metric.function).__doc__


def test_the_documentation_lists_every_measure_as_the_table_has_it():
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for name, metric in METRICS.items():
        told = [metric.title, metric.subject, metric.direction, metric.unit, metric.undefined, metric.reference]
        row = f"| `{name}` | {' | '.join(told)} |"
        assert row in text, f"docs/metrics.md lacks this row:\n{row}"
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert [name for name in listed if name not in METRICS] == []


def test_the_papers_page_names_every_measure_and_functions_that_exist():
    text = (DOCS / "papers.md").read_text(encoding="utf-8")
    named = re.findall(r"`(curation\.[\w.]+)\.(\w+)`", text)
    for module, function in named:
        assert hasattr(importlib.import_module(module), function), (
            f"docs/papers.md names {module}.{function}, which is not there."
        )
    functions = {getattr(metric.function, "func", metric.function).__name__ for metric in METRICS.values()}
    lacking = functions - {function for _, function in named}
    assert not lacking, f"docs/papers.md lacks {sorted(lacking)}."
