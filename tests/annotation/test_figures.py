"""Numbers as pages write them."""

from __future__ import annotations

import pytest
from django.template import Context, Template


@pytest.mark.parametrize(
    ("number", "said"), [(-0.593, "−0.593"), (0.593, "0.593"), (-0.0001, "0.000"), (None, ""), (-1250, "−1250.000")]
)
def test_a_number_below_zero_has_the_typographers_minus(number: float | None, said: str) -> None:
    page = Template('{% load figures %}{{ number|floatformat:"3u"|minus }}')
    assert page.render(Context({"number": number})) == said
