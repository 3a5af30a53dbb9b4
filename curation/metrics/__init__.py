"""The measures, and the table that pages, documentation and tests read. Pure numbers: no Django, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from curation.metrics import agreement


@dataclass(frozen=True)
class Metric:
    """One row of the table. `function` takes labels first; it returns an Estimate, or an array of a value per item."""

    title: str
    function: Callable[..., Any]
    # Of what it is measured.
    subject: Literal["project", "pair", "two annotators"]
    direction: Literal["higher is more agreement", "higher is less agreement"]
    unit: str
    # What the labels must be: names, or numbers in order.
    values: Literal["names", "numbers"]
    undefined: str
    reference: str


_KRIPPENDORFF = "Krippendorff, Content Analysis, 4th edition, chapter 12"
_MT_BENCH = "Zheng et al., arXiv 2306.05685, section 4.2"
_MORE: Final = "higher is more agreement"

METRICS: dict[str, Metric] = {
    "alpha_nominal": Metric(
        "Krippendorff's alpha, nominal",
        partial(agreement.krippendorff_alpha, level="nominal"),
        "project",
        _MORE,
        "none; at most 1, chance is 0",
        "names",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "alpha_ordinal": Metric(
        "Krippendorff's alpha, ordinal",
        partial(agreement.krippendorff_alpha, level="ordinal"),
        "project",
        _MORE,
        "none; at most 1, chance is 0",
        "numbers",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "alpha_interval": Metric(
        "Krippendorff's alpha, interval",
        partial(agreement.krippendorff_alpha, level="interval"),
        "project",
        _MORE,
        "none; at most 1, chance is 0",
        "numbers",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "percent_agreement": Metric(
        "Percent agreement, ties kept",
        agreement.percent_agreement,
        "project",
        _MORE,
        "share of pairs of labels, 0 to 1",
        "names",
        "no item with two labels",
        f"{_MT_BENCH}, setup S1",
    ),
    "percent_agreement_without_ties": Metric(
        "Percent agreement, ties dropped",
        partial(agreement.percent_agreement, drop=("tie", "both_bad")),
        "project",
        _MORE,
        "share of pairs of labels, 0 to 1",
        "names",
        "no item with two labels that choose",
        f"{_MT_BENCH}, setup S2; both bad counts as a tie",
    ),
    "cohen_kappa": Metric(
        "Cohen's kappa",
        agreement.cohen_kappa,
        "two annotators",
        _MORE,
        "none; at most 1, chance is 0",
        "names",
        "no common item; only one value",
        "Cohen, A coefficient of agreement for nominal scales, 1960",
    ),
    "fleiss_kappa": Metric(
        "Fleiss' kappa",
        agreement.fleiss_kappa,
        "project",
        _MORE,
        "none; at most 1, chance is 0",
        "names",
        "items with different numbers of labels; fewer than two; only one value",
        "Fleiss, Measuring nominal scale agreement among many raters, 1971",
    ),
    "item_agreement": Metric(
        "Item agreement",
        agreement.item_agreement,
        "pair",
        _MORE,
        "share of pairs of labels, 0 to 1",
        "names",
        "fewer than two labels",
        "Fleiss, 1971, equation 2",
    ),
    "item_entropy": Metric(
        "Item entropy",
        agreement.item_entropy,
        "pair",
        "higher is less agreement",
        "nats",
        "names",
        "fewer than two labels",
        "Shannon, 1948",
    ),
}
