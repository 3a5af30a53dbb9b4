"""Scores for best-and-worst-of-n: each candidate of one prompt gets a number, higher is better.

Scores are kept with the candidates as they are. They order the candidates of one prompt and mean little across prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.questions import OPTIONS, TEMPLATES, as_text
from workers.backends.primitives import Backend, Beat, Message, in_both_orders
from workers.strategies.requests import Asked

Floats = NDArray[np.float64]
WORDING = TEMPLATES["oracle"]


def scores_of(
    scorer: str, backend: Backend, prompt: Asked, texts: Sequence[str], *, beat: Beat | None = None
) -> Floats:
    """The score of each text, shape (n,). nan for an empty text: it has none, and ranks last."""
    filled = [at for at, text in enumerate(texts) if text.strip()]
    scores = np.full(len(texts), np.nan)
    if filled:
        kept = [texts[at] for at in filled]
        if scorer == "likelihood":
            scores[filled] = _likelihood(backend, prompt, kept, beat)
        elif scorer == "judge":
            scores[filled] = _judge(backend, prompt, kept, beat)
        else:
            raise Refused(f"There is no scorer {scorer!r}.")
    return scores


def _likelihood(backend: Backend, prompt: Asked, texts: Sequence[str], beat: Beat | None) -> Floats:
    """The mean log-probability per token, nats. A mean, because a sum would favour the short ones."""
    scored = backend.score([(prompt.conversation, text) for text in texts], beat=beat)
    return np.array([one.log_probabilities.mean() if len(one.token_ids) else np.nan for one in scored])


def _judge(backend: Backend, prompt: Asked, texts: Sequence[str], beat: Beat | None) -> Floats:
    """The mean, over the other candidates, of (P(A) with this one as A + P(B) with this one as B) / 2."""
    if len(texts) < 2:
        return np.zeros(len(texts))
    met = list(combinations(range(len(texts)), 2))
    asked = as_text(prompt.messages, system=prompt.system)
    questions: list[list[Message]] = []
    for i, j in met:
        questions.append(WORDING.ask(prompt=asked, a=texts[i], b=texts[j], principle=None))
        questions.append(WORDING.ask(prompt=asked, a=texts[j], b=texts[i], principle=None))
    said = backend.choose(questions, options=OPTIONS, beat=beat)
    wins = np.zeros(len(texts))
    for (i, j), straight, swapped in zip(met, said[0::2], said[1::2], strict=True):
        wins[[i, j]] += in_both_orders(straight, swapped).probabilities[:2]
    return wins / (len(texts) - 1)


def ranks_of(scores: Floats) -> list[int]:
    """1 for the highest score; equal scores in the order of their places, undefined ones last."""
    order = sorted(range(len(scores)), key=lambda at: (math.isnan(scores[at]), -scores[at], at))
    ranks = [0] * len(scores)
    for rank, at in enumerate(order, start=1):
        ranks[at] = rank
    return ranks
