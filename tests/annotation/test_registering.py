"""The register of models: who may be loaded, from where, and what a check found."""

from __future__ import annotations

import os

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import registering, running
from annotation.errors import Refused
from annotation.models import Event, LanguageModel, Run
from annotation.running import Superseded

pytestmark = pytest.mark.django_db

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"backend": "transformers_local", "location": ""}


@pytest.fixture
def roots(settings, tmp_path):
    (tmp_path / "models" / "toy").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "models" / "link")
    settings.MODEL_ROOTS = [str(tmp_path / "models")]
    return tmp_path / "models"


@pytest.fixture
def model(admin):
    return registering.register_model(
        name="House model", backend="openai_compatible", location="http://gpu-1:8000/v1", actor=admin
    )


def checked(model, *, is_sound=True, said="Loaded."):
    run = registering.request_check(model=model)
    hold = running.claim(run_id=run.pk, worker="gpu@here")
    assert hold is not None
    registering.record_check(hold=hold, model=model, is_sound=is_sound, said=said, revision="abc")
    hold.finish(result={})
    model.refresh_from_db()
    return model


def test_a_short_name_is_a_folder_of_the_first_root(roots):
    model = registering.register_model(name="Toy", backend="transformers_local", location="toy", is_toy=True)
    assert model.location == str(roots / "toy")
    assert registering.backend_arguments(model) == {
        "name": "Toy",
        "revision": "",
        "digest": "",
        "kind": "transformers_local",
        "folder_or_url": str(roots / "toy"),
    }


@pytest.mark.parametrize("location", ["/etc", "../elsewhere", "link", "toy/../../elsewhere", "."])
def test_a_folder_outside_the_roots_is_refused(roots, location):
    with pytest.raises(Refused, match="does not lie under"):
        registering.register_model(name="Bad", backend="transformers_local", location=location)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"backend": "pickle"}, "no backend"),
        ({"name": " "}, "Give the model a name"),
        ({"name": "a\nb"}, "without line breaks"),
        ({"location": "file:///etc/passwd"}, "base address"),
        ({"location": "http://"}, "base address"),
        ({"location": "http://host:99999/v1"}, "base address"),
        ({"location": "http://me:secret@host/v1"}, "more than a host"),
        ({"location": "http://host/v1?key=secret"}, "more than a host"),
        ({**HUB, "name_there": "owner/name"}, "40 hexadecimal digits"),
        ({**HUB, "backend": "reward_local", "name_there": "owner/name"}, "40 hexadecimal digits"),
        ({"backend": "reward_local", "location": "/etc"}, "does not lie under"),
        ({**HUB, "name_there": "owner/name", "revision": "main"}, "40 hex"),
        (
            {"backend": "transformers_local", "location": "", "name_there": "../x", "revision": COMMIT},
            "no name of the hub",
        ),
    ],
)
def test_what_cannot_be_a_model_is_refused_with_a_sentence(roots, fields, why):
    given = {"name": "Model", "backend": "openai_compatible", "location": "http://host/v1", **fields}
    with pytest.raises(Refused, match=why):
        registering.register_model(**given)
    assert not LanguageModel.objects.exists()


def test_a_model_is_registered_once(model, admin):
    with pytest.raises(Refused, match="registered already"):
        registering.register_model(name="House model", backend="openai_compatible", location="http://other/v1")
    with pytest.raises(Refused, match="registered already"):
        registering.register_model(name="Other", backend="openai_compatible", location="http://gpu-1:8000/v1")
    event = Event.objects.get(act="model.register")
    assert event.actor == admin.email


def test_a_run_may_use_it_once_it_is_allowed_and_found_sound(model, admin):
    with pytest.raises(Refused, match="There is no model"):
        registering.usable_model("nobody")
    with pytest.raises(Refused, match="is not allowed"):
        registering.usable_model(model.name)
    registering.allow_model(model=model, actor=admin)
    with pytest.raises(Refused, match="has not been checked"):
        registering.usable_model(model.name)
    checked(model, is_sound=False, said="The endpoint does not answer.")
    with pytest.raises(Refused, match=r"cannot be used\. The endpoint does not answer\."):
        registering.usable_model(model.name)
    checked(model)
    assert registering.check_usable([model.name]) == [model]
    assert list(LanguageModel.objects.usable()) == [model]
    assert model.revision == "abc"
    registering.withdraw_model(model=model, actor=admin)
    with pytest.raises(Refused, match="is not allowed"):
        registering.usable_model(model.name)
    assert list(Event.objects.order_by("id").values_list("act", flat=True)) == [
        "model.register",
        "model.allow",
        "model.withdraw",
    ]


def test_one_check_at_a_time(model):
    first, second = registering.request_check(model=model), registering.request_check(model=model)
    assert first == second
    assert (first.kind, first.project, running.queue_of(first)) == ("check", None, "gpu")
    Run.objects.filter(pk=first.pk).update(state="cancelled", finished_at=timezone.now())
    assert registering.request_check(model=model) != first


def test_a_worker_that_lost_the_check_writes_nothing(model):
    hold = running.claim(run_id=registering.request_check(model=model).pk, worker="gpu@here")
    assert hold is not None
    running.hand_back_of(worker="gpu@here")
    with pytest.raises(Superseded):
        registering.record_check(hold=hold, model=model, is_sound=True, said="Loaded.")
    model.refresh_from_db()
    assert model.is_sound is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("an_endpoint_has_an_address", {"backend": "openai_compatible", "location": "/models/x"}),
        ("a_local_model_has_a_folder_or_the_hub", {"backend": "transformers_local", "location": "http://host"}),
        ("a_hub_model_is_pinned_to_a_commit", {"backend": "transformers_local", "revision": "main"}),
        ("a_local_model_has_a_folder_or_the_hub", {"backend": "reward_local", "location": "http://host"}),
        ("a_hub_model_is_pinned_to_a_commit", {"backend": "reward_local", "revision": "main"}),
        ("a_check_says_what_it_found", {"is_sound": True}),
        ("a_check_says_what_it_found", {"is_sound": False, "checked_at": timezone.now()}),
    ],
)
def test_the_database_refuses(name, fields):
    given = {"name": "m", "backend": "openai_compatible", "location": "http://host", **fields}
    if fields.get("revision") == "main":
        given["location"] = ""
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        LanguageModel.objects.create(**given)


def test_who_allowed_says_when(admin):
    with pytest.raises(IntegrityError, match="who_allowed_says_when"), transaction.atomic():
        LanguageModel.objects.create(name="m", backend="openai_compatible", location="http://h", allowed_by=admin)


# ---- toys, and what comes along --------------------------------------------------------------------------------------


def test_what_comes_along_is_found_by_its_short_name_wherever_plumbline_lies(roots, settings):
    model = registering.register_model(
        name="small-toy", backend="transformers_local", location="shipped:toy", is_toy=True
    )
    assert model.location == "shipped:toy"
    settings.SHIPPED_MODELS = {"toy": roots / "moved"}
    assert registering.backend_arguments(model)["folder_or_url"] == str(roots / "moved")
    with pytest.raises(Refused, match="No model shipped:other comes along"):
        registering.register_model(name="other", backend="transformers_local", location="shipped:other")


def test_a_root_that_was_taken_away_holds_no_model_any_more(roots, settings, tmp_path):
    model = registering.register_model(name="Toy", backend="transformers_local", location="toy")
    settings.MODEL_ROOTS = [str(tmp_path / "elsewhere")]
    with pytest.raises(Refused, match="does not lie under"):
        registering.backend_arguments(model)


def test_a_toy_has_a_name_that_says_it(roots):
    with pytest.raises(Refused, match="has “toy” in it"):
        registering.register_model(name="gpt", backend="transformers_local", location="toy", is_toy=True)
    with pytest.raises(IntegrityError, match="a_toy_is_called_so"), transaction.atomic():
        LanguageModel.objects.create(name="gpt", backend="transformers_local", location="/m", is_toy=True)
    with pytest.raises(IntegrityError, match="a_toy_is_called_so"), transaction.atomic():
        LanguageModel.objects.create(
            name="toy", name_there="gpt", backend="openai_compatible", location="http://h", is_toy=True
        )


def test_a_reward_model_answers_no_question_and_a_model_that_answers_gives_no_reward(model, roots):
    checked(registering.allow_model(model=model))
    one = registering.register_model(name="rm", backend="reward_local", location=str(roots / "rm"))
    checked(registering.allow_model(model=one))
    assert registering.usable_model("rm", rewards=True) == one
    assert registering.backend_arguments(one)["folder_or_url"] == str(roots / "rm")
    with pytest.raises(Refused, match="“rm” is a reward model: it writes nothing"):
        registering.check_usable([model.name, "rm"])
    with pytest.raises(Refused, match="is no reward model"):
        registering.usable_model(model.name, rewards=True)
    assert list(LanguageModel.objects.usable().that_answer()) == [model]
    assert list(LanguageModel.objects.usable().that_reward()) == [one]
