"""Accounts, links, tokens, the throttle, and the commands that make them."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Event, Invitation, SignInLink, User
from annotation.signing_in import (
    change_account,
    create_admin,
    make_sign_in_link,
    make_token,
    remove_second_factor,
    revoke_token,
    use_sign_in_link,
)
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _no_rate_limit_from_another_test() -> None:
    cache.clear()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def sign_in_by_password(client: Client, email: str, password: str, address: str = "192.0.2.1") -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=address)


def test_a_link_is_stored_as_a_digest_used_once_and_recorded(alice: Any) -> None:
    token = make_sign_in_link(user=alice.user, next_path="/account", minutes=5)
    assert token not in str(SignInLink.objects.values().get())
    link = use_sign_in_link(token=token)
    assert (link.user, link.next_path) == (alice.user, "/account")
    for wrong in (token, "no-such-token", ""):
        with pytest.raises(Refused, match="was used already or is too old"):
            use_sign_in_link(token=wrong)
    acts = list(Event.objects.order_by("id").values_list("act", "actor"))
    assert acts == [("sign_in_link.make", "sign_in_link"), ("sign_in_link.use", "alice@example.org")]
    assert token not in str(list(Event.objects.values()))


def test_an_old_link_and_one_of_a_closed_account_do_not_work(alice: Any, bob: Any) -> None:
    old, closed = make_sign_in_link(user=alice.user), make_sign_in_link(user=bob.user)
    SignInLink.objects.filter(user=alice.user).update(expires_at=timezone.now() - timedelta(seconds=1))
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    for token in (old, closed):
        with pytest.raises(Refused, match="too old"):
            use_sign_in_link(token=token)
    bob.user.refresh_from_db()
    with pytest.raises(Refused, match="is closed"):
        make_sign_in_link(user=bob.user)


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example/", "projects", "/\\evil.example", ""])
def test_a_link_leads_into_this_house_only(alice: Any, path: str) -> None:
    with pytest.raises(Refused, match="is not a path of this house"):
        make_sign_in_link(user=alice.user, next_path=path)


def test_tokens_are_replaced_and_ended(alice: Any) -> None:
    first = make_token(user=alice.user)
    second = make_token(user=alice.user)
    assert first.key != second.key
    assert revoke_token(user=alice.user)
    assert not revoke_token(user=alice.user)


def test_the_first_admin_comes_from_the_command_line_once(db: None, client: Client) -> None:
    said = run("create_admin", "Root@Example.org", "--name", "Root", "--address", "https://plumb.example/")
    user = User.objects.get()
    assert (user.email, user.name, user.is_staff, user.has_usable_password()) == (
        "root@example.org",
        "Root",
        True,
        False,
    )
    link = said.strip().splitlines()[-1]
    assert link.startswith("https://plumb.example/enter/")
    answer = client.post(link.removeprefix("https://plumb.example"))
    assert answer.headers["Location"] == "/accounts/password/set/"
    assert b"Set a password" in client.get("/accounts/password/set/").content
    client.post("/accounts/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    with pytest.raises(CommandError, match="Say --another"):
        run("create_admin", "second@example.org")
    run("create_admin", "second@example.org", "--another")
    assert User.objects.filter(is_staff=True).count() == 2
    with pytest.raises(CommandError, match="has an account already"):
        run("create_admin", "SECOND@example.org", "--another")
    with pytest.raises(CommandError, match="is not an e-mail address"):
        run("create_admin", "nonsense", "--another")


def test_links_and_invitations_from_the_command_line(alice: Any, project: Any, client: Client) -> None:
    link = run("sign_in_link", "ALICE@example.org", "--next", "/account").strip()
    assert link.startswith("http://localhost:8000/enter/")
    assert client.post(link.removeprefix("http://localhost:8000")).headers["Location"] == "/account"
    for arguments, sentence in (
        (["sign_in_link", "nobody@example.org"], "There is no account"),
        (["sign_in_link", "alice@example.org", "--next", "//evil"], "not a path"),
        (["sign_in_link", "alice@example.org", "--minutes", "0"], "1 minute to 7 days"),
        (["invite", "no-such"], "There is no project 'no-such'"),
        (["invite", project.slug, "--places", "0"], "1 to 500 places"),
    ):
        with pytest.raises(CommandError, match=sentence):
            run(*arguments)
    join = run("invite", project.slug, "--role", "adjudicator", "--email", "a@example.org").strip()
    invitation = Invitation.objects.get()
    assert (invitation.role, invitation.email, invitation.created_by) == ("adjudicator", "a@example.org", None)
    assert Client().get(join.removeprefix("http://localhost:8000")).status_code == 200
    assert Event.objects.get(act="invitation.make").actor == "invite"


def test_passwords_sign_in_by_address_in_any_case(alice: Any) -> None:
    client = Client()
    answer = sign_in_by_password(client, "Alice@Example.ORG", PASSWORD)
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(alice.user.pk)


def test_ten_failures_lock_this_account_from_this_address_and_nobody_else(alice: Any, bob: Any) -> None:
    client = Client()
    for _ in range(9):
        answer = sign_in_by_password(client, "alice@example.org", "wrong-wrong-wrong")
        assert answer.status_code == 200
    locked = sign_in_by_password(client, "Alice@example.org", "wrong-wrong-wrong")
    for answer in (locked, sign_in_by_password(client, "alice@example.org", PASSWORD)):
        assert answer.status_code == 429
        assert b"You can sign in again in 5 minutes" in answer.content
        assert answer.headers["Retry-After"] == "300"
    assert "_auth_user_id" not in client.session
    # The colleague beside, and the same person elsewhere, are not locked out.
    assert sign_in_by_password(Client(), "bob@example.org", PASSWORD).status_code == 302
    assert sign_in_by_password(Client(), "alice@example.org", PASSWORD, address="192.0.2.9").status_code == 302


def test_the_lock_opens_after_five_minutes(alice: Any) -> None:
    from axes.models import AccessAttempt

    client = Client()
    for _ in range(10):
        sign_in_by_password(client, "alice@example.org", "wrong-wrong-wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=5, seconds=1))
    assert sign_in_by_password(client, "alice@example.org", PASSWORD).status_code == 302


def test_an_unknown_address_is_answered_like_a_wrong_password(alice: Any) -> None:
    def said(email: str) -> str:
        page = sign_in_by_password(Client(), email, "wrong-wrong-wrong").content.decode()
        return str(page.split('<div class="form-top"')[1].split("</div>")[0])

    assert said("alice@example.org") == said("nobody@example.org")


def test_sessions_end_with_sign_out_password_change_and_closing(alice: Any) -> None:
    def signed_in() -> Client:
        client = Client()
        sign_in_by_password(client, "alice@example.org", PASSWORD)
        assert client.get("/account").status_code == 200
        return client

    leaving, stolen = signed_in(), Client()
    stolen.cookies.load(leaving.cookies.output(header="", sep=";"))
    leaving.post("/accounts/logout/")
    assert stolen.get("/account").status_code == 302
    changing, elsewhere = signed_in(), signed_in()
    another = "quite-another-password-82"
    changing.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": another, "password2": another})
    assert changing.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 302
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert changing.get("/account").status_code == 302


def test_a_closed_account_can_not_sign_in(alice: Any) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    client = Client()
    answer = client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD}, follow=True)
    assert b"This account is closed" in answer.content
    assert "_auth_user_id" not in client.session


def test_accounts_are_changed_by_admins_and_the_last_admin_stays(admin: Any, alice: Any) -> None:
    change_account(user=alice.user, name="Alicia", is_active=True, is_staff=True, actor=admin)
    alice.user.refresh_from_db()
    assert (alice.user.name, alice.user.is_staff, alice.user.is_superuser) == ("Alicia", True, True)
    event = Event.objects.get(act="account.change")
    assert event.before == {"name": "Alice", "is_staff": False, "is_superuser": False}
    change_account(user=admin, name="Root", is_active=False, is_staff=True, actor=alice.user)
    for flags in ({"is_active": False, "is_staff": True}, {"is_active": True, "is_staff": False}):
        with pytest.raises(Refused, match="only site admin"):
            change_account(user=alice.user, name="Alicia", actor=alice.user, **flags)
    with pytest.raises(Refused, match="already"):
        create_admin(email="new@example.org")


def test_a_lost_phone_is_mended_by_an_admin(admin: Any, lead: Any) -> None:
    TOTP.activate(lead.user, "A" * 32)
    assert remove_second_factor(user=lead.user, actor=admin)
    assert not remove_second_factor(user=lead.user, actor=admin)
    assert not Authenticator.objects.exists()
    assert Event.objects.get().act == "account.second_factor_removed"
