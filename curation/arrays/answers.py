"""What judges answered, as probabilities of the two candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.models import Annotator
from curation.arrays.crossing import columns


@dataclass(frozen=True)
class Preferring:
    """How likely a judge finds the first candidate of each pair the better one. Both arrays have the shape (n_pairs,).

    Attributes:
        pair: their numbers, ascending.
        first: the mean of both orders, among the answers that choose; never nan.
    """

    pair: NDArray[np.int64]
    first: NDArray[np.float64]


def preferring(*, judge: Annotator) -> Preferring:
    """The stored probabilities of which candidate is better overall, of the pairs that were asked in both orders.

    Answers by principle and under injected texts are others; a pair of which both orders give all to NA has none.
    """
    found = columns(
        """
        SELECT s.pair_id, s.probability_a + t.probability_b, s.probability_b + t.probability_a
        FROM judge_answer s JOIN judge_answer t ON t.annotator_id = s.annotator_id AND t.pair_id = s.pair_id
          AND t.swapped AND t.principle_id IS NULL AND t.injection = ''
        WHERE s.annotator_id = %s AND NOT s.swapped AND s.principle_id IS NULL AND s.injection = ''
          AND s.probability_a + s.probability_b + t.probability_a + t.probability_b > 0
        """,
        [judge.pk],
        {"pair": pa.int64(), "first": pa.float64(), "second": pa.float64()},
    )
    order = np.argsort(found["pair"])
    first, second = found["first"][order], found["second"][order]
    return Preferring(found["pair"][order], first / (first + second))
