"""A draft of a release with more pairs than a page can count: it says so, and can still be released."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Run
from curation import drafting
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(asked: Any, *, using: Any) -> Any:
        with using.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    monkeypatch.setattr(drafting, "PATIENCE", 0.2)
    monkeypatch.setattr(drafting, "choose", choose)


@pytest.mark.parametrize("look", LOOKS)
def test_a_draft_that_is_not_counted_is_released_by_its_button(
    enter: Any, lead: Any, endless: None, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    from config.celery import app

    # The run is asked for, and waits.
    monkeypatch.setattr(app, "signature", lambda *_, **__: type("Bell", (), {"apply_async": lambda self: None})())
    page = enter(lead, reverse("release_new", args=["everyday"]) + "?version=v1", **LOOKS[look])
    page.get_by_text("This is not counted.").wait_for()
    is_sound(page)
    go = page.get_by_role("button", name="Release without counting")
    go.click()
    page.wait_for_url("**/releases/new/*")
    assert Run.objects.get(kind="release").parameters.get("promised") is None
