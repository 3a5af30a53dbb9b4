"""The facts of pairs, gathered and read, for tests of what they say."""

from __future__ import annotations

from typing import Any

from curation import gathering
from curation.models import FactsState, PairFact


def gather(project: Any, **options: Any) -> FactsState:
    gathering.gather_facts(project=project, **options)
    return FactsState.objects.get(project=project)


def fact(pair: Any) -> PairFact:
    return PairFact.objects.get(pair=pair)
