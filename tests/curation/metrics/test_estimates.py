from __future__ import annotations

import pytest

from curation.metrics.estimates import Estimate, difference, share_of
from tests.curation.metrics.reading import ends


def share(hits, n):
    return share_of(hits, n, none="none")


def test_the_interval_of_a_difference_is_the_published_one():
    """Newcombe 1998, table II, method 10."""
    assert ends(difference(share(56, 70), share(48, 80))) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert ends(difference(share(9, 10), share(3, 10))) == pytest.approx((0.1705, 0.8090), abs=1e-4)


def test_turning_the_sides_turns_the_interval():
    one, other = share(30, 40), share(10, 40)
    low, high = ends(difference(one, other))
    assert ends(difference(other, one)) == pytest.approx((-high, -low))


def test_without_a_value_or_an_interval_there_is_a_reason():
    undefined = difference(share(0, 0), share(3, 4))
    assert (undefined.reason, undefined.n) == ("none", 0)
    assert difference(Estimate(0.5, n=3), share(3, 4)).reason == "There is no interval to compare."
