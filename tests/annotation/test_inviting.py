"""Invitations, joining, roles, places closed and opened."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.inviting import (
    accept,
    accept_as_new,
    change_role,
    deactivate,
    find_invitation,
    invite,
    reactivate,
    withdraw,
)
from annotation.models import Annotator, Assignment, Draft, Event, Invitation, Project, User
from tests.conftest import PASSWORD
from tests.locks import until_somebody_waits


def test_the_token_is_stored_as_a_digest_only(project: Any, lead: Any) -> None:
    invitation, token = invite(project=project, role="adjudicator", places=3, days=7, actor=lead.user)
    assert len(token) >= 40
    assert token not in str(Invitation.objects.filter(pk=invitation.pk).values().get())
    assert token not in str(list(Event.objects.values()))
    assert find_invitation(token=token) == invitation
    assert timedelta(days=6) < invitation.expires_at - timezone.now() < timedelta(days=8)
    assert Event.objects.get(act="invitation.make").after == {
        "role": "adjudicator",
        "email": "",
        "places": 3,
        "days": 7,
    }


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"role": "owner"}, "There is no role 'owner'"),
        ({"places": 0}, "1 to 500 places"),
        ({"places": 501}, "1 to 500 places"),
        ({"days": 0}, "1 to 90 days"),
        ({"email": "a@example.org", "places": 2}, "has one place"),
        ({"role": "lead", "places": 2}, "one at a time"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(project: Any, wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        invite(project=project, command="test", **wanted)
    assert not Invitation.objects.exists()


def test_joining_takes_a_place_and_gives_the_role(project: Any, stranger: Any) -> None:
    invitation, token = invite(project=project, role="adjudicator", places=2, command="test")
    member = accept(token=token, user=stranger.user)
    assert (member.project, member.role, member.is_active) == (project, "adjudicator", True)
    invitation.refresh_from_db()
    assert invitation.taken == 1
    assert Event.objects.get(act="member.join").actor == stranger.user.email


def test_every_ended_invitation_says_why(project: Any, lead: Any, stranger: Any) -> None:
    with pytest.raises(Refused, match="does not exist"):
        accept(token="no-such-token", user=stranger.user)
    invitation, token = invite(project=project, command="test")
    withdraw(invitation=invitation, actor=lead.user)
    with pytest.raises(Refused, match="was withdrawn"):
        accept(token=token, user=stranger.user)
    with pytest.raises(Refused, match="has ended already"):
        withdraw(invitation=invitation, actor=lead.user)
    late, token = invite(project=project, command="test")
    Invitation.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Refused, match="is too old"):
        accept(token=token, user=stranger.user)
    _, token = invite(project=project, command="test")
    accept_as_new(token=token, name="New", email="new@example.org", password=PASSWORD)
    with pytest.raises(Refused, match="Every place of this invitation is taken"):
        accept(token=token, user=stranger.user)
    assert not Annotator.objects.filter(project=project, user=stranger.user).exists()


def test_an_invitation_never_changes_who_is_in_already(project: Any, alice: Any, lead: Any) -> None:
    invitation, token = invite(project=project, role="lead", actor=lead.user)
    with pytest.raises(Refused, match="in this project already, as annotator"):
        accept(token=token, user=alice.user)
    deactivate(annotator=alice, actor=lead.user)
    with pytest.raises(Refused, match="was closed"):
        accept(token=token, user=alice.user)
    invitation.refresh_from_db()
    alice.refresh_from_db()
    assert (invitation.taken, alice.role, alice.is_active) == (0, "annotator", False)


def test_an_invitation_for_one_address_is_for_nobody_else(project: Any, stranger: Any) -> None:
    _, token = invite(project=project, email="Ada@Example.org", command="test")
    with pytest.raises(Refused, match="another address") as refused:
        accept(token=token, user=stranger.user)
    assert "ada@example.org" not in str(refused.value).lower()
    with pytest.raises(Refused, match="another e-mail address"):
        accept_as_new(token=token, name="X", email="x@example.org", password=PASSWORD)
    member = accept_as_new(token=token, name="Ada", email="ADA@example.org", password=PASSWORD)
    assert member.user is not None
    assert member.user.email == "ada@example.org"
    assert member.user.check_password(PASSWORD)


def test_an_address_with_an_account_signs_in_first(project: Any, stranger: Any) -> None:
    invitation, token = invite(project=project, command="test")
    with pytest.raises(Refused, match="Sign in first"):
        accept_as_new(token=token, name="Mallory", email="CHARLIE@example.org", password=PASSWORD)
    invitation.refresh_from_db()
    assert invitation.taken == 0


def test_an_account_is_not_left_behind_when_joining_fails(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = invite(project=project, command="test")
    monkeypatch.setattr("annotation.inviting._take_a_place", lambda invitation: (_ for _ in ()).throw(Refused("full")))
    with pytest.raises(Refused, match="full"), transaction.atomic():
        accept_as_new(token=token, name="New", email="new@example.org", password=PASSWORD)
    assert not User.objects.filter(email="new@example.org").exists()


def test_the_database_itself_refuses_one_place_too_many(project: Any) -> None:
    invitation, _ = invite(project=project, command="test")
    with pytest.raises(IntegrityError, match="invitation_not_overdrawn"), transaction.atomic():
        Invitation.objects.filter(pk=invitation.pk).update(taken=2)


@pytest.mark.django_db(transaction=True)
def test_two_people_at_the_last_place_one_wins() -> None:
    project = Project.objects.create(slug="race", name="Race")
    _, token = invite(project=project, places=1, command="test")
    users = [User.objects.create_user(f"racer{n}@example.org", PASSWORD, name=f"Racer {n}") for n in range(6)]
    gate, outcomes = threading.Barrier(len(users)), []

    def run(user: User) -> None:
        try:
            gate.wait()
            accept(token=token, user=user)
            outcomes.append("joined")
        except Refused as error:
            outcomes.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("joined") == 1
    assert sum("Every place of this invitation is taken" in outcome for outcome in outcomes) == 5
    assert Annotator.objects.filter(project=project).count() == 1
    assert Invitation.objects.get().taken == 1


def test_a_role_is_changed_and_recorded(project: Any, lead: Any, alice: Any) -> None:
    change_role(annotator=alice, role="adjudicator", actor=lead.user)
    alice.refresh_from_db()
    assert alice.role == "adjudicator"
    event = Event.objects.get(act="member.role")
    assert (event.actor, event.before, event.after) == (lead.user.email, {"role": "annotator"}, {"role": "adjudicator"})
    change_role(annotator=alice, role="adjudicator", actor=lead.user)
    assert Event.objects.filter(act="member.role").count() == 1
    with pytest.raises(Refused, match="no role 'king'"):
        change_role(annotator=alice, role="king", actor=lead.user)


def test_a_project_keeps_a_lead(project: Any, lead: Any, alice: Any) -> None:
    for attempt in (
        lambda: change_role(annotator=lead, role="annotator", actor=lead.user),
        lambda: deactivate(annotator=lead, actor=lead.user),
    ):
        with pytest.raises(Refused, match="only lead"):
            attempt()
    change_role(annotator=alice, role="lead", actor=lead.user)
    deactivate(annotator=lead, actor=alice.user)
    with pytest.raises(Refused, match="only lead"):
        change_role(annotator=alice, role="annotator", actor=alice.user)


def test_who_has_no_account_has_no_place_to_close(project: Any, lead: Any) -> None:
    judge = Annotator.objects.create(project=project, name="gpt", kind="judge", external_id="gpt")
    with pytest.raises(Refused, match="no account here"):
        deactivate(annotator=judge, actor=lead.user)
    with pytest.raises(Refused, match="no account here"):
        change_role(annotator=judge, role="lead", actor=lead.user)


def test_a_closed_place_gives_its_pairs_back(project: Any, lead: Any, alice: Any, bob: Any, make_pair: Any) -> None:
    later = timezone.now() + timedelta(minutes=30)
    kept = make_pair(slots=1)
    Assignment.objects.filter(pair=kept).update(annotator=bob, lease_until=later)
    mine = make_pair(slots=1)
    Assignment.objects.filter(pair=mine).update(annotator=alice, lease_until=later)
    Draft.objects.create(assignment=Assignment.objects.get(pair=mine), body={"note": "half"}, saved_at=timezone.now())
    deactivate(annotator=alice, actor=lead.user)
    alice.refresh_from_db()
    assert not alice.is_active
    returned = Assignment.objects.get(pair=mine)
    assert (returned.annotator, returned.lease_until) == (None, None)
    assert not Draft.objects.exists()
    assert Assignment.objects.get(pair=kept).annotator == bob
    assert Event.objects.get(act="member.deactivate").after == {"returned": 1}
    deactivate(annotator=alice, actor=lead.user)
    assert Event.objects.filter(act="member.deactivate").count() == 1
    assert reactivate(annotator=alice, actor=lead.user).is_active
    assert Event.objects.filter(act="member.reactivate").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_place_is_closed_while_a_worker_wakes_everybody(project: Any, lead: Any, make_pair: Any) -> None:
    """Who closes a place holds that annotator and waits for no other: a sweep locks all of them, lowest id first."""
    member = {"project": project, "dry_until": timezone.now() + timedelta(minutes=1)}
    lower, leaving = (
        Annotator.objects.create(user=User.objects.create_user(f"{name}@example.org", PASSWORD), name=name, **member)
        for name in ("Lower", "Leaving")
    )
    assert lower.pk < leaving.pk
    later = timezone.now() + timedelta(minutes=30)
    Assignment.objects.filter(pair=make_pair(slots=1)).update(annotator=leaving, lease_until=later)

    def close() -> None:
        deactivate(annotator=leaving, actor=lead.user)
        connection.close()

    with transaction.atomic():
        # As a sweep that has got as far as this one.
        Annotator.objects.select_for_update(no_key=True).get(pk=lower.pk)
        closing = threading.Thread(target=close)
        closing.start()
        until_somebody_waits()
        assert not Annotator.objects.select_for_update(no_key=True, nowait=True).get(pk=leaving.pk).is_active
    closing.join()
    assert not Annotator.objects.filter(dry_until__isnull=False).exists()
