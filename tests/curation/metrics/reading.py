"""What an estimate must have, read out of it: a test that asks for what is not there fails."""

from __future__ import annotations

from curation.metrics.estimates import Estimate


def ends(found: Estimate) -> tuple[float, float]:
    """The ends of the interval, which must be there."""
    assert found.interval is not None
    return found.interval


def why(found: Estimate) -> str:
    """Why there is no value."""
    assert found.reason is not None
    return found.reason
