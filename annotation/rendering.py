"""Raw text -> safe HTML: what annotators see of prompts and candidates.

The text under judgement is data. It passes markdown-it (HTML off: tags stay visible as text) and then a tight
allow-list: no style, no id, no script, no request to anywhere, links to http, https and mailto only. Nothing that was
written is left out: what is not Markdown that we show is shown as the characters it is. The raw text stays the truth;
this is its picture.

Pure: knows no models. Import renders everything once and stores the HTML with `RENDERER`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.parser_block import ParserBlock
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String
from pygments.util import ClassNotFound

from annotation import tracing
from annotation.tracing import Source, marked, pieces_of

# The version of what this module makes. Count it up with every change of the HTML; `html` is then rendered again.
RENDERER = 2

# Longer texts are shown as plain paragraphs: Markdown of a megabyte takes seconds, and hostile Markdown takes longer.
LONGEST_MARKDOWN = 200_000
# The time for brackets grows with the square of their number in one paragraph; these squares take about 0.2 s.
MOST_BRACKETS_SQUARED = 25_000_000
# Quotes and lists inside each other. Deeper text is shown plain.
DEEPEST = 40
LONGEST_HIGHLIGHTED = 20_000
LONGEST_MATH_LINES = 60
LONGEST_MATH = 4_000

WHO = {"system": "System", "user": "Person", "assistant": "Assistant", "tool": "Tool"}

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*\n")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
_LETTER = re.compile(r"[^\W\d_]")
_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)


class _TooDeep(Exception):
    """Quotes or lists are nested deeper than `DEEPEST`."""


# ---- what others call ----------------------------------------------------------------------------------------------


def render_text(text: str) -> str:
    """Safe HTML of one Markdown text. Headings start at h3; blocks that run the other way than the text carry `dir`."""
    return render_and_trace(text)[0]


def render_and_trace(text: str) -> tuple[str, str]:
    """The HTML of `render_text`, and the map from its characters to those of `text` (tracing.py)."""
    text = _UNFIT.sub("\ufffd", text)
    source = Source(text)
    if len(text) > LONGEST_MARKDOWN or _brackets_squared(text) > MOST_BRACKETS_SQUARED:
        return tracing.read(_plain(source))
    try:
        html = _MARKDOWN.render(text, {"base": direction_of(text), "source": source})
    except _TooDeep:
        return tracing.read(_plain(source))
    return tracing.read(_CLEANER.clean(html).strip())


def render_candidate(messages: Sequence[dict[str, Any]]) -> str:
    """HTML of everything a candidate said. One message stands alone; several are marked up as turns."""
    if len(messages) == 1:
        return _part(str(messages[0].get("content", "")), 0)
    return "".join(_turn(message, number) for number, message in enumerate(messages))


def render_prompt(messages: Sequence[dict[str, Any]], system: str = "") -> str:
    """HTML of a conversation: earlier turns (with the system message) in `data-earlier`, the last in `data-last`."""
    # The system message has no number: it is not among the messages, and nothing in it can be highlighted.
    earlier = _turn({"role": "system", "content": system}, None) if system.strip() else ""
    earlier += "".join(_turn(message, number) for number, message in enumerate(messages[:-1]))
    html = f'<div class="turns" data-earlier>{earlier}</div>' if earlier else ""
    if messages:
        last = _part(str(messages[-1].get("content", "")), len(messages) - 1)
        html += f'<div class="turn turn--last" data-last>{last}</div>'
    return html


def direction_of(text: str) -> str:
    """ "rtl" or "ltr" by the majority of the letters outside code; "auto" when there are none."""
    if not _RTL.search(text):
        return "ltr" if _LETTER.search(text) else "auto"
    spoken = _FENCED.sub("", text)
    right = len(_RTL.findall(spoken))
    letters = len(_LETTER.findall(spoken))
    return "rtl" if 2 * right >= letters else "ltr"


# ---- parts and turns -----------------------------------------------------------------------------------------------


def _part(text: str, number: int | None) -> str:
    html, places = render_and_trace(text)
    # Where each character stands in the raw text of which message: a highlight is told in these terms.
    traced = "" if number is None else f' data-message="{number}" data-map="{places}"'
    # `hx-disable` keeps htmx away should a page with htmx show this; the allow-list removes its attributes anyway.
    return f'<div class="text" dir="{direction_of(text)}"{traced} hx-disable>{html}</div>'


def _turn(message: dict[str, Any], number: int | None) -> str:
    role = str(message.get("role", ""))
    who = WHO.get(role, escape(_UNFIT.sub("\ufffd", role)) or "Unknown")
    kind = " turn--model" if role == "assistant" else ""
    return (
        f'<div class="turn{kind}"><p class="turn__who">{who}</p>{_part(str(message.get("content", "")), number)}</div>'
    )


def _brackets_squared(text: str) -> int:
    return sum(part.count("[") ** 2 for part in _BLANK_LINES.split(text)) if text.count("[") > 1_000 else 0


def _plain(source: Source) -> str:
    """Paragraphs and line breaks, nothing else."""
    paragraphs: list[str] = []
    begin = 0
    for end in [*_BLANK_LINES.finditer(source.text), None]:
        part = source.text[begin : end.start() if end else None]
        first = begin + len(part) - len(part.lstrip("\n"))
        lines: list[str] = []
        for line in part.strip("\n").split("\n"):
            lines.append(marked(escape(line, quote=False), [source.one_by_one(first, len(line))] if line else None))
            first += len(line) + 1
        if part.strip("\n"):
            paragraphs.append("<p>" + "<br>\n".join(lines) + "</p>")
        begin = end.end() if end else begin
    return "\n".join(paragraphs)


# ---- code ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=128)
def _lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name, ensurenl=False, stripnl=False)
    except ClassNotFound:
        return None


def _highlight(code: str, language: str) -> str:
    lexer = _lexer(language.lower()) if language and len(code) <= LONGEST_HIGHLIGHTED else None
    if lexer is None:
        return escape(code, quote=False)
    tokens = list(lexer.get_tokens(code))
    if "".join(value for _, value in tokens) != code:
        # A lexer may drop a byte order mark. What is shown must be what is there.
        return escape(code, quote=False)
    runs: list[tuple[str, str]] = []
    for place, (kind, value) in enumerate(tokens):
        colour = ""
        if kind in Comment:
            colour = "c"
        elif kind in String:
            colour = "s"
        elif kind in Number or kind in Keyword.Constant:
            colour = "n"
        elif kind in Keyword or kind is Name.Tag:
            colour = "k"
        elif kind in Name.Function or kind in Name.Builtin or kind in Name.Class or _is_called(tokens, place):
            colour = "f"
        if not value.strip():
            colour = ""
        if runs and runs[-1][0] == colour:
            runs[-1] = (colour, runs[-1][1] + value)
        else:
            runs.append((colour, value))
    return "".join(
        f'<span class="hl-{colour}">{escape(value, quote=False)}</span>' if colour else escape(value, quote=False)
        for colour, value in runs
    )


def _is_called(tokens: list[tuple[Any, str]], place: int) -> bool:
    return tokens[place][0] in Name and place + 1 < len(tokens) and tokens[place + 1][1].startswith("(")


# ---- mathematics: $x$, $$x$$, \(x\), \[x\]. Rendered in the browser; here the TeX stands as text. -------------------

_MATH_INLINE = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_MATH_BLOCK = {"$$": "$$", "\\[": "\\]"}


def _math_inline(state: StateInline, silent: bool) -> bool:
    src, start = state.src, state.pos
    if src[start] not in "$\\":
        return False
    opener = src[start : start + 2]
    if opener not in _MATH_INLINE:
        opener = src[start]
        if opener != "$":
            return False
    closer, begin = _MATH_INLINE[opener], start + len(opener)
    end = _find_closer(state, closer, begin)
    tex = src[begin:end]
    if end < 0 or not tex.strip() or len(tex) > LONGEST_MATH:
        return False
    if opener == "$":
        # Money and shell variables are no mathematics: "$5 or $10", "$HOME/$USER".
        if tex[0].isspace() or tex[-1].isspace() or src[end + 1 : end + 2].isalnum():
            return False
        if start and src[start - 1].isalnum():
            return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = tex
        token.meta = {"block": opener in _MATH_BLOCK}
    state.pos = end + len(closer)
    return True


def _find_closer(state: StateInline, closer: str, begin: int) -> int:
    """Where `closer` stands, unescaped, or -1. What is missing is looked for once: hostile text stays linear."""
    missing = state.env.setdefault("missing", {})
    if begin >= missing.get((id(state.src), closer), len(state.src) + 1):
        return -1
    end = state.src.find(closer, begin, state.posMax)
    while end > 0 and closer[0] == "$" and state.src[end - 1] == "\\":
        end = state.src.find(closer, end + 1, state.posMax)
    if end < 0 and state.posMax == len(state.src):
        missing[id(state.src), closer] = begin
    return end


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    begin = state.bMarks[start] + state.tShift[start]
    closer = _MATH_BLOCK.get(state.src[begin : begin + 2])
    if closer is None or state.is_code_block(start):
        return False
    lines: list[str] = []
    for line in range(start, min(end, start + LONGEST_MATH_LINES)):
        if line > start and (state.isEmpty(line) or state.sCount[line] < state.blkIndent):
            return False
        first = begin + 2 if line == start else state.bMarks[line] + state.tShift[line]
        text = state.src[first : state.eMarks[line]].rstrip()
        at = text.find(closer)
        if at >= 0:
            lines.append(text[:at])
            tex = "\n".join(lines).strip()
            # Text after the end: the inline rule shows both.
            if at + 2 < len(text) or not tex:
                return False
            if not silent:
                token = state.push("math_block", "math", 0)
                token.block, token.content, token.map = True, tex, [start, line + 1]
                token.meta["source"] = (begin, first + at + len(closer))
                state.line = line + 1
            return True
        lines.append(text)
    return False


# ---- blocks: direction, headings, tables ---------------------------------------------------------------------------


def _arrange(tokens: list[Token], base: str) -> None:
    """Set headings to h3..h6 without gaps, mark what runs the other way than the text, name what scrolls."""
    levels: list[int] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            level = int(token.tag[1])
            while levels and levels[-1] >= level:
                levels.pop()
            levels.append(level)
            token.tag = tokens[place + 2].tag = f"h{min(2 + len(levels), 6)}"
        elif token.type == "inline":
            _give_direction(tokens, place, base)
        elif token.type in ("th_open", "td_open"):
            align = str(token.attrs.pop("style", ""))
            if token.type == "th_open":
                token.attrSet("scope", "col")
            if align.endswith(("right", "center")):
                token.attrSet("class", "al-end" if align.endswith("right") else "al-mid")


def _give_direction(tokens: list[Token], place: int, base: str) -> None:
    own = direction_of(tokens[place].content)
    if own in ("auto", base):
        return
    opener = tokens[place - 1]
    # The paragraph of a tight list is not drawn: the list item carries the direction.
    if opener.hidden and place >= 2:
        opener = tokens[place - 2]
    if not opener.hidden:
        opener.attrSet("dir", own)


class _Blocks(ParserBlock):
    """Refuses what is nested too deep. The original leaves such text out, and nobody could judge what is not there."""

    def tokenize(self, state: StateBlock, startLine: int, endLine: int) -> None:
        if state.level >= DEEPEST:
            raise _TooDeep
        super().tokenize(state, startLine, endLine)


class _Markdown(MarkdownIt):
    def render(self, src: str, env: Any = None) -> str:
        env = {} if env is None else env
        tokens = self.parse(src, env)
        _arrange(tokens, env.get("base", "auto"))
        tracing.locate(tokens, env["source"], env)
        return str(self.renderer.render(tokens, self.options, env))


def _text_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    return marked(escape(token.content, quote=False), pieces_of(token, len(token.content))) if token.content else ""


def _code_inline_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return f"<code>{_text_rule(self, tokens, place, options, env)}</code>"


def _code_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    language = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
    code = marked(_highlight(token.content, language), pieces_of(token, len(token.content)))
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{code}</code></pre>\n'


def _math_inline_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    kind = "block" if token.meta["block"] else "inline"
    tex = token.content.strip()
    return f'<span class="math {kind}">{marked(escape(tex, quote=False), pieces_of(token, len(tex)))}</span>'


def _math_block_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    tex = marked(escape(token.content, quote=False), pieces_of(token, len(token.content)))
    return f'<div class="math block">{tex}</div>\n'


def _image_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    # A picture would be a request to a stranger's server. Its words and its address are shown instead.
    token = tokens[place]
    words = _words(token.children or [])
    shown = f"{words} ({token.attrs.get('src', '')})".strip()
    return f'<span class="image">{marked(escape(shown, quote=False), pieces_of(token, len(shown)))}</span>'


def _words(tokens: Sequence[Token]) -> str:
    words = []
    for token in tokens:
        if token.type in ("text", "text_special", "code_inline", "math_inline"):
            words.append(token.content)
        elif token.type == "image":
            words.append(_words(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
    return "".join(words)


def _table_open_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>\n'


def _table_close_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _build() -> MarkdownIt:
    # Line breaks are kept: poems, addresses and lists without marks are what models and people really write.
    md = _Markdown()
    md.block = _Blocks()
    md.inline = tracing.TracingInline()
    md.configure("commonmark", {"html": False, "breaks": True, "maxNesting": DEEPEST + 60})
    md.enable(["table", "strikethrough"])
    # A reference definition would vanish from sight: `[1]: https://…` stays a line of text.
    md.disable(["reference", "html_block", "html_inline"])
    # Joined text would lose the places of its parts.
    md.disable(["fragments_join", "text_join"])
    md.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    md.inline.ruler.before("escape", "math_inline", _math_inline)
    md.block.ruler.before("fence", "math_block", _math_block, {"alt": ["paragraph", "blockquote", "list"]})
    md.inline.trace_rules()
    md.block.ruler.at("table", tracing.watch_tables(table), {"alt": ["paragraph", "reference"]})
    for name, rule in {
        "text": _text_rule,
        "text_special": _text_rule,
        "code_inline": _code_inline_rule,
        "fence": _code_rule,
        "code_block": _code_rule,
        "math_inline": _math_inline_rule,
        "math_block": _math_block_rule,
        "image": _image_rule,
        "table_open": _table_open_rule,
        "table_close": _table_close_rule,
    }.items():
        md.add_render_rule(name, rule)
    return md


_MARKDOWN = _build()

_DIRECTED = {"p", "h3", "h4", "h5", "h6", "li", "td", "th"}
_UNDIRECTED = {"strong", "em", "s", "code", "pre", "ul", "ol", "blockquote", "hr", "br", "a", "span", "div"}
_UNDIRECTED |= {"table", "thead", "tbody", "tr"}
_SCROLLER = {"tabindex": {"0"}, "role": {"group"}}
_CLEANER = nh3.Cleaner(
    tags=_DIRECTED | _UNDIRECTED,
    clean_content_tags=set(),
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}, "span": {"data-at"}},
    tag_attribute_values={
        **{tag: {"dir": {"ltr", "rtl"}} for tag in _DIRECTED - {"th"}},
        "th": {"dir": {"ltr", "rtl"}, "scope": {"col"}},
        "pre": {**_SCROLLER, "aria-label": {"Code"}},
        "div": {**_SCROLLER, "aria-label": {"Table"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={
        "span": {"hl-k", "hl-f", "hl-s", "hl-n", "hl-c", "math", "inline", "block", "image"},
        "div": {"math", "block", "wide"},
        "th": {"al-end", "al-mid"},
        "td": {"al-end", "al-mid"},
    },
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener nofollow",
)
