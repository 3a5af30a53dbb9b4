"""Rows -> answers that somebody edited: which words the edit brought in, and which it took out.

FIGA (Guo et al., Beyond imitation: leveraging fine-grained quality signals for alignment, 2024): the edit script from
the answer to its revision weighs what was inserted or put in another's place with 1, what was deleted or replaced
with -1, and what was kept with 0. The token that ends an answer is the trainer's, and kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.export.records import MESSAGES, TAGS, Rows
from curation.export.trl import COMMON, ONE_HELP, common

# What cuts texts into segments. A trainer's own tokens lie within them, and take their weights by offset.
TOKENIZER = "words/1"
_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# A word, a character of a script without spaces, or a sign, with the white space before it.
_SEGMENT = re.compile(rf"\s*(?:[{_CJK}]|[^\W{_CJK}]+|[^\w\s])|\s+")
# Cells of the table in which the shortest script is looked for: 64 MB. Beyond, what differs is replaced as a whole.
MOST_CELLS = 1 << 23

_WEIGHTS = pa.list_(pa.field("element", pa.float64(), nullable=False))
TOKEN_WEIGHTS = pa.schema(
    [
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("initial", pa.string(), nullable=False),
        pa.field("revised", pa.string(), nullable=False),
        pa.field("initial_segments", TAGS, nullable=False),
        pa.field("initial_weights", _WEIGHTS, nullable=False),
        pa.field("revised_segments", TAGS, nullable=False),
        pa.field("revised_weights", _WEIGHTS, nullable=False),
        pa.field("tokenizer", pa.string(), nullable=False),
        pa.field("editor", pa.string(), nullable=False),
        *COMMON,
        *(pa.field(name, pa.string(), nullable=False) for name in ("side", "model")),
    ]
)
TOKEN_WEIGHTS_HELP = {
    "tokenizer": "what cut the texts into segments; joined they are the text",
    "editor": "who edited, by pseudonym",
    **ONE_HELP,
}


class Step(NamedTuple):
    """One step of an edit script: keep, replace, delete or insert; places in the initial and the revised segments."""

    act: str
    initial: int
    revised: int


class Weighed(NamedTuple):
    """Segments with their weights: of the initial text -1 or 0, of the revised one 1 or 0. Joined they are the text."""

    initial: list[str]
    initial_weights: list[float]
    revised: list[str]
    revised_weights: list[float]


def segments_of(text: str) -> list[str]:
    """The segments of a text; joined they are the text."""
    return _SEGMENT.findall(text)


def edit_script(initial: Sequence[str], revised: Sequence[str]) -> list[Step]:
    """The shortest script of single steps that makes `revised` of `initial` (Levenshtein, 1966), in their order.

    Of scripts as short one that keeps most: what stays shall weigh nothing. Of these the one that, read from the end,
    keeps or replaces rather than deletes, and deletes rather than inserts. Where what differs is longer than MOST_CELLS
    allows, it is replaced as a whole, which is a longer script.
    """
    head = 0
    while head < min(len(initial), len(revised)) and initial[head] == revised[head]:
        head += 1
    tail = 0
    while tail < min(len(initial), len(revised)) - head and initial[-1 - tail] == revised[-1 - tail]:
        tail += 1
    old, new = initial[head : len(initial) - tail], revised[head : len(revised) - tail]
    middle = _shortest(old, new) if (len(old) + 1) * (len(new) + 1) <= MOST_CELLS else _whole(len(old), len(new))
    kept = [Step("keep", place, place) for place in range(head)]
    end = [Step("keep", len(initial) - back, len(revised) - back) for back in range(tail, 0, -1)]
    return [*kept, *(Step(act, head + one, head + other) for act, one, other in middle), *end]


def _shortest(old: Sequence[str], new: Sequence[str]) -> list[Step]:
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*old, *new]))}
    rows, columns = (np.array([numbers[word] for word in words], dtype=np.int64) for words in (old, new))
    # A step costs more than all that could be kept, and keeping one gives one back.
    step = len(old) + len(new) + 1
    across = step * np.arange(len(new) + 1, dtype=np.int64)
    table = np.empty((len(old) + 1, len(new) + 1), dtype=np.int64)
    table[0] = across
    for place in range(1, len(old) + 1):
        above = table[place - 1]
        found = above + step
        found[1:] = np.minimum(found[1:], above[:-1] + np.where(columns == rows[place - 1], -1, step))
        # An insertion costs a step more than what stands to the left: a running minimum, seen along that slope.
        table[place] = np.minimum.accumulate(found - across) + across
    script: list[Step] = []
    one, other = len(old), len(new)
    while one or other:
        here = table[one, other]
        both = one and other
        if both and table[one - 1, other - 1] + (-1 if rows[one - 1] == columns[other - 1] else step) == here:
            one, other = one - 1, other - 1
            script.append(Step("keep" if rows[one] == columns[other] else "replace", one, other))
        elif one and table[one - 1, other] + step == here:
            one -= 1
            script.append(Step("delete", one, other))
        else:
            other -= 1
            script.append(Step("insert", one, other))
    return script[::-1]


def _whole(old: int, new: int) -> list[Step]:
    both = min(old, new)
    return [
        *(Step("replace", place, place) for place in range(both)),
        *(Step("delete", place, both) for place in range(both, old)),
        *(Step("insert", both, place) for place in range(both, new)),
    ]


def segment_weights(initial: str, revised: str) -> Weighed:
    """Which segments an edit took out of a text (-1) and which it brought in (1); equal texts have weights of 0."""
    old, new = segments_of(initial), segments_of(revised)
    out, brought = [0.0] * len(old), [0.0] * len(new)
    for act, one, other in edit_script(old, new):
        if act in ("replace", "delete"):
            out[one] = -1.0
        if act in ("replace", "insert"):
            brought[other] = 1.0
    return Weighed(old, out, new, brought)


def token_weights(rows: Rows) -> pa.RecordBatch:
    """A row for each edit of an answer, in the order in which they were made.

    What is edited is an answer's last message; those before it stand at the end of the prompt.
    """
    made: list[dict[str, object]] = []
    place, at = [], []
    for number, edits in enumerate(rows.edits):
        for edit in edits:
            candidate = int(rows.first_at[number] if edit.side == "first" else rows.second_at[number])
            *before, last = rows.candidates[candidate].as_py()
            weighed = segment_weights(last["content"], edit.text)
            made.append(
                {
                    "prompt": [*rows.prompt[number].as_py(), *before],
                    "initial": last["content"],
                    "revised": edit.text,
                    "initial_segments": weighed.initial,
                    "initial_weights": weighed.initial_weights,
                    "revised_segments": weighed.revised,
                    "revised_weights": weighed.revised_weights,
                    "tokenizer": TOKENIZER,
                    "editor": edit.annotator,
                    "side": edit.side,
                }
            )
            place.append(number)
            at.append(candidate)
    which = pa.array(np.array(place, dtype=np.int64))

    def column(name: str) -> pa.Array:
        return pa.array([one[name] for one in made], TOKEN_WEIGHTS.field(name).type)

    return pa.RecordBatch.from_arrays(
        [
            *(column(name) for name in TOKEN_WEIGHTS.names[:9]),
            *(each.take(which) for each in common(rows)),
            column("side"),
            rows.models.take(pa.array(np.array(at, dtype=np.int64))),
        ],
        schema=TOKEN_WEIGHTS,
    )
