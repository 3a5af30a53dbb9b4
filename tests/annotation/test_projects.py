"""Founding a project and its settings, by page."""

from __future__ import annotations

from typing import Any

from annotation.models import Annotator, Event, Project

SENT = {
    "name": "Everyday help",
    "description": "",
    "question": "Which is better overall?",
    "scale": "7",
    "allow_tie": "on",
    "allow_both_bad": "on",
    "overlap": "3",
    "rationale_policy": "optional",
    "votes_policy": "off",
    "tags": "Correctness\nTone",
    "task": "pairs",
    "machine_reasons": "off",
    "control_share": "0.2",
    "lease_minutes": "30",
    "gold_round": "0",
    "gold_pass": "0",
    "shortest_reason": "0",
    "gold_rate": "0",
}


def test_a_lead_founds_a_project_and_writes_its_guideline_next(sign_in: Any, lead: Any) -> None:
    client = sign_in(lead)
    assert b"Found the project" in client.get("/projects/new").content
    answer = client.post(
        "/projects/new", {"name": "Round 4", "question": "Which?", "scale": "6", "overlap": "2"}, follow=True
    )
    project = Project.objects.get(slug="round-4")
    assert answer.redirect_chain[-1][0] == "/p/round-4/guideline"
    assert (project.question, project.scale, project.overlap, project.state) == ("Which?", 6, 2, "setup")
    assert Annotator.objects.get(project=project).user == lead.user


def test_what_is_wrong_with_a_new_project_is_said_at_its_field(sign_in: Any, lead: Any) -> None:
    answer = sign_in(lead).post("/projects/new", {"name": "", "question": "Which?", "scale": "5", "overlap": "99"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'href="#id_name"' in page
    assert page.count('aria-invalid="true"') == 3
    assert Project.objects.count() == 1


def test_settings_are_saved_and_shown(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    url = f"/p/{project.slug}/settings"
    page = client.get(url).content.decode()
    assert "Correctness\nFollows request" in page
    assert client.post(url, {**SENT, "name": "Renamed", "overlap": "4", "lease_minutes": "12"}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.overlap, project.lease_minutes) == ("Renamed", 4, 12)
    assert project.tags == [{"key": "correct", "label": "Correctness"}, {"key": "tone", "label": "Tone"}]
    assert set(Event.objects.get(act="project.settings").after or {}) == {"name", "overlap", "lease_minutes", "tags"}


def test_wrong_settings_change_nothing(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    for sent, sentence in (
        ({"allow_tie": ""}, "A scale of 7 points has this in its middle"),
        ({"tags": "A\nA"}, "stands there twice"),
        ({"overlap": "0"}, "greater than or equal to 1"),
        ({"shortest_reason": "1001"}, "less than or equal to 1000"),
        ({"name": ""}, "This field is required"),
    ):
        answer = client.post(f"/p/{project.slug}/settings", {**SENT, **sent})
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
    assert not Event.objects.exists()


def test_a_scale_in_use_can_not_be_posted_past_the_page(
    sign_in: Any, lead: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    import uuid

    from django.utils import timezone

    from annotation.models import Assignment, Judgement

    pair = make_pair()
    slot = pair.assignments.order_by("slot")[0]
    Assignment.objects.filter(pk=slot.pk).update(annotator=alice, done_at=timezone.now())
    Judgement.objects.create(
        assignment=slot, annotator=alice, key=uuid.uuid4(), verdict="tie", strength=0, swapped=False
    )
    client = sign_in(lead)
    assert b"Pairs have been judged on this scale" in client.get(f"/p/{project.slug}/settings").content
    client.post(f"/p/{project.slug}/settings", {**SENT, "scale": "4"})
    project.refresh_from_db()
    assert project.scale == 7


def test_judging_is_paused_resumed_and_closed_by_button(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    url = f"/p/{project.slug}/settings"
    for act, state, button in (
        ("pause", "paused", "Resume judging"),
        ("resume", "judging", "Pause judging"),
        ("close", "closed", "Open again"),
    ):
        page = client.post(f"{url}/state", {"act": act}, follow=True).content.decode()
        project.refresh_from_db()
        assert project.state == state
        assert button in page
    wrong = client.post(f"{url}/state", {"act": "pause"}, follow=True)
    assert b"is not possible while the project is closed" in wrong.content


def test_machine_reasons_are_turned_on_with_their_control(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    url = f"/p/{project.slug}/settings"
    assert b"Share of answers for which none is shown" in client.get(url).content
    assert client.post(url, {**SENT, "machine_reasons": "several", "control_share": "0.5"}).status_code == 302
    project.refresh_from_db()
    assert (project.machine_reasons, project.control_share) == ("several", 0.5)
    for wrong in ({"machine_reasons": "before"}, {"control_share": "0.95"}, {"control_share": "-0.1"}):
        assert client.post(url, {**SENT, **wrong}).status_code == 422
    project.refresh_from_db()
    assert (project.machine_reasons, project.control_share) == ("several", 0.5)
