"""The prompt as it is, n times."""

from __future__ import annotations

from annotation.generating import GenerationPlan
from workers.strategies.requests import Asked, Request, Strategy, seed_of


class Plain(Strategy):
    name = "plain"
    version = "plain-1"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        return [
            Request(place, "", place // plan.n, seed_of(seed, prompt.id, place), prompt.conversation)
            for place in range(plan.n * len(plan.models))
        ]


class BestWorst(Plain):
    """n plain samples; what makes it a strategy comes after: each is scored, and the best meets the worst.

    Source: BoNBoN (Gui et al., arXiv 2406.00832): best and worst of n as chosen and rejected.
    """

    name = "best_worst_of_n"
    version = "best-worst-1"
