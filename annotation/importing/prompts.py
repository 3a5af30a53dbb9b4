"""Prompts of a file, without answers -> prompts, for models to answer. One transaction per file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from annotation.errors import Mendable, Refused
from annotation.importing import checking, placing, resolving
from annotation.importing.reading import Row
from annotation.importing.reasons import LONGEST_TEXT, Bad, Refusal, refusal
from annotation.importing.reporting import Progress, Report, record_import
from annotation.importing.sources import Source, open_source
from annotation.importing.values import (
    Messages,
    Value,
    asked,
    identifier,
    language,
    messages,
    missing_or_wrong,
    some_text,
    system_of,
    tags,
    text,
)
from annotation.models import Project, Run, User
from annotation.pairing import as_json, messages_json, prompt_digest

BATCH = 2_000
LAYOUT = "prompts"
TITLE = "Prompts"

# What --map can name; each field is the column of its name where nothing else is said.
FIELDS = {
    "prompt": "the prompt: text, or a list of messages (default: prompt, else messages)",
    "id": "your own id of the prompt (default: item_id)",
    "source": "where the prompt comes from",
    "system": "the system message",
    "language": "a language tag such as en or pt-BR",
}
USUAL = {"prompt": ("prompt", "messages"), "id": ("item_id",)}


@dataclass(slots=True)
class PromptRow:
    """One prompt as its file has it; `messages` has no system message."""

    messages: Messages
    system: str = ""
    item: str = ""
    source: str = ""
    language: str = ""
    tags: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


# ---- rows ----------------------------------------------------------------------------------------------------------


def check_fields(mapping: Mapping[str, str]) -> None:
    if unknown := sorted(set(mapping) - set(FIELDS)):
        raise Refused(f"{unknown[0]!r} cannot be mapped for prompts. Known are: {', '.join(FIELDS)}.")


def columns_of(source: Source, mapping: Mapping[str, str]) -> dict[str, str]:
    """The column of each field that the file has.

    Raises:
        Refused: a field or a column is not known, or no column holds a prompt.
    """
    check_fields(mapping)
    there = checking.look_at(source).columns
    have = ", ".join(there[:12]) or "none that can be read"
    for name, column in mapping.items():
        if column not in there:
            raise Refused(f"The file has no column {column!r} (for {name}). It has: {have}.")
    named = {name: next((one for one in USUAL.get(name, (name,)) if one in there), "") for name in FIELDS}
    named.update(mapping)
    if not named["prompt"]:
        raise Mendable(
            f"{source.name} has no column prompt or messages. Its columns are: {have}.",
            by_command="Name the one with the prompts, as --map prompt=COLUMN.",
            on_page="Call the one with the prompts prompt, and upload the file again.",
        )
    return {name: column for name, column in named.items() if column}


def read_prompt(row: Value, named: Mapping[str, str]) -> PromptRow:
    column = named["prompt"]
    if column == "prompt" and row.get(column) is None and row.get("messages") is not None:
        column = "messages"
    conversation = messages(row, column) if type(row.get(column)) is list else asked(text(row, column))
    system, conversation = system_of(conversation)
    meta = row.get("meta")
    if meta is not None and type(meta) is not dict:
        raise missing_or_wrong(row, "meta", "an object")
    return PromptRow(
        messages=conversation,
        system=system or (some_text(row, named["system"]) if "system" in named else ""),
        item=identifier(row, named["id"]) if "id" in named and row.get(named["id"]) is not None else "",
        source=some_text(row, named["source"]) if "source" in named else "",
        language=language(row, named["language"]) if "language" in named else "",
        tags=tags(row),
        meta=meta or {},
    )


# ---- the database --------------------------------------------------------------------------------------------------

ASKED = (
    "no bigint, line bigint, digest bytea, messages text, system text, source text, item text, language text, "
    "tags text[], meta text"
)

# An id that stood in the file before, with other words.
TWICE = """
DELETE FROM asked USING (
  SELECT no, first_value(line) OVER one AS before, digest <> first_value(digest) OVER one AS is_other
  FROM asked WHERE item <> '' WINDOW one AS (PARTITION BY source, item ORDER BY no)
) AS again WHERE again.no = asked.no AND again.is_other
RETURNING asked.line, asked.item, again.before
"""

# An id that is here with other words.
KNOWN = """
DELETE FROM asked USING prompt
WHERE asked.item <> '' AND prompt.project_id = %(project)s::bigint AND prompt.external_id = asked.item
  AND prompt.source = asked.source AND prompt.digest <> asked.digest
RETURNING asked.line, asked.item
"""

PROMPTS = """
INSERT INTO prompt (project_id, digest, messages, system, language, external_id, source, tags, meta, html, renderer,
  imported_by_id, created_at)
SELECT %(project)s::bigint, digest, messages::jsonb, system, language, item, source, tags, meta::jsonb, '', 0,
  %(run)s::bigint, %(now)s::timestamptz
FROM (SELECT DISTINCT ON (digest) * FROM asked ORDER BY digest, no) AS one
WHERE NOT EXISTS (
  SELECT 1 FROM prompt WHERE prompt.project_id = %(project)s::bigint AND prompt.digest = one.digest OFFSET 0)
ORDER BY no
"""


def import_prompts(
    *,
    project: Project,
    path: Path | str,
    mapping: Mapping[str, str] | None = None,
    on_error: str = "stop",
    actor: User | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    split: str = "",
    name: str = "",
) -> Report:
    """Import the prompts of a file, for models to answer. All of it, or nothing.

    A prompt is its messages and its system message, and stands in a project once, whatever file it came with. The same
    file twice adds nothing. Nothing that is here is changed.

    Raises:
        Refused: the file cannot be read, or an option is wrong. Bad rows do not raise; they are in the report.
    """
    checking.check_on_error(on_error)
    source = open_source(path, name=name, split=split)
    named = columns_of(source, mapping or {})
    report = Report(file=source.name, layout=LAYOUT, unit=source.unit)
    began = time.monotonic()
    values = {"project": str(project.pk), "run": run.pk if run else None, "now": timezone.now()}
    with transaction.atomic(), connection.cursor() as cursor:
        placing.one_at_a_time(cursor, project.pk)
        resolving.make_table(cursor, "asked", ASKED)

        def read(row: Row) -> Iterator[tuple[Any, ...]]:
            yield _checked(row, named, source)

        for batch in resolving.batches(source, report, read, size=BATCH, item=lambda row: _item(row, named)):
            resolving.copy(cursor, "asked", ((no, line, *columns) for no, line, columns in batch))
            if progress:
                progress(report.read)
        report.refusals.add(_set_aside(cursor, values))
        if on_error == "skip" or not len(report.refusals):
            cursor.execute(PROMPTS, values)
            report.added = cursor.rowcount
            report.already = report.good - report.added
            report.stored = True
            if report.added >= placing.MANY:
                cursor.execute("ANALYZE prompt")
            report.seconds = time.monotonic() - began
            record_import(report, of="prompts", project=project, actor=actor)
    report.seconds = time.monotonic() - began
    return report


def _checked(row: Row, named: Mapping[str, str], source: Source) -> tuple[Any, ...]:
    """What is copied of a row, or `Bad`."""
    if row.bad is not None:
        raise row.bad
    assert row.value is not None
    one = read_prompt(row.value, named)
    checking.check_prompt(one.messages, one.system)
    checking.check_tags(one.tags)
    checking.check_names((one.item, "id", 300), (one.source, "source", 200), broken=source.broken_text)
    try:
        written = messages_json(one.messages)
        digest, meta = prompt_digest(written, one.system), _meta(one)
        "".join([*one.tags, meta]).encode()
    except UnicodeEncodeError as error:
        raise Bad(source.broken_text, "A text holds what no character is.", str(error.object)) from error
    heads = (digest, written.decode(), one.system, one.source or source.stem, one.item)
    return (*heads, one.language, one.tags, meta)


def _meta(one: PromptRow) -> str:
    written = as_json(one.meta)
    if len(written) > LONGEST_TEXT:
        raise Bad("text_too_long", f"meta has {len(written):,} characters.", written[:200])
    checking.check_json(one.meta)
    return written


def _item(row: Row, named: Mapping[str, str]) -> str:
    found = (row.value or {}).get(named.get("id", ""))
    return str(found) if type(found) in (str, int) else ""


def _set_aside(cursor: Any, values: dict[str, Any]) -> list[Refusal]:
    """Take out the rows whose id stands for other words, in the file or here. Returns why each is refused."""
    # Without statistics the planner would take this table for small, and compare all with all.
    cursor.execute("ANALYZE asked")
    cursor.execute(TWICE)
    refused = [
        refusal(line, Bad("duplicate_id", f"The id {item!r} stands in line {before:,} already.", item), item)
        for line, item, before in cursor.fetchall()
    ]
    cursor.execute(KNOWN, values)
    return refused + [
        refusal(line, Bad("other_text", f"The id {item!r} is already here with other text.", item), item)
        for line, item in cursor.fetchall()
    ]
