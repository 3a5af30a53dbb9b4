"""The site admin's pages: look at nearly everything, change accounts, show no secret."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib import admin as pages
from django.urls import reverse

from annotation.inviting import invite
from annotation.models import Event, User

SHOWN = sorted(f"{model._meta.app_label}/{model._meta.model_name}" for model in pages.site._registry)


@pytest.mark.parametrize("name", SHOWN)
def test_every_list_opens_and_nothing_but_accounts_can_be_changed(
    admin: Any, sign_in: Any, lead: Any, make_pair: Any, name: str
) -> None:
    make_pair()
    client = sign_in(admin)
    app, model = name.split("/")
    assert client.get(reverse(f"admin:{app}_{model}_changelist")).status_code == 200
    if app == "annotation":
        assert client.get(reverse(f"admin:{app}_{model}_add")).status_code == 404


def test_pages_that_would_show_secrets_are_not_there() -> None:
    assert not {"authtoken/tokenproxy", "mfa/authenticator", "account/emailaddress"} & set(SHOWN)


def test_facts_are_looked_at_and_not_changed(admin: Any, sign_in: Any, project: Any) -> None:
    invitation, _ = invite(project=project, actor=admin)
    event = Event.objects.get()
    client = sign_in(admin)
    url = reverse("admin:annotation_event_change", args=[event.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"actor": "somebody else"}).status_code == 404
    assert client.post(reverse("admin:annotation_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 404
    page = client.get(reverse("admin:annotation_invitation_change", args=[invitation.pk])).content.decode()
    assert invitation.token_digest not in page


def test_an_account_is_closed_on_its_page_and_recorded(admin: Any, sign_in: Any, alice: Any) -> None:
    client = sign_in(admin)
    url = reverse("admin:annotation_user_change", args=[alice.user.pk])
    page = client.get(url).content.decode()
    assert alice.user.password not in page
    client.post(url, {"name": "Alicia", "email": "boss@example.org", "is_superuser": "on"})
    alice.user.refresh_from_db()
    assert (alice.user.name, alice.user.email, alice.user.is_active, alice.user.is_superuser) == (
        "Alicia",
        "alice@example.org",
        False,
        False,
    )
    assert Event.objects.get().actor == admin.email
    refused = client.post(
        reverse("admin:annotation_user_change", args=[admin.pk]), {"name": "Root", "is_staff": "on"}, follow=True
    )
    assert b"This is the only site admin" in refused.content
    assert User.objects.get(pk=admin.pk).is_active


def test_the_second_factor_of_a_lost_phone_is_removed(admin: Any, sign_in: Any, lead: Any) -> None:
    TOTP.activate(lead.user, "A" * 32)
    client = sign_in(admin)
    sent = {"action": "remove_second_factor", "_selected_action": [lead.user.pk]}
    assert b"Removed from 1" in client.post(reverse("admin:annotation_user_changelist"), sent, follow=True).content
    assert not Authenticator.objects.filter(user=lead.user).exists()


def test_an_admin_without_the_second_factor_is_sent_to_set_it_up(admin: Any, sign_in: Any, settings: Any) -> None:
    settings.LEADS_NEED_TOTP = True
    answer = sign_in(admin).get("/admin/")
    assert answer.headers["Location"].startswith("/accounts/2fa/totp/activate/")


def test_only_these_pages_take_scripts_from_our_files(admin: Any, sign_in: Any) -> None:
    client = sign_in(admin)
    for address, is_admin in (("/admin/", True), ("/admin/annotation/user/", True), ("/", False)):
        policy = client.get(address, follow=True).headers["Content-Security-Policy"]
        (scripts,) = [part.split() for part in policy.split(";") if part.strip().startswith("script-src")]
        assert ("'self'" in scripts) == is_admin, address
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(scripts)
