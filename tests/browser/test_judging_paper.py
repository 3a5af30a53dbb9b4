"""The judging page on paper."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.sitting import JUDGE, as_read
from tests.lineups import answers

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "A paragraph of an answer that goes on and on. " * 40
CODE = "```\n" + "a_rather_long_line_of_code = another_one(with_arguments)  " * 4 + "\n```"
TABLE = "|a|b|\n|-|-|\n|one|two|"


def long_pair(make_pair: Any) -> None:
    """Texts of several screens, code and a table."""
    texts = [f"{LONG}\n\n{CODE}\n\n{TABLE}\n\n" + f"{LONG}\n\n" * 3 + last for last in ("END OF ONE", "END OF OTHER")]
    as_read(make_pair(prompt=f"{LONG}\n\n" * 3 + "END OF PROMPT", first=texts[0], second=texts[1]))


@pytest.fixture
def judging(enter: Any, alice: Any, make_pair: Any) -> Page:
    """A dark scheme, and words."""
    long_pair(make_pair)
    page: Page = enter(alice, JUDGE, color_scheme="dark", reduced_motion="reduce")
    page.locator("#note").fill("My words.")
    return page


# What is clipped by its own box, or has to be scrolled in it.
CLIPPED = """() => ['.prompt', '.prompt__body', '.cand--a', '#body-a', '.cand--b', '#body-b', '.text pre', '.why']
  .filter(s => [...document.querySelectorAll(s)].some(e => {
    const over = getComputedStyle(e);
    return e.scrollHeight > e.clientHeight + 1 && over.overflowY !== 'visible'
      || e.scrollWidth > e.clientWidth + 1;
  }))"""
# The parts of the page that lie over each other, of those that are shown.
OVER_EACH_OTHER = """parts => {
  const boxes = parts.flatMap(s => [...document.querySelectorAll(s)]).filter(e => e.checkVisibility())
    .map(e => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height);
  const found = [];
  boxes.forEach(([one, r], at) => boxes.slice(at + 1).forEach(([other, q]) => {
    const across = Math.min(r.right, q.right) - Math.max(r.left, q.left);
    const down = Math.min(r.bottom, q.bottom) - Math.max(r.top, q.top);
    const name = e => e.className || e.textContent.trim().slice(0, 30);
    if (across <= 1 || down <= 1 || one.contains(other) || other.contains(one)) return;
    found.push(`${name(one)} | ${name(other)}`);
  }));
  return found;
}"""


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (794, 1123)], ids=str)
def test_paper_shows_the_prompt_and_both_candidates_whole(judging: Page, size: tuple[int, int]) -> None:
    judging.set_viewport_size({"width": size[0], "height": size[1]})
    judging.emulate_media(media="print")
    assert judging.evaluate(CLIPPED) == []
    assert judging.evaluate(OVER_EACH_OTHER, [".prompt", ".cand", ".why", ".verdict", ".send", ".topbar"]) == []
    held = "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.vh')"
    held += " && ['fixed', 'sticky'].includes(getComputedStyle(e).position)).map(e => e.className)"
    assert judging.evaluate(held) == []
    assert judging.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for words in ("END OF PROMPT", "END OF ONE", "END OF OTHER"):
        assert judging.get_by_text(words).bounding_box(), words


def test_paper_is_dark_on_white_whatever_the_screen_is(judging: Page) -> None:
    judging.emulate_media(media="print", color_scheme="dark")
    ground = "s => getComputedStyle(document.querySelector(s)).backgroundColor"
    assert judging.evaluate(ground, "body") == "rgb(255, 255, 255)"
    light = (
        "s => Math.min(...getComputedStyle(document.querySelector(s)).color.match(/[0-9]+/g).slice(0, 3).map(Number))"
    )
    for text in ("#body-a .text", "#body-b .text", "#prompt-body .text", "#note", ".text pre code"):
        assert judging.evaluate(light, text) < 90, text


def test_a_long_pair_fills_more_than_one_sheet(judging: Page) -> None:
    sheets = re.findall(rb"/Type\s*/Page\b", judging.pdf(format="A3", landscape=True))
    assert len(sheets) >= 3


# ---- the ranking page ------------------------------------------------------------------------------------------------

CLIPPED_HERE = """() => [...document.querySelectorAll('main, main *')].filter(e => {
    const over = getComputedStyle(e).overflowY, inner = e.matches('textarea, .place__words') || e.closest('.vh');
    return e.checkVisibility() && !inner && e.scrollHeight > e.clientHeight + 1 && over !== 'visible';
  }).map(e => e.className || e.localName)"""


@pytest.fixture
def ranking(enter: Any, alice: Any, ranking_project: Any) -> Page:
    """A lineup of long texts, one letter ranked, and words."""
    more = f"\n\n{CODE}\n\n" + f"{LONG}\n\n" * 4 + "END OF ANSWER"
    answers(ranking_project, 3, more=more)
    page: Page = enter(alice, "/p/everyday/rank", color_scheme="dark", reduced_motion="reduce")
    page.wait_for_selector("[data-ranked]:not([hidden])")
    page.locator("[data-letter=b] [data-grab]").focus()
    page.keyboard.press("1")
    page.locator("#note").fill("My words.")
    return page


@pytest.mark.parametrize("size", [(1440, 900), (1123, 794), (794, 1123)], ids=str)
def test_paper_shows_every_candidate_of_a_lineup_whole(ranking: Page, size: tuple[int, int]) -> None:
    ranking.set_viewport_size({"width": size[0], "height": size[1]})
    ranking.emulate_media(media="print")
    assert ranking.evaluate(CLIPPED_HERE) == []
    assert ranking.evaluate(OVER_EACH_OTHER, [".prompt", ".cand", ".order", ".topbar"]) == []
    assert ranking.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    ends = ranking.locator(".cand__body").get_by_text("END OF ANSWER")
    assert ends.count() == 3
    assert all(end.bounding_box() for end in ends.all())
    # What is pressed or dragged is no use on paper; what was said is.
    assert not ranking.get_by_role("button", name="Submit").is_visible()
    assert ranking.locator("#note").is_visible()
    sheets = re.findall(rb"/Type\s*/Page\b", ranking.pdf(format="A4", landscape=size[0] > size[1]))
    assert len(sheets) >= 3
