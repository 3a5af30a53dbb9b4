"""The page of models: leads look, site admins register, check, allow and withdraw."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotation import running
from annotation.models import LanguageModel, Run, Worker

pytestmark = pytest.mark.django_db

ENTERED = {"name": "House model", "backend": "openai_compatible", "location": "http://gpu-1:8000/v1"}


@pytest.fixture(autouse=True)
def _no_worker_comes(monkeypatch):
    monkeypatch.setattr(running, "ring", lambda run_id, *, queue: None)


@pytest.fixture
def client(admin, sign_in):
    return sign_in(admin)


def act(client, model, do):
    return client.post(reverse("model", args=[model.pk]), {"do": do}, follow=True)


def test_a_model_is_registered_checked_allowed_and_withdrawn(client, admin):
    text = client.post(reverse("models"), ENTERED, follow=True).content.decode()
    assert "House model is registered." in text
    model = LanguageModel.objects.get()
    assert model.registered_by == admin
    text = act(client, model, "check").content.decode()
    assert "Waiting for a worker" in text
    assert "no living worker serves the queue gpu" in text
    assert "worker --queues gpu --hostname gpu@%h --concurrency 1</code>" in text
    assert 'hx-trigger="every 2s"' in text
    run = Run.objects.get(kind="check")
    assert run.parameters == {"model": model.pk}
    Worker.objects.create(name="gpu", queues=["gpu"])
    fragment = client.get(reverse("models"), headers={"HX-Request": "true"}).content.decode()
    assert "no living worker" not in fragment
    assert "<html" not in fragment
    running.cancel_run(run=run, actor=admin)
    assert "hx-trigger" not in client.get(reverse("models")).content.decode()
    assert "Allowed" in act(client, model, "allow").content.decode()
    model.refresh_from_db()
    assert model.allowed_by == admin
    assert "Not allowed" in act(client, model, "withdraw").content.decode()
    assert client.post(reverse("model", args=[model.pk]), {"do": "load"}).status_code == 400


def test_what_cannot_be_a_model_is_said_in_a_sentence(client):
    answer = client.post(reverse("models"), ENTERED | {"location": "file:///etc/passwd"})
    assert answer.status_code == 422
    assert "Give the endpoint&#x27;s base address" in answer.content.decode()
    assert not LanguageModel.objects.exists()


def test_leads_look_and_change_nothing(lead, sign_in):
    model = LanguageModel.objects.create(**ENTERED, check_said="")
    client = sign_in(lead)
    text = client.get(reverse("models")).content.decode()
    assert "House model" in text
    assert '<button type="submit" class="mini"' not in text
    assert client.post(reverse("models"), ENTERED | {"name": "Mine"}).status_code == 404
    assert client.post(reverse("model", args=[model.pk]), {"do": "allow"}).status_code == 404
    model.refresh_from_db()
    assert model.allowed_at is None
