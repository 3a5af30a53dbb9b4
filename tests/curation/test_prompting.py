"""Candidates for the prompts of a saved selection: by page, by command and over the API."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from annotation import starting
from annotation.errors import Refused
from annotation.generating import GenerationPlan
from annotation.models import Run
from curation.models import Selection
from tests.annotation.run_pages import page, post, sound_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]


@pytest.fixture
def model(admin):
    return sound_model(admin)


@pytest.fixture
def saved(project, lead, make_pair):
    """Of three pairs the second and the third are in it; an older version has all."""
    pairs = [make_pair(source="old"), make_pair(source="new"), make_pair(source="new")]
    for version, criteria in ((1, []), (2, [{"field": "source", "operator": "=", "value": "new"}])):
        Selection.objects.create(project=project, name="hard", version=version, criteria=criteria, owner=lead.user)
    return pairs


def test_the_form_offers_the_newest_version_and_the_run_keeps_which(lead, sign_in, project, model, saved):
    client = sign_in(lead)
    text = page(client, project)
    assert 'value="selection:hard@2"' in text
    assert "hard, version 2, saved by" in text
    assert "hard@1" not in text
    answer = post(client, project, do="estimate", which="selection:hard@2", n="3")
    assert "2 prompts × 3 = 6 candidates" in answer.content.decode()
    post(client, project, do="start", which="selection:hard@2", n="3", promised="6")
    run = Run.objects.get()
    assert run.parameters["selection"] == "hard@2"
    assert run.parameters["prompts"] == [pair.prompt_id for pair in saved[1:]]
    assert run.estimate["units"] == 6


def test_a_command_names_it_with_or_without_a_version(project, model, saved):
    def said(which):
        out = io.StringIO()
        asked = ["--project", project.slug, "--model", model.name, "--prompts", which, "--estimate"]
        call_command("generate", *asked, stdout=out)
        return out.getvalue()

    assert "2 prompts × 4 = 8 candidates" in said("selection:hard")
    assert "3 prompts × 4 = 12 candidates" in said("selection:hard@1")
    with pytest.raises(CommandError, match="no saved selection 'soft'"):
        said("selection:soft")


def test_over_the_api_it_is_read_by_name(lead, api, project, model, saved):
    given = {"kind": "generation", "parameters": {"models": [model.name], "n": 1, "selection": "hard"}}
    path = reverse("api_run_estimate", args=[project.slug])
    answer = api(lead).post(path, given, format="json")
    assert (answer.status_code, answer.json()["items"]) == (200, 2)


def test_a_selection_that_is_empty_or_has_changed_is_refused(project, model, saved):
    plan = GenerationPlan(models=(model.name,), selection="hard")
    offered = starting.offer(project=project, plan=plan)
    saved[1].__class__.objects.filter(pk=saved[1].pk).update(source="moved")
    with pytest.raises(Refused, match="hard@2 has other prompts now"):
        starting.start(project=project, plan=offered.plan)
    saved[1].__class__.objects.update(source="moved")
    with pytest.raises(Refused, match="No pair is in the saved selection hard@2 now"):
        starting.start(project=project, plan=plan)
    assert not Run.objects.exists()
