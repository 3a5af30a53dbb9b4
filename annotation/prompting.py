"""Saved selections of pairs as a choice of prompts.

They are kept in curation, which this room must not import: curation says here, when it is loaded, how they are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from annotation.errors import Refused
from annotation.models import Project


@dataclass(frozen=True)
class Kept:
    """How saved selections are read.

    Attributes:
        listed: the newest version of each, as (name@version, the words that a page shows).
        prompts_of: a name, or name@version -> name@version, and the numbers of the prompts whose pairs are in it now.
            Raises Refused: there is none of this name, or its criteria cannot be read now.
    """

    listed: Callable[[Project], list[tuple[str, str]]]
    prompts_of: Callable[[Project, str], tuple[str, tuple[int, ...]]]


_KEPT: list[Kept] = []


def read_selections(kept: Kept) -> None:
    """Said once, by the app that keeps selections."""
    _KEPT[:] = [kept]


def listed(project: Project) -> list[tuple[str, str]]:
    return [row for kept in _KEPT for row in kept.listed(project)]


def prompts_of(project: Project, name: str) -> tuple[str, tuple[int, ...]]:
    """As `Kept.prompts_of`. Raises Refused also where no pair is in it now."""
    if not _KEPT:
        raise Refused("Nothing keeps selections here.")
    said, prompts = _KEPT[0].prompts_of(project, name)
    if not prompts:
        raise Refused(f"No pair is in the saved selection {said} now, so that it names no prompt. Choose another.")
    return said, prompts
