"""Principle by principle: of which pairs, in which order, and whether the overall verdict comes first.

Each annotator is asked about the principles of the guideline in force in an order of their own, and in a random half of
the pairs before they give the overall verdict, so that effects of order can be measured. Nothing of it is told by the
browser: the order is drawn from the project's seed, the assignment and the account, and comes out the same whenever it
is needed. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotation.models import PrincipleVote, Project

# Of a project that asks for a sample: the share of its pairs. All annotators of a pair are asked, or none.
SAMPLE = 0.2

Vote = PrincipleVote.Vote
# What each control of the page says when A is the first candidate.
VOTES = {"a": Vote.FIRST, "b": Vote.SECOND, "same": Vote.SAME, "irrelevant": Vote.IRRELEVANT}
_TURNED = {Vote.FIRST: Vote.SECOND, Vote.SECOND: Vote.FIRST}


@dataclass(frozen=True, slots=True)
class Asked:
    """The principles (ids) in the order in which this annotator is asked about them here."""

    order: tuple[int, ...]
    overall_first: bool


def asked(*, principles: Sequence[int], seed: int, assignment_id: int, user_id: int) -> Asked:
    """The order of one annotator for one assignment: a fixed draw, uniform over all orders."""
    draw = f"{seed}:{assignment_id}:{user_id}"
    order = sorted(principles, key=lambda principle: _digest(f"{draw}:{principle}"))
    return Asked(tuple(order), _digest(f"{draw}:overall")[0] < 128)


def is_asked(*, policy: str, seed: int, pair_id: int) -> bool:
    """Whether annotators of this pair are asked principle by principle."""
    if policy == Project.VotesPolicy.SAMPLE:
        return int.from_bytes(_digest(f"{seed}:sample:{pair_id}")[:4], "big") < SAMPLE * 2**32
    return policy == Project.VotesPolicy.ALL


def turned(vote: str, *, swapped: bool) -> str:
    """A vote for A or B as one for first or second, and the other way round: it is its own inverse."""
    return str(_TURNED.get(Vote(vote), vote)) if swapped else vote


def conflict(votes: Mapping[int, str] | Iterable[str]) -> bool:
    """True when one principle speaks for one candidate and another for the other: somebody has to decide."""
    said = set(votes.values()) if isinstance(votes, Mapping) else set(votes)
    return {Vote.FIRST, Vote.SECOND} <= said


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
