"""Import -> nothing: pairs or prompts that an import brought in go again, as long as nobody judged or answered them."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing import placing
from annotation.models import Pair, Prompt, Run, User
from annotation.recording import record

# How long what an import brought can be taken back.
UNDO_WITHIN = timedelta(days=30)

# What people and judges said of a pair. Any of it keeps the pair: what was said is never thrown away.
_SAID = """
SELECT EXISTS (SELECT 1 FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN pair p ON p.id = a.pair_id
               WHERE p.imported_by_id = %(run)s)
    OR EXISTS (SELECT 1 FROM principle_vote v JOIN pair p ON p.id = v.pair_id WHERE p.imported_by_id = %(run)s)
    OR EXISTS (SELECT 1 FROM rationale r JOIN pair p ON p.id = r.pair_id WHERE p.imported_by_id = %(run)s)
    OR EXISTS (SELECT 1 FROM judge_answer n JOIN pair p ON p.id = n.pair_id WHERE p.imported_by_id = %(run)s)
    OR EXISTS (SELECT 1 FROM adjudication d JOIN pair p ON p.id = d.pair_id WHERE p.imported_by_id = %(run)s
               AND (d.outcome <> '' OR EXISTS (SELECT 1 FROM ruling WHERE ruling.adjudication_id = d.id)))
    OR EXISTS (SELECT 1 FROM ranking r JOIN turn t ON t.id = r.turn_id JOIN lineup l ON l.id = t.lineup_id
               JOIN pair p ON p.prompt_id = l.prompt_id WHERE p.imported_by_id = %(run)s)
"""
# Prompts that came alone are taken back as long as nothing was made of them.
_USED = """
SELECT EXISTS (SELECT 1 FROM prompt q WHERE q.imported_by_id = %(run)s
               AND (EXISTS (SELECT 1 FROM candidate c WHERE c.prompt_id = q.id)
                    OR EXISTS (SELECT 1 FROM pair p WHERE p.prompt_id = q.id)))
"""
# A release is frozen: its rows must stay derivable from what is here.
_RELEASED = "SELECT EXISTS (SELECT 1 FROM release WHERE project_id = %(project)s AND created_at >= %(since)s)"
# Locking the slots first: whoever submits at this moment waits, and then finds that the pair is gone.
_LOCK = """
SELECT count(*) FROM (
    SELECT 1 FROM assignment a JOIN pair p ON p.id = a.pair_id WHERE p.imported_by_id = %(run)s FOR UPDATE OF a
) slots
"""
_DELETE_PROMPTS = """
DELETE FROM prompt q WHERE q.imported_by_id = %(run)s
AND NOT EXISTS (SELECT 1 FROM candidate c WHERE c.prompt_id = q.id)
AND NOT EXISTS (SELECT 1 FROM pair p WHERE p.prompt_id = q.id)
"""
_DELETE = (
    """
    DELETE FROM turn t USING lineup l, pair p
    WHERE l.id = t.lineup_id AND p.prompt_id = l.prompt_id AND p.imported_by_id = %(run)s
    """,
    "DELETE FROM lineup l USING pair p WHERE p.prompt_id = l.prompt_id AND p.imported_by_id = %(run)s",
    """
    DELETE FROM draft d USING assignment a, pair p
    WHERE a.id = d.assignment_id AND p.id = a.pair_id AND p.imported_by_id = %(run)s
    """,
    "DELETE FROM assignment a USING pair p WHERE p.id = a.pair_id AND p.imported_by_id = %(run)s",
    # What was derived or measured of them, and who waits for a word on them.
    *(
        f"DELETE FROM {table} x USING pair p WHERE p.id = x.pair_id AND p.imported_by_id = %(run)s"
        for table in ("measurement", "pair_facts", "embedding", "held_out_loss", "adjudication")
    ),
    "DELETE FROM pair WHERE imported_by_id = %(run)s",
    # Texts that another pair uses, or that something is said of, stay.
    """
    DELETE FROM candidate c WHERE c.imported_by_id = %(run)s
    AND NOT EXISTS (SELECT 1 FROM pair p WHERE c.id IN (p.first_id, p.second_id))
    AND NOT EXISTS (SELECT 1 FROM measurement m WHERE m.candidate_id = c.id)
    """,
    _DELETE_PROMPTS,
)


@transaction.atomic
def undo_import(*, run: Run, actor: User) -> int:
    """Delete the pairs that an import added, with their texts and open slots; or its prompts. Returns how many.

    Raises:
        Refused: it is no finished import of pairs or prompts, is too old, was undone before, somebody has judged one of
            its pairs, or models have answered one of its prompts or are about to.
    """
    run = Run.objects.select_for_update(of=("self",)).select_related("project").get(pk=run.pk)
    at = run.parameters
    if run.project_id is not None:
        # An import under way may speak of these pairs, which it has found already.
        with connection.cursor() as cursor:
            placing.one_at_a_time(cursor, run.project_id)
    if not _is_kind(run):
        raise Refused("Only a finished import of pairs or prompts can be undone.")
    if run.result.get("undone"):
        raise Refused("This import was undone before. Nothing of it is here any more.")
    if _is_too_old(run):
        raise Refused(f"This import is older than {UNDO_WITHIN.days} days, so it cannot be undone any more.")
    count = _undo_prompts(run) if at["holds"] == "prompts" else _undo_pairs(run)
    run.result = {**run.result, "undone": True}
    run.save(update_fields=["result"])
    record(
        act="import.undo",
        subject=f"run {run.pk}: {at['file']}",
        actor=actor,
        project=run.project,
        before={at["holds"]: count},
    )
    return count


def _undo_pairs(run: Run) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, {"run": run.pk})
        cursor.execute(_SAID, {"run": run.pk})
        if cursor.fetchone()[0]:
            raise Refused(
                "Somebody has judged a pair of this import, so it stays: what people said is never thrown away."
            )
        cursor.execute(_RELEASED, {"project": run.project_id, "since": run.created_at})
        if cursor.fetchone()[0]:
            raise Refused("A release was made since, which may hold pairs of this import, so it cannot be undone.")
        count = Pair.objects.filter(imported_by=run).count()
        for statement in _DELETE:
            cursor.execute(statement, {"run": run.pk})
    return count


def _undo_prompts(run: Run) -> int:
    if Run.objects.unfinished().filter(project=run.project_id, kind=Run.Kind.GENERATION).exists():
        raise Refused("Models are being asked in this project. Wait until that run is over, or cancel it.")
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"run": run.pk})
        if cursor.fetchone()[0]:
            raise Refused("A prompt of this import has answers by now, so the import stays.")
        cursor.execute(_DELETE_PROMPTS, {"run": run.pk})
        return int(cursor.rowcount)


def can_undo(run: Run) -> bool:
    """Whether `undo_import` would do it now."""
    if not _is_kind(run) or run.result.get("undone") or _is_too_old(run):
        return False
    added = Prompt if run.parameters["holds"] == "prompts" else Pair
    if not added._default_manager.filter(imported_by=run).exists():
        return False
    with connection.cursor() as cursor:
        if added is Prompt:
            cursor.execute(_USED, {"run": run.pk})
            return not cursor.fetchone()[0]
        cursor.execute(_SAID, {"run": run.pk})
        is_kept = cursor.fetchone()[0]
        cursor.execute(_RELEASED, {"project": run.project_id, "since": run.created_at})
        return not is_kept and not cursor.fetchone()[0]


def _is_kind(run: Run) -> bool:
    at = run.parameters
    return at.get("phase") == "import" and at.get("holds") in ("pairs", "prompts") and run.state == Run.State.DONE


def _is_too_old(run: Run) -> bool:
    return (run.finished_at or run.created_at) < timezone.now() - UNDO_WITHIN
