"""Soft labels: what every aggregation gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.metrics.labels import Codes, Floats

# The code of a best value that is not there.
NO_LABEL = -1


@dataclass(frozen=True)
class Aggregate:
    """Soft labels.

    Attributes:
        posterior: how likely each value is, shape (n_items, n_classes); rows add up to 1, or are nan: no label.
        n: how many labels each item has, shape (n_items,).
        reason: why nothing is defined; None where something is.
    """

    posterior: Floats
    n: Codes
    reason: str | None = None

    @property
    def best(self) -> Codes:
        """The likeliest value's code, shape (n_items,); the first of equally likely ones; -1: the item has no label."""
        if not self.posterior.size:
            return np.full(len(self.posterior), NO_LABEL)
        return np.where(self.n > 0, np.argmax(np.nan_to_num(self.posterior), axis=1), NO_LABEL)

    @property
    def is_tied(self) -> NDArray[np.bool_]:
        """Where two values are equally likely, so that `best` is only the first of them; shape (n_items,)."""
        if not self.posterior.size:
            return np.zeros(len(self.posterior), dtype=bool)
        shares = np.nan_to_num(self.posterior)
        top = np.isclose(shares, shares.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
        return np.asarray((self.n > 0) & (top.sum(axis=1) > 1))
