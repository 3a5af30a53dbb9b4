"""Rulings -> a release: where an adjudicator settled a pair, that decides instead of the rule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.deciding import Decision
from curation.sieving import Sieve

# The rules that count what people said, and so give way to an adjudicator. `label` is what the source said, and `soft`
# and `votes` tell how judgements are distributed, settled or not.
GIVE_WAY = ("majority", "dawid_skene", "strength")
# Outcomes that choose no answer, and what the step that removes them is called.
WITHOUT_ANSWER = {
    "tie": "adjudicated: tie",
    "both_bad": "adjudicated: both bad",
    "ambiguous": "adjudicated: ambiguous",
    "unclear": "adjudicated: guideline unclear",
}


@dataclass(frozen=True)
class Ruled:
    """The outcome in force of each pair, "" where there is none, shape (n_pairs,); `through`: the last ruling read."""

    outcomes: NDArray[np.str_]
    through: int

    @property
    def chosen(self) -> NDArray[np.bool_]:
        """Pairs whose chosen answer an adjudicator named."""
        return np.isin(self.outcomes, ("first", "second"))

    @property
    def settled(self) -> NDArray[np.bool_]:
        return np.asarray(self.outcomes != "")


def ruled(
    *,
    project: Project,
    rule: str,
    through: int | None,
    missed: str,
    pairs: NDArray[np.int64],
    using: BaseDatabaseWrapper,
) -> Ruled:
    """What adjudicators decided about `pairs` (ascending), as it stood after ruling number `through`; None: now.

    `missed`: rulings that came later although their number is lower, as an int8multirange.

    Nothing, where the rule does not give way.
    A later revision replaces the earlier one; of a pair that was settled twice the later decision counts.
    """
    outcomes = np.full(len(pairs), "", dtype="<U9")
    if rule not in GIVE_WAY:
        return Ruled(outcomes, 0)
    limit = through if through is not None else 2**63 - 1
    with using.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (d.pair_id) d.pair_id, r.outcome
            FROM (SELECT DISTINCT ON (adjudication_id) id, adjudication_id, outcome FROM ruling
                  WHERE id <= %s AND NOT id <@ %s::int8multirange ORDER BY adjudication_id, revision DESC) r
            JOIN adjudication d ON d.id = r.adjudication_id
            WHERE d.project_id = %s AND r.outcome <> ''
            ORDER BY d.pair_id, r.id DESC
            """,
            [limit, missed, project.pk],
        )
        rows = cursor.fetchall()
        cursor.execute(
            "SELECT coalesce(max(r.id), 0) FROM ruling r JOIN adjudication d ON d.id = r.adjudication_id"
            " WHERE d.project_id = %s AND r.id <= %s AND NOT r.id <@ %s::int8multirange",
            [project.pk, limit, missed],
        )
        last = int(cursor.fetchone()[0])
    numbers = np.array([pair for pair, _ in rows], dtype=np.int64)
    said = np.array([outcome for _, outcome in rows], dtype="<U9")
    is_here = np.isin(numbers, pairs)
    outcomes[np.searchsorted(pairs, numbers[is_here])] = said[is_here]
    return Ruled(outcomes, last)


@dataclass
class Sparing(Sieve):
    """A sieve whose steps pass over what an adjudicator settled: the rule has nothing to say about it."""

    settled: NDArray[np.bool_] = field(kw_only=True)

    def keep(self, passing: NDArray[np.bool_], *, name: str) -> None:
        super().keep(passing | self.settled, name=name)


def sparing(sieve: Sieve, found: Ruled) -> Sparing:
    """`sieve` as the rule shall use it; what it removes is written back by `finish`."""
    spared = Sparing(left=sieve.left, steps=sieve.steps, settled=found.settled)
    spared.gone_at = sieve.gone_at
    return spared


def finish(sieve: Sieve, spared: Sparing, found: Ruled, decision: Decision, *, keeps_ties: bool) -> Decision:
    """After the rule: its removals, then those of the outcomes without an answer. Returns what holds in its place.

    A pair that was settled as a tie stays as one where ties are kept.
    """
    sieve.left = spared.left
    for outcome, name in WITHOUT_ANSWER.items():
        if (found.outcomes == outcome).any() and not (outcome == "tie" and keeps_ties):
            sieve.keep(found.outcomes != outcome, name=name)
    return replace(
        decision,
        # The rule's probability is of what the rule says. Here an adjudicator says it.
        probability=np.where(found.settled, np.nan, decision.probability),
        first_wins=np.where(found.chosen, found.outcomes == "first", decision.first_wins),
        tied=np.where(found.settled, found.outcomes == "tie", decision.tied),
        settled=found.settled,
    )
