"""Lineups, and rankings of them, for tests of what is made of them."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any

from annotation import ranking
from annotation.models import Annotator, Candidate, Pair, Project, Prompt, Ranking, Turn
from annotation.ranking import LETTERS, Ranked, claim_of


def answers(project: Project, n: int, *, text: str = "Which way is up?", spread: bool = True, more: str = "") -> Prompt:
    """A prompt with n candidates, of which each stands in one pair. Their texts differ, unless `spread` is off."""
    prompt = Prompt.objects.create(
        project=project, messages=[{"role": "user", "content": text}], digest=text.encode()[:32]
    )
    made = [
        Candidate.objects.create(
            prompt=prompt,
            messages=[{"role": "assistant", "content": f"Answer {one if spread else 0} to {text}{more}"}],
            digest=f"{text}{one}".encode()[:32].rjust(32),
            model=f"canary-model-{one}",
        )
        for one in range(n)
    ]
    # Behind those that `make_pair` makes before and after it.
    rank = 1000 + Pair.objects.count()
    for at, (one, other) in enumerate(pairwise(made)):
        Pair.objects.create(project=project, prompt=prompt, first=one, second=other, rank=rank + at)
    return prompt


def places(*ranks: int | None) -> dict[str, int | None]:
    """Ranks by letter, in the order of the screen."""
    return dict(zip(LETTERS, ranks, strict=False))


def by_candidate(turn: Turn, *ranks: int | None) -> dict[str, int | None]:
    """Ranks by letter, given in the order of the candidates' numbers."""
    of = dict(zip(sorted(turn.shown), ranks, strict=True))
    return places(*(of[number] for number in turn.shown))


def ranked(turn: Turn, *ranks: int | None, **more: Any) -> Ranked:
    return Ranked(**{"key": uuid.uuid4(), "claim": claim_of(turn), "places": places(*ranks), **more})


def rank(who: Annotator, *ranks: int | None, **more: Any) -> Ranking:
    """`who` ranks the lineup that is handed to them, in the order of the screen."""
    turn = ranking.hand_out(annotator=who)
    assert turn is not None
    return ranking.submit(annotator=who, turn_id=turn.pk, ranked=ranked(turn, *ranks, **more)).ranking


def rank_candidates(who: Annotator, *ranks: int | None) -> Ranking:
    """`who` ranks the lineup that is handed to them, in the order of the candidates' numbers."""
    turn = ranking.hand_out(annotator=who)
    assert turn is not None
    return ranking.submit(
        annotator=who, turn_id=turn.pk, ranked=ranked(turn, places=by_candidate(turn, *ranks))
    ).ranking
