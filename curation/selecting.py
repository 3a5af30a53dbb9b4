"""Criteria and voices -> pairs, as SQL with parameters: what the fields of criteria.py read, over a whole project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.criteria import Criterion, in_play
from curation.voices import NOTHING, Heard, Voices, end


def tallies_sql(*, project: int, voices: Voices) -> tuple[str, list[Any]]:
    """One row per judged pair: how often each verdict was given, and the strengths that are known."""
    condition, params = voices.sql()
    return (
        f"""
        SELECT a.pair_id,
               count(*) FILTER (WHERE j.verdict = 'prefer' AND j.strength > 0) AS n_first,
               count(*) FILTER (WHERE j.verdict = 'prefer' AND j.strength < 0) AS n_second,
               count(*) FILTER (WHERE j.verdict = 'tie') AS n_tie,
               count(*) FILTER (WHERE j.verdict = 'both_bad') AS n_both_bad,
               count(*) FILTER (WHERE j.verdict = 'skip') AS n_skip,
               count(j.strength) FILTER (WHERE j.strength_known) AS n_strength,
               coalesce(sum(j.strength) FILTER (WHERE j.strength_known), 0) AS strength_sum
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {condition}
        GROUP BY a.pair_id
        """,
        [project, *params],
    )


def pairs_sql(*, project: int, voices: Voices) -> tuple[str, list[Any]]:
    """FROM and WHERE over all pairs of a project, with p, q, v and l as the fields read them."""
    tallies, params = tallies_sql(project=project, voices=voices)
    # Flags and haste may be of people who do not count: the last judgement of a release by judges alone says nothing
    # about theirs. Releases from before they said how far they had heard have no better bound.
    last = voices.heard.judgement
    if last is None and voices.kind != "judge":
        last = voices.through
    within, until = pairs_heard(voices.heard, of="p.id")
    return (
        f"FROM pair p JOIN prompt q ON q.id = p.prompt_id LEFT JOIN ({tallies}) v ON v.pair_id = p.id"
        f" CROSS JOIN (SELECT %s::bigint AS last, %s::bigint[] AS stood, %s::int8multirange AS missed) l"
        f" WHERE p.project_id = %s{within}",
        [*params, end(last), list(voices.heard.stood), voices.heard.missed.judgement, project, *until],
    )


def pairs_heard(heard: Heard, *, of: str) -> tuple[str, list[Any]]:
    """A further condition: only pairs that the release had heard of. `of`: the expression with a pair's number."""
    if heard.pair is None:
        return "", []
    if heard.missed.pair == NOTHING:
        return f" AND {of} <= %s", [heard.pair]
    return f" AND {of} <= %s AND NOT {of} <@ %s::int8multirange", [heard.pair, heard.missed.pair]


def chosen_sql(*, project: int, voices: Voices, where: Sequence[Criterion]) -> tuple[str, list[Any]]:
    """FROM and WHERE as `pairs_sql` gives them, over the pairs in play that meet all criteria."""
    source, params = pairs_sql(project=project, voices=voices)
    for one in in_play(where):
        condition, values = one.sql()
        source += f" AND ({condition})"
        params += values
    return source, params
