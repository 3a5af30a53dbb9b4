"""A file from a browser -> a file in the folder of uploads, under a name that we make, with its digest."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any, overload

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing.reporting import harmless

KEPT = timedelta(days=30)
# The rest of a form beside its file.
FORM_BYTES = 64 * 1024
# What reasons.shown makes of characters that cannot be seen, and of what it cut off.
WRITTEN_OUT = re.compile(r"(‹U\+[0-9A-F]{4,6}›|⏎|… [0-9,]+ more$)")


@dataclass(frozen=True)
class Upload:
    """A file that lies in the folder of uploads. `file` is what its owner called it: shown, never used as a path."""

    name: str
    file: str
    size: int
    sha256: str


class Receiver(FileUploadHandler):
    """Writes what arrives straight into the folder of uploads. Whoever uses it calls `tidy` at the end."""

    chunk_size = 2**20

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self.received: Upload | None = None
        self._path: Path | None = None
        self._handle: IO[bytes] | None = None
        self._is_kept = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.tidy()  # One file per form: an earlier one in the same form is dropped.
        settings.UPLOADS.mkdir(parents=True, exist_ok=True)
        self._path = settings.UPLOADS / uuid.uuid4().hex
        self._handle = self._path.open("xb")
        self._digest, self._size = hashlib.sha256(), 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._handle is not None
        self._handle.write(raw_data)
        self._digest.update(raw_data)
        self._size += len(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        assert self._handle is not None
        assert self._path is not None
        self._handle.close()
        self.received = Upload(
            name=self._path.name, file=(self.file_name or "")[-200:], size=self._size, sha256=self._digest.hexdigest()
        )
        # The form sees that there was a file; its content is read from the folder.
        return UploadedFile(file=None, name=self.file_name, size=self._size)

    def arrived(self) -> Upload:
        """What arrived. It is deleted by `tidy` unless `keep` was called.

        Raises:
            Refused: there was no file, or it is empty.
        """
        if self.received is None:
            raise Refused("No file was chosen. Choose one, then press the button again.")
        if not self.received.size:
            raise Refused(f"“{self.received.file}” is empty: it has no bytes. Choose another file.")
        return self.received

    def keep(self) -> None:
        self._is_kept = True

    def tidy(self) -> None:
        """Close what is open, and delete a file that nobody took over."""
        if self._handle is not None:
            self._handle.close()
        if self._path is not None and not self._is_kept:
            self._path.unlink(missing_ok=True)


def is_too_large(content_length: str) -> bool:
    """Told from the header, before anything of it is read."""
    return content_length.isdecimal() and int(content_length) > settings.UPLOAD_MAX_BYTES + FORM_BYTES


def path_of(name: str) -> Path:
    """Where an upload lies.

    Raises:
        Refused: it is gone, or the name is none of ours.
    """
    path: Path = settings.UPLOADS / name
    if path.parent != settings.UPLOADS or not path.is_file():
        raise Refused(f"The file is not here any more: uploads are kept for {KEPT.days} days. Upload it again.")
    return path


def discard(name: str) -> None:
    """Delete an upload; harmless when it is gone."""
    with contextlib.suppress(Refused):
        path_of(name).unlink(missing_ok=True)


def discard_old() -> None:
    """Delete uploads and reports that are older than 30 days. Called whenever a new one comes."""
    if not settings.UPLOADS.is_dir():
        return
    oldest = (timezone.now() - KEPT).timestamp()
    for path in settings.UPLOADS.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()


# ---- the refused lines of a check, which may be many: one JSON object per line, beside the upload --------------------


def report_path(run_id: int) -> Path:
    path: Path = settings.UPLOADS / f"refused-{run_id}.jsonl"
    return path


def write_report(run_id: int, refusals: Iterator[dict[str, Any]]) -> int:
    """Returns how many lines were written."""
    settings.UPLOADS.mkdir(parents=True, exist_ok=True)
    count = 0
    with report_path(run_id).open("w", encoding="utf-8") as handle:
        for refusal in refusals:
            handle.write(json.dumps(refusal, ensure_ascii=True) + "\n")
            count += 1
    return count


def read_report(run_id: int, *, start: int = 0, count: int | None = None) -> Iterator[dict[str, Any]]:
    """The refused lines of a check, from the `start`th; none where the report is gone."""
    with contextlib.suppress(FileNotFoundError), report_path(run_id).open(encoding="utf-8") as handle:
        for line in islice(handle, start, None if count is None else start + count):
            yield json.loads(line)


class _Echo:
    """Gives csv.writer's lines back instead of keeping them."""

    def write(self, line: str) -> str:
        return line


def csv_lines(run_id: int) -> Iterator[str]:
    """The refused lines of a check as CSV, with a header, and without formulas."""
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "reason", "what is wrong and how to mend it", "id", "excerpt"])
    for one in read_report(run_id):
        yield writer.writerow([harmless(one[key]) for key in ("line", "reason", "sentence", "item", "excerpt")])


class ReportLines(Sequence[dict[str, Any]]):
    """The refused lines of a check as a sequence, of which only the asked-for part is read."""

    def __init__(self, run_id: int, length: int) -> None:
        self.run_id, self.length = run_id, length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, int):
            return next(read_report(self.run_id, start=index, count=1))
        start, stop, _ = index.indices(self.length)
        return [marked(one) for one in read_report(self.run_id, start=start, count=max(0, stop - start))]


def marked(line: dict[str, Any]) -> dict[str, Any]:
    """The line with its excerpt in pieces (text, is it marked): what was written out because it hides is marked."""
    pieces = [(piece, n % 2 == 1) for n, piece in enumerate(WRITTEN_OUT.split(line["excerpt"])) if piece]
    return {**line, "pieces": pieces}
