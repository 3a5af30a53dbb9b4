"""Files -> numbered rows, with bounded memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from annotation.errors import Refused
from annotation.importing.reading import Row, depth, lines, rows
from annotation.importing.reasons import LONGEST_LINE
from annotation.importing.sources import open_source


def read(path: Path, **options: Any) -> list[Row]:
    return list(rows(open_source(path, **options)))


def write(folder: Path, content: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reasons(path: Path) -> list[tuple[int, str]]:
    return [(row.line, row.bad.reason) for row in read(path) if row.bad]


def test_json_lines_keep_their_numbers_over_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": 1}\n\n  \r\n{"a": 2}\r\n{"a": 3}')
    assert [(row.line, row.value) for row in read(path)] == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert read(write(tmp_path, b'\xef\xbb\xbf{"a": 1}\n'))[0].value == {"a": 1}


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b'{"a": 1}\n{"a": 2}\n'), "pairs.txt")
    assert [row.value for row in read(path)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "not_json"),
        (b"chosen,rejected", "not_json"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"a": NaN}', "not_finite"),
        (b'{"a": -Infinity}', "not_finite"),
        (b'{"a": 1e999}', "not_finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not_finite"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b'{"a": "x\x00y"}', "nul"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
        (b'{"a": ' + b"[" * 100_000, "too_deep"),
        (b"{" + b",".join(b'"k%d": 1' % n for n in range(1_001)) + b"}", "too_many_columns"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write(tmp_path, b'{"a": 1}\n' + line + b'\n{"a": 2}\n{"a": 3}\n')
    found = read(path)
    assert [(row.line, row.bad.reason) for row in found if row.bad] == [(2, reason)]
    assert [row.value for row in found if not row.bad] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_brackets_in_text_are_no_depth() -> None:
    assert depth(json.dumps({"a": "[" * 500 + '"{' * 500, "b": [[1]]}).encode()) == 3


def test_a_long_line_is_counted_and_not_kept() -> None:
    blocks = iter([b"ab\nx", b"y" * 50, b"z" * 50, b"\ncd\n", b""])
    assert list(lines(lambda: next(blocks), limit=40)) == [(1, b"ab", 0), (2, b"x" + b"y" * 50, 101), (3, b"cd", 0)]


def test_memory_does_not_grow_with_the_length_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as handle:
        handle.write(b'{"a": 1}\n{"a": "')
        for _ in range(64):
            handle.write(b"x" * 2**20)
        handle.write(b'"}\n{"a": 2}\n')
    source = open_source(path)
    tracemalloc.start()
    found = list(rows(source))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(row.line, row.bad.reason if row.bad else row.value) for row in found] == [
        (1, {"a": 1}),
        (2, "line_too_long"),
        (3, {"a": 2}),
    ]
    assert peak < 4 * LONGEST_LINE


# ---- JSON arrays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 2**18])
def test_an_array_is_read_element_by_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    elements: list[Any] = [{"a": 'quote " brace } comma , back\\slash\\'}, {"b": [1, {"c": "]"}]}, {"ü": "\n"}]
    path = write(tmp_path, json.dumps(elements, indent=2, ensure_ascii=False))
    from annotation.importing import sources

    usual = sources.Bounded.read
    monkeypatch.setattr(sources.Bounded, "read", lambda self, size=block: usual(self, block))
    found = list(rows(sources.Source(path, "x", "json")))
    assert [row.value for row in found] == elements
    text = path.read_text().split("\n")
    assert [text[row.line - 1].strip() for row in found] == ["{", "{", "{"]


def test_a_bad_element_of_an_array_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, '[\n{"a": 1},\n{"a" 2},\n7,\n{"a": 3}\n]\n')
    assert reasons(path) == [(3, "not_json"), (4, "not_an_object")]
    assert [row.value for row in read(path) if row.value] == [{"a": 1}, {"a": 3}]


def test_an_array_that_breaks_off_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, '[\n{"a": 1},\n{"a": "x')
    assert [row.value for row in read(path) if row.value] == [{"a": 1}]
    assert reasons(path) == [(3, "not_json")]


@pytest.mark.parametrize("block", [1, 3, 2**18])
@pytest.mark.parametrize(
    ("behind", "line"), [('[{"a": 2}]', 2), ('\n\n  [{"a": 2}]', 4), ("]", 2), ('{"a": 2}\n{"a": 3}', 2)]
)
def test_what_stands_behind_an_array_is_said_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: str, line: int, block: int
) -> None:
    from annotation.importing import sources

    usual = sources.Bounded.read
    monkeypatch.setattr(sources.Bounded, "read", lambda self, size=block: usual(self, block))
    path = write(tmp_path, '[{"a": 1},\n{"a": 0}]' + behind)
    found = list(rows(sources.Source(path, "x", "json")))
    assert [row.value for row in found] == [{"a": 1}, {"a": 0}, None]
    assert (found[-1].line, found[-1].bad and found[-1].bad.reason) == (line, "not_json")
    assert "nothing from here on is read" in str(found[-1].bad)


def test_an_element_longer_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path, b'[{"a": "' + b"x" * (LONGEST_LINE + 10) + b'"},\n{"a": 2}]')
    assert reasons(path) == [(1, "line_too_long")]


# ---- CSV -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_cells_are_text_and_rows_know_their_line(tmp_path: Path, delimiter: str) -> None:
    content = f'prompt{delimiter}a\n"two\nlines"{delimiter}x\n"say ""yes"""{delimiter}1\n'
    found = read(write(tmp_path, content))
    assert [(row.line, row.value) for row in found] == [
        (2, {"prompt": "two\nlines", "a": "x"}),
        (4, {"prompt": 'say "yes"', "a": "1"}),
    ]


def test_bad_csv_rows_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,a,b\n1,2,3\n1,2\n"x"y,2,3\n4,5,6\n')
    assert reasons(path) == [(3, "cell_count"), (4, "not_csv")]
    assert [row.value for row in read(path) if row.value][-1] == {"p": "4", "a": "5", "b": "6"}


def test_a_quotation_mark_that_is_never_closed_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,a\n1,2\n"x,2\n4,5\n')
    assert reasons(path) == [(3, "not_csv")]
    # The row after it can be told apart.
    assert [row.value for row in read(path) if row.value] == [{"p": "1", "a": "2"}, {"p": "4", "a": "5"}]


def test_a_row_that_takes_in_the_rest_of_the_file_says_so(tmp_path: Path) -> None:
    (bad,) = [row.bad for row in read(write(tmp_path, 'p,a\n1,2\n3,"x\ny,z,w\n4,5\n')) if row.bad]
    assert bad.what == "A quotation mark of this row is never closed, so that it goes on to the last line, 5."


def test_a_cell_over_the_limit_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "p,a\n1," + "x" * 1_000_002 + "\n4,5\n")
    assert reasons(path) == [(2, "text_too_long")]
    assert [row.value for row in read(path) if row.value] == [{"p": "4", "a": "5"}]


@pytest.mark.parametrize(("lines", "reason"), [(200_000, "text_too_long"), (1_200_000, "line_too_long")])
def test_a_long_cell_of_many_lines_is_one_bad_row(tmp_path: Path, lines: int, reason: str) -> None:
    # Each line of it would do for a row.
    path = write(tmp_path, 'p,a,b,c\n1,q,x,y\n2,q,"' + "a,b,c,d\n" * lines + '",two\n3,q,x,y\n')
    found = read(path)
    assert [(row.line, row.bad.reason) for row in found if row.bad] == [(3, reason)]
    assert [row.value["p"] for row in found if row.value] == ["1", "3"]
    (bad,) = [row.bad for row in found if row.bad]
    assert f"goes on to line {lines + 3:,}" in bad.what


@pytest.mark.parametrize(
    ("header", "said"),
    [("a,b,a", "called 'a'"), (",".join(f"c{n}" for n in range(1_001)), "1,001 columns")],
)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read(write(tmp_path, header + "\n1\n"))


# ---- what a file is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n ", "has no rows"),
        (b"PK\x03\x04rest", "archive"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "archive"),
        (b"\x00\x01\x02" * 100, "binary"),
    ],
)
def test_what_is_not_read_is_refused_with_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read(write(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="There is no file"):
        open_source(tmp_path / "nothing.jsonl")


def test_a_bad_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    path = write(tmp_path, 'not json\n{"a": 1}\n{"a": 2}\n')
    assert open_source(path).kind == "jsonl"
    assert reasons(path) == [(1, "not_json")]


# ---- Parquet, Arrow, dataset folders -------------------------------------------------------------------------------


def table() -> Any:
    import pyarrow as pa

    return pa.table({"prompt": ["p", "q"], "n": [1, None], "m": [[{"role": "user", "content": "x"}], None]})


AS_ROWS = [
    {"prompt": "p", "n": 1, "m": [{"role": "user", "content": "x"}]},
    {"prompt": "q", "n": None, "m": None},
]


def arrow(path: Path, content: Any) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)


def test_parquet_rows_are_counted_from_one(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table(), tmp_path / "x.bin")
    found = read(tmp_path / "x.bin")
    assert [(row.line, row.value) for row in found] == [(1, AS_ROWS[0]), (2, AS_ROWS[1])]


def test_a_saved_dataset_and_its_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        arrow(folder / "data-00000-of-00001.arrow", table())
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (folder / "state.json").write_text(json.dumps(state))
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert [(row.line, row.split) for row in read(tmp_path / "set")] == [
        (1, "train"),
        (2, "train"),
        (3, "test"),
        (4, "test"),
    ]
    assert [row.value for row in read(tmp_path / "set", split="test")] == AS_ROWS
    assert [row.split for row in read(tmp_path / "set" / "train")] == ["train", "train"]
    with pytest.raises(Refused, match=r"no split 'dev'. It has: test, train"):
        open_source(tmp_path / "set", split="dev")


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        pq.write_table(table(), tmp_path / "data" / f"{name}.parquet")
    assert [row.split for row in read(tmp_path)] == ["test"] * 2 + ["train"] * 4


def test_what_datasets_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"prompt": "p", "n": 1}]).save_to_disk(tmp_path / "set")
    assert [row.value for row in read(tmp_path / "set")] == [{"prompt": "p", "n": 1}]


def test_a_dataset_folder_cannot_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    arrow(tmp_path / "secret.arrow", table())
    state = {"_data_files": [{"filename": "../secret.arrow"}]}
    (tmp_path / "set" / "state.json").write_text(json.dumps(state))
    with pytest.raises(Refused, match="outside itself"):
        read(tmp_path / "set")


def test_a_folder_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="without a saved dataset"):
        open_source(tmp_path)
