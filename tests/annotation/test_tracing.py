"""The map from what is shown to the raw text: exact wherever it says anything."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import rendering, tracing
from annotation.tracing import Piece


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data


def traced(raw: str) -> tuple[str, list[Piece]]:
    """What is shown of a raw text, and its map."""
    html, places = rendering.render_and_trace(raw)
    assert "data-at" not in html
    return Text(html).text, tracing.parse(places)


def as_shown(raw: str) -> str:
    """Characters as the page shows them: what cannot be stored is replaced, a line end is one character."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", raw).replace("\r", "\n")


def wrong_pieces(raw: str) -> list[str]:
    """Every place at which the map and the raw text disagree."""
    shown, pieces = traced(raw)
    found = [] if sum(piece.shown for piece in pieces) == len(shown) else ["The map does not cover what is shown."]
    at, before = 0, 0
    for piece in pieces:
        words, at = shown[at : at + piece.shown], at + piece.shown
        if piece.start < 0:
            if words.strip():
                found.append(f"no place: {words!r}")
            continue
        if piece.start < before or piece.start + piece.length > len(raw):
            found.append(f"out of order or range: {piece}")
        before = piece.start + piece.length
        if not piece.whole:
            there = as_shown(raw[piece.start : piece.start + piece.length])
            if there.replace("\n", " ") != words.replace("\n", " "):
                found.append(f"{words!r} is not {there!r}")
    return found


MARKS = ["**", "*", "_", "`", "``", "~~", "[", "](http://x.y)", "![", "\\", "&amp;", "$", "$$", "\\(", "\\)", "|", "<"]
MARKS += ["\n", "\n\n", "\r\n", "\n> ", "\n- ", "\n    ", "\n\t", "\n1. ", "\n# ", "\n```\n", "\n```python\n", "  \n"]
MARKS += ["\n|a|b|\n|-|-|\n|", "\n---\n", "\n===\n", " ", "\t", "\\|", "\\*", "😀", "e\u0301", "שלום", "\u202e", "\x0c"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*MARKS, "word", "x", "7"]), max_size=30).map("".join))
def test_every_character_stands_where_the_map_says(raw: str) -> None:
    assert wrong_pieces(raw) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=20))
def test_a_word_that_stands_once_is_found_where_it_stands(marks: list[str]) -> None:
    """Told without the map: each word is unlike all others, so `find` knows its place."""
    raw = "".join(f"{mark}unique{n:03}" for n, mark in enumerate(marks))
    shown, pieces = traced(raw)
    at = 0
    for piece in pieces:
        words, at = shown[at : at + piece.shown], at + piece.shown
        if piece.start >= 0 and not piece.whole:
            for word in re.finditer(r"unique\d{3}", words):
                assert raw.find(word[0]) == piece.start + word.start()


def test_naughty_strings_have_their_places(shared_payloads: Path) -> None:
    naughty = json.loads((shared_payloads / "blns.json").read_text())
    assert len(naughty) == 515
    assert {raw: wrong for raw in naughty if (wrong := wrong_pieces(raw))} == {}


def test_real_candidates_have_their_places(shared_data: Path) -> None:
    files = sorted(shared_data.rglob("*.jsonl"))[:4]
    texts = [line for file in files for line in file.read_text().splitlines()[:40]]
    texts += [text for line in texts for text in re.findall(r'"content": ?"((?:[^"\\]|\\.)*)"', line)]
    decoded = [json.loads(f'"{text}"') if not text.startswith("{") else text for text in texts]
    assert len(decoded) > 100
    assert {raw[:80]: wrong for raw in decoded if (wrong := wrong_pieces(raw))} == {}


@pytest.mark.parametrize(
    ("raw", "places"),
    [
        ("a **b** c", "2@0 1@4 2@7"),
        ("a\r\nb", "1@0 1 1@3"),
        ("a &amp; b", "2@0 1@2+5 2@7"),
        (r"so $x^2$.", "3@0 3@3+5 1@8"),
        ("> - x", "2 1@4 2"),
        ("```\n  a\n```", "4@4"),
        ("- ```\n  a\n  b\n  ```", "2 2@8 2@12 2"),
        ("![w](http://x.y)", "14@0+16"),
        (r"a\xb\*c", "4@0 1@4+2 1@6"),
        ("😀**é**", "1@0 1@3"),
    ],
)
def test_maps_read_like_this(raw: str, places: str) -> None:
    assert rendering.render_and_trace(raw)[1] == places


def test_a_text_that_is_shown_plain_is_traced_too() -> None:
    raw = "> " * 400 + "the end\r\n\r\nof **it**"
    assert wrong_pieces(raw) == []
    assert len(traced(raw)[0]) > 800


def test_the_check_itself_finds_a_wrong_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing.Source, "raw", lambda self, place: place + 1)
    assert wrong_pieces("some words")
