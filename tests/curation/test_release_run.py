"""The page of a release that a worker writes: how far it is, how it ended, and stopping it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotation import running
from annotation.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project, lead):
    return Run.objects.create(
        project=project, kind="release", code_version="test", started_by=lead.user, parameters={"release": "v1"}
    )


def test_the_run_shows_how_far_it_is_and_stops_asking_when_it_has_ended(project, lead, run, sign_in):
    client, address = sign_in(lead), reverse("release_run", args=[project.slug, run.pk])
    text = client.get(address).content.decode()
    assert "No worker is alive" in text
    assert "worker --queues cpu --hostname cpu@%h --concurrency 2</code>" in text
    assert 'hx-trigger="every 2s"' in text
    hold = running.claim(run_id=run.pk, worker="test")
    assert hold
    hold.beat(progress=5, total=20)
    assert "25&nbsp;%" in client.get(address, headers={"HX-Request": "true"}).content.decode()
    Run.objects.filter(pk=run.pk).update(
        state="failed", error="The disk is full.", lease_until=None, finished_at=project.created_at
    )
    text = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "The disk is full." in text
    assert "hx-trigger" not in text


def test_a_run_can_be_stopped_once(project, lead, run, sign_in):
    client, address = sign_in(lead), reverse("release_run", args=[project.slug, run.pk])
    assert "Cancelled" in client.post(address).content.decode()
    assert client.post(address).status_code == 422


def test_other_runs_are_not_shown_here(project, lead, sign_in):
    other = Run.objects.create(project=project, kind="import", code_version="test")
    assert sign_in(lead).get(reverse("release_run", args=[project.slug, other.pk])).status_code == 404
