"""A file comes in: by a name of ours, with its digest, of a known kind, not too large, and from leads only."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing import receiving
from annotation.importing.receiving import path_of
from annotation.models import Pair, Run
from tests.annotation.importing.pressed import GOOD, MIXED, newest, press, send, worked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quiet_telling")]


@pytest.fixture
def client(lead: Any, sign_in: Any) -> Any:
    return sign_in(lead)


def test_an_upload_gets_a_name_of_ours_and_its_digest(project, lead, client):
    answer = send(client, project, GOOD, name="../../etc/pass wd.jsonl")
    run = newest()
    assert answer["Location"] == reverse("import_run", args=[project.slug, run.pk])
    at = run.parameters
    assert (at["phase"], at["size"], at["file"]) == ("check", len(GOOD), "pass wd.jsonl")
    assert at["sha256"] == hashlib.sha256(GOOD).hexdigest()
    assert at["upload"].isalnum()
    assert [path.name for path in django_settings.UPLOADS.iterdir()] == [at["upload"]]
    assert path_of(at["upload"]).read_bytes() == GOOD
    assert run.started_by == lead.user


def test_without_a_file_or_with_an_empty_one_nothing_is_kept(project, client):
    answer = client.post(reverse("imports", args=[project.slug]), {"holds": "pairs"})
    assert answer.status_code == 422
    assert "No file was chosen" in answer.content.decode()
    answer = send(client, project, b"")
    assert answer.status_code == 422
    assert not Run.objects.exists()
    assert list(django_settings.UPLOADS.iterdir()) == []


def test_an_unknown_kind_of_content_is_refused_and_the_file_deleted(project, client):
    assert send(client, project, GOOD, holds="everything").status_code == 422
    assert list(django_settings.UPLOADS.iterdir()) == []


def test_a_file_over_the_limit_is_refused_before_it_is_read(project, client, settings):
    settings.UPLOAD_MAX_BYTES = 10
    answer = send(client, project, b"x" * (receiving.FORM_BYTES + 11))
    assert answer.status_code == 413
    assert "import_pairs" in answer.content.decode()
    assert not settings.UPLOADS.exists()


def test_without_its_token_a_form_leaves_no_file(project, lead):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(lead.user, backend="annotation.signing_in.Backend")
    strict.get(reverse("imports", args=[project.slug]))
    assert send(strict, project, GOOD, csrfmiddlewaretoken="wrong" * 8).status_code == 403
    assert list(django_settings.UPLOADS.iterdir()) == []
    assert not Run.objects.exists()


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_come_in(project, client, sign_in, who, request):
    send(client, project, MIXED)
    run = worked()
    other = sign_in(request.getfixturevalue(who))
    before = sorted(django_settings.UPLOADS.iterdir())
    assert other.get(reverse("imports", args=[project.slug])).status_code == 404
    assert send(other, project, GOOD).status_code == 404
    assert other.get(reverse("import_run", args=[project.slug, run.pk])).status_code == 404
    assert press(other, run, do="import").status_code == 404
    assert other.get(reverse("import_refused", args=[project.slug, run.pk])).status_code == 404
    assert sorted(django_settings.UPLOADS.iterdir()) == before
    assert not Pair.objects.filter(project=project).exists()


def test_runs_of_other_kinds_and_projects_are_not_found(project, client, stranger):
    other = Run.objects.create(project=project, kind="measurement", code_version="t")
    theirs = Run.objects.create(project=stranger.project, kind="import", code_version="t")
    for run in (other, theirs):
        assert client.get(f"/p/{project.slug}/import/{run.pk}").status_code == 404
    assert client.get(f"/p/{project.slug}/import/99999999999999999999999").status_code == 404


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", ".", "nothing", "a/b"])
def test_only_files_of_the_folder_are_uploads(name, settings):
    settings.UPLOADS.mkdir()
    (settings.UPLOADS.parent / "secret").write_text("x")
    with pytest.raises(Refused, match="not here any more"):
        path_of(name)


def test_old_files_go_when_a_new_one_comes(project, client, settings):
    settings.UPLOADS.mkdir()
    old, young = settings.UPLOADS / "old", settings.UPLOADS / "young"
    for path, days in ((old, 31), (young, 29)):
        path.write_text("x")
        then = (timezone.now() - timedelta(days=days)).timestamp()
        os.utime(path, (then, then))
    send(client, project, GOOD)
    assert not old.exists()
    assert young.exists()
