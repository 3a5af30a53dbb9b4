"""The files of a release -> one zip archive, made while it is sent: nothing is built first, in memory or on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.http import Http404, StreamingHttpResponse

from curation import shelf
from curation.models import Release

# Bytes that are read at once: what the sender holds.
PIECE = 1 << 20


class _Sink:
    """What has been written and not been sent yet. It cannot be wound back, so the archive needs no winding."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, piece: bytes) -> int:
        self._held += piece
        return len(piece)

    def flush(self) -> None: ...

    def taken(self) -> bytes:
        piece = bytes(self._held)
        self._held.clear()
        return piece


def archive(files: Sequence[tuple[str, Path]]) -> Iterator[bytes]:
    """The archive of these files, by the names that they have in it, in this order. Memory: a few pieces.

    Stored, not deflated: parquet is compressed already. The same files give the same bytes, whoever asks and when: no
    times of the machine are in it. An archive that breaks off has no directory, and no program opens it.

    Raises:
        OSError: a file cannot be read (any more).
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as made:  # type: ignore[call-overload]
        for name, path in files:
            told = zipfile.ZipInfo(name)
            # Known before: of more than 2 GiB an archive needs wider numbers.
            told.file_size = path.stat().st_size
            told.external_attr = 0o644 << 16
            with path.open("rb") as source, made.open(told, "w") as goal:
                while piece := source.read(PIECE):
                    goal.write(piece)
                    yield sink.taken()
    yield sink.taken()


def archive_of(release: Release) -> StreamingHttpResponse:
    """The whole folder of a release as an answer.

    Raises:
        Http404: not every file is on this machine. What is there can still be fetched one by one.
    """
    files = shelf.all_of(release)
    if files is None:
        raise Http404
    folder = f"{release.project.slug}-{release.version}"
    answer = StreamingHttpResponse(
        archive([(f"{folder}/{name}", path) for name, path in files]), content_type="application/zip"
    )
    answer["Content-Disposition"] = f'attachment; filename="{folder}.zip"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
