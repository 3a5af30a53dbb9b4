from __future__ import annotations

import numpy as np

from curation.sieving import Sieve, Step


def test_each_pair_is_counted_at_the_first_step_that_removes_it():
    sieve = Sieve(left=np.ones(5, dtype=bool))
    sieve.keep(np.array([True, True, True, False, False]), name="one")
    sieve.keep(np.array([True, True, True, True, True]), name="two")
    sieve.keep(np.array([False, True, True, False, True]), name="three")
    assert sieve.steps == [Step("one", 2, 3), Step("two", 0, 3), Step("three", 1, 2)]
    assert sieve.left.tolist() == [False, True, True, False, False]
