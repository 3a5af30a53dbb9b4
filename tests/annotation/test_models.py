"""The page of models and its command: leads look, site admins register, check, allow and withdraw."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from annotation import registering, running
from annotation.models import Event, LanguageModel, Run, Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]

ENTERED = {"name": "House model", "backend": "openai_compatible", "location": "http://gpu-1:8000/v1"}


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


# ---- the command -----------------------------------------------------------------------------------------------------


def say(capsys, *arguments):
    call_command("models", *arguments)
    return capsys.readouterr().out


ADD = ("add", "House", "--backend", "openai_compatible", "--location", "http://gpu-1:8000/v1", "--name-there", "o/n")


def test_a_script_registers_allows_and_withdraws(db, capsys):
    said = say(capsys, *ADD)
    assert said == "House · Endpoint (OpenAI-compatible) · http://gpu-1:8000/v1 · not allowed · not checked\n"
    assert " · allowed · not checked" in say(capsys, "allow", "House")
    # Twice does no harm.
    say(capsys, "allow", "House")
    assert say(capsys) == say(capsys, "list")
    told = json.loads(say(capsys, "list", "--json"))
    assert (told["name"], told["name_there"], told["is_usable"], told["check_run"]) == ("House", "o/n", False, None)
    assert " · not allowed · " in say(capsys, "withdraw", "House")
    acts = ["model.register", "model.allow", "model.withdraw"]
    assert list(Event.objects.order_by("id").values_list("act", flat=True)) == acts
    assert all("models" in actor for actor in Event.objects.values_list("actor", flat=True))


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_script_waits_for_what_a_check_finds(db, capsys, monkeypatch, is_sound):
    say(capsys, *ADD)

    def a_worker_comes(seconds):
        run = Run.objects.get(kind="check")
        if run.state == "waiting":
            hold = running.claim(run_id=run.pk, worker="gpu@here")
            assert hold is not None
            model = LanguageModel.objects.get()
            registering.record_check(hold=hold, model=model, is_sound=is_sound, said="It said a word.")
            hold.finish(result={})

    monkeypatch.setattr("annotation.awaiting.time.sleep", a_worker_comes)
    if is_sound:
        call_command("models", "check", "House", "--wait")
    else:
        with pytest.raises(SystemExit):
            call_command("models", "check", "House", "--wait")
    said = capsys.readouterr().out
    assert f"Run {Run.objects.get().pk} is waiting for a worker." in said
    assert said.splitlines()[-1].endswith("not allowed · It said a word.")


def test_a_check_that_fails_is_no_success_though_an_earlier_one_was(db, capsys, monkeypatch):
    say(capsys, *ADD)
    LanguageModel.objects.update(is_sound=True, checked_at=timezone.now(), check_said="Loaded.")

    def somebody_stops_it(seconds):
        running.cancel_run(run=Run.objects.get(kind="check"))

    monkeypatch.setattr("annotation.awaiting.time.sleep", somebody_stops_it)
    with pytest.raises(SystemExit):
        call_command("models", "check", "House", "--wait")


def test_a_command_that_cannot_be_done_says_why(db, capsys):
    say(capsys, *ADD)
    for arguments, says in [
        (ADD, "is registered already"),
        (("allow", "Nobody"), "There is no model 'Nobody'. `manage.py models` lists them."),
        (("check", "Nobody"), "There is no model 'Nobody'"),
        (("add", "A toy", "--backend", "transformers_local", "--location", "/etc"), "does not lie under"),
        (("add", "Small", "--backend", "transformers_local", "--location", "shipped:toy", "--toy"), "has “toy” in it"),
    ]:
        with pytest.raises(CommandError) as refused:
            call_command("models", *arguments)
        assert says in str(refused.value)
    assert LanguageModel.objects.count() == 1
