"""TRUST R5: among 10,000 rows every bad one is named with its line and reason, and no good one is."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.importing import import_pairs
from annotation.models import Assignment, Candidate, Event, Pair, Project, Prompt

ROWS = 10_000
EACH = 3


def good(n: int) -> dict[str, Any]:
    return {
        "item_id": f"row-{n}",
        "source": "made",
        "prompt": f"What is {n % 4_000} plus one?",
        "response_a": f"It is {n + 1}.",
        "response_b": f"Perhaps {n + 2}?",
        "label": ("a", "b", "tie", None)[n % 4],
        "meta": {"models": ["one", "two"], "n": n, "note": 'a "quoted"\ttab \\ and NaN as text'},
    }


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")


def talk(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "x"} for role in roles]


# reason -> how a good row becomes a bad one.
PLANTED = {
    "not_json": lambda row: line(row)[:-9],
    "not_an_object": lambda row: b"[" + line(row) + b"]",
    "missing_key": lambda row: line(without(row, "response_b")),
    "wrong_type": lambda row: line(row | {"response_a": True}),
    "empty_prompt": lambda row: line(row | {"prompt": "  "}),
    "empty": lambda row: line(row | {"response_b": ""}),
    "identical": lambda row: line(row | {"response_b": row["response_a"]}),
    "invalid_utf8": lambda row: line(row).replace(b"Perhaps", b"Perh\xe4ps"),
    "lone_surrogate": lambda row: json.dumps(row | {"response_a": "half \ud83d"}).encode(),
    "nul": lambda row: line(row | {"response_a": "a\x00b"}),
    "not_finite": lambda row: line(row | {"meta": {"score": float("nan")}}),
    "text_too_long": lambda row: line(row | {"response_a": "x" * 1_000_001}),
    "line_too_long": lambda row: line(row | {"response_a": "x" * 10_000_000}),
    "unknown_role": lambda row: line(row | {"messages": talk("narrator")}),
    "roles_out_of_order": lambda row: line(row | {"messages": talk("user", "user")}),
    "too_deep": lambda row: line(without(row, "meta"))[:-1] + b', "meta": {"a": ' + b"[" * 99 + b"]" * 99 + b"}}",
    "too_many_columns": lambda row: line(row | {f"c{n}": n for n in range(1_000)}),
    "unknown_label": lambda row: line(row | {"label": "A"}),
    "bad_value": lambda row: line(row | {"tags": [""]}),
    "no_common_prompt": lambda row: line(
        row | {"messages_a": talk("user"), "messages_b": [{"role": "user", "content": "y"}]}
    ),
    "duplicate_id": lambda row: line(row | {"item_id": "row-0"}),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """A file of good rows with EACH bad ones of every kind, and what is wrong where."""
    rng = np.random.default_rng(5)
    places = rng.choice(np.arange(1, ROWS), size=len(PLANTED) * EACH, replace=False)
    wrong = dict(zip((int(n) for n in places), sorted(PLANTED) * EACH, strict=True))
    path = tmp_path_factory.mktemp("honest") / "rows.jsonl"
    with path.open("wb") as handle:
        for n in range(ROWS):
            row = good(n)
            handle.write((PLANTED[wrong[n]](row) if n in wrong else line(row)) + b"\n")
    return path, {n + 1: reason for n, reason in wrong.items()}


def counted() -> list[int]:
    return [model.objects.count() for model in (Prompt, Candidate, Pair, Assignment, Event)]


def test_stop_names_every_bad_row_and_stores_nothing(project: Project, planted: tuple[Path, dict[int, str]]) -> None:
    path, wrong = planted
    before = counted()
    report = import_pairs(project=project, path=path)
    assert {refusal.line: refusal.reason for refusal in report.refusals} == wrong
    assert report.counts == dict(Counter(wrong.values()))
    assert [refusal.line for refusal in report.refusals] == sorted(wrong)
    assert (report.stored, report.read) == (False, ROWS)
    assert counted() == before


@pytest.mark.usefixtures("few_texts_set")
def test_skip_imports_all_the_others(project: Project, planted: tuple[Path, dict[int, str]]) -> None:
    path, wrong = planted
    report = import_pairs(project=project, path=path, on_error="skip")
    assert {refusal.line: refusal.reason for refusal in report.refusals} == wrong
    assert (report.stored, report.added, report.already, report.linked) == (True, ROWS - len(wrong), 0, 0)
    here = set(Pair.objects.filter(project=project).values_list("external_id", flat=True))
    assert here == {f"row-{n}" for n in range(ROWS) if n + 1 not in wrong}
    assert Assignment.objects.filter(project=project).count() == 3 * (ROWS - len(wrong))
    # Nothing is left of the rows that were refused.
    assert not Candidate.objects.filter(pairs_as_first=None, pairs_as_second=None).exists()
    assert not Prompt.objects.filter(pairs=None).exists()


@pytest.mark.usefixtures("few_texts_set")
def test_a_file_without_bad_rows_has_none(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "good.jsonl"
    path.write_bytes(b"\n".join(line(good(n)) for n in range(2_000)))
    report = import_pairs(project=project, path=path)
    assert (report.stored, report.added, len(report.refusals)) == (True, 2_000, 0)


# ---- CSV and Parquet have dirt of their own -------------------------------------------------------------------------

FEWER = 2_000
COLUMNS = ["item_id", "source", "prompt", "response_a", "response_b", "label"]


def cells(row: dict[str, Any]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(["" if row[name] is None else row[name] for name in COLUMNS])
    return out.getvalue().encode()


def talkative(n: int) -> dict[str, Any]:
    """Every third answer has line breaks, quotation marks and separators, as long answers have."""
    row = good(n)
    return row | {"response_a": f'It is {n + 1}:\na, "b", c\nd,e,f,g,h,i'} if n % 3 == 0 else row


# Each line of it has as many separators as a row.
PROSE = "a,b,c,d,e,f\n"
PLANTED_CSV: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "cell_count": lambda row: cells(row)[:-1] + b",more\n",
    "not_csv": lambda row: cells(row | {"response_a": "one"}).replace(b",one,", b',"one,'),
    "text_too_long": lambda row: cells(row | {"response_a": PROSE * 100_000}),
    "line_too_long": lambda row: cells(row | {"response_a": PROSE * 800_000}),
    "empty_prompt": lambda row: cells(row | {"prompt": "\n"}),
    "empty": lambda row: cells(row | {"response_b": ""}),
    "identical": lambda row: cells(row | {"response_b": row["response_a"]}),
    "invalid_utf8": lambda row: cells(row).replace(b"Perhaps", b"Perh\xe4ps"),
    "nul": lambda row: cells(row | {"response_b": "a\x00b"}),
    "unknown_label": lambda row: cells(row | {"label": "A"}),
    "duplicate_id": lambda row: cells(row | {"item_id": "row-0"}),
}
PLANTED_PARQUET: dict[str, dict[str, Any]] = {
    "wrong_type": {"response_a": None},
    "empty_prompt": {"prompt": "  "},
    "empty": {"response_b": ""},
    "identical": {"response_a": "same", "response_b": "same"},
    "nul": {"response_a": "a\x00b"},
    "text_too_long": {"response_a": "x\n" * 500_001},
    "line_too_long": {"response_a": "x" * 10_000_000},
    "unknown_label": {"label": "A"},
    "duplicate_id": {"item_id": "row-0"},
}


def drawn(kinds: dict[str, Any]) -> dict[int, str]:
    places = np.random.default_rng(6).choice(np.arange(1, FEWER), size=len(kinds) * EACH, replace=False)
    return dict(zip((int(n) for n in places), sorted(kinds) * EACH, strict=True))


def csv_file(path: Path) -> dict[int, tuple[int, str]]:
    """Write rows of which some are bad. Returns number -> (line on which it begins, what is wrong)."""
    wrong, lines, found = drawn(PLANTED_CSV), 2, {}
    with path.open("wb") as handle:
        handle.write(",".join(COLUMNS).encode() + b"\n")
        for n in range(FEWER):
            written = PLANTED_CSV[wrong[n]](good(n)) if n in wrong else cells(talkative(n))
            if n in wrong:
                found[n] = (lines, wrong[n])
            handle.write(written)
            lines += written.count(b"\n")
    return found


def parquet_file(path: Path) -> dict[int, tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wrong = drawn(PLANTED_PARQUET)
    table = [talkative(n) | (PLANTED_PARQUET[wrong[n]] if n in wrong else {}) for n in range(FEWER)]
    pq.write_table(pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in table]), path)
    return {n: (n + 1, reason) for n, reason in wrong.items()}


@pytest.mark.usefixtures("few_texts_set")
@pytest.mark.parametrize("write", [csv_file, parquet_file])
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_every_bad_row_of_a_table_is_named_and_no_good_one(
    project: Project, tmp_path: Path, write: Callable[[Path], dict[int, tuple[int, str]]], on_error: str
) -> None:
    path = tmp_path / "rows"
    wrong = write(path)
    report = import_pairs(project=project, path=path, layout="plumbline", on_error=on_error)
    assert {(refusal.line, refusal.reason) for refusal in report.refusals} == set(wrong.values())
    assert (report.read, len(report.refusals)) == (FEWER, len(wrong))
    here = set(Pair.objects.filter(project=project).values_list("external_id", flat=True))
    assert here == ({f"row-{n}" for n in range(FEWER) if n not in wrong} if on_error == "skip" else set())
