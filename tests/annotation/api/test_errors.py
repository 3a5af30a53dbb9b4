"""Errors of the API are sentences with the right status."""

from __future__ import annotations

from annotation.models import Project


def test_a_lead_without_a_second_factor_is_told_so(api, lead, settings):
    settings.LEADS_NEED_TOTP = True
    answer = api(lead).get("/api/v1/projects/everyday/pairs")
    assert answer.status_code == 403
    assert "second factor" in answer.json()["detail"]


def test_a_body_that_is_not_json_is_refused(api, lead):
    answer = api(lead).post("/api/v1/projects", "{", content_type="application/json")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["detail"]


def test_another_kind_of_body_is_refused(api, lead):
    assert api(lead).post("/api/v1/projects", {"name": "x"}).status_code == 415


def test_extra_fields_are_refused_and_nothing_is_made(api, lead):
    body = {"name": "Quiet", "is_demo": True, "seed": 5, "state": "closed", "created_by": 1}
    answer = api(lead).post("/api/v1/projects", body, format="json")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"is_demo", "seed", "state", "created_by"}
    assert not Project.objects.filter(name="Quiet").exists()
