"""System messages drawn from a hierarchy: dimension > subdimension > value (annotation/values.py).

Source: Lee et al., Aligning to Thousands of Preferences via System Message Generalization, arXiv 2405.17977: four
dimensions, one value of each makes a preference set, one system message per set. The message is put together by a
template, not written by a model, and says so in its provenance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from annotation.errors import Refused
from annotation.generating import GenerationPlan
from annotation.values import Hierarchy, Value, sets_of
from workers.strategies.requests import Asked, Request, Strategy, generator_of, seed_of

OPENING = "You are an assistant with a manner of your own. In every answer, keep to the following."


def draw_sets(dimensions: Hierarchy, *, n: int, rng: np.random.Generator) -> list[list[Value]]:
    """n preference sets, one value of each dimension, no two sets equal.

    Each set is equally likely; drawn without replacement from all of them.

    Raises:
        Refused: there are fewer than n sets.
    """
    sizes, possible = [len(values) for values in dimensions.values()], sets_of(dimensions)
    if n > possible:
        raise Refused(f"The hierarchy has {possible} sets of values, and {n} were asked for. Lower n.")
    places = np.array(np.unravel_index(rng.choice(possible, size=n, replace=False), sizes)).T
    return [[values[at] for values, at in zip(dimensions.values(), row, strict=True)] for row in places.tolist()]


def system_message(drawn: list[Value]) -> str:
    """The message that a set becomes."""
    return "\n".join([OPENING, *(f"- {value.text}" for value in drawn)])


class Janus(Strategy):
    """`version` names what it draws from."""

    name = "janus"

    def __init__(self, version: str, hierarchy: Hierarchy) -> None:
        self.version, self.hierarchy = version, hierarchy

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        sets = draw_sets(self.hierarchy, n=plan.n * len(plan.models), rng=generator_of(seed, prompt.id))
        return [
            Request(
                place,
                "",
                place // plan.n,
                seed_of(seed, prompt.id, place),
                prompt.under(system_message(drawn)),
                provenance=_provenance(drawn),
            )
            for place, drawn in enumerate(sets)
        ]


def _provenance(drawn: list[Value]) -> dict[str, Any]:
    return {
        "system": system_message(drawn),
        "written_by": "template",
        "values": {value.dimension: f"{value.subdimension} > {value.name}" for value in drawn},
    }
