"""What measures gave, read out of it: a test that asks for what is not there fails."""

from __future__ import annotations

import numpy as np

from curation.metrics.estimates import Estimate


def ends(found: Estimate) -> tuple[float, float]:
    """The ends of the interval, which must be there."""
    assert found.interval is not None
    return found.interval


def why(found: Estimate) -> str:
    """Why there is no value."""
    assert found.reason is not None
    return found.reason


def estimates(found):
    """What carries a value or a reason: the estimates in whatever a measure gave."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        return found
    return [found] if hasattr(found, "reason") else []


def figures(found):
    """The numbers in what a measure gave, undefined as nan; the first axis is that of the rows, where it has one."""
    if isinstance(found, np.ndarray):
        if found.dtype.kind == "U":
            return np.array([["consensus", "conflict", "indifference"].index(one) for one in found], dtype=float)
        return found.astype(float)
    if isinstance(found, (list, dict)):
        return np.array([figures(one).ravel() for one in estimates(found)]).ravel()
    for field in ("posterior", "loss", "scores", "quantiles", "value"):
        if hasattr(found, field):
            return np.atleast_1d(np.asarray(getattr(found, field), dtype=float))
    return np.array([found.precision, found.recall, found.f1])


def same(one, other, tolerance=1e-7):
    np.testing.assert_allclose(figures(one), figures(other), atol=tolerance, rtol=0, equal_nan=True)
