"""The doors: roles, strangers, the second factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from annotation import access
from annotation.access import SecondFactorNeeded
from annotation.models import Annotator, Assignment, Guideline, Invitation, Project, Run


def test_each_role_has_what_the_ones_before_it_have(project: Any, lead: Any, adjudicator: Any, alice: Any) -> None:
    table = {
        alice: ["annotator"],
        adjudicator: ["annotator", "adjudicator"],
        lead: ["annotator", "adjudicator", "lead"],
    }
    for member, roles in table.items():
        for role in ("annotator", "adjudicator", "lead"):
            if role in roles:
                assert access.project_for(member.user, project.slug, role=role) == project
                assert access.membership_for(member.user, project.slug, role=role) == member
            else:
                with pytest.raises(Http404):
                    access.project_for(member.user, project.slug, role=role)
                with pytest.raises(Http404):
                    access.membership_for(member.user, project.slug, role=role)
    assert access.is_lead(lead.user, project)
    assert not access.is_lead(adjudicator.user, project)


def test_an_admin_has_every_role_and_no_seat(project: Any, admin: Any) -> None:
    assert access.project_for(admin, project.slug, role="lead") == project
    assert access.is_lead(admin, project)
    with pytest.raises(Http404):
        access.membership_for(admin, project.slug)


def test_who_is_not_there_has_nothing(project: Any, lead: Any) -> None:
    assert not access.projects_for(AnonymousUser()).exists()
    assert not access.may_found(AnonymousUser())
    assert not access.may_administer(AnonymousUser())
    with pytest.raises(Http404):
        access.membership_for(AnonymousUser(), project.slug)
    lead.user.is_active = False
    lead.user.save()
    with pytest.raises(Http404):
        access.project_for(lead.user, project.slug)
    with pytest.raises(Http404):
        access.membership_for(lead.user, project.slug)


def test_objects_are_reached_through_their_own_project_only(
    project: Any, lead: Any, stranger: Any, alice: Any, make_pair: Any
) -> None:
    pair = make_pair(slots=1)
    Assignment.objects.filter(pair=pair).update(annotator=alice, lease_until="2999-01-01T00:00Z")
    run = Run.objects.create(project=project, kind="import", code_version="test")
    Guideline.objects.create(project=project, version=1, text="a", html="a")
    invitation = Invitation.objects.create(project=project, token_digest="0", expires_at="2999-01-01T00:00Z")
    doors: list[tuple[Callable[..., Any], int]] = [
        (access.pair_for, pair.pk),
        (access.prompt_for, pair.prompt_id),
        (access.run_for, run.pk),
        (access.annotator_for, alice.pk),
        (access.invitation_for, invitation.pk),
        (access.guideline_for, 1),
    ]
    for door, key in doors:
        assert door(lead.user, project.slug, key) is not None
        for slug in (project.slug, stranger.project.slug):
            with pytest.raises(Http404):
                door(stranger.user, slug, key)
        with pytest.raises(Http404):
            door(lead.user, project.slug, key + 1000)
    assert access.assignment_for(alice.user, project.slug, pair.assignments.get().pk).annotator == alice
    for somebody in (lead, stranger):
        with pytest.raises(Http404):
            access.assignment_for(somebody.user, project.slug, pair.assignments.get().pk)


def test_a_lead_without_the_second_factor_stays_outside(project: Any, lead: Any, alice: Any, settings: Any) -> None:
    settings.LEADS_NEED_TOTP = True
    for door in (
        lambda: access.project_for(lead.user, project.slug, role="lead"),
        lambda: access.membership_for(lead.user, project.slug, role="lead"),
        lambda: access.projects_for(lead.user, role="lead"),
        lambda: access.annotator_for(lead.user, project.slug, alice.pk),
        lambda: access.may_found(lead.user),
    ):
        with pytest.raises(SecondFactorNeeded):
            door()
    assert not access.is_lead(lead.user, project)
    # Judging is not a lead's power.
    assert access.project_for(lead.user, project.slug) == project
    assert access.membership_for(lead.user, project.slug) == lead
    assert list(access.projects_for(lead.user)) == [project]
    TOTP.activate(lead.user, "A" * 32)
    assert access.project_for(lead.user, project.slug, role="lead") == project
    assert access.is_lead(lead.user, project)
    assert access.may_found(lead.user)


def test_an_admin_without_the_second_factor_stays_outside_everywhere(project: Any, admin: Any, settings: Any) -> None:
    settings.LEADS_NEED_TOTP = True
    for door in (
        lambda: access.project_for(admin, project.slug),
        lambda: access.projects_for(admin),
        lambda: access.may_administer(admin),
    ):
        with pytest.raises(SecondFactorNeeded):
            door()
    TOTP.activate(admin, "A" * 32)
    assert access.may_administer(admin)
    assert list(access.projects_for(admin)) == [project]


def test_who_leads_nothing_needs_no_second_factor(project: Any, alice: Any, settings: Any) -> None:
    settings.LEADS_NEED_TOTP = True
    assert not access.projects_for(alice.user, role="lead").exists()
    with pytest.raises(Http404):
        access.project_for(alice.user, project.slug, role="lead")
    access.check_powers(alice.user)


def test_pages_lead_to_the_set_up_and_the_api_says_no(
    project: Any, lead: Any, sign_in: Any, settings: Any, client: Any
) -> None:
    from rest_framework.authtoken.models import Token

    settings.LEADS_NEED_TOTP = True
    for path in (f"/p/{project.slug}/people", f"/p/{project.slug}/settings", "/projects/new", "/"):
        answer = sign_in(lead).get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/accounts/2fa/totp/activate/"), path
    assert sign_in(lead).post(f"/p/{project.slug}/settings/state", {"act": "pause"}).status_code == 302
    project.refresh_from_db()
    assert project.state == "judging"
    token = Token.objects.create(user=lead.user)
    headers = {"Authorization": f"Token {token.key}"}
    answer = client.get(f"/api/v1/projects/{project.slug}/pairs", headers=headers)
    assert answer.status_code == 403
    assert "second factor" in answer.json()["detail"]
    TOTP.activate(lead.user, "A" * 32)
    assert sign_in(lead).get(f"/p/{project.slug}/people").status_code == 200
    assert client.get(f"/api/v1/projects/{project.slug}/pairs", headers=headers).status_code == 200


def test_founding_is_for_those_who_lead_somewhere(lead: Any, alice: Any, admin: Any) -> None:
    assert access.may_found(lead.user)
    assert access.may_found(admin)
    assert not access.may_found(alice.user)
    Annotator.objects.filter(pk=lead.pk).update(is_active=False)
    assert not access.may_found(lead.user)
    Project.objects.all().delete()
    assert access.may_found(admin)
