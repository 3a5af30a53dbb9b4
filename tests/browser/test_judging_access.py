"""The judging page is there for everybody: no barrier in any state, theme and width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from annotation import rendering
from annotation.guiding import Entry, publish_guideline
from annotation.marking_gold import Gold, mark_gold
from annotation.models import Guideline, Pair
from tests.browser.sitting import JUDGE, as_read, go_offline, has_read, intercept, press_and_go_on
from tests.browser.test_judging_paper import OVER_EACH_OTHER, long_pair
from tests.browser.test_pages import faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()


SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
SIZES = [(320, 640), (768, 1024), (1440, 900)]
KINDS = [
    "judging",
    "filled",
    "marked",
    "error",
    "done",
    "empty",
    "answers",
    "no answers",
    "editing",
    "guideline",
    "unread",
    "shortcuts",
    "skip",
    "training",
    "paused",
    "offline",
    "flag",
    "account",
]


# What axe-core cannot decide, and what decides it. Any other open question is a fault.
TRIAGED = {
    "color-contrast": "of signs, and under what lies over a text: tests/config/test_tokens.py computes every pair",
    "label-content-name-mismatch": "of a highlight: its name holds its words, after what they say and of which side",
}


@pytest.fixture
def every_kind(enter: Any, alice: Any, project: Any, make_pair: Any) -> Callable[[str], Page]:
    """A page of each kind, with the texts that strain a layout."""
    guide = "## Read\n\n|Answer|Use it when|\n|-|-|\n|Better|You can say why.|"
    project.guideline = Guideline.objects.create(
        project=project, version=1, text=guide, html=rendering.render_text(guide)
    )
    project.save()
    long = "### A heading\n\n" + "A" * 600 + "\n\n- one\n- two\n\n> quoted\n\n" + "Words and more words. " * 120
    wide = (
        "|a|b|c|d|e|f|g|\n|-|-|-|-|-|-|-|\n" + "|some words" * 7 + "|\n\n```python\nx = 1  # " + "long " * 60 + "\n```"
    )
    texts = [
        (long, wide),
        ("مرحبا بك\n\nنص طويل", "שלום, **hello**"),
        (r"$$\sum_{i=1}^{n} x_i$$ and \(y\)", "# 你好\n\n你好"),
    ]

    def opened(kind: str) -> Page:
        if kind not in ("done", "empty", "no answers"):
            for prompt in ("Say\n\n# hello", "Again"):
                for first, second in texts:
                    as_read(make_pair(prompt=f"{prompt} {first[:9]}", first=first, second=second))
        if kind == "done":
            make_pair()
        if kind == "marked":
            entries = [Entry(short=name, text="Be so.") for name in ("Correct", "Kind")]
            publish_guideline(project=project, text=guide, principles=entries)
            type(project).objects.update(votes_policy="all")
        has_read(alice)
        if kind == "unread":
            publish_guideline(project=project, text=f"{guide}\n\nNew: {'be kind. ' * 30}", change_note="So it is.")
        page: Page = enter(alice, JUDGE)
        if kind == "unread":
            expect(page.locator("#guideline ins").first).to_be_visible()
        if kind == "marked":
            for key in ("h", "+", "ArrowDown", "-", "Enter"):
                page.keyboard.press(key)
            expect(page.locator("[data-pop]")).to_be_visible()
        if kind in ("filled", "answers", "editing"):
            page.keyboard.press("2")
            page.keyboard.press("r")
            page.keyboard.type("A reason")
        if kind in ("answers", "editing"):
            press_and_go_on(page, "Control+Enter")
            page.keyboard.press("[")
            page.wait_for_url("**/answers/*")
        if kind == "error":
            Session.objects.all().delete()
            page.keyboard.press("r")
            page.keyboard.type("x")
            expect(page.locator("[data-echo-link]")).to_be_visible()
        if kind == "done":
            page.keyboard.press("t")
            page.keyboard.press("Space")
            page.keyboard.press("2")
            page.keyboard.press("Enter")
            expect(page.locator("h1")).to_contain_text("You have judged")
        if kind == "training":
            type(project).objects.update(gold_round=1, gold_pass=1, shows_results=True)
            # A long text beside a wide table and a wide line of code.
            example = Pair.objects.order_by("rank")[0]
            given = [Gold(verdict="second", use="example", why="B says why.\n\nA does not.", pair=example.pk)]
            mark_gold(project=project, gold=given)
            page.goto("/p/everyday/training")
            page.locator("summary").first.click()
            page.locator("[data-try=first]").click()
            expect(page.locator("[data-answer]")).to_have_attribute("open", "")
        if kind in ("answers", "no answers"):
            page.goto("/p/everyday/answers")
        if kind in ("guideline", "shortcuts", "skip"):
            page.keyboard.press({"guideline": "g", "shortcuts": "?", "skip": "s"}[kind])
        if kind == "guideline":
            expect(page.locator("#guideline table")).to_be_visible()
        if kind == "paused":
            page.locator("[data-act=pause]").click()
            expect(page.locator("#paused")).to_be_visible()
        if kind == "offline":
            intercept(page, "**/judge", lambda route: route.abort())
            for _ in range(2):
                press_and_go_on(page, "t", "Space", "2", "Enter")
            expect(page.locator("#judging")).not_to_have_attribute("aria-busy", "true")
            for key in ("t", "Space", "2", "Enter"):
                page.keyboard.press(key)
            expect(page.locator("#waiting")).to_be_visible()
        if kind == "flag":
            page.keyboard.press("f")
            page.keyboard.press("1")
            page.keyboard.press("f")
            expect(page.locator("[aria-checked=true]")).to_be_visible()
        if kind == "account":
            page.locator("[popovertarget=menu-account]").click()
            expect(page.locator("#menu-account")).to_be_visible()
        return page

    return opened


@pytest.mark.parametrize("kind", KINDS)
def test_no_barrier_and_no_sideways_scrolling(every_kind: Callable[[str], Page], kind: str) -> None:
    page = every_kind(kind)
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE)
    found: list[str] = []
    for scheme in SCHEMES:
        for width, height in SIZES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(50)
            asked = "{ resultTypes: ['violations', 'incomplete'], rules: { 'target-size': { enabled: true } } }"
            result = page.evaluate(f"axe.run(document, {asked})")
            open_questions = [one for one in result["incomplete"] if one["id"] not in TRIAGED]
            for violation in result["violations"] + open_questions:
                places = [" ".join(map(str, node["target"])) for node in violation["nodes"]][:4]
                found.append(f"{kind} {scheme} {width}: {violation['id']}: {places}")
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{kind} {scheme} {width}: scrolls sideways")
    assert found == []


def test_axe_itself_finds_a_barrier(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.evaluate("document.querySelector('#body-a').append(Object.assign(new Image(), { src: '/static/icon.svg' }))")
    page.evaluate(AXE)
    assert [v["id"] for v in page.evaluate("axe.run(document)")["violations"]] == ["image-alt"]


def test_targets_are_large_enough_and_named(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE, viewport={"width": 320, "height": 640})
    small = page.evaluate(
        "[...document.querySelectorAll('button, a, input:not([type=hidden]), textarea')]"
        ".filter(e => e.checkVisibility())"
        ".map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.width > 0 && r.top >= 0 && (r.width < 24 || r.height < 24)).map(([html]) => html)"
    )
    assert small == []


# ---- what axe-core cannot see ---------------------------------------------------------------------------------------

WHERE = """() => {
  const e = document.activeElement, named = e.getAttribute('aria-label') || e.textContent;
  return e === document.body ? '' : e.id || e.name || e.dataset.act || named.trim().slice(0, 40);
}"""


def test_the_focus_goes_through_the_page_as_it_is_read(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    """Top bar, prompt, A, B, the answers, reasons, send: nothing is left out, nothing catches the focus."""
    project.guideline = Guideline.objects.create(project=project, version=1, text="Be fair.", html="<p>Be fair.</p>")
    project.save()
    has_read(alice)
    make_pair()
    page = enter(alice, JUDGE)
    stops: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(WHERE))
        if not stops[-1] or stops.count(stops[0]) > 1:
            break
    wanted = ["Go to the pair", "Plumbline, projects", "Everyday help", "guideline", "shortcuts", "pause"]
    wanted += ["prompt", "prompt-body", "body-a", "link", "diff", "raw", "invisible", "turn", "body-b"]
    wanted += ["verdict", "Skip S", "Flag F", "tag", "note", "Submit ↵"]
    seen = [stop for stop in stops if stop in wanted]
    assert [stop for n, stop in enumerate(seen) if stop not in seen[:n]] == wanted
    assert len(stops) < 60, "The way through the page ends: nothing keeps the focus."


def test_dialogs_keep_the_focus_and_give_it_back(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.locator("[data-act=shortcuts]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#shortcuts")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = "!document.activeElement.closest('dialog') && document.activeElement !== document.body"
        assert not page.evaluate(inside), "Nothing behind a dialog takes the focus."
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.act") == "shortcuts"


def test_what_happens_is_said(enter: Any, alice: Any, make_pair: Any) -> None:
    """Status messages reach a screen reader without the focus: saved and next, an error, a state of the draft."""
    for _ in range(3):
        make_pair()
    page = enter(alice, JUDGE)
    status, alert = page.locator("[role=status][data-live]"), page.locator("[role=alert]")
    page.keyboard.press("Enter")
    expect(alert).to_have_text("Choose an answer first")
    assert page.evaluate("document.activeElement.name") == "verdict", "The focus stands where the error is mended."
    press_and_go_on(page, "t", "Space", "2", "Enter")
    expect(status).to_contain_text("Saved: A better")
    expect(status).to_contain_text("Pair 2.")
    expect(alert).to_have_text("")
    go_offline(page)
    page.keyboard.press("3")
    expect(status).to_have_text("Offline: kept here, 1 waiting")


MOVING = """() => [...document.querySelectorAll('*')].filter(e => {
  const s = getComputedStyle(e), longest = t => Math.max(...t.split(',').map(parseFloat));
  return longest(s.transitionDuration) > .01 || (s.animationName !== 'none' && longest(s.animationDuration) > .01);
}).length"""


def test_who_wants_no_motion_gets_none(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair(first="Long.\n\n" + "A paragraph.\n\n" * 200)
    page = enter(alice, JUDGE)
    assert page.evaluate(MOVING) > 0, "Without this the rest says nothing."
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVING) == 0
    page.locator("#body-a").focus()
    page.keyboard.press("j")
    # It has arrived with the key: nothing glides.
    place = page.evaluate("document.querySelector('#body-a').scrollTop + scrollY")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('#body-a').scrollTop + scrollY") == place


# ---- strain ---------------------------------------------------------------------------------------------------------

# Of what has the focus: whether the middle, or the middle of any edge, of what is in the window can be seen.
HIDDEN = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect();
  if (e === document.body || e.closest('.skip-link')) return '';
  const left = Math.max(0, box.left), top = Math.max(0, box.top);
  const width = Math.min(innerWidth, box.right) - left, height = Math.min(innerHeight, box.bottom) - top;
  const r = { left, top, width, height };
  const places = [[.5, .5], [.1, .5], [.9, .5], [.5, .1], [.5, .9]];
  const seen = places.some(([x, y]) => {
    const at = document.elementFromPoint(r.left + x * r.width, r.top + y * r.height);
    return at && (e.contains(at) || (at !== document.body && at !== document.documentElement && at.contains(e)));
  });
  return seen ? '' : `${e.tagName} ${e.id || e.name || e.dataset.act || e.textContent.trim().slice(0, 30)}`;
}"""
# 720 x 450 is what is left of 1440 x 900 where everything is twice as large.
STRAINED = [(320, 640), (720, 450), (768, 1024), (1024, 768), (1440, 900)]


@pytest.fixture
def strained(enter: Any, alice: Any, project: Any, make_pair: Any) -> Page:
    """A project with far too much: words without a place to break, twenty tags, eight principles, very long texts."""
    word = "Donaudampfschifffahrtsgesellschaft" * 3
    entries = [Entry(short=f"{word[:90]} {n}", text="Be so.") for n in range(8)]
    publish_guideline(project=project, text=f"## {word}", principles=entries)
    tags = [{"key": f"t{n}", "label": word[:60] if n % 5 == 0 else f"Tag number {n}"} for n in range(20)]
    type(project).objects.update(votes_policy="all", allow_edits=True, tags=tags, question=f"{word} {word}"[:200])
    has_read(alice)
    for n in range(3):
        texts = [
            "W" * 400 + " and " + "again " * 4000,
            "|a" * 14 + "|\n" + "|-" * 14 + "|\n" + "|some words" * 14 + "|",
        ]
        as_read(make_pair(prompt=f"{n} " + "X" * 400 + " why? " * 200, first=texts[0], second=texts[1]))
    page: Page = enter(alice, JUDGE)
    return page


def test_far_too_much_stays_in_its_place(strained: Page) -> None:
    over = """() => ['.why', '.verdict', '.topbar', '.prompt', '.cand--a', '.cand--b', '.matrix', '.tags'].filter(s => {
      const e = document.querySelector(s); return e.scrollWidth > e.clientWidth + 1; })"""
    found = []
    for width, height in STRAINED:
        strained.set_viewport_size({"width": width, "height": height})
        found += [f"{width}: {place}" for place in strained.evaluate(over)]
        if strained.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{width}: scrolls sideways")
    assert found == []


@pytest.mark.parametrize("size", STRAINED, ids=str)
def test_what_has_the_focus_is_never_hidden(strained: Page, size: tuple[int, int]) -> None:
    """WCAG 2.4.11: not under the bar of answers, nor under a head that sticks."""
    strained.set_viewport_size({"width": size[0], "height": size[1]})
    hidden, stops = [], 0
    for key in ["Tab"] * 70 + ["Shift+Tab"] * 70:
        strained.keyboard.press(key)
        hidden.append(strained.evaluate(HIDDEN))
        stops += strained.evaluate("document.activeElement !== document.body")
    assert stops > 60, "Without this the rest says nothing."
    assert [one for one in hidden if one] == []


def test_spaced_out_text_is_cut_nowhere(enter: Any, alice: Any, make_pair: Any) -> None:
    """WCAG 1.4.12: lines, letters and words further apart, as somebody's own style sheet sets them."""
    make_pair(first="A **strong** claim.\n\n- one\n- two", second="```\nx = 1\n```")
    page = enter(alice, JUDGE)
    page.evaluate("""() => { const s = new CSSStyleSheet(); s.replaceSync(
      '* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }'
      + 'p { margin-block-end: 2em !important; }'); document.adoptedStyleSheets = [s]; }""")
    cut = """() => [...document.querySelectorAll('button, label, legend, h2, h3, .hint')].filter(e => {
      const s = getComputedStyle(e); if (!e.checkVisibility() || e.matches('.vh, .vh *')) return false;
      return (s.overflowX === 'hidden' && e.scrollWidth > e.clientWidth + 1)
        || (s.overflowY === 'hidden' && e.scrollHeight > e.clientHeight + 1);
    }).map(e => e.textContent.trim().slice(0, 40))"""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(cut) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# Words of an answer or of a button over a candidate that do not stay within it.
RUNS_OUT = """() => [['.seg__t', '.seg'], ['.looks .fold', '.cand']].flatMap(([words, home]) =>
  [...document.querySelectorAll(words)].filter(e => e.checkVisibility()).filter(e => {
    const range = document.createRange(), box = e.closest(home).getBoundingClientRect(); range.selectNodeContents(e);
    return [...range.getClientRects()].some(r => r.width > 1 && (r.left < box.left - 1 || r.right > box.right + 1));
  }).map(e => e.textContent.trim()))"""


def test_a_style_sheet_that_doubles_text_leaves_the_parts_of_a_wide_window_apart(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    """The layout is that of the window: it knows of the browser's own setting, and not of such larger text."""
    long_pair(make_pair)
    page = enter(alice, JUDGE, reduced_motion="reduce")
    page.evaluate("""() => { const s = new CSSStyleSheet(); s.replaceSync('html { font-size: 32px !important; }');
      document.adoptedStyleSheets = [s]; }""")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert page.evaluate(RUNS_OUT) == []
    parts = [".prompt", ".cand--a", ".cand--b", ".why", ".verdict__side", ".scale", ".seg--bad", ".send"]
    assert page.evaluate(OVER_EACH_OTHER, parts) == []
    assert page.locator("#body-b").bounding_box()["width"] > 400
    assert faults(page) == []


def test_forced_colours_tell_what_is_chosen(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE, forced_colors="active", reduced_motion="reduce")
    page.keyboard.press("2")
    page.keyboard.press("t")
    page.keyboard.press("Space")
    ground = "s => getComputedStyle(document.querySelector(s)).backgroundColor"
    for chosen, other in (
        ("[name=verdict]:checked + .seg__in", "[name=verdict]:not(:checked) + .seg__in"),
        ("[name=tag]:checked + span", "[name=tag]:not(:checked) + span"),
    ):
        assert page.evaluate(ground, chosen) != page.evaluate(ground, other), chosen


@pytest.mark.parametrize("width", [320, 1440])
def test_the_two_of_an_example_do_not_lie_over_each_other(every_kind: Callable[[str], Page], width: int) -> None:
    page = every_kind("training")
    page.set_viewport_size({"width": width, "height": 900})
    sides = "[...document.querySelectorAll('.explained__side')].filter(s => s.checkVisibility())"
    assert page.evaluate(f"{sides}.length") == 2
    # A block of code is a little wider than the text around it.
    assert page.evaluate(f"{sides}.filter(s => s.scrollWidth > s.clientWidth + 4).length") == 0
