"""Uploads -> runs that look, check and import: what the import page asks for, and what the worker does.

A check keeps nothing: its run carries what was found. An import is asked for from a finished check, so that a button
can say what it will do. Both are runs of the kind "import", told apart by the parameter `phase`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from django.db import DatabaseError, connection, transaction

from annotation.errors import Mendable, Refused
from annotation.importing import checking, judgements, layouts, prompts, receiving, storing
from annotation.importing.guessing import ASKED, SIDES, guess_columns
from annotation.importing.options import HOLDS, Options
from annotation.importing.reasons import REASONS, Refusal, shown
from annotation.importing.receiving import Upload
from annotation.importing.reporting import Progress, Report
from annotation.importing.values import PairRow
from annotation.models import Project, Run, User
from annotation.recording import record
from annotation.running import Cancelled, Hold, Superseded, request_run

KINDS = {"jsonl": "JSON lines", "json": "JSON", "csv": "CSV", "parquet": "Parquet", "arrow": "Arrow"}
# How to mend on the page what elsewhere is mended by an option of the command.
MEND_HERE = {
    "empty": "Fill it in, or let empty answers in.",
    "identical": "A pair needs two different answers; or let such pairs in.",
}
MADE = {"slots opened": "Slots opened for judging", "texts set": "Texts rendered", "annotators": "New annotators"}
# Seconds between two tellings of the progress.
TELL_EVERY = 1.0
# Characters of a value that the page shows.
MOST_SHOWN = 600


def request_check(*, project: Project, upload: Upload, actor: User, options: Options | None = None) -> Run:
    """Ask a worker to look at a file and to check every line of it.

    Raises:
        Refused: an option is not known.
    """
    asked = parameters_of(upload, options or Options())
    return request_run(project=project, kind=Run.Kind.IMPORT, parameters={**asked, "phase": "check"}, actor=actor)


def parameters_of(upload: Upload, options: Options) -> dict[str, Any]:
    """What a run knows of its file and of how to read it.

    Raises:
        Refused: an option is not known.
    """
    file = {"upload": upload.name, "file": upload.file, "size": upload.size, "sha256": upload.sha256}
    return {**file, **options.as_parameters()}


def check_again(
    *,
    run: Run,
    actor: User,
    layout: str,
    mapping: Mapping[str, str],
    allow: frozenset[str],
    judges: frozenset[str] = frozenset(),
) -> Run:
    """The same file once more, with another layout, other columns, other kinds of lines let in, or other judges.

    Raises:
        Refused: the file is gone, or an option is not possible.
    """
    assert run.project is not None
    upload = upload_of(run)
    receiving.path_of(upload.name)
    if layout != checking.MAPPING:
        mapping = {}
    elif run.result.get("columns"):
        _check_form(mapping)
        with _in_words_of_the_page():
            checking.check_mapping(mapping, run.result["columns"])
    again = replace(Options.of(run), layout=layout, mapping=mapping, allow=allow, judges=judges)
    return request_check(project=run.project, upload=upload, actor=actor, options=again)


def _check_form(mapping: Mapping[str, str]) -> None:
    """What checking.check_mapping refuses too, in the words of the form."""
    missing = [ASKED[name].lower() for name in layouts.NEEDED if not mapping.get(name)]
    if missing:
        raise Refused(f"Choose a column for {' and '.join(missing)}.")
    if "label" not in mapping and any(name.startswith("label.") for name in mapping):
        raise Refused(
            "You said what the values of a label mean. Choose its column under “Which is better”, or empty them."
        )


@transaction.atomic
def request_import(*, run: Run, actor: User) -> Run:
    """Import what a check found good. Asked twice, the first answer stands.

    Raises:
        Refused: the check is not done or found nothing good, or the file is gone.
    """
    check = Run.objects.select_for_update(of=("self",)).select_related("project").get(pk=run.pk)
    assert check.project is not None
    existing = import_of(check)
    if existing is not None:
        return existing
    if check.parameters.get("phase") != "check" or check.state != Run.State.DONE:
        raise Refused("Only a file that was checked can be imported. Wait until the check is done.")
    if not check.result.get("good"):
        raise Refused("There is no good line in this file, so there is nothing to import.")
    receiving.path_of(check.parameters["upload"])
    parameters = {
        **check.parameters,
        "phase": "import",
        "check": check.pk,
        "layout": check.result["layout"],
        # With nothing refused, a line that turns out bad now means that the file changed: then nothing is kept.
        "good": check.result["good"],
        "read": check.result["read"],
        "unit": check.result["unit"],
        "on_error": "skip" if check.result["refused"] else "stop",
    }
    return request_run(project=check.project, kind=Run.Kind.IMPORT, parameters=parameters, actor=actor)


def import_nothing(*, run: Run, actor: User) -> None:
    """Put the file away; the report of the check stays."""
    receiving.discard(run.parameters["upload"])
    record(act="import.discard", subject=f"run {run.pk}: {run.parameters['file']}", actor=actor, project=run.project)


def upload_of(run: Run) -> Upload:
    at = run.parameters
    return Upload(name=at["upload"], file=at["file"], size=at["size"], sha256=at["sha256"])


def is_here(run: Run) -> bool:
    """Whether the file still lies in the folder of uploads."""
    try:
        receiving.path_of(run.parameters.get("upload", ""))
    except Refused:
        return False
    return True


# ---- what the worker does -------------------------------------------------------------------------------------------


def execute(hold: Hold) -> dict[str, Any]:
    """Do a run of the kind "import" and return its result. Run twice, it adds nothing.

    Raises:
        Refused: the file is gone or cannot be read; with `on_error` stop, a line of it is bad.
        Cancelled, Superseded: as of the run's heartbeat.
    """
    with _in_words_of_the_page():
        return _check(hold) if hold.run.parameters["phase"] == "check" else _import(hold)


@contextmanager
def _in_words_of_the_page() -> Iterator[None]:
    try:
        yield
    except Mendable as refusal:
        raise Refused(refusal.on_page) from refusal


def _check(hold: Hold) -> dict[str, Any]:
    at, began = hold.run.parameters, time.monotonic()
    result: dict[str, Any] = {"read": 0, "good": 0, "refused": 0, "unit": "line", "layout": "", "reasons": []}
    with _Telling(hold) as telling:
        seen = checking.look(receiving.path_of(at["upload"]), name=at["file"])
        result |= _seen(seen)
        layout = _layout_of(at["layout"], seen) if at["holds"] == "pairs" else at["layout"]
        if layout:
            report = (
                _check_pairs(hold, layout, telling) if at["holds"] == "pairs" else _done_and_taken_back(hold, telling)
            )
            result |= _reported(report, thing=HOLDS[at["holds"]])
            result |= {"already": report.already, "allowable": _is_allowable(report, at["allow"])}
            receiving.write_report(hold.run.pk, map(_mended_here, report.refusals))
    return result | {"seconds": round(time.monotonic() - began, 3)}


def _check_pairs(hold: Hold, layout: str, telling: Progress) -> Report:
    at = hold.run.parameters
    return storing.check(
        receiving.path_of(at["upload"]),
        layout,
        at["mapping"] or None,
        frozenset(at["allow"]),
        project=hold.run.project,
        source=at.get("source", ""),
        name=at["file"],
        rng=np.random.default_rng(hold.run.pk),
        progress=telling,
    )


def _done_and_taken_back(hold: Hold, telling: Progress) -> Report:
    """What an import would do: only the database knows which pairs the lines speak of, and what is here."""
    with transaction.atomic():
        report = TAKE_IN[hold.run.parameters["holds"]](hold, telling, on_error="skip")
        transaction.set_rollback(True)
    return report


def _import_pairs(hold: Hold, telling: Progress, *, on_error: str) -> Report:
    at = hold.run.parameters
    return storing.import_pairs(
        layout=at["layout"],
        mapping=at["mapping"] or None,
        allow=frozenset(at["allow"]),
        source=at.get("source", ""),
        **_of_any(hold, telling, on_error),
    )


def _import_judgements(hold: Hold, telling: Progress, *, on_error: str) -> Report:
    at = hold.run.parameters
    return judgements.import_judgements(
        layout=at["layout"], judges=frozenset(at["judges"]), **_of_any(hold, telling, on_error)
    )


def _import_prompts(hold: Hold, telling: Progress, *, on_error: str) -> Report:
    return prompts.import_prompts(mapping=hold.run.parameters["mapping"], **_of_any(hold, telling, on_error))


def _of_any(hold: Hold, telling: Progress, on_error: str) -> dict[str, Any]:
    """What every import is told, whatever the file holds."""
    at = hold.run.parameters
    assert hold.run.project is not None
    return {
        "project": hold.run.project,
        "path": receiving.path_of(at["upload"]),
        "on_error": on_error,
        "actor": hold.run.started_by,
        "run": hold.run,
        "progress": telling,
        "name": at["file"],
    }


TAKE_IN = {"pairs": _import_pairs, "judgements": _import_judgements, "prompts": _import_prompts}


def _import(hold: Hold) -> dict[str, Any]:
    at = hold.run.parameters
    take_in = TAKE_IN[at["holds"]]
    is_checked = "check" in at
    with _Telling(hold, total=at.get("read")) as telling:
        report = take_in(hold, telling, on_error=at["on_error"])
    if not is_checked:
        receiving.write_report(hold.run.pk, map(_mended_here, report.refusals))
    if not report.stored and is_checked:
        raise Refused(
            f"Lines that were good in the check are not any more: {report.why}. Nothing was kept. Check it again."
        )
    if not report.stored:
        raise Refused(
            f"{len(report.refusals):,} refused: {report.why}. Nothing was kept. Mend them, or skip what is bad and "
            f"import the others."
        )
    return _reported(report, thing=HOLDS[at["holds"]]) | {
        "added": report.added,
        "already": report.already,
        "linked": report.linked,
        "made": [[MADE.get(what, what.capitalize()), number] for what, number in report.made.items()],
        "seconds": round(report.seconds, 3),
        "speed": int(report.read / report.seconds) if report.seconds > 0 else 0,
    }


def _mended_here(refusal: Refusal) -> dict[str, Any]:
    """The refusal with the way to mend it that the page has."""
    said = refusal.as_dict
    if refusal.reason in MEND_HERE:
        said["sentence"] = refusal.sentence.replace(REASONS[refusal.reason][1], MEND_HERE[refusal.reason])
    return said


def _layout_of(asked: str, seen: checking.Look) -> str:
    """The layout to check with; nothing where a person must say it."""
    if asked != checking.AUTO:
        return asked
    # A file of which no row can be read is checked all the same: then every line is named with its reason.
    return seen.fits[0][0] if checking.is_sure(seen.fits) or not seen.columns else ""


def _seen(seen: checking.Look) -> dict[str, Any]:
    # Names that hide something cannot be offered in a form, and the database keeps no NUL.
    named = [
        (column, value) for column, value in zip(seen.columns, seen.first, strict=True) if shown(column, 200) == column
    ]
    return {
        "kind": KINDS[seen.source.kind] + (", gzip" if seen.source.is_gzip else ""),
        "unit": seen.source.unit,
        "columns": [column for column, _ in named],
        "first": [shown(value, MOST_SHOWN) for _, value in named],
        "fits": [
            {"name": name, "title": layouts.LAYOUTS[name].title, "why": why, "says": f"fits {fit:.0%}" if fit else "no"}
            for name, fit, why in seen.fits
        ],
    }


def _reported(report: Report, *, thing: str) -> dict[str, Any]:
    """The numbers of a report as a run keeps them, for the page."""
    refused = len(report.refusals)
    read = max(1, report.good + refused)
    # A part that exists is seen: at least 0.8 wide.
    width = max(100 * refused / read, 0.8) if refused else 0.0
    is_mapped = report.layout == checking.MAPPING
    titles = TITLES[thing]
    return {
        "layout": report.layout,
        "title": "Columns named by hand" if is_mapped else titles[report.layout],
        "is_mapped": is_mapped,
        "unit": report.unit,
        "thing": thing,
        "read": report.read,
        "good": report.good,
        "refused": refused,
        "good_width": f"{100 - width:.2f}",
        "refused_width": f"{width:.2f}",
        "reasons": [{"n": number, "words": REASONS[reason][0]} for reason, number in report.counts.items()],
        "left_out": [[what, number] for what, number in report.elsewhere.items()],
        "preview": [_previewed(line, pair) for line, pair in report.preview],
    }


TITLES = {
    "pair": {name: layout.title for name, layout in layouts.LAYOUTS.items()},
    "judgement": {name: layout.title for name, layout in judgements.LAYOUTS.items()},
    "prompt": {prompts.LAYOUT: prompts.TITLE},
}


def _is_allowable(report: Report, allow: list[str]) -> bool:
    """Whether letting kinds of lines in, or no more, would change anything."""
    return bool(allow) or any(kind in report.counts for kind in checking.ALLOWABLE)


def _previewed(line: int, pair: PairRow) -> dict[str, Any]:
    return {
        "line": line,
        "turns": len(pair.prompt),
        "system": bool(pair.system),
        "prompt": pair.prompt[-1]["content"][:MOST_SHOWN],
        "a": pair.a[-1]["content"][:MOST_SHOWN],
        "b": pair.b[-1]["content"][:MOST_SHOWN],
        "label": pair.label,
        "model_a": pair.model_a,
        "model_b": pair.model_b,
    }


class _Telling:
    """Tells a run's progress from a thread with a connection of its own, while the import's transaction is open.

    Called with the number of rows read; raises what the heartbeat met, so that the import stops and keeps nothing.
    """

    def __init__(self, hold: Hold, *, total: int | None = None) -> None:
        self.hold, self.total = hold, total
        self.rows = 0
        self.stopped: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name=f"progress of run {hold.run.pk}", daemon=True)

    def __call__(self, rows: int) -> None:
        self.rows = rows
        if self.stopped is not None:
            raise self.stopped

    def __enter__(self) -> _Telling:
        self.hold.beat(progress=0, total=self.total)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _tell(self) -> None:
        try:
            while not self._ended.wait(TELL_EVERY):
                try:
                    self.hold.beat(progress=self.rows)
                except (Cancelled, Superseded) as stop:
                    self.stopped = stop
                    return
                except DatabaseError:
                    connection.close()  # The database is away. Try again at the next beat.
        finally:
            connection.close()


# ---- what the page asks ---------------------------------------------------------------------------------------------


def import_of(run: Run) -> Run | None:
    """The import that was asked for from this check, unless it failed or was cancelled."""
    if run.parameters.get("phase") != "check":
        return None
    wanted = Run.objects.filter(project=run.project_id, kind=Run.Kind.IMPORT, parameters__check=run.pk)
    return wanted.exclude(state__in=[Run.State.FAILED, Run.State.CANCELLED]).first()


def mapping_fields(run: Run, *, chosen: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The form in which a person names the columns: what is asked, what was chosen or guessed, and the first value."""
    columns: list[str] = run.result["columns"]
    before = None if chosen or run.parameters["mapping"] else _named_before(run)
    said = chosen or run.parameters["mapping"] or (before.parameters["mapping"] if before else guess_columns(columns))
    first = dict(zip(columns, run.result["first"], strict=True))
    errors = {name: "Choose its column." for name in layouts.NEEDED if chosen is not None and not said.get(name)}
    if said.get("response_a") and said.get("response_a") == said.get("response_b"):
        errors["response_b"] = "First and second answer are the same column."
    return {
        # The file for which these columns were named so, where they are not new to the project.
        "as_for": before.parameters["file"] if before else "",
        "columns": [
            {
                "name": name,
                "title": title,
                "is_needed": name in layouts.NEEDED,
                "column": said.get(name, ""),
                "first": first.get(said.get(name, ""), ""),
                "error": errors.get(name, ""),
            }
            for name, title in ASKED.items()
        ],
        "values": [
            {
                "side": side,
                "name": f"label.{side}",
                "title": title,
                "usual": usual,
                "value": said.get(f"label.{side}", ""),
            }
            for side, (title, usual) in SIDES.items()
        ],
    }


def _named_before(run: Run) -> Run | None:
    """The last check in this project in which the same columns were named by hand, and lines were good."""
    columns = run.result["columns"]
    checks = Run.objects.filter(project=run.project_id, kind=Run.Kind.IMPORT, parameters__phase="check", pk__lt=run.pk)
    same = checks.filter(result__columns__contains=columns, result__columns__contained_by=columns, result__good__gt=0)
    return same.exclude(parameters__mapping={}).order_by("-pk").first()
