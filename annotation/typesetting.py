"""Prompts and candidates -> their HTML, stored beside the raw text with the renderer's version.

An import sets the first pairs of the queue at once, so that a small file is ready to be judged; the rest of a big file
is set by a worker, or by `manage.py render`, along the queue. A pair that is handed out before its turn is set then,
once. Whatever the renderer makes can be made again: nothing here is a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.db.models import Q

from annotation import rendering
from annotation.models import Candidate, Pair, Project, Prompt

# Pairs that are looked at together: few enough to hold, enough to write in one statement.
BATCH = 200

_STALE = (
    ~Q(prompt__renderer=rendering.RENDERER)
    | ~Q(first__renderer=rendering.RENDERER)
    | ~Q(second__renderer=rendering.RENDERER)
)


def typeset(*, project: Project, limit: int | None = None, progress: Callable[[int], None] | None = None) -> int:
    """Set every text in play that is not set, or set by an older renderer, along the queue.

    `limit` bounds the pairs. Running it twice changes nothing; two at once do the same work twice and no harm. It
    writes after each batch: outside of a transaction an interrupted run keeps what it did.

    Returns how many texts were set.
    """
    done, seen, rank = 0, 0, -1
    stale = Pair.objects.in_play().filter(_STALE, project=project).order_by("rank")
    while limit is None or seen < limit:
        size = BATCH if limit is None else min(BATCH, limit - seen)
        batch = list(stale.filter(rank__gt=rank).values_list("pk", "rank")[:size])
        if not batch:
            break
        done += typeset_pairs(pairs=[pk for pk, _ in batch])
        seen, rank = seen + len(batch), batch[-1][1]
        if progress:
            progress(seen)
    return done


def typeset_pairs(*, pairs: Iterable[int]) -> int:
    """Set what is not set of these pairs (their ids). Returns how many texts were set."""
    loaded = Pair.objects.filter(pk__in=list(pairs)).filter(_STALE)
    prompts: dict[int, str] = {}
    candidates: dict[int, str] = {}
    fields = ("prompt_id", "prompt__messages", "prompt__system", "prompt__renderer")
    sides = [f"{side}__{name}" for side in ("first", "second") for name in ("id", "messages", "renderer")]
    for row in loaded.values_list(*fields, *sides):
        prompt, messages, system, renderer = row[:4]
        if renderer != rendering.RENDERER and prompt not in prompts:
            prompts[prompt] = rendering.render_prompt(messages, system)
        for candidate, said, version in (row[4:7], row[7:10]):
            if version != rendering.RENDERER and candidate not in candidates:
                candidates[candidate] = rendering.render_candidate(said)
    _write(Prompt, prompts)
    _write(Candidate, candidates)
    return len(prompts) + len(candidates)


def _write(model: type[Prompt] | type[Candidate], html: dict[int, str]) -> None:
    """One statement for all: UPDATE … FROM unnest."""
    if not html:
        return
    # Ordered by id, so that two writers of the same texts wait for each other instead of blocking each other.
    ids = sorted(html)
    values: list[Any] = [rendering.RENDERER, ids, [html[pk] for pk in ids]]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {model._meta.db_table} AS t SET html = new.html, renderer = %s::smallint "
            "FROM unnest(%s::bigint[], %s::text[]) AS new(id, html) WHERE t.id = new.id",
            values,
        )
