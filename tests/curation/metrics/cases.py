"""How every measure of the table is tried: what it is given, and how it takes it. A new measure enters `CASES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.metrics import METRICS
from curation.metrics.labels import Labels
from curation.metrics.representativeness import Raked, rake
from tests.curation.metrics.drawing import (
    ANNOTATORS,
    NAN,
    PRINCIPLES,
    arms,
    games,
    holed,
    items,
    judgements,
    numbers,
    people_of_groups,
    runs,
    samples,
    slopes,
    texts,
    texts_with_spans,
    token_scores,
    votes,
    words,
)

INFINITY = float("inf")
ITEMS = 12


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
for name in (
    *("alpha_nominal", "alpha_ordinal", "alpha_interval", "gwet_ac1", "fleiss_kappa"),
    *("cohen_kappa", "cohen_kappa_linear", "cohen_kappa_quadratic", "brennan_prediger", "conger_kappa"),
):
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
for name in ("auprc", "eraser_auprc", "average_precision", "roc_auc"):
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

# A row in which this column is missing says nothing: which column that is, or why no row can be without one.
GAPS: dict[str, int | str] = {name: 0 for name, case in CASES.items() if case.draw in (items, runs)}
GAPS |= dict.fromkeys(("discretion_arbitrariness", "principle_supremacy", "principle_priorities"), 1)
GAPS |= dict.fromkeys(("dpo_loss", "implicit_reward_margin", "log_likelihood_margin", "reward_margin"), 0)
GAPS |= dict.fromkeys(("reward_accuracy", "assessment_misalignment", "discretion_discrepancy", "chow_quantiles"), 0)
GAPS |= dict.fromkeys(("learned_step", "difficulty_percentile", "edit_size"), 0)
GAPS |= dict.fromkeys(("comprehensiveness", "sufficiency", "rationale_gain", "perturbation_effect"), 0)
GAPS |= dict.fromkeys(("aopc_comprehensiveness", "aopc_sufficiency"), 0)
GAPS |= dict.fromkeys(("left_rate", "active_time"), 1) | {"length_slope": 2, "group_rates": 1}
GAPS |= dict.fromkeys(("anchoring_revision", "anchoring_agreement", "anchoring_reason"), 0)
GAPS |= dict.fromkeys(("bradley_terry", "crowd_bradley_terry", "cycle_share"), "a game has a winner and a loser")
GAPS |= dict.fromkeys(("token_f1", "span_f1", "iou_f1", "eraser_iou_f1"), "a text without a mark counts as 0")
GAPS |= dict.fromkeys(("auprc", "eraser_auprc", "average_precision", "roc_auc"), "every token has a score")
GAPS |= dict.fromkeys(("branching_factor", "distinct_2", "near_duplicate_share"), "a sample is there or is no row")
GAPS |= dict.fromkeys(("tie_rate", "skip_rate", "reaction_rate", "agreed_share"), "a judgement says something")
GAPS |= dict.fromkeys(
    ("discretion_category", "consensus_share", "conflict_share", "indifference_share"), "no vote is indifference"
)
GAPS |= dict.fromkeys(("total_variation", "raked_rate"), "a person without a judgement counts in the pool")

every_case = pytest.mark.parametrize("name", CASES)
drawn = given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, ITEMS))
quickly = settings(max_examples=15, deadline=None, derandomize=True)


def tolerance_of(name):
    # Maximised by steps: the end is near the top, not on it.
    return 2e-3 if name in ("glad", "crowd_bradley_terry") else 1e-7
