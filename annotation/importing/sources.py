"""What a file or a folder is: its first bytes say, never its name."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from annotation.errors import Refused
from annotation.importing.reasons import LONGEST_LINE

BLOCK = 2**18
HEAD = 2**16
# gzip, Parquet: so much may come out of each byte that went in, once more than the free part came out.
# Text reaches 3 to 20.
MOST_TIMES = 100
FREE = 64 * 2**20
BOM = b"\xef\xbb\xbf"


@dataclass
class Source:
    """A file or folder that was recognised, not read yet.

    `kind` is "jsonl", "json", "csv", "parquet", "arrow". `size` in bytes. Splits have several files.
    """

    path: Path
    name: str
    kind: str
    is_gzip: bool = False
    size: int = 0
    delimiter: str = ","
    # (split, files) in order; one nameless split for a single file.
    parts: list[tuple[str, list[Path]]] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """The name without its endings: what rows without a source of their own are filed under."""
        return re.sub(r"(\.(jsonl?|ndjson|csv|tsv|txt|parquet|arrow|gz))+$", "", self.name, flags=re.IGNORECASE)[:200]

    @property
    def unit(self) -> str:
        return "row" if self.kind in ("parquet", "arrow") else "line"

    @property
    def broken_text(self) -> str:
        """The reason for a character that cannot be: in JSON it was written so, elsewhere the bytes are not UTF-8."""
        return "lone_surrogate" if self.kind in ("jsonl", "json") else "invalid_utf8"


def check_unpacked(name: str, size: int, out: int) -> None:
    """Raise `Refused` when `size` bytes of a file became `out`, which is far more than text does."""
    if out > FREE and out > MOST_TIMES * size:
        raise Refused(
            f"{name} unpacks to more than {MOST_TIMES} times its size. No text does that; "
            f"unpack the file yourself if it is what you want."
        )


class Bounded:
    """Reads a file in blocks, unpacking gzip; stops a file that unpacks to far more than text does."""

    def __init__(self, path: Path, name: str, *, is_gzip: bool) -> None:
        self.name = name
        self.out = 0
        self.raw: BinaryIO = path.open("rb")
        self.stream: Any = gzip.GzipFile(fileobj=self.raw) if is_gzip else self.raw
        self.is_gzip = is_gzip
        self.is_first = True

    def read(self, size: int = BLOCK) -> bytes:
        try:
            block: bytes = self.stream.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Refused(
                f"{self.name} is a damaged gzip file: it cannot be unpacked beyond {self.out:,} bytes. Copy it again."
            ) from error
        self.out += len(block)
        if self.is_gzip:
            # Against what was taken from the file so far: a bomb stops at the free part, however large it is.
            check_unpacked(self.name, self.raw.tell(), self.out)
        if self.is_first:
            self.is_first = False
            block = block.removeprefix(BOM)
        return block

    def close(self) -> None:
        self.stream.close()
        self.raw.close()


# ---- what is it ----------------------------------------------------------------------------------------------------


def open_source(path: Path | str, *, name: str = "", split: str = "") -> Source:
    """Find out what a file or folder is.

    Raises:
        Refused: it is missing, empty, or nothing that an import reads.
    """
    path = Path(path)
    name = name or path.name
    if not path.exists():
        raise Refused(f"There is no file {path}. Check the name.")
    try:
        if path.is_dir():
            return _folder(path, name, split)
        if split:
            raise Refused(f"{name} is a single file and has no splits. Leave out the split.")
        return _file(path, name)
    except PermissionError as error:
        raise Refused(f"{name} may not be read: permission denied. Change the file's permissions.") from error


def _file(path: Path, name: str) -> Source:
    if not path.is_file():
        raise Refused(f"{name} is not a regular file. Give a file or a folder.")
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(HEAD)
    if not head:
        raise Refused(f"{name} is empty.")
    if head.startswith(b"PAR1"):
        return Source(path, name, "parquet", size=size, parts=[("", [path])])
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return Source(path, name, "arrow", size=size, parts=[("", [path])])
    packed = head.startswith(b"\x1f\x8b")
    if packed:
        with closing(Bounded(path, name, is_gzip=True)) as stream:
            head = stream.read(HEAD)
    if head.startswith((b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"%PDF", b"\x89PNG", b"\x1f\x8b")):
        raise Refused(f"{name} is an archive or a binary file of a kind that is not read. Unpack it, or use gzip.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused(f"{name} is UTF-16. Save it as UTF-8.")
    kind = _kind_of_text(head, name)
    return Source(path, name, kind, is_gzip=packed, size=size, delimiter=_delimiter(head) if kind == "csv" else ",")


def _kind_of_text(head: bytes, name: str) -> str:
    text = head.removeprefix(BOM).lstrip()
    if not text:
        raise Refused(f"{name} has no rows.")
    starts = [line.lstrip()[:1] for line in text.split(b"\n")[:50] if line.strip()]
    objects = starts.count(b"{")
    if text.startswith(b"[") and (text[1:].lstrip()[:1] in (b"{", b"]", b"") or objects):
        return "json"
    # One bad line does not make another format of the file.
    if objects * 2 >= len(starts):
        return "jsonl"
    if text.count(b"\x00") > len(text) // 10:
        raise Refused(
            f"{name} is a binary file of a kind that is not read. Give JSON lines, JSON, CSV, Parquet or Arrow."
        )
    return "csv"


def _delimiter(head: bytes) -> str:
    """The separator that the header uses most: comma, semicolon or tab."""
    header = head.removeprefix(BOM).split(b"\n", 1)[0].decode("utf-8", "replace")
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=outside_quotes.count)


def _folder(path: Path, name: str, split: str) -> Source:
    """A dataset as `save_to_disk` wrote it (one split or several), or a folder of Parquet files."""
    parts: dict[str, list[Path]] = {}
    if (path / "dataset_dict.json").is_file():
        for one in _json_of(path / "dataset_dict.json").get("splits") or []:
            parts[str(one)] = _data_files(_inside(path, str(one)))
        kind = "arrow"
    elif (path / "state.json").is_file():
        parts[str(_json_of(path / "state.json").get("_split") or "")] = _data_files(path)
        kind = "arrow"
    else:
        kind = "parquet"
        for file in sorted(p for p in path.rglob("*.parquet") if p.is_file()):
            # The hub names shards train-00000-of-00004.parquet.
            found = re.match(r"([A-Za-z][\w.]*?)-\d{5}-of-\d{5}", file.name)
            parts.setdefault(found[1] if found else "", []).append(file)
    if not parts:
        raise Refused(
            f"{name} is a folder without a saved dataset and without Parquet files. Give the dataset's folder."
        )
    if split and split not in parts:
        raise Refused(f"{name} has no split {split!r}. It has: {', '.join(sorted(filter(None, parts))) or 'none'}.")
    chosen = [(one, files) for one, files in parts.items() if not split or one == split]
    size = sum(file.stat().st_size for _, files in chosen for file in files)
    return Source(path, name, kind, size=size, parts=chosen)


def _data_files(folder: Path) -> list[Path]:
    state = _json_of(folder / "state.json")
    listed = [_inside(folder, str(entry.get("filename", ""))) for entry in state.get("_data_files") or []]
    missing = [file.name for file in listed if not file.is_file()]
    if missing or not listed:
        raise Refused(f"The dataset folder lacks {', '.join(missing) or 'its data files'}. Save the dataset again.")
    return listed


def _inside(folder: Path, name: str) -> Path:
    """`folder/name`, which must not lead out of the folder."""
    inner = (folder / name).resolve()
    if not inner.is_relative_to(folder.resolve()):
        raise Refused(f"The dataset folder names a file outside itself ({name!r}). Save the dataset again.")
    return inner


def _json_of(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LONGEST_LINE:
            raise ValueError
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError
        return value
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"The dataset folder's {path.name} cannot be read. Save the dataset again.") from error
