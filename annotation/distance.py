"""How far one text is from another. Pure.

The **edit distance** is Levenshtein's: the fewest code points to insert, delete or replace that turn one text into the
other. Both are composed (NFC) and have plain line ends first, so that what looks the same is the same. Its **share** is
the distance divided by the length of the longer text: 0 is the same text, 1 has nothing in common.
"""

from __future__ import annotations

import unicodedata


def composed(text: str) -> str:
    """The text as distances are counted on it."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's distance of the composed texts, at most the longer length."""
    return levenshtein(composed(one), composed(other))


def levenshtein(one: str, other: str) -> int:
    """The fewest code points to insert, delete or replace that turn one text, as it is, into the other.

    A column of the table is two whole numbers with a bit per row, so that 20,000 by 20,000 code points take well under
    a second.

    Source: Myers, A fast bit-vector algorithm for approximate string matching, 1999; for the distance of two whole
        texts Hyyrö, Explaining and extending the bit-parallel approximate string matching algorithm of Myers, 2001.
    """
    if len(one) > len(other):
        one, other = other, one
    start = 0
    while start < len(one) and one[start] == other[start]:
        start += 1
    end = 0
    while end < len(one) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    if not one:
        return len(other)
    return _distance(one, other)


def _distance(rows: str, columns: str) -> int:
    at: dict[str, int] = {}
    for place, character in enumerate(rows):
        at[character] = at.get(character, 0) | 1 << place
    whole, last = (1 << len(rows)) - 1, 1 << (len(rows) - 1)
    # Where the column grows by one from row to row, and where it shrinks.
    grows, shrinks, distance = whole, 0, len(rows)
    for character in columns:
        equal = at.get(character, 0)
        vertical = equal | shrinks
        horizontal = (((equal & grows) + grows) ^ grows) | equal
        more = shrinks | (~(horizontal | grows) & whole)
        less = grows & horizontal
        distance += bool(more & last) - bool(less & last)
        more = (more << 1 | 1) & whole
        less = (less << 1) & whole
        grows = less | (~(vertical | more) & whole)
        shrinks = more & vertical
    return distance


def distance_share(one: str, other: str) -> float:
    """The edit distance divided by the length of the longer text, 0 to 1; 0 for two empty texts."""
    longer = max(len(composed(one)), len(composed(other)))
    return edit_distance(one, other) / longer if longer else 0.0
