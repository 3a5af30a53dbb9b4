"""Release -> where it comes from: which judgements decided, whose they were, and under which guideline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper

from curation import arrays
from curation.choosing import Chosen
from curation.planning import Plan


def tallies_digest(facts: arrays.PairFacts) -> str:
    """The judgements that decided, as one name: a digest of every pair's tallies in order."""
    digest = hashlib.sha256()
    for column in (
        facts.pair,
        facts.counts,
        facts.skips,
        facts.n_strength,
        facts.strength_sum,
        facts.label,
        facts.turned,
    ):
        digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class InForce:
    """The guideline in force; without one, no version and no text."""

    version: int | None
    text: str


def title_and_guideline(asked: Plan, *, using: BaseDatabaseWrapper) -> tuple[str, InForce]:
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT p.name, g.version, coalesce(g.text, '') FROM project p"
            " LEFT JOIN guideline g ON g.id = p.guideline_id WHERE p.id = %s",
            [asked.project.pk],
        )
        name, version, text = cursor.fetchone()
    return name, InForce(version=version, text=text)


@dataclass(frozen=True)
class Lineage:
    """Which judgements decided: the last that counted, and for the released pairs who judged and under what.

    `guidelines` says how many were made under each version, "none" for those without one; `texts` has their texts.
    """

    through: int
    annotators: dict[str, Any]
    guidelines: dict[str, int]
    texts: dict[str, str]


def lineage_of(chosen: Chosen, *, using: BaseDatabaseWrapper) -> Lineage:
    """Who judged the released pairs. No names: how many annotators, of which kind, and how much each judged."""
    said = chosen.said
    through = int(said.judgement[-1]) if len(said) else 0
    is_released = np.zeros(len(chosen.facts), dtype=bool)
    is_released[chosen.rows] = True
    counts = (said.says != arrays.SKIP) & is_released[arrays.places_in(chosen.facts.pair, said.pair)]
    numbers, each = np.unique(said.annotator[counts], return_counts=True)
    guidelines, under = np.unique(said.guideline[counts], return_counts=True)
    with using.cursor() as cursor:
        cursor.execute("SELECT kind, is_simulated FROM annotator WHERE id = ANY(%s)", [numbers.tolist()])
        kinds = cursor.fetchall()
        cursor.execute(
            "SELECT id, version, text FROM guideline WHERE id = ANY(%s) ORDER BY version", [guidelines.tolist()]
        )
        found = cursor.fetchall()
    versions = {number: version for number, version, _ in found}
    annotators = {
        "people": sum(kind == "person" for kind, _ in kinds),
        "judges": sum(kind == "judge" for kind, _ in kinds),
        "simulated": sum(is_simulated for _, is_simulated in kinds),
        "judgements": int(each.sum()),
        "judgements_each": {
            "least": int(each.min()),
            "median": float(np.median(each)),
            "most": int(each.max()),
        }
        if len(each)
        else {},
    }
    shown = {versions.get(number): count for number, count in zip(guidelines.tolist(), under.tolist(), strict=True)}
    return Lineage(
        through=through,
        annotators=annotators,
        guidelines={
            "none" if version is None else str(version): shown[version]
            for version in sorted(shown, key=lambda version: (version is None, version))
        },
        texts={str(version): text for _, version, text in found},
    )
