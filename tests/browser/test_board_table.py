"""The board's table, its drawer, and the acts on what they show, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from curation import gathering
from curation.models import Adjudication
from tests.browser.boards import LIVE, counted, shown
from tests.browser.sitting import comes_true, intercept
from tests.browser.test_pages import faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_buttons_of_the_selection_work_after_a_sort_and_send_what_was_brushed(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    page.locator("#table th a[data-sort]").first.click()
    comes_true(page, "() => location.search.includes('sort=')")
    page.locator("#d-judgements-from").fill("2")
    page.locator("#d-judgements-from").press("Enter")
    comes_true(page, "() => location.search.includes('judgements=2')")
    found = counted(project, "judgements=2..8")
    assert 0 < found < 30
    page.locator("#table:not(.busy) .rows-head [data-do=adjudicate]").click()
    expect(page.locator("#ask-title")).to_have_text(f"Send to adjudication: {found} pairs")
    page.locator("#ask-go").click()
    page.get_by_text(f"{found} pairs wait for an adjudicator").wait_for()
    assert Adjudication.objects.count() == found


def test_an_act_that_is_pressed_before_the_columns_are_there_waits_for_them(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    page = enter(lead)
    held: list[Any] = []
    page.route("**/board/columns*", lambda route: held.append(route))
    page.goto(f"/p/{project.slug}/board?dissents=0..1")
    page.wait_for_selector("#reading-ambiguous .only:not([disabled])")
    comes_true(page, "() => performance.getEntriesByName('board-painted').length > 0")
    page.locator("#reading-ambiguous [data-do=adjudicate]").click()
    page.locator(".rows-head [data-do=ask_again]").click()
    assert page.locator("#ask[open]").count() == 0
    for route in held:
        route.continue_()
    found = counted(project, "dissents=0..1")
    expect(page.locator("#ask-title")).to_have_text(f"Re-annotate: {found} pairs")


def test_a_pair_beyond_the_first_page_opens_by_its_link_and_pages_lead_back(
    enter: Any, lead: Any, project: Any, judged: list[Any], make_pair: Any
) -> None:
    for n in range(110):
        make_pair(external_id=f"more-{n}", source="s", slots=0)
    gathering.gather_facts(project=project)
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    shown(page)
    first = page.locator("tr[data-pair]").first.get_attribute("data-pair")
    page.get_by_role("link", name="Next 50").click()
    page.get_by_text("50 more of 140").wait_for()
    assert page.get_by_role("link", name="Previous 50").count() == 0
    second = page.locator("tr[data-pair]").first.get_attribute("data-pair")
    # What only builds a cube leaves the page where it is.
    page.locator("#d-dissents-from").focus()
    shown(page)
    page.get_by_role("link", name="Next 50").click()
    page.get_by_text("40 more of 140").wait_for()
    assert page.get_by_role("link", name="Next 50").count() == 0
    page.locator("tr[data-pair] a").last.click()
    page.wait_for_selector("#drawer:not([hidden])")
    pair = page.evaluate("() => String(board.S.open)")
    assert faults(page) == []
    page.get_by_role("link", name="Previous 50").click()
    expect(page.locator("tr[data-pair]").first).to_have_attribute("data-pair", second)
    page.get_by_role("link", name="First 50").click()
    expect(page.locator("tr[data-pair]").first).to_have_attribute("data-pair", first)
    assert page.get_by_role("link", name="First 50").count() == 0
    # The link alone, sent to somebody else.
    assert f"pair={pair}" in page.evaluate("() => location.search")
    page.goto(page.url)
    page.wait_for_selector(LIVE)
    assert page.locator(f'tr[data-pair="{pair}"]').count() == 0
    page.wait_for_selector("#drawer:not([hidden])")
    expect(page.locator("#drawer-title")).to_contain_text("more-")
    page.keyboard.press("Escape")
    comes_true(page, "() => document.activeElement.id === 'rows' && !location.search.includes('pair=')")


def test_of_two_pairs_opened_quickly_the_later_stands_and_a_lost_one_is_told(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    shown(page)
    one, two = (page.locator("tr[data-pair]").nth(n).get_attribute("data-pair") for n in (0, 1))
    held: list[Any] = []
    intercept(page, f"**/board/pairs/{one}*", lambda route: held.append(route))
    page.locator(f'tr[data-pair="{one}"] a').click()
    page.locator(f'tr[data-pair="{two}"] a').click()
    comes_true(page, f"() => board.S.open === {two}")
    assert len(held) == 1
    with page.expect_response(f"**/board/pairs/{one}*"):
        held[0].continue_()
    shown(page)
    assert page.evaluate("() => String(board.S.open)") == two
    page.unroute_all()
    intercept(page, f"**/board/pairs/{one}*", lambda route: route.abort())
    page.locator("#drawer").get_by_role("button", name="Previous").click()
    page.get_by_role("alert").get_by_text(f"Pair {one} could not be loaded: the server does not answer.").wait_for()


def test_one_pair_is_excluded_from_its_drawer_and_put_back(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    page = enter(lead, f"/p/{project.slug}/board?dissents=0..1")
    page.wait_for_selector(LIVE)
    before = shown(page)
    page.locator("tr[data-pair] a").first.click()
    page.wait_for_selector("#drawer:not([hidden])")
    pair = page.evaluate("() => board.S.open")
    page.locator("#drawer").get_by_role("button", name="Exclude").click()
    expect(page.locator("#ask-title")).to_have_text("Exclude: 1 pair")
    page.get_by_label("Why").fill("It stands in a test set.")
    assert faults(page) == []
    page.locator("#ask-go").click()
    page.get_by_text("1 pair is out of play").wait_for()
    page.wait_for_selector(LIVE)
    assert shown(page) == before - 1
    assert "dissents=0..1" in page.url
    assert {one.pk for one in project.pairs.exclude(excluded_at=None)} == {pair}
    page.locator("#drawer").get_by_text("It stands in a test set.").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("summary").get_by_text("Out of play").click()
    assert faults(page) == []
    page.get_by_role("button", name="Put back 1 pair: It stands in a test set.").click()
    page.get_by_text("1 pair is in play again.").wait_for()
    assert not project.pairs.exclude(excluded_at=None).exists()


def test_a_pair_is_made_gold_from_its_drawer_by_keyboard(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    page.locator("tr[data-pair] a").first.click()
    page.wait_for_selector("#drawer:not([hidden])")
    pair = page.evaluate("() => board.S.open")
    drawer = page.locator("#drawer")
    drawer.locator("#gold summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(drawer.get_by_label("About the same")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("Both say it.")
    # Words are not lost to a key that closes the drawer elsewhere.
    page.keyboard.press("Escape")
    expect(drawer).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("is gold.").wait_for()
    assert project.pairs.filter(pk=pair, gold_use="example", gold_verdict="tie", gold_why="Both say it.").exists()
    page.locator("summary").get_by_text("Gold: explained example, about the same").click()
    assert faults(page) == []
    page.get_by_role("button", name="No longer gold").click()
    page.get_by_text("is gold no longer.").wait_for()
    assert not project.pairs.filter(is_gold=True).exists()
