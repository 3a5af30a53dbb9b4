"""What the tests of annotation need beside the cast."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client


@pytest.fixture
def quiet_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that tells the progress sees nothing of a test's transaction: it stays silent here."""
    from annotation.importing import uploads

    monkeypatch.setattr(uploads, "TELL_EVERY", 3600.0)


@pytest.fixture
def desk(sign_in: Any, alice: Any) -> Client:
    """Alice in front of her pages."""
    client: Client = sign_in(alice)
    return client
