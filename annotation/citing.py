"""A guideline and a pair -> the paragraphs that concern it: by PostgreSQL's text search, in the language they are in.

The search knows the forms and the small words of about thirty languages. Nobody is asked which one a guideline has: it
is the one whose small words (the, der, les) make up most of the text. Languages that are written without blanks between
words are searched by two neighbouring characters, as search engines do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotation import rendering
from annotation.models import Guideline

# What the search takes at most; what stands first says what a text is about.
MOST_READ = 20_000
# A language is told by its small words when they are at least this share of all: in running text they are a third.
SMALL_WORDS = 0.2
# Without a list of small words, those of more than half of the paragraphs are: they tell no paragraph from another. In
# a shorter guideline that would be words that two paragraphs share.
ENOUGH_PARAGRAPHS = 4

# What begins an item of a list, and what sets paragraphs and items apart.
_ITEM = re.compile(r"^(?:[-*+]|[0-9]{1,9}[.)])[ \t]+")
_APART = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+]|[0-9]{1,9}[.)])[ \t])")

# Thai, Lao, Burmese, Khmer; kana, Han, Hangul.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

# The codes that pairs are labelled with, and what the search calls these languages.
CONFIGURATIONS = {
    "ar": "arabic",
    "hy": "armenian",
    "eu": "basque",
    "ca": "catalan",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "et": "estonian",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "ga": "irish",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nb": "norwegian",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
PLAIN = "simple"

# How many words of a text each language takes for small ones: those that it drops. Only languages that have a list.
TOLD = """
WITH counted AS (
  SELECT c.cfgname AS name, (SELECT coalesce(sum(cardinality(positions)), 0)
    FROM unnest(to_tsvector(c.oid::regconfig, %(text)s))) AS kept
  FROM pg_ts_config c WHERE c.cfgname = ANY(%(known)s) OR c.cfgname = 'simple')
SELECT name FROM counted, (SELECT kept AS words FROM counted WHERE name = 'simple') AS every
WHERE words - kept >= %(share)s * words AND kept < words ORDER BY kept, name LIMIT 1
"""

# Every paragraph against the words of the texts, any of them. The rank is divided by the paragraph's length: long
# ones do not win by it.
RELEVANT = """
WITH p AS MATERIALIZED (
  SELECT number, to_tsvector(%(language)s::regconfig, paragraph) AS words
  FROM unnest(%(paragraphs)s::text[]) WITH ORDINALITY AS each(paragraph, number)),
everywhere AS (
  SELECT word FROM p, unnest(tsvector_to_array(words)) AS word
  WHERE cardinality(%(paragraphs)s::text[]) >= %(enough)s
  GROUP BY word HAVING count(*) * 2 > cardinality(%(paragraphs)s::text[])),
asked AS (
  SELECT string_agg(quote_literal(word), ' | ')::tsquery AS query
  FROM unnest(tsvector_to_array(to_tsvector(%(language)s::regconfig, %(texts)s))) AS word
  WHERE word NOT IN (SELECT word FROM everywhere)),
ranked AS (SELECT number, ts_rank_cd(words, asked.query, 1) AS rank FROM asked, p)
SELECT number, rank FROM ranked WHERE rank > 0 ORDER BY rank DESC, number LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph or an item of a list: its number (headings are not counted), its text, and how near it is."""

    number: int
    text: str
    rank: float

    @property
    def html(self) -> str:
        """As the guideline shows it."""
        return rendering.render_text(self.text)


def relevant_paragraphs(
    *, guideline: Guideline, texts: Sequence[str], languages: Sequence[str] = (), limit: int = 3
) -> list[Paragraph]:
    """The paragraphs of a guideline that share most with these texts, the nearest first.

    `languages` are the tags of the texts (de, pt-BR): they count where the guideline is too short to tell its own.
    Headings and tables are left out: they say nothing by themselves.
    """
    numbered = _numbered(guideline.text)
    values: dict[str, Any] = {
        "language": language_of(guideline.text[:MOST_READ]) or _labelled(languages),
        "texts": "\n".join(in_words(text[:MOST_READ]) for text in texts),
        "paragraphs": [in_words(part) for part in numbered],
        "enough": ENOUGH_PARAGRAPHS,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(RELEVANT, values)
        return [Paragraph(number, numbered[number - 1], rank) for number, rank in cursor.fetchall()]


def _numbered(text: str) -> list[str]:
    """The paragraphs of a guideline, and the items of its lists each by itself, without their marks."""
    paragraphs = [part.strip() for part in _APART.split(text)]
    return [_ITEM.sub("", part) for part in paragraphs if part and part[0] not in "#|"]


def in_words(text: str) -> str:
    """The text for the search: two neighbouring characters are a word where words are not set apart."""
    return _UNSPACED.sub(_pairs, text.replace("\0", " "))


def _pairs(found: re.Match[str]) -> str:
    run = found[0]
    return f" {' '.join(run[at : at + 2] for at in range(max(1, len(run) - 1)))} "


@functools.lru_cache(maxsize=32)
def language_of(text: str) -> str:
    """What the search calls the language of a text; empty where it is too short, or the search does not know it."""
    with connection.cursor() as cursor:
        cursor.execute(
            TOLD, {"text": in_words(text), "known": sorted(set(CONFIGURATIONS.values())), "share": SMALL_WORDS}
        )
        row = cursor.fetchone()
    return row[0] if row else ""


def _labelled(languages: Sequence[str]) -> str:
    tags = (tag.partition("-")[0].lower() for tag in languages)
    return next((CONFIGURATIONS[tag] for tag in tags if tag in CONFIGURATIONS), PLAIN)
