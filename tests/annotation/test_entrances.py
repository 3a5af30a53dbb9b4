"""The front door, one-time links, joining, the account's own pages."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token

from annotation.inviting import deactivate, invite
from annotation.models import Annotator, Event, Invitation, Project, SignInLink, User
from annotation.signing_in import make_sign_in_link
from tests.conftest import PASSWORD

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def signed_in_as(client: Client) -> str:
    pk = client.session.get("_auth_user_id")
    return User.objects.get(pk=pk).email if pk else ""


def test_everybody_is_sent_to_their_work(
    client: Any, sign_in: Any, project: Any, alice: Any, lead: Any, adjudicator: Any, admin: Any
) -> None:
    assert client.get("/").headers["Location"] == "/accounts/login/"
    assert sign_in(alice).get("/").headers["Location"] == f"/p/{project.slug}/judge"
    for somebody in (lead, adjudicator, admin):
        assert sign_in(somebody).get("/").headers["Location"] == "/projects"
    other = Project.objects.create(slug="second", name="Second")
    Annotator.objects.create(project=other, user=alice.user, name="Alice")
    assert sign_in(alice).get("/").headers["Location"] == "/projects"
    Annotator.objects.filter(user=alice.user).update(is_active=False)
    assert sign_in(alice).get("/").headers["Location"] == "/projects"


def test_looking_at_a_sign_in_link_does_not_use_it_up(client: Any, alice: Any) -> None:
    path = f"/enter/{make_sign_in_link(user=alice.user, next_path='/account')}/"
    for _ in range(3):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
    assert not signed_in_as(client)
    answer = client.post(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account")
    assert signed_in_as(client) == "alice@example.org"
    again = Client().post(path)
    assert again.status_code == 410
    assert b"was used already or is too old" in again.content
    assert SignInLink.objects.get().used_at is not None


def test_a_sign_in_link_still_asks_for_the_second_factor(client: Any, lead: Any) -> None:
    TOTP.activate(lead.user, SECRET)
    answer = client.post(f"/enter/{make_sign_in_link(user=lead.user)}/")
    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert not signed_in_as(client)
    page = client.get("/accounts/2fa/authenticate/")
    assert b"Second factor" in page.content
    client.post("/accounts/2fa/authenticate/", {"code": code_of(SECRET)})
    assert signed_in_as(client) == lead.user.email


def test_a_new_account_joins_in_one_step(client: Any, project: Any) -> None:
    _, token = invite(project=project, command="test")
    page = client.get(f"/join/{token}/").content.decode()
    assert "Join <span" in page
    assert "Everyday help" in page
    answer = client.post(
        f"/join/{token}/", {"name": "Nora Nil", "email": "Nora@Example.org", "password": PASSWORD}, follow=True
    )
    assert answer.redirect_chain[-1][0] == f"/p/{project.slug}/judge"
    member = Annotator.objects.get(project=project)
    assert (member.name, member.role) == ("Nora Nil", "annotator")
    assert signed_in_as(client) == "nora@example.org"
    assert Invitation.objects.get().taken == 1
    used = Client().get(f"/join/{token}/")
    assert used.status_code == 410
    assert b"Every place of this invitation is taken" in used.content


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("short-9-x", "at least 12"),
        ("password123456", "too common"),
        ("nora@example.org", "too similar"),
        ("", "required"),
    ],
)
def test_a_weak_password_is_refused_with_a_reason(client: Any, project: Any, password: str, sentence: str) -> None:
    _, token = invite(project=project, command="test")
    answer = client.post(f"/join/{token}/", {"name": "Nora Nil", "email": "nora@example.org", "password": password})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert 'value="nora@example.org"' in page
    assert not password or f'value="{password}"' not in page.replace('value="nora@example.org"', "")
    assert not User.objects.filter(email="nora@example.org").exists()


def test_who_is_signed_in_joins_with_a_button(sign_in: Any, project: Any, stranger: Any) -> None:
    _, token = invite(project=project, role="adjudicator", command="test")
    client = sign_in(stranger)
    page = client.get(f"/join/{token}/").content.decode()
    assert "Join as Charlie" in page
    assert 'name="password"' not in page
    assert client.post(f"/join/{token}/").headers["Location"] == "/"
    assert Annotator.objects.get(project=project, user=stranger.user).role == "adjudicator"
    again = client.post(f"/join/{token}/")
    assert again.status_code == 410


def test_an_ended_invitation_says_so(client: Any, project: Any) -> None:
    invitation, token = invite(project=project, command="test")
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(days=1))
    for answer in (client.get(f"/join/{token}/"), client.post(f"/join/{token}/", {"name": "x"})):
        assert answer.status_code == 410
        assert b"This invitation is too old" in answer.content


def test_a_taken_address_is_told_to_sign_in(client: Any, project: Any, alice: Any) -> None:
    _, token = invite(project=project, command="test")
    answer = client.post(f"/join/{token}/", {"name": "X", "email": "alice@example.org", "password": PASSWORD})
    assert answer.status_code == 422
    assert b"Sign in first" in answer.content


def test_sign_up_is_closed(client: Any, db: None) -> None:
    for answer in (
        client.get("/accounts/signup/"),
        client.post("/accounts/signup/", {"email": "m@example.org", "password1": PASSWORD, "password2": PASSWORD}),
    ):
        assert b"Accounts are made by invitation" in answer.content
    assert not User.objects.exists()


def test_addresses_can_not_be_changed(sign_in: Any, alice: Any) -> None:
    """The record of events names people by their address."""
    client = sign_in(alice)
    assert client.get("/accounts/email/").status_code == 404
    assert client.post("/accounts/email/", {"action_add": "", "email": "boss@example.org"}).status_code == 404


def confirmed(client: Any) -> Any:
    """The session as it is just after the password was asked for again."""
    session = client.session
    user = session["_auth_user_id"]
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
    session["account_authentication_methods_user"] = user
    session.save()
    return client


def test_a_token_is_shown_once_and_ended(sign_in: Any, alice: Any) -> None:
    client = confirmed(sign_in(alice))
    assert b"You have no token" in client.get("/account/token").content
    page = client.post("/account/token/make").content.decode()
    token = Token.objects.get(user=alice.user)
    assert token.key in page
    assert token.key not in client.get("/account/token").content.decode()
    client.post("/account/token/make")
    assert not Token.objects.filter(key=token.key).exists()
    client.post("/account/token/revoke")
    client.post("/account/token/revoke")
    assert not Token.objects.exists()
    acts = list(Event.objects.order_by("id").values_list("act", flat=True))
    assert acts == ["token.create", "token.create", "token.revoke"]
    assert token.key not in str(list(Event.objects.values()))


def test_a_token_needs_the_password_again(sign_in: Any, alice: Any) -> None:
    client = sign_in(alice)
    answer = client.post("/account/token/make")
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not Token.objects.exists()
    wrong = client.post("/accounts/reauthenticate/", {"password": "not-this-one-at-all", "next": "/account/token/make"})
    assert wrong.status_code == 200
    assert not Token.objects.exists()
    done = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/account/token/make"})
    assert Token.objects.get(user=alice.user).key in done.content.decode()


def test_a_lead_without_the_second_factor_gets_no_token(sign_in: Any, lead: Any, settings: Any) -> None:
    settings.LEADS_NEED_TOTP = True
    answer = confirmed(sign_in(lead)).post("/account/token/make")
    assert answer.headers["Location"].startswith("/accounts/2fa/totp/activate/")
    assert not Token.objects.exists()


def test_the_account_page_leads_everywhere(sign_in: Any, alice: Any, project: Any) -> None:
    page = sign_in(alice).get("/account").content.decode()
    for link in ("/accounts/password/change/", "/accounts/2fa/", "/account/token", f"/p/{project.slug}/judge"):
        assert f'href="{link}"' in page


def test_the_second_factor_is_set_up_on_pages_of_the_house(sign_in: Any, lead: Any) -> None:
    client = confirmed(sign_in(lead))
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)
    assert secret is not None
    assert 'src="data:image/svg+xml;base64,' in page
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret.group(1))}, follow=True)
    codes = re.findall(r"<li>(\d{8})</li>", answer.content.decode())
    assert len(codes) == 10
    for path in ("/accounts/2fa/", "/accounts/2fa/recovery-codes/generate/", "/accounts/2fa/totp/deactivate/"):
        shown = client.get(path)
        assert shown.status_code == 200
        assert b'class="top"' in shown.content


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/login/",
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/inactive/",
        "/accounts/password/reset/done/",
        "/accounts/password/reset/key/done/",
    ],
)
def test_every_page_of_the_sign_in_library_looks_like_the_house(client: Any, path: str) -> None:
    page = client.get(path).content.decode()
    assert 'class="top"' in page
    assert 'class="entrance"' in page
    assert "Menu:" not in page


def test_a_closed_place_is_closed_at_the_front_door(sign_in: Any, alice: Any, lead: Any, project: Any) -> None:
    client = sign_in(alice)
    deactivate(annotator=alice, actor=lead.user)
    assert client.get(f"/p/{project.slug}/judge").status_code == 404
