"""Votes by principle, as a file or a judge would leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def principles(project: Any) -> list[Any]:
    from annotation.models import Principle

    return [Principle.objects.create(project=project, key=name, short=name, text=f"Be {name}.") for name in "hkt"]


@pytest.fixture
def vote(principles: list[Any]) -> Callable[..., None]:
    """Let somebody vote on a pair: `vote(robot, pair, "+-.")`, one sign for each principle; "." is irrelevant."""
    from annotation.models import PrincipleVote

    def give(who: Any, pair: Any, signs: str) -> None:
        names = {"+": "first", "-": "second", ".": "irrelevant", "=": "same"}
        for principle, sign in zip(principles, signs, strict=True):
            PrincipleVote.objects.create(annotator=who, pair=pair, principle=principle, vote=names[sign])

    return give
