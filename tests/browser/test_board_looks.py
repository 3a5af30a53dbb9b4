"""The board at every width, in forced colours, with doubled text, with nothing and with every filter at once."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from curation import gathering
from tests.browser.boards import LIVE, reward, shown
from tests.browser.sitting import comes_true
from tests.browser.test_pages import LOOKS, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("query", ["", "?reading=ambiguous&colour=discretion", "?difficulty=unknown"])
def test_the_board_is_sound_in_its_states(
    enter: Any, lead: Any, project: Any, judged: list[Any], look: str, query: str
) -> None:
    page = enter(lead, f"/p/{project.slug}/board{query}", **LOOKS[look])
    page.wait_for_selector(LIVE)
    page.locator("#numbers summary").click()
    page.wait_for_selector("#numbers-body table")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults(page) == []


def test_the_legend_names_each_density_once(enter: Any, lead: Any, project: Any, judged: list[Any]) -> None:
    """Thirty pairs: the middle of the ramp would be one pair in a cell again."""
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    expect(page.locator("#legend .ends span")).to_have_text(["1", "4 +"])


def test_forced_colours_and_doubled_text_hide_nothing(enter: Any, lead: Any, project: Any, judged: list[Any]) -> None:
    page = enter(lead, f"/p/{project.slug}/board?dissents=1..2", forced_colors="active")
    page.wait_for_selector(LIVE)
    page.evaluate("() => { document.documentElement.style.fontSize = '200%'; dispatchEvent(new Event('resize')); }")
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.locator("#d-difficulty-from").fill("0.2")
    page.locator("#d-difficulty-from").press("Enter")
    comes_true(page, "() => location.search.includes('difficulty=0.2..1')")


def test_long_names_of_people_and_models_fit_a_phone(
    enter: Any, lead: Any, project: Any, judged: list[Any], crowd: list[Any]
) -> None:
    crowd[0].name = "Annemarie-Hildegard " * 9
    crowd[0].save()
    project.runs.filter(kind="measurement").update(parameters={"measure": "difficulty", "model": "a-model/" * 37})
    gathering.gather_facts(project=project)
    page = enter(lead, f"/p/{project.slug}/board", viewport={"width": 320, "height": 800})
    page.wait_for_selector(LIVE)
    for width in (320, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        shown(page)
        assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, width
    assert faults(page) == []


def test_the_plane_stays_under_the_hand_while_filters_come_and_go(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    """The sentence keeps its room, however many filters it names."""
    page = enter(lead, f"/p/{project.slug}/board")
    for width in (1440, 1024, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"/p/{project.slug}/board")
        page.wait_for_selector(LIVE)
        at = "() => document.querySelector('#at-x .chart').getBoundingClientRect().top + scrollY"
        before = page.evaluate(at)
        page.evaluate(
            """async () => { board.setFilters(board.S.dims.map((d, i) => {
                const f = new Uint8Array(d.slots); f.fill(1, 0, 1); return [i, f]; }), 0); await board.settled(); }"""
        )
        comes_true(page, "() => document.querySelectorAll('#words .chip').length >= 12")
        assert page.evaluate(at) == before, width


@pytest.mark.parametrize("look", LOOKS)
def test_an_empty_board_says_what_to_do(enter: Any, lead: Any, project: Any, make_pair: Any, look: str) -> None:
    page = enter(lead, f"/p/{project.slug}/board", **LOOKS[look])
    assert faults(page) == []
    make_pair()
    page.reload()
    page.get_by_role("button", name="Gather now").click()
    page.wait_for_selector(LIVE)
    assert shown(page) == 1
    assert faults(page) == []


EVERYTHING = (
    "difficulty=0.1..0.9&agreement=0.3..0.9&strength=0.5..2&length=-1000..1000&margin=known&reward=-5..5"
    "&judgements=1..3&dissents=0..2&arbitrary=0..2&discretion=consensus,conflict"
)
OVERLAPS = """() => [...document.querySelectorAll('.dim-head')].flatMap(head => {
    const seen = node => node && node.getClientRects().length && getComputedStyle(node).visibility !== 'hidden';
    const title = head.querySelector('h3'), buttons = [...head.querySelectorAll('.x, input')].filter(seen);
    // What is cut off is not drawn: the text ends where its box does.
    const text = document.createRange();
    text.selectNodeContents(title);
    const box = title.getBoundingClientRect(), cut = getComputedStyle(title).overflowX !== 'visible';
    return [...text.getClientRects()].flatMap(line => buttons.filter(button => {
        const at = button.getBoundingClientRect(), end = cut ? Math.min(line.right, box.right) : line.right;
        return at.left < end && line.left < at.right && at.top < line.bottom && line.top < at.bottom;
    }).map(button => `${title.textContent}: ${button.getAttribute('aria-label')}`));
})"""


def test_nothing_lies_over_the_titles_of_filtered_charts(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    reward(project, judged)
    page = enter(lead, f"/p/{project.slug}/board?{EVERYTHING}")
    page.wait_for_selector(LIVE)
    for width in (320, 390, 600, 768, 900, 1024, 1279, 1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("() => board.settled()")
        assert page.locator(".range.on .x").count() >= 8
        assert page.evaluate(OVERLAPS) == [], width
        # Whoever filters loses no word of a title: what gives way is the unit.
        short = "() => [...document.querySelectorAll('.range.on')].map(one => one.parentNode.querySelector('h3'))"
        cut = f"({short})().filter(one => !one.firstChild || one.scrollWidth > one.clientWidth + 1"
        names = page.evaluate(
            f"""() => {{ const text = document.createRange();
            return {cut}).filter(one => {{ text.selectNodeContents(one.firstChild);
            return text.getBoundingClientRect().right > one.getBoundingClientRect().right + 1; }})
            .map(one => one.textContent) }}"""
        )
        assert names == [], width
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width
