"""Judgements and measurements -> the rows of the table of facts.

One statement of SQL writes all rows, so that a million pairs are not a million objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from annotation.models import Project
from curation.dimensions import Dimension, marked_sql, reading_sql
from curation.selecting import tallies_sql
from curation.voices import Voices

WHOSE = Voices(kind="person")
# Half a judgement more, split between the answers: a share of three judgements is not as sure as one of thirty.
SHRINK_BY, SHRINK_TO = 0.5, 0.5

# A pair's first tag, its own before its prompt's; and what a judgement says, as a number.
TAG = "coalesce((p.tags || q.tags)[1], '')"
CODE = (
    "CASE WHEN j.verdict = 'prefer' AND j.strength > 0 THEN 0 WHEN j.verdict = 'prefer' THEN 1"
    " WHEN j.verdict = 'tie' THEN 2 ELSE 3 END"
)

# One row per pair with votes: principles that favour first and second. People's votes; where there are none, judges'.
# Several voters on one principle: what more of them say than anything else; otherwise it is indifferent (1.9, 1.3).
_VOTES = """
    SELECT pair_id, kind, count(*) FILTER (WHERE says > 0) AS plus, count(*) FILTER (WHERE says < 0) AS minus,
        coalesce(array_agg(principle_id ORDER BY principle_id) FILTER (WHERE says > 0), '{{}}') AS favour_first,
        coalesce(array_agg(principle_id ORDER BY principle_id) FILTER (WHERE says < 0), '{{}}') AS favour_second
    FROM (SELECT x.pair_id, n.kind, x.principle_id,
            CASE WHEN count(*) FILTER (WHERE vote = 'first')
                    > greatest(count(*) FILTER (WHERE vote = 'second'), count(*) FILTER (WHERE vote IN {neither}))
                 THEN 1
                 WHEN count(*) FILTER (WHERE vote = 'second')
                    > greatest(count(*) FILTER (WHERE vote = 'first'), count(*) FILTER (WHERE vote IN {neither}))
                 THEN -1 ELSE 0 END AS says
        FROM principle_vote x JOIN annotator n ON n.id = x.annotator_id LEFT JOIN judgement j ON j.id = x.judgement_id
        WHERE n.project_id = %s AND (x.judgement_id IS NULL OR j.is_current) {which}
        GROUP BY x.pair_id, n.kind, x.principle_id) each
    GROUP BY pair_id, kind"""
_NEITHER = "('same', 'irrelevant')"


def tabulate(
    *,
    project: Project,
    which: list[int] | tuple[int, int] | None,
    weights: dict[str, float],
    dims: Sequence[Dimension],
    loss: tuple[int, str] | None,
    margin: tuple[int, str] | None,
    reward: tuple[int, str] | None,
    ranked: list[tuple[int, float, float]] | None = None,
) -> None:
    """Replace the facts of all pairs, of these, or of those in a range of numbers (a tuple).

    `ranked`: pair, loss and percentile of each measured one of these pairs, where all losses were ranked already.
    """
    some, chosen = _condition(which)
    tallies, tally_params = tallies_sql(project=project.pk, voices=WHOSE)
    whose, whose_params = WHOSE.sql()
    tallies = tallies.replace("GROUP BY", f"{some.format('a.pair_id')} GROUP BY")
    tally_params = [*tally_params, *chosen]
    kept = _remove(project=project, which=some.format("pair_id"), chosen=chosen)
    # Percentiles of single pairs are those of the last whole gathering.
    ranked = kept if isinstance(which, list) else ranked
    if ranked is None:
        # As floats throughout, so that curation/percentiles.py comes to the same to the last digit.
        losses = """
            SELECT m.pair_id, m.value AS loss,
                   (rank() OVER by_loss - 1 + count(*) OVER (PARTITION BY m.value) / 2.0::float8)
                     / count(*) OVER () AS difficulty
            FROM measurement m JOIN pair p ON p.id = m.pair_id AND p.excluded_at IS NULL
            WHERE m.run_id = %s AND m.metric = %s AND m.value IS NOT NULL WINDOW by_loss AS (ORDER BY m.value)"""
        loss_params: list[Any] = list(loss or (0, ""))
    else:
        losses = "SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::float8[]) AS k (pair_id, loss, difficulty)"
        loss_params = [_array(column) for column in zip(*ranked, strict=True)] or ["{}", "{}", "{}"]
    bins = [(one.bin_column, *one.sql()) for one in dims if one.column]
    votes = _VOTES.format(neither=_NEITHER, which=some.format("x.pair_id"))
    # Pairs of the same prompts, whether they are asked for or not: among them are the duplicates.
    theirs = some and f"AND prompt_id IN (SELECT o.prompt_id FROM pair o WHERE true {some.format('o.id')})"
    statement = f"""
    WITH tally AS ({tallies}),
    weight AS (SELECT * FROM unnest(%s::bigint[], %s::float8[]) AS w (annotator_id, w)),
    weighed AS (
        SELECT a.pair_id, sum(w) FILTER (WHERE {CODE} = 0) AS w0, sum(w) FILTER (WHERE {CODE} = 1) AS w1,
               sum(w) FILTER (WHERE {CODE} = 2) AS w2, sum(w) FILTER (WHERE {CODE} = 3) AS w3, sum(w) AS w
        FROM (SELECT j.*, coalesce(weight.w, 1) AS w FROM judgement j LEFT JOIN weight USING (annotator_id)) j
        JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {whose} AND j.verdict <> 'skip' {some.format("a.pair_id")} GROUP BY a.pair_id),
    told AS (
        SELECT a.pair_id, count(*) FILTER (WHERE j.flags <> '{{}}') AS flags,
            array_agg(j.annotator_id ORDER BY j.annotator_id) FILTER (WHERE j.verdict <> 'skip') AS annotators
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id
        WHERE a.project_id = %s AND j.is_current {some.format("a.pair_id")} GROUP BY a.pair_id),
    voted AS (SELECT DISTINCT ON (pair_id) * FROM ({votes}) v ORDER BY pair_id, kind = 'judge'),
    loss AS ({losses}),
    margin AS (SELECT pair_id, value AS margin FROM measurement WHERE run_id = %s AND metric = %s),
    reward AS (SELECT pair_id, value AS reward_margin FROM measurement WHERE run_id = %s AND metric = %s),
    shared AS (
        SELECT prompt_id FROM pair p WHERE project_id = %s {theirs} GROUP BY prompt_id HAVING count(*) > 1),
    texts AS (
        SELECT p.id, count(*) OVER (PARTITION BY p.prompt_id, least(md5(f.messages::text), md5(s.messages::text)),
                 greatest(md5(f.messages::text), md5(s.messages::text))) - 1 AS duplicates
        FROM shared JOIN pair p USING (prompt_id) JOIN candidate f ON f.id = p.first_id
        JOIN candidate s ON s.id = p.second_id WHERE p.project_id = %s),
    counted AS (
        SELECT p.id AS pair_id, p.project_id, p.excluded_at IS NOT NULL AS is_excluded, p.source, p.split, p.is_gold,
            q.language, p.tags || q.tags AS tags, {TAG} AS tag, f.characters AS length_first,
            s.characters AS length_second, coalesce(v.n_first, 0) AS n_first, coalesce(v.n_second, 0) AS n_second,
            coalesce(v.n_tie, 0) AS n_tie, coalesce(v.n_both_bad, 0) AS n_both_bad, coalesce(v.n_skip, 0) AS skips,
            coalesce(v.n_first + v.n_second + v.n_tie + v.n_both_bad, 0) AS judgements,
            abs(v.strength_sum::float8 / nullif(v.n_strength, 0)) AS strength, g.w0, g.w1, g.w2, g.w3, g.w,
            l.loss, l.difficulty, m.margin, u.reward_margin, d.plus, d.minus,
            coalesce(d.favour_first, '{{}}') AS favour_first, coalesce(d.favour_second, '{{}}') AS favour_second,
            coalesce(k.flags, 0) AS flags, coalesce(k.annotators, '{{}}') AS annotators,
            coalesce(t.duplicates, 0) AS duplicates
        FROM pair p JOIN prompt q ON q.id = p.prompt_id JOIN candidate f ON f.id = p.first_id
        JOIN candidate s ON s.id = p.second_id LEFT JOIN tally v ON v.pair_id = p.id
        LEFT JOIN weighed g ON g.pair_id = p.id LEFT JOIN loss l ON l.pair_id = p.id
        LEFT JOIN margin m ON m.pair_id = p.id LEFT JOIN reward u ON u.pair_id = p.id
        LEFT JOIN voted d ON d.pair_id = p.id LEFT JOIN told k ON k.pair_id = p.id LEFT JOIN texts t ON t.id = p.id
        WHERE p.project_id = %s {some.format("p.id")}),
    derived AS (
        SELECT *, greatest(n_first, n_second, n_tie, n_both_bad) AS most,
            CASE WHEN plus IS NULL THEN '' WHEN plus > 0 AND minus > 0 THEN 'conflict'
                 WHEN plus + minus > 0 THEN 'consensus' ELSE 'indifference' END AS discretion,
            CASE WHEN 2 * n_first > judgements THEN 'first' WHEN 2 * n_second > judgements THEN 'second'
                 WHEN 2 * n_tie > judgements THEN 'tie' WHEN 2 * n_both_bad > judgements THEN 'both_bad' ELSE '' END
              AS majority
        FROM counted),
    facts AS (
        SELECT pair_id, project_id, is_excluded, judgements, skips, n_first, n_second, n_tie, n_both_bad, majority,
            CASE WHEN judgements >= 1 THEN most::float8 / judgements END AS share,
            CASE WHEN judgements >= 2 THEN
              (n_first * n_first + n_second * n_second + n_tie * n_tie + n_both_bad * n_both_bad - judgements)::float8
              / (judgements * (judgements - 1)) END AS item_agreement,
            CASE WHEN judgements >= 2 THEN (SELECT coalesce(sum(c::float8 / judgements * ln(judgements::float8 / c)), 0)
              FROM unnest(ARRAY[n_first, n_second, n_tie, n_both_bad]) c WHERE c > 0) END AS entropy,
            CASE WHEN judgements >= 2 THEN (greatest(w0, w1, w2, w3) + {SHRINK_BY * SHRINK_TO}) / (w + {SHRINK_BY}) END
              AS agreement,
            CASE WHEN judgements >= 1 THEN judgements - most END AS dissents, strength, loss, difficulty, margin,
            reward_margin, discretion, plus + minus AS n_relevant, favour_first, favour_second,
            CASE WHEN discretion = 'consensus' THEN CASE WHEN plus > 0 THEN 1 ELSE -1 END END AS direction,
            CASE WHEN plus IS NULL THEN NULL WHEN discretion <> 'consensus' THEN 0
                 WHEN plus > 0 THEN n_second ELSE n_first END AS arbitrary,
            length_first, length_second,
            CASE majority WHEN 'first' THEN length_first - length_second
                          WHEN 'second' THEN length_second - length_first END AS length_difference,
            language, source, tag, tags, split, duplicates, flags, is_gold, annotators,
            {marked_sql(flags="flags", is_gold="is_gold", duplicates="duplicates")} AS marked
        FROM derived),
    binned AS (SELECT *, {", ".join(f"{expression} AS {name}" for name, expression, _ in bins)} FROM facts)
    INSERT INTO pair_facts (pair_id, {_NAMES}, {", ".join(name for name, _, _ in bins)}, b_reading)
    SELECT pair_id, {_NAMES}, {", ".join(name for name, _, _ in bins)}, {reading_sql()} FROM binned
    ORDER BY b_difficulty, difficulty, pair_id
    """
    params: list[Any] = [*tally_params]
    params += [[int(who) for who in weights], list(weights.values()), project.pk, *whose_params, *chosen]
    params += [project.pk, *chosen, project.pk, *chosen]
    params += [*loss_params, *(margin or (0, "")), *(reward or (0, ""))]
    params += [project.pk, *chosen, project.pk, project.pk, *chosen]
    params += [value for _, _, values in bins for value in values]
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def _array(column: Sequence[float | None]) -> str:
    """As the database writes an array: the driver would take four times as long, number by number."""
    return "{" + ",".join("NULL" if one is None else repr(one) for one in column) + "}"


def _condition(which: list[int] | tuple[int, int] | None) -> tuple[str, list[Any]]:
    """What a statement asks of a column with pair numbers, and its parameters."""
    if which is None:
        return "", []
    return ("AND {} BETWEEN %s AND %s", list(which)) if isinstance(which, tuple) else ("AND {} = ANY(%s)", [which])


def _remove(*, project: Project, which: str, chosen: list[Any]) -> list[tuple[int, float, float]]:
    """Remove the facts of the chosen pairs, or of all. Returns the chosen pairs' losses and percentiles."""
    with connection.cursor() as cursor:
        if not chosen:
            cursor.execute("DELETE FROM pair_facts WHERE project_id = %s", [project.pk])
            return []
        returning = "RETURNING pair_id, loss, difficulty"
        cursor.execute(f"DELETE FROM pair_facts WHERE project_id = %s {which} {returning}", [project.pk, *chosen])
        return list(cursor.fetchall())


_NAMES = """project_id, is_excluded, judgements, skips, n_first, n_second, n_tie, n_both_bad, majority, share,
    item_agreement, entropy, agreement, dissents, strength, loss, difficulty, margin, reward_margin, discretion,
    n_relevant, favour_first, favour_second, direction, arbitrary, length_first, length_second, length_difference,
    language, source, tag, tags, split, duplicates, flags, is_gold, annotators, marked"""
