"""How candidates are asked for: one object per strategy. What pages show of them: annotation.generating.STRATEGIES."""

from __future__ import annotations

from annotation.values import JANUS, read
from workers.strategies.janus import Janus
from workers.strategies.plain import BestWorst, Plain
from workers.strategies.popalign import Demon, Elicitive, Prefix, Refine, TwoSided
from workers.strategies.requests import Asked, Request, Strategy
from workers.strategies.urial import Urial

_ALL: tuple[Strategy, ...] = (
    Plain(),
    Prefix(),
    Demon(),
    Elicitive(),
    TwoSided("nparam", "nparam-1"),
    TwoSided("leaderboard", "leaderboard-1"),
    Refine(),
    BestWorst(),
    Janus("janus-1", read(JANUS)),
    Urial(),
)

STRATEGIES: dict[str, Strategy] = {one.name: one for one in _ALL}

__all__ = ["STRATEGIES", "Asked", "Request", "Strategy"]
