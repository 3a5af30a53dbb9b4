"""The site admin's pages run their scripts under the content policy, and complain of nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_scripts_of_the_admin_pages_run(enter: Any, admin: Any, complaints: list[str]) -> None:
    page = enter(admin, "/admin/annotation/user/")
    html = page.locator("html")
    before = html.get_attribute("data-theme")
    page.locator(".theme-toggle").first.click()
    assert html.get_attribute("data-theme") != before
    for address in ("/admin/", f"/admin/annotation/user/{admin.pk}/change/", "/admin/annotation/project/"):
        page.goto(address)
        expect(page.locator("#content h1")).to_be_visible()
    assert complaints == []
