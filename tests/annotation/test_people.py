"""The people page: who is there, inviting, roles, closing places."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Annotator, Assignment, Event, Invitation, Judgement, User
from tests.annotation.test_entrances import confirmed
from tests.conftest import PASSWORD
from tests.lineups import answers, rank


@pytest.fixture
def page(project: Any, lead: Any, sign_in: Any) -> Any:
    client = sign_in(lead)
    return lambda query="": client.get(f"/p/{project.slug}/people{query}").content.decode()


def _judged(annotator: Any, make_pair: Any) -> None:
    pair = make_pair(slots=1)
    Assignment.objects.filter(pair=pair).update(annotator=annotator, done_at=timezone.now())
    Judgement.objects.create(
        assignment=pair.assignments.get(),
        annotator=annotator,
        key=uuid.uuid4(),
        verdict="tie",
        strength=0,
        swapped=False,
    )


def test_members_imported_annotators_and_judges_stand_apart(
    page: Any, project: Any, alice: Any, make_pair: Any
) -> None:
    expert = Annotator.objects.create(project=project, name="expert_4", external_id="expert_4", is_simulated=True)
    Annotator.objects.create(
        project=project, name="GPT", kind="judge", model="gpt-4-0613", prompt_version="pair-v2", external_id="g"
    )
    for annotator in (alice, alice, expert):
        _judged(annotator, make_pair)
    shown = page()
    members, rest = shown.split("Annotators without an account", 1)
    imported, judges = rest.split('id="h-judges"', 1)
    row = re.search(r"<tr>(?:(?!<tr>).)*Alice.*?</tr>", members, re.DOTALL)
    assert row is not None
    assert re.search(r'data-l="Judgements">2<', row.group())
    assert "alice@example.org" in row.group()
    assert "expert_4" not in members
    assert "expert_4" in imported
    assert '<span class="mark">simulated</span>' in imported
    assert '<span class="mark">imported</span>' not in imported
    assert re.search(r'data-l="Judgements">1<', imported)
    assert "gpt-4-0613, prompt pair-v2" in judges
    assert "expert_4" not in judges


def test_searching_finds_by_name_and_address(page: Any, alice: Any, bob: Any) -> None:
    assert "bob@example.org" not in page("?q=ALICE")
    assert "bob@example.org" in page("?q=bob@exam")
    assert "contains “&lt;zz”" in page("?q=<zz")


def test_the_number_of_queries_does_not_grow(page: Any, project: Any, lead: Any, make_pair: Any) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page()
        return len(queries)

    page()
    few = count()
    for n in range(70):
        user = User.objects.create_user(f"m{n}@example.org", PASSWORD, name=f"Member {n:02}")
        Annotator.objects.create(project=project, user=user, name=user.name)
        Annotator.objects.create(project=project, name=f"imported {n}", external_id=f"i{n}")
        Invitation.objects.create(
            project=project, token_digest=str(n), expires_at="2999-01-01T00:00Z", created_by=lead.user
        )
    assert count() <= few + 4
    shown = page()
    assert shown.count("@example.org") <= 60
    assert "Member 69" not in shown
    assert "Member 69" in page("?members=2")
    assert "imported 9" in page("?imported=2")
    assert page("?members=no-number") == page("?members=1") or "Member 00" in page("?members=no-number")


def test_a_link_is_made_and_shown_once(project: Any, lead: Any, sign_in: Any) -> None:
    client = sign_in(lead)
    answer = client.post(f"/p/{project.slug}/people/invite", {"role": "annotator", "email": "", "places": 5, "days": 3})
    link = re.search(r'id="link">(http://testserver/join/[\w-]{40,}/)<', answer.content.decode())
    assert link is not None
    token = link.group(1).split("/")[-2]
    assert token not in client.get(f"/p/{project.slug}/people").content.decode()
    assert b"0 of 5 taken" in client.get(f"/p/{project.slug}/people").content
    assert client.get(f"/join/{token}/").status_code == 200
    invitation = Invitation.objects.get()
    assert client.post(f"/p/{project.slug}/people/invitations/{invitation.pk}/withdraw").status_code == 302
    assert client.get(f"/join/{token}/").status_code == 410
    twice = client.post(f"/p/{project.slug}/people/invitations/{invitation.pk}/withdraw", follow=True)
    assert b"has ended already" in twice.content


def test_a_wrong_invitation_is_shown_again_with_the_reason(project: Any, lead: Any, sign_in: Any) -> None:
    client = sign_in(lead)
    for sent, sentence in (
        ({"role": "annotator", "email": "a@example.org", "places": 2, "days": 3}, "has one place"),
        ({"role": "annotator", "email": "no address", "places": 1, "days": 3}, "valid email"),
        ({"role": "king", "places": 1, "days": 3}, "king"),
    ):
        answer = client.post(f"/p/{project.slug}/people/invite", sent)
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
    assert not Invitation.objects.exists()


def test_inviting_a_lead_and_changing_a_role_ask_for_the_password_again(
    project: Any, lead: Any, alice: Any, sign_in: Any
) -> None:
    client = sign_in(lead)
    role = f"/p/{project.slug}/people/{alice.pk}/role"
    for path, sent in (
        (role, {"role": "lead"}),
        (f"/p/{project.slug}/people/invite", {"role": "lead", "places": 1, "days": 3}),
    ):
        assert client.post(path, sent).headers["Location"].startswith("/accounts/reauthenticate/")
    alice.refresh_from_db()
    assert alice.role == "annotator"
    assert not Invitation.objects.exists()
    client.post(role, {"role": "adjudicator"})
    # What was asked for is done once the password is there, without asking for it again.
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": role})
    alice.refresh_from_db()
    assert alice.role == "adjudicator"


def test_roles_and_places_change_by_button(project: Any, lead: Any, alice: Any, sign_in: Any) -> None:
    client = confirmed(sign_in(lead))
    base = f"/p/{project.slug}/people/{alice.pk}"
    assert b"The role of Alice is set." in client.post(f"{base}/role", {"role": "adjudicator"}, follow=True).content
    assert b"There is no role &#x27;&#x27;" in client.post(f"{base}/role", {}, follow=True).content
    assert b"The place of Alice is closed" in client.post(f"{base}/close", follow=True).content
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("adjudicator", False)
    client.post(f"{base}/open")
    alice.refresh_from_db()
    assert alice.is_active
    only = client.post(f"/p/{project.slug}/people/{lead.pk}/close", follow=True)
    assert b"is the only lead of this project" in only.content
    assert Event.objects.filter(act__startswith="member.").count() == 3


def test_names_are_data(page: Any, project: Any) -> None:
    Annotator.objects.create(project=project, name="<img src=x onerror=alert(1)>", external_id="x")
    assert "<img src=x" not in page()
    assert "&lt;img src=x" in page()


def test_only_who_has_a_seat_is_offered_to_judge(sign_in, lead, admin):
    """A site admin leads every project and judges in none: the link would lead nowhere."""
    judge = f"/p/{lead.project.slug}/judge"
    assert f'href="{judge}"' in sign_in(lead).get(f"/p/{lead.project.slug}/people").content.decode()
    assert f'href="{judge}"' not in sign_in(admin).get(f"/p/{lead.project.slug}/people").content.decode()
    assert sign_in(admin).get(judge).status_code == 404


def test_where_lineups_are_ranked_a_ranking_counts_once(
    ranking_project: Any, lead: Any, alice: Any, bob: Any, sign_in: Any
) -> None:
    answers(ranking_project, 4)
    rank(alice, 1, 2, 3, 4)
    page = sign_in(lead).get("/p/everyday/people")
    counted = {member.name: (member.judged, member.last_judged is not None) for member in page.context["members"]}
    assert counted == {"Lena": (0, False), "Alice": (1, True), "Bob": (0, False)}
    assert "Rankings" in page.content.decode()
