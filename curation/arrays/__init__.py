"""Rows <-> labelled arrays: the single bridge between the database and the measures. One module per kind of row.

Reading streams: the database sends columns of numbers in pieces, and there is never one object per row.
"""

from __future__ import annotations

from curation.arrays.answers import Preferring, preferring
from curation.arrays.comparisons import Comparisons, comparisons
from curation.arrays.crossing import columns, places_in, store_pair_values
from curation.arrays.judgements import WEEK_SECONDS, Judged, judged, judgement_labels
from curation.arrays.pairs import PairFacts, Voiced, pair_facts, voiced
from curation.arrays.principles import Preferences, PrincipleVotes, preferences, principle_votes
from curation.arrays.sayings import LABELS, SKIP, STRENGTHS, TURNED, VERDICTS

__all__ = [
    "LABELS",
    "SKIP",
    "STRENGTHS",
    "TURNED",
    "VERDICTS",
    "WEEK_SECONDS",
    "Comparisons",
    "Judged",
    "PairFacts",
    "Preferences",
    "Preferring",
    "PrincipleVotes",
    "Voiced",
    "columns",
    "comparisons",
    "judged",
    "judgement_labels",
    "pair_facts",
    "places_in",
    "preferences",
    "preferring",
    "principle_votes",
    "store_pair_values",
    "voiced",
]
