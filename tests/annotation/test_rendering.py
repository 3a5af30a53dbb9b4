"""What annotators see of a text: all of it, and nothing that acts."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import rendering

ALLOWED_TAGS = {"p", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote"}
ALLOWED_TAGS |= {"hr", "br", "table", "thead", "tbody", "tr", "th", "td", "a", "span", "div"}
ALLOWED_ATTRIBUTES = {
    "a": {"href", "target", "rel"},
    "ol": {"start"},
    "pre": {"tabindex", "role", "aria-label"},
    "div": {
        "class",
        "tabindex",
        "role",
        "aria-label",
        "dir",
        "hx-disable",
        "data-earlier",
        "data-last",
        "data-message",
        "data-map",
    },
    "span": {"class"},
    "th": {"scope", "class", "dir"},
    "td": {"class", "dir"},
} | {tag: {"dir"} for tag in ("h3", "h4", "h5", "h6", "li")}
ALLOWED_ATTRIBUTES["p"] = {"dir", "class"}


class Page(HTMLParser):
    """Every tag with its attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def what_acts(html: str) -> Iterator[str]:
    """Everything in `html` that is more than text, shape and an ordinary link."""
    for tag, attributes in Page(html).tags:
        if tag not in ALLOWED_TAGS:
            yield f"<{tag}>"
        for name, value in attributes.items():
            if name not in ALLOWED_ATTRIBUTES.get(tag, set()):
                yield f"<{tag} {name}={value}>"
            if name == "href" and not re.match(r"(https?://|mailto:)\S", value or "", re.IGNORECASE):
                yield f"<{tag} href={value}>"


def every_way(text: str) -> str:
    """`text` in every part that annotators are shown, and inside the Markdown that others would wrap around it."""
    messages = [{"role": "user", "content": text}, {"role": text, "content": text}]
    wrapped = [
        f"[x]({text})",
        f"![{text}]({text})",
        f"<{text}>",
        f"```{text}\n{text}\n```",
        f"|{text}|b|\n|-|-|\n|{text}|c|",
    ]
    wrapped += [f"$${text}$$", f"# {text}", f"- > {text}", f"[{text}](https://example.org/{text})"]
    return (
        rendering.render_candidate(messages)
        + rendering.render_candidate(messages[:1])
        + rendering.render_prompt(messages, text)
        + "".join(rendering.render_text(each) for each in wrapped)
    )


@pytest.fixture(scope="module")
def naughty(shared_payloads: Path) -> list[str]:
    strings: list[str] = json.loads((shared_payloads / "blns.json").read_text())
    assert len(strings) == 515
    return strings


# ---- nothing acts --------------------------------------------------------------------------------------------------


def test_the_check_itself_finds_what_acts() -> None:
    hostile = '<img src=x onerror=alert(1)><a href="javascript:alert(1)">x</a><p style="x" id="y" hx-get="/evil">'
    assert len(list(what_acts(hostile))) == 7


def test_no_live_script_payload_survives(shared_payloads: Path) -> None:
    payloads = [each["payload"] for each in json.loads((shared_payloads / "live-xss.json").read_text())["items"]]
    assert len(payloads) == 919
    found = {payload: acts for payload in payloads if (acts := list(what_acts(every_way(payload))))}
    assert found == {}


def test_no_htmx_payload_survives(shared_payloads: Path) -> None:
    payloads = (shared_payloads / "own-htmx.txt").read_text().splitlines()
    assert len(payloads) == 20
    for payload in payloads:
        assert list(what_acts(every_way(payload))) == []
        assert payload.replace(" ", "") in Page(rendering.render_text(payload)).text.replace(" ", "")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("<>\"'`&;:/\\=()[]{}!#*_~|-+$^ \n\tajhx01é\u202e")), max_size=120))
def test_no_mix_of_marks_acts(text: str) -> None:
    assert list(what_acts(rendering.render_text(text))) == []


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://example.org/a?b=1&c=2", True),
        ("http://example.org", True),
        ("mailto:a@example.org", True),
        ("HTTPS://EXAMPLE.ORG", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
        ("//example.org", False),
        ("/p/everyday/judge", False),
        ("&#106;avascript:alert(1)", False),
        ("https:", False),
    ],
)
def test_links_lead_to_web_and_mail_only(address: str, is_link: bool) -> None:
    page = Page(rendering.render_text(f"[words]({address})"))
    links = [attributes for tag, attributes in page.tags if tag == "a"]
    assert bool(links) is is_link
    assert "words" in page.text
    for link in links:
        assert link["target"] == "_blank"
        assert link["rel"] == "noopener nofollow"


def test_a_picture_is_its_words_and_its_address() -> None:
    html = rendering.render_text("![a *red* door](https://example.org/door.png)")
    assert html == '<p><span class="image">a red door (https://example.org/door.png)</span></p>'


# ---- everything is there -------------------------------------------------------------------------------------------


def test_naughty_strings_are_shown_exactly_in_code(naughty: list[str]) -> None:
    for text in naughty:
        fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 3)
        html = rendering.render_text(f"{fence}\n{text}\n{fence}")
        shown = Page(html).text.removesuffix("\n")
        assert shown == text.replace("\x00", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")


def test_naughty_strings_lose_no_letter_as_markdown(naughty: list[str]) -> None:
    """Marks may turn into shape, and entities into their character; letters, digits and signs of any script stay."""
    letters = re.compile(r"[^\W_]+")
    changed = {}
    for text in naughty:
        shown = Page(rendering.render_text(text)).text
        if letters.findall(shown) != letters.findall(text):
            changed[text] = shown
    # HTML entities are Markdown too: these are shown as the character they name.
    assert all(re.search(r"&#?\w+;", text) for text in changed), changed
    assert len(changed) < 15


@pytest.mark.parametrize(
    "text",
    [
        "[1]: https://example.org/a-definition",
        "<b>bold</b> <!-- a comment --> <br/>",
        "costs $5 or $10, $HOME/$USER, US$5 and A$10",
        "\\(never closed",
        "$$\nnever closed",
        "- [ ] a task",
        "a[^1] note",
        "<javascript:alert(1)>",
    ],
)
def test_what_is_not_our_markdown_is_shown_as_it_is(text: str) -> None:
    shown = Page(rendering.render_text(text)).text
    for word in re.findall(r"[\w$:/.]+", text):
        assert word in shown


def test_what_the_database_cannot_hold_is_shown_as_a_replacement() -> None:
    assert rendering.render_text("a\x00b\ud800c") == "<p>a\ufffdb\ufffdc</p>"


def test_deep_nesting_is_shown_plain_and_complete() -> None:
    for mark in ("> ", "- ", "1. "):
        text = mark * 400 + "the end"
        page = Page(rendering.render_text(text))
        assert page.text.count(mark.strip()) == 400
        assert "the end" in page.text
    assert "<blockquote>" in rendering.render_text("> " * 10 + "not so deep")


def test_very_long_text_is_shown_plain_and_complete() -> None:
    text = "**word** " * 120_000
    html = rendering.render_text(text)
    assert "<strong>" not in html
    assert Page(html).text.count("**word**") == 120_000


@pytest.mark.parametrize(
    "mark", ["[", "![", "*a_ ", "`", "<", "\\(", "$$a\n", "&", "|a", "~~", "[a](", "**a *b ", "> ", "- "]
)
def test_hostile_repetition_loses_no_letter(mark: str) -> None:
    count = rendering.LONGEST_MARKDOWN // 5 // (len(mark) + 1)
    assert Page(rendering.render_text(f"{mark}x" * count)).text.count("x") == count


def test_line_breaks_are_kept() -> None:
    assert rendering.render_text("roses\nviolets") == "<p>roses<br>\nviolets</p>"


# ---- shape ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* **b** ~~c~~ `d`", "<p><em>a</em> <strong>b</strong> <s>c</s> <code>d</code></p>"),
        ("# One\n### Three\n## Two", "<h3>One</h3>\n<h4>Three</h4>\n<h4>Two</h4>"),
        ("### First\n# Then", "<h3>First</h3>\n<h3>Then</h3>"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>'),
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>"),
        (r"$x<y$ and \(z\)", '<p><span class="math inline">x&lt;y</span> and <span class="math inline">z</span></p>'),
        ("$x$ is 5", '<p><span class="math inline">x</span> is 5</p>'),
        ("so $$x$$ follows", '<p>so <span class="math block">x</span> follows</p>'),
        ("text\n$$\na\n= b\n$$\nmore", '<p>text</p>\n<div class="math block">a\n= b</div>\n<p>more</p>'),
        ("\\[ a\n- b \\]", '<div class="math block">a\n- b</div>'),
        (
            "```python\nif x: # y\n    f(1)\n```",
            '<pre tabindex="0" role="group" aria-label="Code"><code><span class="hl-k">if</span> x: '
            '<span class="hl-c"># y</span>\n    '
            '<span class="hl-f">f</span>(<span class="hl-n">1</span>)\n</code></pre>',
        ),
        (
            "```nosuchlanguage\n<b>\n```",
            '<pre tabindex="0" role="group" aria-label="Code"><code>&lt;b&gt;\n</code></pre>',
        ),
        (
            "|a|b|\n|-|-:|\n|c|d|",
            '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>\n'
            '<thead>\n<tr>\n<th scope="col">a</th>\n'
            '<th scope="col" class="al-end">b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>c</td>\n'
            '<td class="al-end">d</td>\n</tr>\n</tbody>\n</table></div>',
        ),
    ],
)
def test_markdown_takes_this_shape(text: str, html: str) -> None:
    assert rendering.render_text(text) == html


def test_headings_never_skip_a_level() -> None:
    html = rendering.render_text("#### a\n###### b\n# c\n##### d\n## e\n### f\n#### g\n##### h\n###### i")
    levels = [int(tag[1]) for tag, _ in Page(html).tags]
    assert levels[0] == 3
    assert max(levels) <= 6
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


# ---- direction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("Hello", "ltr"),
        ("你好", "ltr"),
        ("مرحبا بك", "rtl"),
        ("שלום, this", "rtl"),
        ("In English, with one word: سلام", "ltr"),
        ("اكتب دالة\n```python\ndef a_rather_long_name_in_english(): pass\n```", "rtl"),
        ("123 — !", "auto"),
        ("", "auto"),
    ],
)
def test_direction_is_that_of_most_letters(text: str, direction: str) -> None:
    assert rendering.direction_of(text) == direction


def test_a_block_that_runs_the_other_way_says_so() -> None:
    html = rendering.render_text("جملة طويلة بالعربية تكفي للأغلبية هنا\n\n- A short item\n- بند قصير")
    assert '<li dir="ltr">A short item</li>' in html
    assert "<li>بند قصير</li>" in html


# ---- conversations -------------------------------------------------------------------------------------------------


def test_a_prompt_keeps_earlier_turns_apart_from_the_last() -> None:
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "**three**"},
    ]
    html = rendering.render_prompt(turns, "Be kind.")
    earlier, last = html.split("data-last>")
    assert [earlier.index(word) for word in ("System", "Be kind.", "Person", "one", "Assistant", "two")] == sorted(
        earlier.index(word) for word in ("System", "Be kind.", "Person", "one", "Assistant", "two")
    )
    assert "<strong>three</strong>" in last
    assert earlier.count("turn--model") == 1


def test_a_single_question_has_no_earlier_turns() -> None:
    assert "data-earlier" not in rendering.render_prompt([{"role": "user", "content": "one"}], "")


def test_a_candidate_of_several_messages_is_shown_as_turns() -> None:
    html = rendering.render_candidate([{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}])
    assert html.count('class="turn') == html.count('class="turn__who"') * 2
    assert "turn" not in rendering.render_candidate([{"role": "assistant", "content": "a"}])


def test_user_text_stands_in_a_wrapper_that_htmx_ignores() -> None:
    assert (
        rendering.render_candidate([{"role": "assistant", "content": "a"}])
        == '<div class="text" dir="ltr" data-message="0" data-map="1@0" hx-disable><p>a</p></div>'
    )
