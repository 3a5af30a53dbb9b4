"""What is asked of a model about pairs with a better candidate: the register's model, and their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from annotation.errors import Refused
from annotation.models import Candidate, Pair
from annotation.questions import as_text
from curation.measuring.preferred import ModelRequest
from workers.backends.primitives import Backend, Message
from workers.strategies.requests import Asked

Open = Callable[[str], Backend]


def opened(asked: ModelRequest, open_model: Open) -> Backend:
    """The model of a measure, loaded.

    Raises:
        Refused: none is named, or it cannot be used.
    """
    if not asked.model:
        raise Refused(asked.lacks_a_model)
    return open_model(asked.model)


def conversation(pair: Pair) -> Sequence[Message]:
    """The prompt of a pair, its system message first."""
    prompt = pair.prompt
    return Asked(
        prompt.pk, tuple({"role": one["role"], "content": one["content"]} for one in prompt.messages), prompt.system
    ).conversation


def sides(pair: Pair, is_first: bool) -> tuple[Candidate, Candidate]:
    """The better candidate, then the other."""
    return (pair.first, pair.second) if is_first else (pair.second, pair.first)


def text(candidate: Candidate) -> str:
    return as_text(candidate.messages)
