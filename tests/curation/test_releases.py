"""The releases of a project: listed, explained, and fetched file by file, and nothing beside them."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from curation.models import Release
from curation.shelf import path_of

pytestmark = pytest.mark.django_db

CARD = "---\npretty_name: hidden header\n---\n\n# Round 3\n\nHow it was made: **majority**. <script>alert(1)</script>\n"


@pytest.fixture
def released(project, lead, tmp_path) -> Release:
    folder = tmp_path / "releases" / "everyday" / "v1"
    (folder / "trl_dpo").mkdir(parents=True)
    (folder / "trl_dpo" / "train.parquet").write_bytes(b"PAR1 rows")
    (folder / "README.md").write_text(CARD)
    (folder / "manifest.json").write_text("{}")
    (folder / "SHA256SUMS").write_text("sums")
    (folder / "secret.txt").write_text("not of the release")
    (tmp_path / "outside.txt").write_text("outside")
    manifest: dict[str, Any] = {
        "pairs": 10,
        "rows": 4,
        "criteria": ["agreement>=0.66"],
        "voices": "people",
        "judgements": {"counted": 30},
        "agreement": {"released": {"value": 0.81, "low": 0.7, "high": 0.9, "n": 4}},
        "guideline": {"version": 2},
        "code_version": "1.0",
        "steps": [{"name": "no majority", "removed": 6, "left": 4}],
        "files": [
            {"path": "trl_dpo/train.parquet", "bytes": 9, "sha256": "ab" * 32, "rows": 4},
            {"path": "README.md", "bytes": len(CARD), "sha256": "cd" * 32},
            {"path": "../../../outside.txt", "bytes": 7, "sha256": "ef" * 32},
        ],
    }
    return Release.objects.create(
        project=project,
        version="v1",
        rule="majority",
        layout="trl_dpo",
        manifest=manifest,
        digest="0123456789abcdef" * 4,
        rows=4,
        folder=str(folder),
        released_by=lead.user,
    )


def fetch(client, project, name):
    return client.get(reverse("release_file", args=[project.slug, "v1", name]))


def test_without_releases_the_page_says_how_to_make_one(project, lead, sign_in):
    text = sign_in(lead).get(reverse("releases", args=[project.slug])).content.decode()
    assert "Nothing has been released yet" in text
    assert f"manage.py release v1 --project {project.slug}" in text


def test_the_list_names_version_rows_rule_layout_digest_and_person(project, lead, released, sign_in):
    text = sign_in(lead).get(reverse("releases", args=[project.slug])).content.decode()
    for part in ("v1", ">4<", "majority", "trl_dpo", "0123456789abcdef…", "by Lena"):
        assert part in text


def test_the_page_shows_card_files_steps_and_origin(project, lead, released, sign_in):
    text = sign_in(lead).get(reverse("release", args=[project.slug, "v1"])).content.decode()
    assert "<strong>majority</strong>" in text
    assert "hidden header" not in text
    assert "<script>alert(1)" not in text
    assert "no majority" in text
    assert "0.81 (0.70 to 0.90), 4 pairs" in text
    assert "agreement&gt;=0.66" in text
    assert reverse("release_file", args=[project.slug, "v1", "trl_dpo/train.parquet"]) in text
    assert "outside.txt" not in text
    assert "secret.txt" not in text


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"trl_dpo/train": 3, "trl_dpo/test": 1, "trl_dpo-easiest-50/train": 2}, ("train", "# 3 rows; test has 1<")),
        # A split without a row is not told to `datasets`, and cannot be loaded.
        ({"trl_dpo/train": 0, "trl_dpo/test": 4}, ("test", "# 4 rows<")),
        ({}, ("train", "# 4 rows<")),
    ],
)
def test_the_line_that_loads_it_names_a_split_that_is_there(project, lead, released, sign_in, splits, says):
    released.manifest["splits"] = splits
    released.save()
    text = sign_in(lead).get(reverse("release", args=[project.slug, "v1"])).content.decode()
    assert f'split=<span class="s">"{says[0]}"</span>' in text
    assert says[1] in text


def test_files_come_as_downloads(project, lead, released, sign_in):
    answer = fetch(sign_in(lead), project, "trl_dpo/train.parquet")
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == b"PAR1 rows"
    assert answer["Content-Disposition"] == 'attachment; filename="train.parquet"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in [part.strip() for part in answer["Content-Security-Policy"].split(";")]
    # A page is none: its forms and scripts would be dead.
    page = sign_in(lead).get(reverse("release", args=[project.slug, "v1"]))
    assert "sandbox" not in page["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name",
    ["secret.txt", "../../../outside.txt", "..%2f..%2foutside.txt", "/etc/passwd", "trl_dpo", "trl_dpo/../README.md/x"],
)
def test_nothing_else_can_be_fetched(project, lead, released, sign_in, name):
    client = sign_in(lead)
    assert client.get(f"/p/{project.slug}/releases/v1/{name}").status_code in (301, 404)
    assert path_of(released, name) is None
    assert path_of(released, "manifest.json") is not None


def test_a_folder_that_is_gone_is_said(project, lead, released, sign_in):
    Release.objects.filter(pk=released.pk).update(folder="/nowhere/at/all")
    text = sign_in(lead).get(reverse("release", args=[project.slug, "v1"])).content.decode()
    assert "The files are not on this machine." in text


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_come_in(project, released, sign_in, who, request):
    client = sign_in(request.getfixturevalue(who))
    assert client.get(reverse("releases", args=[project.slug])).status_code == 404
    assert client.get(reverse("release", args=[project.slug, "v1"])).status_code == 404
    assert fetch(client, project, "README.md").status_code == 404


def test_a_release_of_another_project_is_not_found_here(project, lead, stranger, released, sign_in):
    assert sign_in(stranger).get(reverse("release", args=[stranger.project.slug, "v1"])).status_code == 404


def test_an_address_with_a_nul_character_names_no_release(project, lead, sign_in, released):
    client = sign_in(lead)
    for name in ("a%00b", "a%00b/README.md", "v1/a%00b"):
        assert client.get(f"/p/{project.slug}/releases/{name}").status_code == 404
