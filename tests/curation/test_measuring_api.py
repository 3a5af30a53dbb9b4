"""Any measure can be asked for over the API, with the settings of the command."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.models import LanguageModel, Run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]

URL = "/api/v1/projects/everyday/measurements"


@pytest.fixture
def ask(lead, api):
    client = api(lead)
    return lambda **asked: client.post(URL, asked, format="json")


def test_a_measure_is_asked_for_with_its_settings_once(project, ask, lead):
    asked = {
        "measure": "people",
        "settings": {"least_common": 5, "ridge": "0.5"},
        "kind": "person",
        "annotators": ["Al"],
        "where": ["tag=code"],
        "seed": 9,
    }
    told = ask(**asked)
    assert told.status_code == 202
    run = Run.objects.get()
    assert (told.json()["id"], run.seed, run.started_by) == (run.pk, 9, lead.user)
    said = {key: run.parameters[key] for key in ("measure", "kind", "annotators", "least_common", "ridge", "whole")}
    assert said == {
        "measure": "people",
        "kind": "person",
        "annotators": ["Al"],
        "least_common": 5,
        "ridge": 0.5,
        "whole": False,
    }
    assert [one["field"] for one in run.parameters["where"]] == ["tag"]
    assert ask(**asked).json()["id"] == run.pk, "One that waits already is enough."


def test_what_is_left_out_is_the_usual(project, ask):
    assert ask(measure="discretion").status_code == 202
    parameters = Run.objects.get().parameters
    assert (parameters["kind"], parameters["whole"], parameters["resamples"]) == ("all", True, 100)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"measure": "beauty"}, "beauty"),
        ({"measure": "agreement", "settings": {"depth": "1"}}, "is not a setting of agreement"),
        ({"measure": "agreement", "settings": {"bootstrap": "many"}}, "The setting bootstrap is a whole number"),
        ({"measure": "agreement", "settings": {"bootstrap": "-1"}}, "The bootstrap takes 0 to"),
        ({"measure": "agreement", "where": ["colour=red"]}, "Unknown field 'colour'"),
        ({"measure": "agreement", "seed": -1}, "seed"),
        ({"measure": "agreement", "seed": 2**63}, "seed"),
        ({"measure": "agreement", "annotators": ["a\0"]}, "annotators"),
        ({"measure": "difficulty"}, "Name the model that is to be trained"),
        ({"measure": "difficulty", "settings": {"model": "none"}}, "none"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_sentence(project, ask, asked, says):
    told = ask(**asked)
    assert told.status_code == 400
    assert says in told.content.decode()
    assert not Run.objects.exists()


def test_difficulty_is_refused_before_a_model_is_loaded_where_pairs_are_too_few(project, ask, make_pair):
    now = timezone.now()
    LanguageModel.objects.create(
        name="tiny",
        backend="transformers_local",
        location="/models/tiny",
        allowed_at=now,
        is_sound=True,
        checked_at=now,
        check_said="Loaded.",
    )
    for place in range(8):
        make_pair(prompt=f"Asked {place}", slots=0, label="first")
    told = ask(measure="difficulty", settings={"model": "tiny", "preference": "source"})
    assert told.status_code == 400
    assert "fewer than the 5 checkpoints" in told.content.decode()


def test_only_leads_ask(project, alice, api):
    assert api(alice).post(URL, {"measure": "agreement"}, format="json").status_code == 404
