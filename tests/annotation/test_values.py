"""Values of system messages: one a line, and what cannot be drawn from is refused with the line and the reason."""

from __future__ import annotations

import pytest

from annotation.errors import Refused
from annotation.values import JANUS, Value, read, sets_of

TWO = "tone > manner > warm: Be warm.\ntone > manner > dry: Be dry.\n"


def test_the_built_in_ones_have_the_four_dimensions_of_the_paper():
    found = read(JANUS)
    assert list(found) == ["style", "background knowledge", "informativeness", "harmlessness"]
    assert [len(values) for values in found.values()] == [9, 6, 6, 5]
    assert sets_of(found) == 9 * 6 * 6 * 5
    assert found["style"][0] == Value("style", "tone", "warm", "Write warmly, as to somebody you know and wish well.")


def test_lines_keep_their_order_and_what_stands_after_the_colon_is_the_text():
    found = read("\n  b > x>one :  Say: a > b.  \n\na > y > two: Two.\r\nb > z > one: Three.")
    assert {dimension: [value.text for value in values] for dimension, values in found.items()} == {
        "b": ["Say: a > b.", "Three."],
        "a": ["Two."],
    }
    assert found["b"][0] == Value("b", "x", "one", "Say: a > b.")
    assert sets_of(found) == 2
    assert sets_of({}) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "write at least two values of one dimension"),
        ("tone > manner > warm: Be warm.", "write at least two values of one dimension"),
        (f"{TWO}tone > warm: Be warmer.", "Line 3 of the values is not written as"),
        (f"{TWO}tone > manner > warmer", "Line 3 of the values is not written as"),
        (f"{TWO}tone > manner > warmer:  ", "Line 3 of the values is not written as"),
        (f"{TWO}tone >  > warmer: Be warmer.", "Line 3 of the values is not written as"),
        (f"{TWO}\ntone > manner > dry: Be drier.", "Line 4 of the values names tone > manner > dry once more"),
        (f"{TWO}tone > other > dry: Be dry.", "Line 3 of the values asks for what another value of tone asks for"),
        (f"{TWO}tone > manner > {'x' * 61}: Be long.", "Line 3 of the values has a name of 61 characters"),
        (
            "\n".join(f"d{n} > s > v{k}: {k}." for n in range(13) for k in (0, 1)),
            "have 13 dimensions. They may have 12",
        ),
        ("\n".join(f"d{n} > s > v{k}: {k}." for n in range(12) for k in range(18)), "than can be drawn from"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(text, sentence):
    with pytest.raises(Refused) as refused:
        read(text)
    assert sentence in str(refused.value)
