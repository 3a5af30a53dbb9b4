"""What an import did, row by row where it refused one; and the report as a file."""

from __future__ import annotations

import csv
import heapq
import json
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from annotation.errors import Refused
from annotation.importing.reasons import REASONS, Refusal
from annotation.importing.values import PairRow
from annotation.models import Project, User
from annotation.recording import record

# So many refusals are kept at hand; all of them lie in a temporary file.
AT_HAND = 1_000
ON_TERMINAL = 20
IN_MEMORY = 2**20

Progress = Callable[[int], None]


class Refusals:
    """Refused rows in the order of their lines. Memory does not grow with their number."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        # Each in the order of lines: what the reader found, then what only the database could find.
        self._spools: list[IO[str]] = []
        self._last = 0

    def add(self, refusals: Iterable[Refusal]) -> None:
        for refusal in sorted(refusals, key=lambda refusal: refusal.line):
            if not self._spools or refusal.line < self._last:
                # Lives as long as the report.
                spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, mode="w+", encoding="utf-8")  # noqa: SIM115
                weakref.finalize(self, spool.close)
                self._spools.append(spool)
            self._last = refusal.line
            self.counts[refusal.reason] += 1
            self._spools[-1].write(json.dumps(refusal.as_dict) + "\n")

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Refusal]:
        return heapq.merge(*map(self._read, self._spools), key=lambda refusal: refusal.line)

    def _read(self, spool: IO[str]) -> Iterator[Refusal]:
        place = 0
        while True:
            # Two who read at once, or one who writes on, do not disturb each other's place.
            spool.seek(place)
            line = spool.readline()
            place = spool.tell()
            spool.seek(0, 2)
            if not line:
                return
            yield Refusal(**json.loads(line))

    def first(self, number: int) -> list[Refusal]:
        return [refusal for _, refusal in zip(range(number), self, strict=False)]


@dataclass
class Report:
    """What came of one file.

    Every row that was read is in exactly one of: added, already (the same is here), linked (the same two answers are
    here under another id), left_out (not asked for, see `elsewhere`), refused. Nothing of a report with `stored` false
    is in the database.
    """

    file: str
    layout: str
    unit: str = "line"
    read: int = 0
    added: int = 0
    already: int = 0
    linked: int = 0
    stored: bool = False
    refusals: Refusals = field(default_factory=Refusals)
    # Rows left out by request or because they are about something else: sentence part -> number.
    elsewhere: Counter[str] = field(default_factory=Counter)
    preview: list[tuple[int, PairRow]] = field(default_factory=list)
    # What else was made: slots, annotators, texts set, principles.
    made: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> int:
        """Rows that may come in, or are in already."""
        return self.read - len(self.refusals) - self.left_out

    @property
    def left_out(self) -> int:
        return self.elsewhere.total()

    @property
    def refused(self) -> list[Refusal]:
        """The first refused rows; iterate over `refusals` for all of them."""
        return self.refusals.first(AT_HAND)

    @property
    def counts(self) -> dict[str, int]:
        """Refused rows by reason, the most frequent first."""
        return dict(self.refusals.counts.most_common())

    @property
    def why(self) -> str:
        """The reasons as part of a sentence: "9 have an empty answer, 6 …"."""
        return ", ".join(f"{number:,} × {REASONS[reason][0]}" for reason, number in self.counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Numbers and the first refusals, for --json, events and run results."""
        return {
            "file": self.file,
            "layout": self.layout,
            "read": self.read,
            "added": self.added,
            "already": self.already,
            "linked": self.linked,
            "refused": len(self.refusals),
            "reasons": self.counts,
            "left_out": dict(self.elsewhere),
            "stored": self.stored,
            **self.made,
            "seconds": round(self.seconds, 3),
        }

    def sentences(self, thing: str = "pair") -> Iterator[str]:
        """What happened, in short sentences."""
        yield f"{self.file}: {self.read:,} rows read, layout {self.layout}."
        if len(self.refusals):
            yield f"{len(self.refusals):,} refused: {self.why}."
        for what, number in self.elsewhere.items():
            yield f"{number:,} left out: {what}."
        if not self.stored:
            yield "Nothing was stored. Mend the rows, or say --on-error skip to import the others."
            return
        yield f"{self.added:,} {thing}s added, {self.already:,} were already here."
        if self.linked:
            yield f"{self.linked:,} have the same two answers as a pair that is here; their ids were linked to it."
        if any(self.made.values()):
            yield "Also: " + ", ".join(f"{number:,} {what}" for what, number in self.made.items() if number) + "."
        yield f"It took {self.seconds:.1f} s."


def record_import(report: Report, *, of: str, project: Project, actor: User | None, **more: Any) -> None:
    """The file in the record of events. An import's last act: who records keeps others from it until the commit."""
    record(
        act=f"import.{of}",
        subject=f"file {report.file}"[:200],
        actor=actor,
        command=f"import_{of}",
        project=project,
        after=report.as_dict() | more,
    )


def check_report_name(path: Path) -> None:
    """Raise `Refused` unless a report can be written there: said before the work, not after it."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise Refused(f"The report {path.name} must end in .csv or .json.")
    if not path.parent.is_dir():
        raise Refused(f"There is no folder {path.parent} for the report. Make it first.")


def write_report(report: Report, path: Path) -> None:
    """All refused rows, as CSV for spreadsheets or as JSON, by the name's ending."""
    check_report_name(path)
    if path.suffix.lower() == ".csv":
        with path.open("w", encoding="utf-8", newline="") as handle:
            for line in report_lines(report):
                handle.write(line)
        return
    with path.open("w", encoding="utf-8") as handle:
        head = json.dumps(report.as_dict(), ensure_ascii=False)
        handle.write(head[:-1] + ', "rows": [')
        for n, refusal in enumerate(report.refusals):
            handle.write(("," if n else "") + "\n" + json.dumps(refusal.as_dict, ensure_ascii=False))
        handle.write("\n]}\n")


class _Echo:
    """Gives csv.writer's lines back instead of keeping them."""

    def write(self, line: str) -> str:
        return line


def report_lines(report: Report) -> Iterator[str]:
    """The report as lines of CSV, one at a time: for a file or a download."""
    writer = csv.writer(_Echo())
    yield writer.writerow([report.unit, "reason", "what is wrong and how to mend it", "id", "excerpt"])
    for refusal in report.refusals:
        cells = [refusal.line, refusal.reason, refusal.sentence, refusal.item, refusal.excerpt]
        yield writer.writerow([harmless(cell) for cell in cells])


def harmless(cell: object) -> object:
    """A cell that a spreadsheet will not take for a formula: a quotation mark goes before what could begin one."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + cell
    return cell
