"""The whole folder of a release in one archive: the same files, byte for byte, made while it is sent."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.urls import reverse

from curation.archiving import PIECE, archive
from curation.models import Release
from curation.releasing import release
from tests.curation.folders import bytes_of

PAGE = "/p/everyday/releases/v1"
API = "/api/v1/projects/everyday/releases/v1/archive"


@pytest.fixture
def made(same_connection: None, project: Any, pairs: Any, tmp_path: Path) -> Release:
    return release(project=project, version="v1", out=tmp_path / "v1", test_share=0.3).release


def opened(answer: Any) -> dict[str, bytes]:
    """The files of an archive by name; every checksum in it is right."""
    assert isinstance(answer, StreamingHttpResponse)
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as found:
        assert found.testzip() is None
        return {one: found.read(one) for one in found.namelist()}


@pytest.mark.parametrize("is_api", [False, True], ids=["page", "api"])
def test_it_holds_the_folder_byte_for_byte(made: Release, lead: Any, sign_in: Any, api: Any, is_api: bool) -> None:
    (Path(made.folder) / "left behind.tmp").write_text("No file of the release.")
    client = api(lead) if is_api else sign_in(lead)
    answer = client.get(API if is_api else reverse("release_archive", args=["everyday", "v1"]))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"] == 'attachment; filename="everyday-v1.zip"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    there = bytes_of(Path(made.folder))
    del there["left behind.tmp"]
    found = opened(answer)
    assert found == {f"everyday-v1/{name}": body for name, body in there.items()}
    listed = [one["path"] for one in made.manifest["files"]]
    assert [*found] == [f"everyday-v1/{name}" for name in (*listed, "manifest.json", "SHA256SUMS")]


def test_it_is_the_same_archive_whenever_it_is_asked_for(made: Release, lead: Any, sign_in: Any) -> None:
    import os

    client, address = sign_in(lead), reverse("release_archive", args=["everyday", "v1"])
    first = b"".join(client.get(address))
    for path in Path(made.folder).rglob("*"):
        os.utime(path, (1, 1))
    assert b"".join(client.get(address)) == first


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_get_it(made: Release, sign_in: Any, api: Any, who: str, request: Any) -> None:
    person = request.getfixturevalue(who)
    assert sign_in(person).get(f"{PAGE}/all.zip").status_code == 404
    assert api(person).get(API).status_code == 404


def test_there_is_none_of_a_release_that_does_not_exist_or_is_not_whole(
    made: Release, lead: Any, sign_in: Any, api: Any
) -> None:
    client = sign_in(lead)
    assert "Download all" in client.get(PAGE).content.decode()
    assert client.get("/p/everyday/releases/v9/all.zip").status_code == 404
    assert client.get("/p/everyday/releases/a%00b/all.zip").status_code == 404
    (Path(made.folder) / "README.md").unlink()
    assert client.get(f"{PAGE}/all.zip").status_code == 404
    assert api(lead).get(API).status_code == 404
    text = client.get(PAGE).content.decode()
    assert "Download all" not in text
    assert "Not all of them are on this machine" in text


def test_what_the_manifest_names_outside_the_folder_is_never_in_it(made: Release, lead: Any, sign_in: Any) -> None:
    (Path(made.folder).parent / "outside.txt").write_text("outside")
    made.manifest["files"].append({"path": "../outside.txt", "bytes": 7, "sha256": "00" * 32})
    Release.objects.filter(pk=made.pk).update(manifest=made.manifest)
    assert sign_in(lead).get(f"{PAGE}/all.zip").status_code == 404


def test_a_piece_is_sent_before_the_next_is_read(tmp_path: Path) -> None:
    """However large the file: what is held is a piece."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(40 * PIECE)
    small = tmp_path / "small"
    small.write_bytes(b"small")
    pieces = archive([("large", large), ("gone", tmp_path / "gone"), ("small", small)])
    sizes = [len(next(pieces)) for _ in range(40)]
    assert max(sizes) < PIECE + 200
    with pytest.raises(FileNotFoundError):
        # Not before: the missing file is opened when its turn comes, and the archive breaks off.
        next(pieces)


def test_a_file_of_more_than_two_gibibytes_has_wide_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 500)
    whole = b"".join(archive([(name, tmp_path / name) for name in ("a", "b")]))
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        assert {one: found.read(one) for one in found.namelist()} == {"a": b"a" * 500, "b": b"b" * 500}
