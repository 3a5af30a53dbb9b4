"""The API's projects: yours, one of them, a new one."""

from __future__ import annotations

from rest_framework.test import APIClient

from annotation.models import Annotator, Project


def test_it_lists_your_projects_only(api, alice, stranger):
    answer = api(alice).get("/api/v1/projects")
    assert answer.status_code == 200
    assert [project["slug"] for project in answer.json()["results"]] == ["everyday"]
    assert answer.json()["next"] is None


def test_nobody_without_a_token_gets_in(db, alice):
    for path in ("/api/v1/projects", "/api/v1/projects/everyday", "/api/v1/schema.json"):
        assert APIClient().get(path).status_code == 401
    wrong = APIClient()
    wrong.credentials(HTTP_AUTHORIZATION="Token nonsense")
    assert wrong.get("/api/v1/projects").status_code == 401


def test_a_disabled_account_is_out_at_once(api, alice):
    client = api(alice)
    assert client.get("/api/v1/projects").status_code == 200
    alice.user.is_active = False
    alice.user.save(update_fields=["is_active"])
    assert client.get("/api/v1/projects").status_code == 401


def test_a_session_is_no_token(sign_in, lead):
    """The API takes tokens only, so that no other site can make a browser act."""
    assert sign_in(lead).get("/api/v1/projects").status_code == 401


def test_what_is_not_yours_looks_like_what_is_missing(api, alice, stranger):
    theirs, missing = (api(alice).get(f"/api/v1/projects/{slug}") for slug in ("elsewhere", "nowhere"))
    assert theirs.status_code == missing.status_code == 404
    assert theirs.content == missing.content


def test_a_lead_founds_a_project_and_leads_it(api, lead):
    answer = api(lead).post("/api/v1/projects", {"name": "Second round", "overlap": 2, "scale": 4}, format="json")
    assert answer.status_code == 201, answer.json()
    project = Project.objects.get(slug=answer.json()["slug"])
    assert (project.overlap, project.scale) == (2, 4)
    assert Annotator.objects.get(project=project).user == lead.user


def test_an_annotator_founds_nothing(api, alice):
    answer = api(alice).post("/api/v1/projects", {"name": "Mine"}, format="json")
    assert answer.status_code == 403
    assert not Project.objects.filter(name="Mine").exists()


def test_a_taken_address_is_refused_with_a_sentence(api, lead):
    answer = api(lead).post("/api/v1/projects", {"name": "Again", "slug": "everyday"}, format="json")
    assert answer.status_code == 400
    assert "everyday" in answer.json()["detail"]


def test_an_unknown_parameter_is_refused(api, alice):
    answer = api(alice).get("/api/v1/projects?aftr=3")
    assert answer.status_code == 400
    assert "aftr" in answer.json()["detail"]
