"""Pairs of a file -> prompts, candidates, pairs. One transaction per file; memory does not grow with the file.

Rows are read and checked in batches, and a batch goes to its place (placing.py) while the next one is being read: the
database and the reader work side by side.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from annotation import typesetting
from annotation.errors import Mendable, Refused
from annotation.importing import checking, layouts, placing
from annotation.importing.batching import Batch
from annotation.importing.reading import Row, rows
from annotation.importing.reasons import Bad, refusal
from annotation.importing.reporting import Progress, Report, record_import
from annotation.importing.sources import Source, open_source
from annotation.importing.values import PairRow, Value
from annotation.models import Project, Run, User

PREVIEW = 5
# Pairs whose texts an import sets itself; the rest of a big file is set afterwards, along the queue.
SET_AT_ONCE = 2_000
# Seconds after which the reader lets the thread of the database have the interpreter, and as it was before. With the
# usual five milliseconds each answer of the database waits so long, a batch for a third of its time; figures:
# docs/performance.md.
TURN = 0.0001
USUAL_TURN = sys.getswitchinterval()

Reader = Callable[[Value], PairRow]


def check(
    path: Path | str,
    layout: str = checking.AUTO,
    mapping: Mapping[str, str] | None = None,
    allow: frozenset[str] | set[str] = frozenset(),
    *,
    project: Project | None = None,
    source: str = "",
    split: str = "",
    name: str = "",
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
) -> Report:
    """Read and check a file as an import would, and store nothing. With a project, also against what is there.

    `preview` of the report holds some good rows drawn with `rng`, in the order of the file.

    Raises:
        Refused: the file cannot be read, or an option is wrong.
    """
    job = _Job.prepare(path, layout, mapping, allow, source=source, split=split, name=name, project=project)
    job.rng = rng or np.random.default_rng(0)
    with transaction.atomic():
        _run(job, store=False, stop=False, progress=progress)
        transaction.set_rollback(True)
    return job.report


def import_pairs(
    *,
    project: Project,
    path: Path | str,
    layout: str = checking.AUTO,
    mapping: Mapping[str, str] | None = None,
    on_error: str = "stop",
    allow: frozenset[str] | set[str] = frozenset(),
    actor: User | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    source: str = "",
    split: str = "",
    name: str = "",
) -> Report:
    """Import the pairs of a file. All of it, or nothing: one transaction.

    `on_error`: "stop" stores nothing when a row is bad (the report lists all of them); "skip" imports the others.
    `allow`: kinds of rows that come in with a mark: "empty", "identical". `source` takes in rows of this source only.
    The same file twice adds nothing. Nothing that is here is changed.

    `progress` is called with the number of rows read, between batches, in the import's own transaction: a heartbeat
    that others must see belongs on another connection. It may raise to cancel; then nothing is stored.

    Raises:
        Refused: the file cannot be read, or an option is wrong. Bad rows do not raise; they are in the report.
    """
    checking.check_on_error(on_error)
    job = _Job.prepare(path, layout, mapping, allow, source=source, split=split, name=name, project=project)
    began = time.monotonic()
    with transaction.atomic():
        _run(job, store=True, stop=on_error == "stop", progress=progress, run=run)
        report = job.report
        if report.stored:
            report.seconds = time.monotonic() - began
            record_import(report, of="pairs", project=project, actor=actor, sha256=_sha256(job.source))
        else:
            transaction.set_rollback(True)
    if report.stored and report.added:
        report.made["texts set"] = typesetting.typeset(project=project, limit=SET_AT_ONCE)
    report.seconds = time.monotonic() - began
    return report


def _sha256(source: Source) -> str | None:
    """The digest of a single file; a dataset folder has none."""
    if not source.path.is_file():
        return None
    with source.path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# ---- the job -------------------------------------------------------------------------------------------------------


@dataclass
class _Job:
    """One file on its way in."""

    source: Source
    read: Reader
    layout: str
    allow: frozenset[str]
    project: Project | None
    only_source: str
    # The column that names a row's source, where the layout has one.
    source_column: str
    # The column that holds a row's id.
    item_column: str
    report: Report
    rng: np.random.Generator | None = None
    sources_seen: dict[str, None] = field(default_factory=dict)
    good: int = 0

    @classmethod
    def prepare(
        cls,
        path: Path | str,
        layout: str,
        mapping: Mapping[str, str] | None,
        allow: frozenset[str] | set[str],
        *,
        source: str,
        split: str,
        name: str,
        project: Project | None,
    ) -> _Job:
        allowed = checking.check_allow(allow)
        opened = open_source(path, name=name, split=split)
        layout, read = checking.reader_for(opened, layout, mapping)
        column = {"plumbline": "source", checking.MAPPING: (mapping or {}).get("source", "")}.get(layout, "")
        if source and not column:
            raise Mendable(
                f"Rows of the layout {layout} do not name a source.",
                by_command="Leave out --source.",
                on_page="Ask for the rows of every source.",
            )
        report = Report(file=opened.name, layout=layout, unit=opened.unit)
        item = layouts.LAYOUTS[layout].item if layout in layouts.LAYOUTS else (mapping or {}).get("id", "")
        return cls(opened, read, layout, allowed, project, source, column, item, report)

    def batches(self) -> Iterator[Batch]:
        """Read, check and write down the rows, batch by batch."""
        seed = self.project.seed if self.project else 0
        batch = Batch(seed)
        for row in rows(self.source):
            self.report.read += 1
            self._take(row, batch)
            if batch.is_full:
                yield batch
                batch = Batch(seed)
        if batch.rows or batch.refusals:
            yield batch

    def _take(self, row: Row, batch: Batch) -> None:
        batch.rows += 1
        try:
            if row.bad is not None:
                raise row.bad
            assert row.value is not None
            if self.only_source and self._is_elsewhere(row.value):
                return
            pair = self.read(row.value)
            if not pair.source:
                pair.source = self.source.stem
            if row.split:
                pair.meta.setdefault("split", row.split)
            checking.check_pair(pair, self.allow)
            try:
                batch.add(self.report.read, row.line, pair)
            except UnicodeEncodeError as error:
                broken = error.object[max(0, error.start - 60) : error.start + 60]
                raise Bad(self.source.broken_text, "A text holds what no character is.", broken) from error
        except Bad as bad:
            item = (row.value or {}).get(self.item_column)
            batch.refusals.append(refusal(row.line, bad, str(item) if type(item) in (str, int) else ""))
            return
        if self.rng is not None:
            self._draw(row.line, pair)

    def _is_elsewhere(self, value: Value) -> bool:
        named = value.get(self.source_column)
        named = named if type(named) is str and named else self.source.stem
        if named == self.only_source:
            return False
        self.report.elsewhere[f"not of the source {self.only_source}"] += 1
        if len(self.sources_seen) < 20:
            self.sources_seen[named] = None
        return True

    def _draw(self, line: int, pair: PairRow) -> None:
        """Keep PREVIEW rows, each row of the file with the same chance."""
        assert self.rng is not None
        self.good += 1
        if len(self.report.preview) < PREVIEW:
            self.report.preview.append((line, pair))
        elif (place := int(self.rng.integers(self.good))) < PREVIEW:
            self.report.preview[place] = (line, pair)
            self.report.preview.sort(key=lambda entry: entry[0])


# ---- the file ------------------------------------------------------------------------------------------------------


@contextmanager
def _short_turns() -> Iterator[None]:
    """The reader and the thread of the database take short turns at Python, until the block ends.

    What an import beside this one sets is the same, and the first to end gives back what was there before either.
    """
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(USUAL_TURN)


def _run(job: _Job, *, store: bool, stop: bool, progress: Progress | None, run: Run | None = None) -> None:
    """Take the whole file in, inside the caller's transaction. The report says whether it may be kept."""
    report = job.report
    connection.ensure_connection()
    raw: placing.Connection = connection.connection
    values: dict[str, Any] = {"project": job.project.pk if job.project else -1, "run": run.pk if run else None}
    values["now"] = timezone.now()
    with connection.wrap_database_errors, _short_turns(), ThreadPoolExecutor(1, "import") as database:
        has_pairs = placing.begin(raw, values)
        waiting: Future[placing.Outcome] | None = None

        def settle() -> None:
            """Wait for the batch in the database. Between two batches the connection is free."""
            nonlocal store
            if waiting is None:
                return
            outcome = waiting.result()
            report.refusals.add(outcome.refusals)
            report.already += outcome.already
            if stop and len(report.refusals):
                store = False
            if progress:
                progress(report.read)

        for batch in job.batches():
            settle()
            waiting = database.submit(placing.load, raw, batch, values, store=store, has_pairs=has_pairs)
        settle()
        if job.only_source and report.read and report.left_out == report.read:
            have = ", ".join(job.sources_seen)
            raise Refused(f"No row of {report.file} is of the source {job.only_source!r}. It has: {have}.")
        if store and job.project:
            placing.finish(raw, report, values, project=job.project, is_full=has_pairs)
            report.stored = True
        with raw.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
