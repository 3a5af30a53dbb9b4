"""Candidates -> what is known of their origin, in words: for the page of the run that made them. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotation.models import Candidate, Run

# So many of a run are shown; the API lists all.
FIRST = 10
# Of a text, a thought or a system message the page shows so many characters.
LONGEST = 2000

# What stands in `Candidate.provenance`, in the order in which it is shown. Anything else follows under its own name.
PROVENANCE = {
    "rank": "Rank by its scorer",
    "n": "Of how many",
    "score": "Score",
    "scorer": "Scorer",
    "scorer_model": "Scored by",
    "values": "Values",
    "system": "System message",
    "written_by": "System message written by",
    "thought": "Thought before it",
    "finish": "Ended by",
}


@dataclass(frozen=True)
class Origin:
    """One candidate with the facts of its origin, as (name, value)."""

    candidate: Candidate
    prompt: str
    text: str
    facts: list[tuple[str, str]]


def first_of(run: Run) -> list[Origin]:
    """The first candidates of a run, by prompt and place."""
    found = Candidate.objects.filter(run=run).select_related("prompt").defer("html", "prompt__html")
    return [
        Origin(candidate=one, prompt=one.prompt.last[:LONGEST], text=one.text[:LONGEST], facts=facts_of(one))
        for one in found.order_by("prompt", "index")[:FIRST]
    ]


def facts_of(one: Candidate) -> list[tuple[str, str]]:
    """What is known of a candidate's origin; what is not known is left out."""
    quantiles = one.log_probability_quantiles
    known = {
        "Pseudo-label": one.get_polarity_display() if one.polarity else "",
        "Model": f"{one.model} @ {one.revision}" if one.revision else one.model,
        "Template": f"{one.strategy}, version {one.template_version}" if one.template_version else one.strategy,
        "Seed": "" if one.seed is None else str(one.seed),
        "Sampling": _listed(one.sampling or {}),
        "Tokens": "" if one.token_count is None else f"{one.token_count:,}",
        "Log-probability": _nats(one.log_probability, "nats in all"),
        "Of its tokens": f"{', '.join(f'{value:.2f}' for value in quantiles)} nats (least, tenths, most)"
        if quantiles
        else "",
        "Mean entropy": _nats(one.mean_entropy, "nats per token"),
        "Branching": _nats(one.branching_share, "nats (log of its Branching Factor)"),
    }
    told = dict(one.provenance or {})
    told.pop("toy", None)
    order = [name for name in PROVENANCE if name in told] + sorted(set(told) - set(PROVENANCE))
    known |= {PROVENANCE.get(name, name.replace("_", " ")): _said(told[name]) for name in order}
    return [(name, value[:LONGEST]) for name, value in known.items() if value]


def _nats(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.2f} {unit}"


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return _listed(value)
    if isinstance(value, float):
        return f"{value:,.4g}"
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _listed(values: Mapping[str, Any]) -> str:
    """`temperature 0.7, top p 1`; what says nothing is left out."""
    said = {name.replace("_", " "): _said(value) for name, value in values.items() if value not in ("", None, [], {})}
    return ", ".join(f"{name} {value}" for name, value in said.items())
