"""A run that measures margins: one pass of a model, and of its reference, over every candidate. Nothing is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from annotation.errors import Refused
from annotation.models import Pair
from annotation.running import Hold
from curation.measuring import margins
from curation.measuring.margins import MarginsRequest, Scores
from curation.measuring.preferred import Preferred, preferred_pairs
from curation.metrics.difficulty import Chow, chow_quantiles
from workers.backends.primitives import Backend, CannotAnswer, Message, Scored
from workers.opening import open_model
from workers.pacing import Pace
from workers.preferring import Open, conversation, opened, sides, text

PAIRS_AT_ONCE = 32


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the measure "margins" and return its result. Run twice, it measures the same again.

    Raises:
        Refused: its parameters are not possible, a model cannot be used, or it can score no pair.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} does not say what to measure of which project.")
    asked = MarginsRequest.from_parameters(run.parameters)
    chosen = preferred_pairs(project=run.project, asked=asked)
    pace = Pace(hold, done=0, total=len(chosen) * (2 if asked.reference else 1))
    surprise: dict[int, Chow] = {}
    hold.say(f"Loading {asked.model}.")
    backend = opened(asked, open_model)
    revision = backend.revision
    scores, failed = _scores(pace, backend, chosen, surprise)
    result: dict[str, Any] = {"revision": revision, "not_scored": failed, "toy": backend.is_toy}
    reference = None
    if asked.reference:
        del backend  # Two models need not fit into the memory together.
        hold.say(f"Loading {asked.reference}.")
        other = open_model(asked.reference)
        reference, missed = _scores(pace, other, chosen, {})
        result |= {"reference_revision": other.revision, "not_scored_by_reference": missed}
    return margins.store(hold, asked, chosen, scores=scores, reference=reference, surprise=surprise, result=result)


def _scores(pace: Pace, backend: Backend, chosen: Preferred, surprise: dict[int, Chow]) -> tuple[Scores, int]:
    """What the model says of all pairs, and how many it could not score; `surprise` takes each candidate's.

    Raises:
        Refused: it could score none.
    """
    total, tokens = np.full((len(chosen), 2), np.nan), np.full((len(chosen), 2), np.nan)
    failed, why = 0, ""
    waiting: list[tuple[int, Pair, bool]] = []

    def ask(some: list[tuple[int, Pair, bool]]) -> None:
        items: list[tuple[tuple[Message, ...], str]] = []
        for _, pair, is_first in some:
            asked = tuple(conversation(pair))
            items += [(asked, text(one)) for one in sides(pair, is_first)]
        answers = backend.score(items, beat=pace)
        for at, (place, pair, is_first) in enumerate(some):
            for side, candidate in enumerate(sides(pair, is_first)):
                found: Scored = answers[2 * at + side]
                total[place, side] = found.log_probability if len(found.token_ids) else np.nan
                tokens[place, side] = len(found.token_ids)
                surprise[candidate.pk] = chow_quantiles(found.log_probabilities)

    def ask_all(some: list[tuple[int, Pair, bool]]) -> None:
        """Together; where the model refuses, one by one, so that one bad pair costs one."""
        nonlocal failed, why
        try:
            ask(some)
        except CannotAnswer as error:
            if len(some) == 1:
                failed, why = failed + 1, str(error)
            else:
                for one in some:
                    ask_all([one])
                return
        pace.add(len(some))

    for place, (pair, is_first) in enumerate(chosen.rows()):
        waiting.append((place, pair, is_first))
        if len(waiting) == PAIRS_AT_ONCE:
            ask_all(waiting)
            waiting = []
    if waiting:
        ask_all(waiting)
    if failed == len(chosen):
        raise Refused(f"{backend.model} could score no pair. The last reason: {why}")
    return Scores(total, tokens), failed
