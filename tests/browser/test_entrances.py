"""Coming in, in a real browser: the second factor, and an invitation. axe-core is content at every stop."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.urls import reverse

from tests.browser.test_pages import faults
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_second_factor_is_set_up_with_the_keyboard(enter: Any, lead: Any, settings: Any) -> None:
    """From sign-in through password, set-up and codes to a lead's page; axe-core is content at every stop."""
    settings.LEADS_NEED_TOTP = True
    page = enter(None, reverse("account_login"), viewport={"width": 390, "height": 800})
    page.get_by_label("Email").focus()
    page.keyboard.type(lead.user.email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your password, please").wait_for()
    assert faults(page) == []
    page.get_by_label("Password").focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Set up an authenticator app").wait_for()
    assert faults(page) == []
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Authenticator code").focus()
    page.keyboard.type(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Recovery codes").wait_for()
    assert page.locator(".codes li").count() == 10
    assert faults(page) == []
    page.goto(reverse("people", args=["everyday"]))
    page.get_by_role("heading", name="People", exact=True).wait_for()


def test_an_invitation_is_copied_and_used(enter: Any, lead: Any, project: Any) -> None:
    page = enter(lead, reverse("people", args=["everyday"]))
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("#link").inner_text()
    assert page.get_by_role("button", name="Copy").is_visible()
    assert faults(page) == []
    other = enter(None, link)
    other.get_by_label("Your name").fill("Nora Nil")
    other.get_by_label("E-mail address").fill("nora@example.org")
    other.get_by_label("Password").fill("short")
    other.get_by_role("button", name="Create the account and join").click()
    alert = other.get_by_role("alert")
    alert.wait_for()
    assert "at least 12 characters" in alert.inner_text()
    assert faults(other) == []
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Create the account and join").click()
    other.wait_for_url("**/p/everyday/judge")
    page.reload()
    assert project.annotators.filter(name="Nora Nil").exists()
