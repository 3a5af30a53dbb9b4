"""Pairs -> those that are left: what each step removes is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Step:
    """What one step removed, and how many pairs were left after it."""

    name: str
    removed: int
    left: int


@dataclass
class Sieve:
    """Removes pairs step by step; each pair is counted at the first step that removes it.

    `left` has the shape (n_pairs,), and so has `gone_at`: the place in `steps` of the step that removed the pair, -1
    for those that are left.
    """

    left: NDArray[np.bool_]
    steps: list[Step] = field(default_factory=list)
    gone_at: NDArray[np.int16] = field(init=False)

    def __post_init__(self) -> None:
        self.gone_at = np.full(len(self.left), -1, dtype=np.int16)

    def keep(self, passing: NDArray[np.bool_], *, name: str) -> None:
        """Keep those that pass, and remember under `name` how many do not, none included."""
        before = int(self.left.sum())
        self.gone_at[self.left & ~passing] = len(self.steps)
        self.left = self.left & passing
        after = int(self.left.sum())
        self.steps.append(Step(name=name, removed=before - after, left=after))
