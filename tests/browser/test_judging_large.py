"""The judging page with text twice as large, and nothing else enlarged (WCAG 1.4.4): nothing is cut or covered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from bench.harness import CHROMIUM
from tests.browser.conftest import FLAGS
from tests.browser.sitting import JUDGE
from tests.browser.test_judging_access import RUNS_OUT
from tests.browser.test_judging_paper import OVER_EACH_OTHER, long_pair
from tests.browser.test_pages import cut_off, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def chromium(chromium: Browser) -> Iterator[Browser]:
    """Set up by somebody who wants letters of 32 pixels where others have 16."""
    large = "--blink-settings=defaultFontSize=32,defaultFixedFontSize=26"
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, large], headless=True)
    yield browser
    browser.close()


# Words that are cut by their own box, or that their box lets run over its edge.
CUT = """() => [...document.querySelectorAll(
    'button, label, legend, h2, h3, .hint, .verdict__line, .cand__head, .prompt__bar, .topbar, .why, .marks__empty,'
    + '.chip span'
  )].filter(e => {
    if (!e.checkVisibility() || e.closest('.vh')) return false;
    const { overflowX, overflowY } = getComputedStyle(e), down = e.scrollHeight > e.clientHeight + 1;
    return e.matches('.marks__empty') && down || overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1
      || overflowY === 'hidden' && down;
  }).map(e => e.textContent.trim().slice(0, 40))"""


def sideways(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("size", [(320, 640), (768, 1024), (1440, 900)], ids=str)
def test_doubled_text_is_neither_cut_nor_covered(enter: Any, alice: Any, make_pair: Any, size: tuple[int, int]) -> None:
    long_pair(make_pair)
    page = enter(alice, JUDGE, viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "30px", "Others have 15."
    assert sideways(page) <= 0
    assert page.evaluate(CUT) == []
    assert page.evaluate(RUNS_OUT) == []
    assert [one for one in cut_off(page) if one.startswith(f"{size[0]}:")] == []
    controls = ["button", "label", "textarea", "select", "h2", ".hint", ".verdict__line"]
    assert page.evaluate(OVER_EACH_OTHER, controls) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page) == [], scheme
