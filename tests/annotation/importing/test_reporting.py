"""The report: complete, in order, harmless, in bounded memory."""

from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest

from annotation.errors import Refused
from annotation.importing.reasons import REASONS, Bad, Refusal, refusal, shown
from annotation.importing.reporting import Refusals, Report, harmless, report_lines, write_report


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain ünïcödé 中文", "plain ünïcödé 中文"),
        ("invoice\u202efdp.exe", "invoice‹U+202E›fdp.exe"),
        ("a\u2066b\u2069c\u200fd\u200be\ufeff", "a‹U+2066›b‹U+2069›c‹U+200F›d‹U+200B›e‹U+FEFF›"),
        ("a\x00\x1b[31m\x7f\t", "a‹U+0000›‹U+001B›[31m‹U+007F›‹U+0009›"),
        ("two\nlines", "two⏎lines"),
        ("half \ud83d", "half ‹U+D83D›"),
        ("no\u00a0break\u2028line", "no‹U+00A0›break‹U+2028›line"),
        ("x" * 130, "x" * 120 + "… 10 more"),
        (True, "True"),
    ],
)
def test_nothing_hides_in_an_excerpt(text: object, written: str) -> None:
    assert shown(text) == written


def test_every_refusal_says_what_and_how_to_mend_it() -> None:
    for reason in REASONS:
        told = refusal(3, Bad(reason, "It is so."))
        assert told.sentence == f"It is so. {REASONS[reason][1]}"
        assert told.sentence.endswith(".")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_cell_that_could_be_a_formula_gets_a_quotation_mark(cell: str) -> None:
    assert harmless(cell) == "'" + cell
    assert harmless("x" + cell) == "x" + cell


def test_rows_come_in_the_order_of_lines_whoever_found_them() -> None:
    refusals = Refusals()
    refusals.add([Refusal(n, "empty", "s", "e") for n in (5, 2)])
    refusals.add([Refusal(n, "nul", "s", "e") for n in (9, 12)])
    refusals.add([Refusal(n, "identical", "s", "e") for n in (3, 10)])
    assert [one.line for one in refusals] == [2, 3, 5, 9, 10, 12]
    assert [one.line for one in refusals] == [2, 3, 5, 9, 10, 12]
    assert [one.line for one in refusals.first(2)] == [2, 3]
    assert (len(refusals), refusals.counts["empty"]) == (6, 2)


def test_memory_does_not_grow_with_the_number_of_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.importing.reporting.IN_MEMORY", 1_000)

    tracemalloc.start()
    refusals = Refusals()
    for n in range(8_000):
        refusals.add([Refusal(n, "empty", "sentence " * 10, "excerpt")])
    assert sum(1 for _ in refusals) == 8_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Kept in a list they would take more than a megabyte.
    assert most < 200_000


def test_the_file_is_csv_or_json_and_nothing_else(tmp_path: Path) -> None:
    report = Report(file="x", layout="hh")
    report.refusals.add([Refusal(4, "empty", 'Say "why", please.', "=x\u202e", "-id")])
    write_report(report, tmp_path / "r.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "r.csv").read_bytes().decode(), newline="")))
    assert rows[1] == ["4", "empty", 'Say "why", please.', "'-id", "'=x\u202e"]
    assert "".join(report_lines(report)) == (tmp_path / "r.csv").read_bytes().decode()
    with pytest.raises(Refused):
        write_report(report, tmp_path / "r.exe")


def test_each_row_is_counted_once() -> None:
    report = Report(file="x", layout="hh", read=10, added=4, already=2, linked=1)
    report.refusals.add([Refusal(1, "empty", "s", "e"), Refusal(2, "empty", "s", "e")])
    report.elsewhere["task ordinal"] += 1
    assert report.good == 7
    assert report.why == "2 × an empty answer"
