"""Where every character that is shown stands in the raw text: the way back from rendered Markdown to its source.

Somebody who highlights a word means the raw text, which is the truth; what they see is its picture. While the parser
works, each piece of text keeps the place that it was cut from. The renderer writes these places into the HTML as marks
(`<span data-at>`), the cleaner lets them pass, and `read` takes them out again and returns the map beside the HTML.

The map lists the text of an HTML fragment (its text nodes, joined) from beginning to end, in Unicode code points:

    n        n characters that stand for nothing in the source (a line end between two blocks)
    n@p      n characters that stand in the source at p..p+n
    n@p+m    n characters that stand for the m source characters at p, as a whole (an entity, a formula)

Pure: knows no models. Nothing of this is a guess: a piece whose place is not certain has none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.utils import MD_TRIM_CHARS
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_LINE_END = re.compile(r"\r\n?|\n")
_TAG = re.compile(r'<span data-at="([^"]*)">|<(/?)([a-zA-Z0-9]+)(?:[^>"]|"[^"]*")*>|(&[a-zA-Z0-9#]+;)|([^<&]+|&)')
_HEADING = re.compile(r"#{1,6}[ \t]*")


class Piece(NamedTuple):
    """`shown` characters for `length` source characters at `start`; start -1: they stand for nothing."""

    shown: int
    start: int
    length: int
    # True when the characters stand for the source as a whole, not one by one.
    whole: bool = False


# ---- the source ----------------------------------------------------------------------------------------------------


class Source:
    """A raw text with the parser's view of it: line ends are one character there."""

    def __init__(self, raw: str) -> None:
        self.text = _LINE_END.sub("\n", raw) if "\r" in raw else raw
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self._raw_starts: list[int] | None = None
        if "\r" in raw:
            self._raw_starts = [0, *(end.end() for end in _LINE_END.finditer(raw))]

    def raw(self, place: int) -> int:
        """The place in the raw text of a place in the parser's text."""
        if self._raw_starts is None:
            return place
        line = min(bisect_right(self.starts, place) - 1, len(self._raw_starts) - 1)
        return self._raw_starts[line] + place - self.starts[line]

    def one_by_one(self, place: int, shown: int) -> Piece:
        return Piece(shown, self.raw(place), shown)

    def as_a_whole(self, start: int, end: int, shown: int) -> Piece:
        first = self.raw(start)
        return Piece(shown, first, self.raw(end - 1) + 1 - first, whole=True)


class Content:
    """The text of one block token: its characters, each line (or cell part) with its place in the source."""

    def __init__(self, source: Source, breaks: list[tuple[int, int]]) -> None:
        # (place in the content, place in the source or -1), ascending.
        self.source = source
        self.places = [place for place, _ in breaks]
        self.targets = [target for _, target in breaks]

    def one_by_one(self, place: int, shown: int) -> list[Piece]:
        pieces, end = [], place + shown
        while place < end:
            n = bisect_right(self.places, place) - 1
            stop = min(end, self.places[n + 1]) if n + 1 < len(self.places) else end
            if n < 0 or self.targets[n] < 0:
                pieces.append(Piece(stop - place, -1, 0))
            else:
                first = self.targets[n] + place - self.places[n]
                # The parser ends a block of code with a line end, also where the source has none.
                there = min(stop - place, len(self.source.text) - first)
                pieces += [self.source.one_by_one(first, there)] if there else []
                pieces += [Piece(stop - place - there, -1, 0)] if there < stop - place else []
            place = stop
        return pieces

    def as_a_whole(self, start: int, end: int, shown: int) -> list[Piece]:
        first, last = self._source(start), self._source(end - 1)
        if first < 0 or last < first:
            return [Piece(shown, -1, 0)]
        return [self.source.as_a_whole(first, last + 1, shown)]

    def _source(self, place: int) -> int:
        n = bisect_right(self.places, place) - 1
        return self.targets[n] + place - self.places[n] if n >= 0 and self.targets[n] >= 0 else -1


# ---- inline: every token remembers the characters that it was cut from -----------------------------------------------


class _State(StateInline):
    """Text that waits to become a token keeps the places of its parts."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.parts: list[tuple[int, int]] = []

    def append_pending(self, text: str) -> None:
        if self.parts and sum(self.parts[-1]) == self.pos:
            self.parts[-1] = (self.parts[-1][0], self.parts[-1][1] + len(text))
        else:
            self.parts.append((self.pos, len(text)))
        super().append_pending(text)

    def pushPending(self) -> Token:
        token = super().pushPending()
        # The rule for line ends cuts blanks off what waits.
        left, kept = len(token.content), []
        for place, length in self.parts:
            if left > 0:
                kept.append((place, min(length, left)))
            left -= length
        token.meta["at"] = kept
        self.parts = []
        return token

    def push(self, ttype: str, tag: str, nesting: Any) -> Token:
        token = super().push(ttype, tag, nesting)
        self.parts = []
        return token


class TracingInline(ParserInline):
    """The inline parser, its rules watched: `trace_rules` must be called when all rules are there."""

    def parse(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens

    def trace_rules(self) -> None:
        for rule in self.ruler.__rules__:
            self.ruler.at(rule.name, _watched(rule.fn), {"alt": rule.alt})


def _watched(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    def run(state: StateInline, silent: bool) -> bool:
        if silent:
            return rule(state, silent)
        start, before = state.pos, len(state.tokens)
        matched = rule(state, silent)
        if matched:
            _place(state.tokens[before:], state.src, start, state.pos)
        return matched

    return run


def _place(tokens: Sequence[Token], src: str, start: int, end: int) -> None:
    """Give the tokens that one rule made from src[start:end] their places: `at` one by one, or `whole`."""
    place = start
    for token in tokens:
        if "at" in token.meta or "whole" in token.meta:
            continue
        n = len(token.content)
        if token.type == "text" and src.startswith(token.content, place):
            # Marks of emphasis come as one token each.
            token.meta["at"], place = [(place, n)], place + n
        elif token.type == "text" and src.startswith(token.content, start + 1):
            # An address in angle brackets.
            token.meta["at"] = [(start + 1, n)]
        elif token.type == "code_inline":
            begin = start + len(src[start:end]) - len(src[start:end].lstrip("`"))
            begin += src[begin : begin + n].replace("\n", " ") != token.content
            token.meta["at"] = [(begin, n)]
        elif token.type == "text_special" and token.content == src[start:end]:
            # A backslash before what needs none stands for itself.
            token.meta["at"] = [(start, n)]
        else:
            token.meta["whole"] = (start, end)


# ---- blocks: where the lines of a token stand ------------------------------------------------------------------------


def watch_tables(rule: Callable[[StateBlock, int, int, bool], bool]) -> Callable[[StateBlock, int, int, bool], bool]:
    """The rule for tables, telling where the text of its lines begins: quotes and lists stand before it."""

    def run(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        matched = rule(state, start, end, silent)
        if matched and not silent:
            begins = state.env.setdefault("table_lines", {})
            for line in range(start, state.line):
                begins[line] = (state.bMarks[line] + state.tShift[line], state.eMarks[line])
        return matched

    return run


def locate(tokens: Sequence[Token], source: Source, env: dict[str, Any]) -> None:
    """Give every token that shows text its pieces: `meta["pieces"]`, in the order of its characters."""
    column = 0
    opener = ""
    for token in tokens:
        if token.type == "tr_open":
            column = -1
        elif token.type in ("th_open", "td_open"):
            column += 1
        if token.type == "inline" and token.map is not None:
            if opener in ("th_open", "td_open"):
                content = _cell(source, env["table_lines"].get(token.map[0]), column, token.content)
            elif (
                opener == "heading_open"
                and _HEADING.search(source.lines[token.map[0]])
                and token.map[1] - token.map[0] == 1
            ):
                content = _heading(source, token)
            else:
                content = _lines(source, token.content, token.map[0])
            for child in token.children or []:
                _give(child, content)
        elif token.type in ("fence", "code_block") and token.map is not None:
            first = token.map[0] + (token.type == "fence")
            content = _lines(source, token.content, first)
            token.meta["pieces"] = content.one_by_one(0, len(token.content))
        elif token.type == "math_block":
            start, end = token.meta["source"]
            token.meta["pieces"] = [source.as_a_whole(start, end, len(token.content))]
        opener = token.type


def _give(token: Token, content: Content) -> None:
    if "at" in token.meta:
        token.meta["pieces"] = [piece for run in token.meta["at"] for piece in content.one_by_one(*run)]
    elif "whole" in token.meta:
        start, end = token.meta["whole"]
        token.meta["in_source"] = lambda shown: content.as_a_whole(start, end, shown)


def _lines(source: Source, text: str, first: int) -> Content:
    """Each line of a block's text is the end of a line of the source: only indentation and marks were cut off."""
    breaks: list[tuple[int, int]] = []
    place, line = 0, first
    for own in text.split("\n"):
        target = -1
        while line < len(source.lines):
            whole = source.lines[line]
            for candidate in (whole, whole.rstrip(MD_TRIM_CHARS)):
                if candidate.endswith(own):
                    target = source.starts[line] + len(candidate) - len(own)
                    break
            # A line of nothing but blanks may be gone at the beginning of a paragraph.
            if target >= 0 or breaks or whole.strip(MD_TRIM_CHARS + ">"):
                break
            line += 1
        if target < 0 and line < len(source.lines):
            # A tab that was cut in half became blanks, which stand for nothing.
            bare = own.lstrip(" ")
            if bare and source.lines[line].endswith(bare):
                breaks.append((place, -1))
                place_of_bare = place + len(own) - len(bare)
                breaks.append((place_of_bare, source.starts[line] + len(source.lines[line]) - len(bare)))
                place, line = place + len(own) + 1, line + 1
                continue
        breaks.append((place, target))
        place, line = place + len(own) + 1, line + 1
    return Content(source, breaks)


def _heading(source: Source, token: Token) -> Content:
    assert token.map is not None
    line = source.lines[token.map[0]]
    marks = _HEADING.search(line)
    begin = marks.end() if marks else 0
    begin += len(line[begin:]) - len(line[begin:].lstrip(MD_TRIM_CHARS))
    found = line.startswith(token.content, begin)
    return Content(source, [(0, source.starts[token.map[0]] + begin if found else -1)])


def _cell(source: Source, line: tuple[int, int] | None, column: int, text: str) -> Content:
    """A cell: the line is cut at its pipes, and the backslash before a pipe is taken away."""
    if line is None:
        return Content(source, [(0, -1)])
    begin, end = line
    inner = source.text[begin:end]
    begin += len(inner) - len(inner.lstrip(MD_TRIM_CHARS))
    inner = inner.strip(MD_TRIM_CHARS)
    cells: list[list[tuple[int, str]]] = [[]]
    escaped = False
    for place, sign in enumerate(inner, start=begin):
        if sign == "|" and not escaped:
            cells.append([])
        else:
            if sign == "|":
                cells[-1].pop()
            cells[-1].append((place, sign))
        escaped = sign == "\\"
    if cells and not cells[0]:
        cells.pop(0)
    cell = cells[column] if column < len(cells) else []
    while cell and cell[0][1] in MD_TRIM_CHARS:
        cell = cell[1:]
    breaks = [(n, place) for n, (place, _) in enumerate(cell[: len(text)]) if n == 0 or cell[n - 1][0] + 1 != place]
    if "".join(sign for _, sign in cell[: len(text)]) != text:
        return Content(source, [(0, -1)])
    return Content(source, breaks or [(0, -1)])


# ---- marks in the HTML, and the map ---------------------------------------------------------------------------------


def marked(html: str, pieces: Iterable[Piece] | None) -> str:
    """HTML of a piece of text inside a mark that tells where it stands."""
    spec = " ".join(map(_word, pieces)) if pieces else ""
    return f'<span data-at="{spec}">{html}</span>' if spec else html


def pieces_of(token: Token, shown: int) -> list[Piece] | None:
    """The pieces of a token that shows `shown` characters."""
    if "pieces" in token.meta:
        return list(token.meta["pieces"])
    in_source = token.meta.get("in_source")
    return list(in_source(shown)) if in_source and shown else None


def read(html: str) -> tuple[str, str]:
    """Clean HTML with marks -> the HTML without them, and its map."""
    out: list[str] = []
    pieces: list[Piece] = []
    # Of every open span: the mark's word and the count at its beginning; None for a span that stays.
    spans: list[tuple[str, int] | None] = []
    count, inside = 0, False
    for found in _TAG.finditer(html):
        at, closing, tag, entity, text = found.groups()
        if at is not None:
            spans.append((at, count))
            inside = True
        elif tag:
            if tag == "span" and closing and (opened := spans.pop()):
                pieces += _counted(opened[0], count - opened[1])
                inside = False
                continue
            if tag == "span" and not closing:
                spans.append(None)
            out.append(found[0])
        else:
            n = 1 if entity else len(text)
            count += n
            if not inside:
                pieces.append(Piece(n, -1, 0))
            out.append(found[0])
    return "".join(out), " ".join(map(_word, _joined(pieces)))


def _counted(spec: str, shown: int) -> list[Piece]:
    pieces = parse(spec)
    # The cleaner changes no text. Should it ever, this piece has no place rather than a wrong one.
    return pieces if sum(piece.shown for piece in pieces) == shown else [Piece(shown, -1, 0)]


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and last.start < 0 and piece.start < 0:
            joined[-1] = Piece(last.shown + piece.shown, -1, 0)
        elif last and last.start >= 0 and piece.start == last.start + last.length and not (last.whole or piece.whole):
            joined[-1] = Piece(last.shown + piece.shown, last.start, last.length + piece.length)
        elif piece.shown:
            joined.append(piece)
    return joined


def _word(piece: Piece) -> str:
    if piece.start < 0:
        return str(piece.shown)
    return f"{piece.shown}@{piece.start}" + (f"+{piece.length}" if piece.whole else "")


def parse(spec: str) -> list[Piece]:
    """A map, read again."""
    pieces = []
    for word in spec.split():
        shown, _, source = word.partition("@")
        start, _, length = source.partition("+")
        if not source:
            pieces.append(Piece(int(shown), -1, 0))
        elif length:
            pieces.append(Piece(int(shown), int(start), int(length), whole=True))
        else:
            pieces.append(Piece(int(shown), int(start), int(shown)))
    return pieces
