"""Runs by API: the same verbs and doors as the pages."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.utils import timezone

from annotation.models import Prompt, Run
from tests.annotation.run_pages import sound_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]

URL = "/api/v1/projects/everyday/runs"
ASKED = {"kind": "generation", "parameters": {"models": ["toy"], "n": 2, "max_tokens": 10}, "seed": 5}


@pytest.fixture
def client(lead, project, api, admin):
    sound_model(admin, name="toy")
    digest = hashlib.sha256(b"0").digest()
    Prompt.objects.create(project=project, messages=[{"role": "user", "content": "?"}], digest=digest)
    return api(lead)


def test_a_run_is_estimated_started_read_cancelled_and_retried(client, lead):
    told = client.post(f"{URL}/estimate", ASKED, format="json")
    assert told.status_code == 200
    assert told.json() == {
        "items": 1,
        "units": 2,
        "tokens": 20,
        "seconds": None,
        "low": None,
        "high": None,
        "measured_by": [],
    }
    assert not Run.objects.exists()
    started = client.post(URL, ASKED, format="json")
    assert started.status_code == 202
    run = Run.objects.get()
    assert (run.started_by, run.seed, run.estimate["units"]) == (lead.user, 5, 2)
    assert client.get(f"{URL}/{run.pk}").json()["estimate"]["tokens"] == 20
    assert [one["id"] for one in client.get(URL).json()["results"]] == [run.pk]
    assert client.post(f"{URL}/{run.pk}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{URL}/{run.pk}/cancel").status_code == 400
    again = client.post(f"{URL}/{run.pk}/retry")
    assert (again.status_code, again.json()["state"], again.json()["retries"]) == (202, "waiting", 1)


def test_what_was_left_out_is_told_and_retried_and_what_a_stopped_run_made_is_paired(client, project):
    fields = {"project": project, "kind": "generation", "code_version": "t", "finished_at": timezone.now(), "total": 4}
    done = Run.objects.create(**fields, state="done", progress=3)
    assert client.get(f"{URL}/{done.pk}").json()["is_partial"] is True
    assert client.post(f"{URL}/{done.pk}/pair").status_code == 400
    assert client.post(f"{URL}/{done.pk}/retry").status_code == 202
    stopped = Run.objects.create(**fields, state="cancelled", progress=2)
    told = client.post(f"{URL}/{stopped.pk}/pair")
    assert (told.status_code, told.json()["state"], told.json()["is_partial"]) == (202, "waiting", False)
    assert told.json()["parameters"]["only_pair"] is True


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "release"}, "not a valid choice"),
        ({"parameters": {"models": ["nobody"]}}, "There is no model “nobody”"),
        ({"parameters": {"models": ["toy"], "creativity": 3}}, "no parameter 'creativity'"),
        ({"parameters": {"models": "toy"}}, "must be a list of texts"),
        ({"parameters": {"models": ["toy"], "only_pair": True}}, "made nothing that could be paired"),
        ({"kind": "judging", "parameters": {"model": "toy"}}, "No pair of this project fits"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_started_is_refused_with_a_sentence(client, changes, says):
    for url in (URL, f"{URL}/estimate"):
        answer = client.post(url, {**ASKED, **changes}, format="json")
        assert answer.status_code == 400
        assert says in str(answer.json())
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("given", "kept", "says"),
    [
        ({"about": "unaided"}, ["unaided-1"], ""),
        ({"about": "own"}, ["general-1"], ""),
        ({"about": "people"}, ["general-1"], ""),
        ({"about": "unaided", "rationales": ["general"]}, None, "“general” gives the verdict away"),
        ({"about": "people", "rationales": ["specific", "unaided"]}, None, "“unaided” asks without the verdict"),
    ],
)
def test_the_templates_of_reasons_fit_what_is_to_be_explained(client, make_pair, given, kept, says):
    make_pair()
    asked = {"kind": "judging", "parameters": {"model": "toy", "asks": ["rationales"], **given}}
    for url in (f"{URL}/estimate", URL):
        answer = client.post(url, asked, format="json")
        assert says in answer.json().get("detail", "")
        assert (answer.status_code == 400) == (kept is None)
    assert [run.parameters["rationales"] for run in Run.objects.all()] == ([kept] if kept else [])


GENERATION_TEXTS: list[dict[str, object]] = [
    {name: "{}"} for name in ("strategy", "tag", "source", "pairing", "scorer", "scorer_model")
]
GENERATION_TEXTS += [{"stop": ["{}"]}, {"models": ["{}"]}]
JUDGING_TEXTS: list[dict[str, object]] = [{name: "{}"} for name in ("model", "template", "tag", "source", "about")]
JUDGING_TEXTS += [{"asks": ["{}"]}, {"rationales": ["{}"], "asks": ["rationales"]}]


@pytest.mark.parametrize("half", ["\\u0000", "\\ud800", "a\\udfffb"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [("generation", given) for given in GENERATION_TEXTS] + [("judging", given) for given in JUDGING_TEXTS],
)
def test_a_character_that_cannot_be_kept_is_refused_with_a_sentence(client, make_pair, kind, given, half):
    make_pair()
    usual = {"models": ["toy"]} if kind == "generation" else {"model": "toy", "asks": ["overall"]}
    body = json.dumps({"kind": kind, "parameters": {**usual, **given}}).replace("{}", half)
    for url in (URL, f"{URL}/estimate"):
        answer = client.post(url, body, content_type="application/json")
        assert answer.status_code == 400
        assert "cannot be stored" in answer.json()["detail"]
    assert not Run.objects.exists()
