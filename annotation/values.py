"""What system messages are drawn from: dimension > subdimension > value. Texts of lines in, values out. Pure.

A hierarchy is written one value a line, as `style > tone > warm: Write warmly.` One value of each dimension makes a
set, and a set makes a system message (workers/strategies/janus.py). A project writes its own versions as templates
(phrasing.py); "janus" is built in. Its values and their wording are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from annotation.errors import Refused

LONGEST = 60
MOST_DIMENSIONS = 12
# So many sets can be drawn from exactly, whatever the machine.
MOST_SETS = 10**15


@dataclass(frozen=True)
class Value:
    """One value with its way down from the top, and what it asks for."""

    dimension: str
    subdimension: str
    name: str
    text: str


Hierarchy = Mapping[str, tuple[Value, ...]]


def read(text: str) -> dict[str, tuple[Value, ...]]:
    """The values of each dimension, in the order in which they are written. Empty lines say nothing.

    Raises:
        Refused: a line is not written so, a name is too long, two lines say the same, or there are fewer than two sets.
    """
    found: dict[str, list[Value]] = {}
    ways: set[tuple[str, str, str]] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        value = _value(number, line)
        here = found.setdefault(value.dimension, [])
        way = (value.dimension, value.subdimension, value.name)
        if way in ways:
            raise Refused(
                f"Line {number} of the values names {' > '.join(way)} once more. Give each a name of its own."
            )
        if any(one.text == value.text for one in here):
            raise Refused(
                f"Line {number} of the values asks for what another value of {value.dimension} asks for. Two sets "
                "could not be told apart: leave it out."
            )
        ways.add(way)
        here.append(value)
    if len(found) > MOST_DIMENSIONS:
        raise Refused(f"The values have {len(found)} dimensions. They may have {MOST_DIMENSIONS}.")
    hierarchy = {dimension: tuple(values) for dimension, values in found.items()}
    if not 2 <= sets_of(hierarchy) <= MOST_SETS:
        raise Refused(
            "Every system message would be the same: write at least two values of one dimension."
            if sets_of(hierarchy) < 2
            else "More sets can be made of the values than can be drawn from. Write fewer of them."
        )
    return hierarchy


def _value(number: int, line: str) -> Value:
    way, _, text = line.partition(":")
    names = [name.strip() for name in way.split(">")]
    if len(names) != 3 or not all(names) or not text.strip():
        raise Refused(
            f"Line {number} of the values is not written as dimension > subdimension > value: what it asks for."
        )
    if longest := next((name for name in names if len(name) > LONGEST), ""):
        raise Refused(f"Line {number} of the values has a name of {len(longest)} characters. It may have {LONGEST}.")
    return Value(names[0], names[1], names[2], text.strip())


def sets_of(hierarchy: Hierarchy) -> int:
    """How many sets there are, one value of each dimension in each."""
    return math.prod(len(values) for values in hierarchy.values()) if hierarchy else 0


JANUS = """\
style > tone > warm: Write warmly, as to somebody you know and wish well.
style > tone > matter of fact: Write in a matter-of-fact tone, without feeling and without flourish.
style > tone > playful: Write playfully: a light touch, a little wit where it does not get in the way.
style > shape > prose: Write in connected paragraphs, without lists or headings.
style > shape > steps: Write in numbered steps wherever something has to be done in order.
style > shape > answer first: Begin with the answer in one sentence, and explain it after that.
style > language > plain words: Use short sentences and everyday words.
style > language > technical terms: Use the technical terms of the field, precisely.
style > language > images: Explain by comparisons and images from everyday life.
background knowledge > level > child: Write for a bright ten-year-old who has never heard of the subject.
background knowledge > level > newcomer: Write for an adult who is new to the subject.
background knowledge > level > expert: Write for an expert who needs no basics.
background knowledge > field > engineer: Assume that the reader thinks as an engineer does: parts, forces, numbers.
background knowledge > field > teacher: Assume that the reader will teach this to others.
background knowledge > field > manager: Assume that the reader has to decide something and has little time.
informativeness > depth > brief: Be brief: what is needed, and nothing that is not.
informativeness > depth > thorough: Be thorough: reasons, exceptions and what follows.
informativeness > depth > layered: Give the short version first and the details after it, clearly apart.
informativeness > support > examples: Show every claim by a concrete example.
informativeness > support > sources: Say where a claim comes from, and how sure it is.
informativeness > support > alternatives: Name the alternatives, and what speaks for each.
harmlessness > care > warnings: Name risks early and plainly, with what to do about them.
harmlessness > care > trust: Trust the reader's judgement: no warnings beyond what could really hurt somebody.
harmlessness > care > refer: Say where a professional should be asked, and which one.
harmlessness > fairness > many sides: Where people disagree, set out the sides fairly and take none.
harmlessness > fairness > neutral words: Use words that favour no group and presume nothing about the reader.
"""

# By name; what is built in is version 1 of its name.
BUILT_IN: dict[str, str] = {"janus": JANUS}
