from __future__ import annotations

import os
import shutil
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.export import files
from curation.export.records import Rows
from curation.export.trl import DPO, dpo


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(files, "GROUP_ROWS", 2)
    monkeypatch.setattr(files, "SHARD_ROWS", 4)


def write(folder, make_record, rows):
    shards = files.shards_of(-(-rows // 2), within="trl_dpo/train")
    numbers = list(range(rows))
    batches = [dpo(Rows.of([make_record(pair_id=n) for n in numbers[at : at + 2]])) for at in range(0, rows, 2)]
    written = files.write_shards(iter(batches), folder=folder, shards=shards, schema=DPO)
    return [one.entry for one in written]


@pytest.mark.parametrize(
    ("values", "kind", "size"),
    [
        ([1, 2, 3], pa.int64(), 24),
        ([1, None, 3], pa.int64(), 24 + 1),
        ([True] * 9, pa.bool_(), 2),
        (["ab", "", "ü"], pa.string(), 4 * 4 + 4),
        ([["a"], [], ["b", "cd"]], pa.list_(pa.string()), 4 * 4 + 4 * 4 + 4),
        ([{"x": 1, "y": "ab"}] * 2, pa.struct([("x", pa.int64()), ("y", pa.string())]), 16 + 4 * 3 + 4),
    ],
)
def test_the_size_of_a_column_does_not_tell_how_it_was_made(values, kind, size):
    assert files.memory_of(pa.array(values, kind)) == size
    # Taken from a column with a null, cut from a longer one: the same values.
    assert files.memory_of(pa.array([None, *values], kind).take(pa.array(range(1, len(values) + 1)))) == size
    assert files.memory_of(pa.array([*values, *values], kind)[len(values) :]) == size


@pytest.mark.parametrize(("rows", "by_shard"), [(0, [0]), (1, [1]), (4, [4]), (9, [4, 4, 1])])
def test_rows_are_cut_into_shards_at_the_same_places(tmp_path, make_record, small_shards, rows, by_shard):
    entries = write(tmp_path, make_record, rows)
    assert [one.rows for one in entries] == by_shard
    assert entries[0].path == f"trl_dpo/train-00000-of-{len(by_shard):05d}.parquet"
    read = [pair for one in entries for pair in pq.read_table(tmp_path / one.path)["pair_id"].to_pylist()]
    assert read == list(range(rows))
    for one in entries:
        assert one.sha256 == files.sha256_of(tmp_path / one.path)
        assert one.bytes == (tmp_path / one.path).stat().st_size


def test_the_same_rows_are_the_same_bytes(tmp_path, make_record, small_shards):
    first, second = write(tmp_path / "a", make_record, 9), write(tmp_path / "b", make_record, 9)
    assert first == second


def test_an_error_while_rows_are_made_reaches_the_caller(tmp_path, make_record):
    def batches():
        yield dpo(Rows.of([make_record()]))
        raise ValueError("Row 2 is broken.")

    with pytest.raises(ValueError, match=r"Row 2"):
        files.write_shards(batches(), folder=tmp_path, shards=[("x/a.parquet", 2)], schema=DPO)


def test_a_finished_folder_takes_its_name_and_leaves_nothing_beside(tmp_path):
    target = tmp_path / "out"
    with files.beside(target) as temporary:
        (temporary / "file").write_text("new")
        assert not target.exists()
        files.put_in_place(temporary, target)
    assert (target / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_there_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "file").write_text("old")
    usual = os.rename

    def full(source, goal, *args, **kwargs):
        if ".writing-" in os.fspath(source) and "-old" not in os.fspath(source):
            raise OSError(28, "No space left on device")
        return usual(source, goal, *args, **kwargs)

    monkeypatch.setattr("os.rename", full)
    with files.beside(target) as temporary:
        (temporary / "file").write_text("new")
        with pytest.raises(OSError, match="No space"):
            files.put_in_place(temporary, target)
    monkeypatch.undo()
    assert (target / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_process_left_is_tidied_up_after_a_day(tmp_path):
    left, fresh = tmp_path / ".out.writing-1-ab", tmp_path / ".out.writing-2-cd"
    left.mkdir()
    fresh.mkdir()
    yesterday = time.time() - files.LEFTOVER_AFTER - 60
    os.utime(left, (yesterday, yesterday))
    with files.beside(tmp_path / "out"):
        assert not left.exists()
        assert fresh.exists()


def manifest_of(folder, **changes):
    return {"format": files.FORMAT, "project": "p", "version": "v1", "files": [], **changes}


def test_a_folder_that_is_not_ours_is_refused(tmp_path):
    files.check_place(tmp_path / "new", project="p", version="v1")
    files.check_place(tmp_path, project="p", version="v1")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(files.Taken, match="not overwritten"):
        files.check_place(tmp_path, project="p", version="v1")
    with pytest.raises(files.Taken, match="no folder"):
        files.check_place(tmp_path / "thesis.txt", project="p", version="v1")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(files.Taken, match="no folder"):
        files.check_place(tmp_path / "link", project="p", version="v1")


def test_another_release_is_final_and_the_same_one_may_be_written_again(tmp_path):
    files.write_text(tmp_path, files.MANIFEST, files.canonical(manifest_of(tmp_path)))
    files.check_place(tmp_path, project="p", version="v1")
    for other in ({"project": "q", "version": "v1"}, {"project": "p", "version": "v2"}):
        with pytest.raises(files.Taken, match="final"):
            files.check_place(tmp_path, **other)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "another"}', "\xff"])
def test_what_is_no_manifest_of_ours_is_none(tmp_path, text):
    (tmp_path / files.MANIFEST).write_bytes(text.encode("latin-1"))
    assert files.manifest_in(tmp_path) is None


@pytest.fixture
def released(tmp_path, make_record):
    entries = write(tmp_path, make_record, 3)
    entries.append(files.write_text(tmp_path, files.CARD, "# A card\n"))
    manifest = manifest_of(tmp_path, files=[one.as_json() for one in entries])
    described = files.write_text(tmp_path, files.MANIFEST, files.canonical(manifest))
    files.write_sums(tmp_path, [*entries, described])
    return tmp_path


def test_sound_files_have_nothing_wrong_with_them(released):
    assert files.wrong_files(released) == []
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", files.SUMS], cwd=released, check=True)


def test_a_changed_missing_or_strange_file_is_named(released):
    (released / files.CARD).write_text("# B card\n")
    (released / "trl_dpo" / "more.parquet").write_text("x")
    next((released / "trl_dpo").glob("train-*")).unlink()
    assert files.wrong_files(released) == [
        "README.md was changed after the release.",
        "trl_dpo/train-00000-of-00001.parquet is missing.",
        "trl_dpo/more.parquet does not belong to the release.",
    ]


def test_a_changed_manifest_is_named(released):
    text = (released / files.MANIFEST).read_text()
    (released / files.MANIFEST).write_text(text.replace('"v1"', '"v2"'))
    assert files.wrong_files(released) == ["manifest.json does not fit SHA256SUMS."]


def test_a_folder_without_a_manifest_is_no_release(tmp_path):
    assert files.wrong_files(tmp_path) == [f"{tmp_path} holds no manifest of a release."]
