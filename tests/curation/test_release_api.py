"""A program with a token fetches what it released, verifies it and compares it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from annotation.models import Run
from curation.export import files
from curation.models import Release
from curation.releasing import release

BASE = "/api/v1/projects/everyday/releases"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("same_connection")]


@pytest.fixture
def two(project: Any, pairs: Any, say: Any, bob: Any, tmp_path: Any) -> list[Release]:
    first = release(project=project, version="v1", out=tmp_path / "v1").release
    say(bob, pairs["unanimous"], "second", 1)
    return [first, release(project=project, version="v2", out=tmp_path / "v2").release]


def test_every_file_is_listed_and_fetched_byte_for_byte(two: Any, lead: Any, api: Any, tmp_path: Any) -> None:
    client = api(lead)
    listed = client.get(f"{BASE}/v1/files").json()["results"]
    names = {one["name"] for one in listed}
    folder = tmp_path / "v1"
    assert names == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for one in listed:
        answer = client.get(f"{BASE}/v1/files/{one['name']}")
        body = b"".join(answer.streaming_content)
        assert answer.status_code == 200
        assert body == (folder / one["name"]).read_bytes()
        assert len(body) == one["size"]
        assert one["sha256"] in ("", hashlib.sha256(body).hexdigest())
    assert {one["name"] for one in listed if not one["sha256"]} == {files.MANIFEST, files.SUMS}


@pytest.mark.parametrize(
    "accept", ["*/*", "application/octet-stream", "application/zip", "text/markdown", "application/json", "nonsense"]
)
def test_a_file_is_sent_as_it_is_whatever_is_asked_for(
    two: Any, lead: Any, api: Any, accept: str, tmp_path: Any
) -> None:
    client = api(lead)
    for way in ("files/README.md", "archive"):
        answer = client.get(f"{BASE}/v1/{way}", HTTP_ACCEPT=accept)
        assert answer.status_code == 200, way
        body = b"".join(answer.streaming_content)
        assert way == "archive" or body == (tmp_path / "v1" / "README.md").read_bytes()
    # What is wrong is said as everywhere.
    missing = client.get(f"{BASE}/v1/files/nothing.parquet", HTTP_ACCEPT=accept)
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("name", ["../v2/manifest.json", "nothing.parquet", "trl_dpo", "manifest.json%00", "%2e%2e/x"])
def test_nothing_else_of_the_machine_is_reached(two: Any, lead: Any, api: Any, name: str) -> None:
    assert api(lead).get(f"{BASE}/v1/files/{name}").status_code == 404


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_reach_any_of_it(two: Any, api: Any, who: str, request: Any) -> None:
    client = api(request.getfixturevalue(who))
    for way in ("files", "files/README.md", "diff?against=v1"):
        assert client.get(f"{BASE}/v2/{way}").status_code == 404
    assert client.post(f"{BASE}/v2/verify").status_code == 404


def test_it_is_verified(two: Any, lead: Any, api: Any, tmp_path: Any) -> None:
    client = api(lead)
    assert client.post(f"{BASE}/v2/verify").json() == {"problems": []}
    (tmp_path / "v2" / "README.md").write_text("Otherwise.")
    assert client.post(f"{BASE}/v2/verify").json() == {"problems": ["README.md was changed after the release."]}


def test_two_are_compared(two: Any, lead: Any, api: Any) -> None:
    client = api(lead)
    found = client.get(f"{BASE}/v2/diff?against=v1").json()
    assert found["refused"] == ""
    assert [(one["kind"], one["change"], one["pairs"]) for one in found["results"]] == [
        ("came", "pairs are new", 0),
        ("went", "pairs are gone", 0),
        ("changed", "pair is otherwise", 1),
        ("same", "the same", 1),
    ]
    assert found["results"][2]["reasons"] == [{"reason": "other judgements", "pairs": 1}]
    assert client.get(f"{BASE}/v2/diff?against=v9").status_code == 404
    assert client.get(f"{BASE}/v2/diff").status_code == 400
    assert client.get(f"{BASE}/v2/diff?against=v1&more=1").status_code == 400


def test_a_release_is_asked_for_with_cuts_for_models_and_a_limit(two: Any, lead: Any, api: Any) -> None:
    client = api(lead)
    asked = {"version": "v3", "cuts": ["small = tiny:0.5", 0.25], "most_harmful": 0.01}
    answer = client.post(BASE, asked, format="json")
    assert answer.status_code == 202
    parameters = Run.objects.get(pk=answer.json()["id"]).parameters
    assert (parameters["cuts"], parameters["most_harmful"]) == (["small=tiny:0.5", 0.25], 0.01)
    for wrong in ("small=tiny", "half", 1.5, 0.0001, None, True, {"share": 0.5}, ["a=x:0.5"]):
        assert client.post(BASE, {"version": "v4", "cuts": [wrong]}, format="json").status_code == 400
    for whole in ([0.5, "a=x:0.5", "a=y:0.5"], "a=x:0.5"):
        assert client.post(BASE, {"version": "v4", "cuts": whole}, format="json").status_code == 400
    assert client.post(BASE, {"version": "v4", "most_harmful": 2}, format="json").status_code == 400
