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
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String
from pygments.util import ClassNotFound

# The version of what this module makes. Count it up with every change of the HTML; `html` is then rendered again.
RENDERER = 1

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
    text = _UNFIT.sub("\ufffd", text)
    if len(text) > LONGEST_MARKDOWN or _brackets_squared(text) > MOST_BRACKETS_SQUARED:
        return _plain(text)
    try:
        return _CLEANER.clean(_MARKDOWN.render(text, {"base": direction_of(text)})).strip()
    except _TooDeep:
        return _plain(text)


def render_candidate(messages: Sequence[dict[str, Any]]) -> str:
    """HTML of everything a candidate said. One message stands alone; several are marked up as turns."""
    if len(messages) == 1:
        return _part(str(messages[0].get("content", "")))
    return "".join(_turn(message) for message in messages)


def render_prompt(messages: Sequence[dict[str, Any]], system: str = "") -> str:
    """HTML of a conversation: earlier turns (with the system message) in `data-earlier`, the last in `data-last`."""
    earlier = [{"role": "system", "content": system}] if system.strip() else []
    earlier += messages[:-1]
    html = f'<div class="turns" data-earlier>{"".join(_turn(message) for message in earlier)}</div>' if earlier else ""
    if messages:
        html += f'<div class="turn turn--last" data-last>{_part(str(messages[-1].get("content", "")))}</div>'
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


def _part(text: str) -> str:
    # `hx-disable` keeps htmx away should a page with htmx show this; the allow-list removes its attributes anyway.
    return f'<div class="text" dir="{direction_of(text)}" hx-disable>{render_text(text)}</div>'


def _turn(message: dict[str, Any]) -> str:
    role = str(message.get("role", ""))
    who = WHO.get(role, escape(_UNFIT.sub("\ufffd", role)) or "Unknown")
    kind = " turn--model" if role == "assistant" else ""
    return f'<div class="turn{kind}"><p class="turn__who">{who}</p>{_part(str(message.get("content", "")))}</div>'


def _brackets_squared(text: str) -> int:
    return sum(part.count("[") ** 2 for part in _BLANK_LINES.split(text)) if text.count("[") > 1_000 else 0


def _plain(text: str) -> str:
    """Paragraphs and line breaks, nothing else."""
    paragraphs = [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n"))]
    return "".join(
        f"<p>{escape(part, quote=False)}</p>\n".replace("\n", "<br>\n", part.count("\n")) for part in paragraphs if part
    )


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
        return str(self.renderer.render(tokens, self.options, env))


def _code_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    language = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
    code = _highlight(token.content, language)
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{code}</code></pre>\n'


def _math_inline_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    kind = "block" if token.meta["block"] else "inline"
    return f'<span class="math {kind}">{escape(token.content.strip(), quote=False)}</span>'


def _math_block_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return f'<div class="math block">{escape(tokens[place].content, quote=False)}</div>\n'


def _image_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    # A picture would be a request to a stranger's server. Its words and its address are shown instead.
    token = tokens[place]
    words = self.renderInlineAsText(token.children or [], options, env)
    address = str(token.attrs.get("src", ""))
    return f'<span class="image">{escape(f"{words} ({address})".strip(), quote=False)}</span>'


def _table_open_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>\n'


def _table_close_rule(self: Any, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _build() -> MarkdownIt:
    # Line breaks are kept: poems, addresses and lists without marks are what models and people really write.
    md = _Markdown()
    md.block = _Blocks()
    md.configure("commonmark", {"html": False, "breaks": True, "maxNesting": DEEPEST + 60})
    md.enable(["table", "strikethrough"])
    # A reference definition would vanish from sight: `[1]: https://…` stays a line of text.
    md.disable(["reference", "html_block", "html_inline"])
    md.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    md.inline.ruler.before("escape", "math_inline", _math_inline)
    md.block.ruler.before("fence", "math_block", _math_block, {"alt": ["paragraph", "blockquote", "list"]})
    for name, rule in {
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
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
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
