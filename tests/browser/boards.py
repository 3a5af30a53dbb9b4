"""Steps of the tests of the board."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.utils import timezone

from annotation.models import Run
from curation import browsing, gathering
from curation.filters import parse
from curation.models import FactsState, Measurement

LIVE = "#board[data-live]"


def shown(page: Any) -> int:
    page.evaluate("() => board.settled()")
    return int(page.locator("#selected").inner_text().replace(",", ""))


def counted(project: Any, query: str) -> int:
    """How many pairs the database finds."""
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    return browsing.count(project=project, asked=parse(QueryDict(query).dict(), dims), dims=dims)


def reward(project: Any, pairs: list[Any]) -> None:
    """A reward model measures most of the pairs, and the facts are gathered again."""
    run = Run.objects.create(
        project=project, kind="measurement", state="done", finished_at=timezone.now(), code_version="t",
        parameters={"measure": "rewards", "model": "a reward model"},
    )  # fmt: skip
    for n, pair in enumerate(pairs):
        if n % 7:
            Measurement.objects.create(run=run, metric="reward_margin", pair=pair, value=n - 15)
    gathering.gather_facts(project=project)
