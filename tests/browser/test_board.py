"""Brushing in a real browser: a walk with hand and keyboard, by finger, by address; the numbers against SQL."""

from __future__ import annotations

import random
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotation.models import Assignment, Judgement, Pair
from curation import gathering
from curation.models import Adjudication, Selection
from tests.browser.boards import LIVE, counted, reward, shown
from tests.browser.sitting import comes_true, soon
from tests.browser.test_pages import LOOKS, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_walk_from_brush_to_queue(enter: Any, lead: Any, project: Any, judged: list[Any]) -> None:
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    assert shown(page) == 30
    # A brush by hand: the counts are those of the database, the address says the filter.
    page.locator("#at-x").scroll_into_view_if_needed()
    box = page.locator("#at-x .chart").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, y, steps=6)
    page.mouse.up()
    comes_true(page, "() => location.search.includes('difficulty=0.3..0.9')")
    assert shown(page) == counted(project, "difficulty=0.3..0.9")
    # By number, by keyboard, by button.
    page.locator("#d-judgements-from").fill("2")
    page.locator("#d-judgements-from").press("Enter")
    page.get_by_role("slider", name="Agreement, lower edge").focus()
    page.keyboard.press("PageUp")
    page.get_by_role("button", name="conflict", exact=False).first.click()
    comes_true(page, "() => location.search.includes('discretion=conflict')")
    query = page.evaluate("() => location.search.slice(1)")
    assert {"difficulty", "judgements", "agreement", "discretion"} <= {part.split("=")[0] for part in query.split("&")}
    found = counted(project, query)
    assert shown(page) == found > 0
    page.wait_for_selector("#table:not(.busy)")
    assert page.locator("tr[data-pair]").count() == found
    # The buttons of the selection came with the table: they work on what was brushed just now.
    for act, title in (("adjudicate", "Send to adjudication"), ("ask_again", "Re-annotate")):
        page.locator(f".rows-head [data-do={act}]").click()
        expect(page.locator("#ask-title")).to_have_text(f"{title}: {found} pairs")
        assert page.locator("#ask input[name=filter]").input_value() == query
        page.locator("#ask").get_by_role("button", name="Cancel").click()
    # The address alone brings all of it back.
    page.reload()
    page.wait_for_selector(LIVE)
    assert shown(page) == found
    # One link to a release of what is shown.
    way = urlsplit(page.locator("#release").get_attribute("href"))
    assert (way.path, parse_qs(way.query)) == (f"/p/{project.slug}/board/release", {"filter": [query]})
    # The drawer, by keyboard; Escape closes it and gives the focus back.
    page.locator("tr[data-pair] a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawer:not([hidden])")
    assert page.locator("#drawer .why .ok").count() == 4
    assert faults(page, "#drawer") == []
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.className") == "open"
    # Saved, and sent: the number in the dialog is the number that goes.
    page.locator("#save").click()
    page.locator("#keep input[name=name]").fill("Conflicts")
    page.locator("#keep").get_by_role("button", name="Save").click()
    page.wait_for_selector(LIVE)
    assert Selection.objects.get().query == query
    page.locator(".rows-head [data-do=adjudicate]").click()
    assert page.locator("#ask-title").inner_text() == f"Send to adjudication: {found} pairs"
    assert faults(page) == []
    page.locator("#ask-go").click()
    page.get_by_text(f"{found} pairs wait for an adjudicator").wait_for()
    assert Adjudication.objects.count() == found


@pytest.mark.parametrize("is_rewarded", [False, True], ids=["sixteen", "with-rewards"])
def test_counts_of_the_page_are_those_of_the_database(
    enter: Any, lead: Any, project: Any, judged: list[Any], is_rewarded: bool
) -> None:
    """In random states, reached by the address and by the engine; with rewards the mask needs more than 16 bits."""
    if is_rewarded:
        reward(project, judged)
    page = enter(lead, f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    page.evaluate("() => board.settled()")
    draw = random.Random(4)
    keys = page.evaluate("() => board.S.dims.map(d => [d.key, d.slots])")
    assert ["reward" in dict(keys), len(keys)] == [is_rewarded, 17 if is_rewarded else 16]
    for _ in range(15):
        for place, (_, slots) in draw.sample(list(enumerate(keys)), 3):
            low = draw.randrange(slots)
            high = draw.randint(low + 1, slots)
            page.evaluate(
                """async ([i, low, high]) => {
                  const d = board.S.dims[i], f = new Uint8Array(d.slots);
                  f.fill(1, low, d.kind !== 'category' && low < d.bins ? Math.min(high, d.bins) : high);
                  board.setFilters([[i, f.includes(0) ? f : null]], i);
                  await board.settled();
                }""",
                [place, low, high],
            )
        query = page.evaluate("() => board.filterQuery()")
        assert page.evaluate("() => board.S.selected") == counted(project, query), query
        page.evaluate(
            "async () => { board.setFilters(board.S.dims.map((_, i) => [i, null]), 3); await board.settled(); }"
        )


def test_the_chart_of_rewards_is_brushed_by_keyboard_and_goes_into_the_address(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    reward(project, judged)
    page = enter(lead, f"/p/{project.slug}/board?reading=none&reward=-4..4")
    page.wait_for_selector(LIVE)
    assert shown(page) == counted(project, "reading=none&reward=-4..4") > 0
    page.locator("#d-reward-from").fill("0")
    page.locator("#d-reward-from").press("Enter")
    comes_true(page, "() => location.search.includes('reward=0..4')")
    assert shown(page) == counted(project, "reading=none&reward=0..4") > 0
    assert faults(page) == []


def test_a_pair_that_is_gold_and_flagged_is_behind_both_bars(
    enter: Any, lead: Any, project: Any, judged: list[Any], crowd: list[Any]
) -> None:
    Pair.objects.filter(pk__in=[one.pk for one in judged[1:4]]).update(is_gold=True)
    for pair in (judged[3], judged[5]):
        seat = Assignment.objects.create(
            project=project, pair=pair, annotator=crowd[3], priority=0, done_at=timezone.now()
        )
        Judgement.objects.create(
            assignment=seat, annotator=crowd[3], key=uuid.uuid4(), verdict="tie", swapped=False, flags=["harmful"]
        )
    gathering.gather_facts(project=project)
    page = enter(lead, f"/p/{project.slug}/board?marked=gold")
    page.wait_for_selector(LIVE)
    assert shown(page) == counted(project, "marked=gold") == 3
    bars = page.get_by_role("group", name="Marked").get_by_role("button")
    gold, flagged = bars.filter(has_text="gold"), bars.filter(has_text="flagged")
    expect(gold).to_have_attribute("aria-pressed", "true")
    expect(flagged).to_have_attribute("aria-pressed", "false")
    expect(gold).to_contain_text("3")
    expect(flagged).to_contain_text("2")
    flagged.click()
    comes_true(page, "() => location.search.includes('marked=flagged,gold')")
    assert shown(page) == counted(project, "marked=flagged,gold") == 4
    expect(page.get_by_text("flagged or gold").first).to_be_visible()
    gold.click()
    comes_true(page, "() => location.search.endsWith('marked=flagged')")
    assert shown(page) == counted(project, "marked=flagged") == 2
    expect(gold).to_have_attribute("aria-pressed", "false")
    assert faults(page) == []


def test_a_filter_that_is_too_long_is_told_at_once_and_goes_nowhere(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    """Names in scripts of three bytes a letter: each letter is nine characters of an address."""
    for n, pair in enumerate(judged):
        Pair.objects.filter(pk=pair.pk).update(source=f"{n % 6} {'質' * 115}")
    gathering.gather_facts(project=project)
    page = enter(lead, f"/p/{project.slug}/board?judgements=1..8")
    page.wait_for_selector(LIVE)
    problem = page.locator("#problem")
    bars = page.get_by_role("group", name="Source").get_by_role("button")
    for n in range(3):
        bars.nth(n).click()
    assert shown(page) > 0
    comes_true(page, "() => decodeURIComponent(location.search).includes('source=')")
    expect(problem).to_be_hidden()
    before = page.evaluate("() => location.search")
    bars.nth(3).click()
    expect(problem).to_contain_text("at most 4,000 are taken by an address, a saved selection and the buttons")
    expect(problem).to_contain_text("Most of it is Source: choose fewer of its values.")
    assert page.evaluate("() => location.search") == before
    page.locator("#save").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert faults(page) == []
    bars.nth(3).click()
    expect(problem).to_be_hidden()
    page.locator("#save").click()
    expect(page.locator("#keep")).to_be_visible()


def test_a_board_of_one_annotator_keeps_to_them_whatever_is_brushed(
    enter: Any, lead: Any, project: Any, judged: list[Any], crowd: list[Any]
) -> None:
    page = enter(lead, f"/p/{project.slug}/board?difficulty=0.3..1")
    page.wait_for_selector(LIVE)
    page.locator("#judged-by select").select_option(label="Person 2")
    page.locator("#judged-by").get_by_role("button", name="Only these").click()
    page.get_by_text("that Person 2 judged").wait_for()
    page.wait_for_selector(LIVE)
    scope = f"annotator={crowd[2].pk}"
    assert shown(page) == counted(project, f"{scope}&difficulty=0.3..1") > 0
    page.locator("#clear-all").click()
    comes_true(page, "() => !location.search.includes('difficulty')")
    assert scope in page.evaluate("() => location.search")
    page.wait_for_selector("#table:not(.busy)")
    assert shown(page) == page.locator("tr[data-pair]").count() == counted(project, scope) == 12
    assert page.evaluate("() => board.S.rows") == 12
    page.locator("tr[data-pair] a").first.click()
    page.locator("#drawer").get_by_text("that Person 2 judged").wait_for()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Show all pairs").click()
    page.wait_for_selector(LIVE)
    assert shown(page) == 30


def test_the_columns_are_on_their_way_before_the_board_listens(
    enter: Any, lead: Any, project: Any, judged: list[Any]
) -> None:
    """Whatever the engine says before the modules are there is kept; what goes wrong is said."""
    page = enter(lead)
    page.route("**/board/board.js", lambda route: (page.wait_for_timeout(800), route.continue_()))
    page.goto(f"/p/{project.slug}/board")
    page.wait_for_selector(LIVE)
    assert shown(page) == 30
    page.unroute_all()
    page.route("**/board/columns*", lambda route: route.fulfill(status=500, body=""))
    page.goto(f"/p/{project.slug}/board?dissents=0..1")
    page.get_by_role("alert").get_by_text("The pairs could not be loaded (500). Reload the page.").wait_for()


def test_a_finger_brushes_the_vertical_margin(enter: Any, lead: Any, project: Any, judged: list[Any]) -> None:
    page = enter(lead, f"/p/{project.slug}/board", has_touch=True, viewport={"width": 390, "height": 844})
    page.wait_for_selector(LIVE)
    assert page.evaluate("() => getComputedStyle(document.querySelector('.margin-y .chart')).touchAction") == "pan-x"
    page.locator("#at-y .chart").scroll_into_view_if_needed()
    box = page.locator("#at-y .chart").bounding_box()
    x = box["x"] + box["width"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, y: float | None) -> None:
        points = [] if y is None else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", box["y"] + box["height"] * 0.2)
    for share in (0.3, 0.4, 0.5, 0.6):
        touch("touchMove", box["y"] + box["height"] * share)
    touch("touchEnd", None)
    comes_true(page, "() => location.search.includes('agreement=')")
    # On a busy machine the numbers may follow the address.
    soon(lambda: shown(page) == counted(project, page.evaluate("() => location.search.slice(1)")))


@pytest.mark.parametrize("look", LOOKS)
def test_the_groups_of_what_is_brushed_are_one_link_away(
    enter: Any, lead: Any, project: Any, judged: list[Any], look: str
) -> None:
    page = enter(lead, f"/p/{project.slug}/board", **LOOKS[look])
    page.wait_for_selector(LIVE)
    page.locator("#d-judgements-from").fill("2")
    page.locator("#d-judgements-from").press("Enter")
    comes_true(page, "() => document.getElementById('groups').href.includes('judgements')")
    page.locator("#groups").click()
    page.get_by_role("heading", name="Pairs by discretion").wait_for()
    page.get_by_label("Group by").select_option("dissents")
    page.get_by_role("button", name="Group", exact=True).click()
    page.get_by_role("heading", name="Pairs by dissents").wait_for()
    rows = [int(one) for one in page.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert sum(rows) == counted(project, "judgements=2..8")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults(page) == []
    page.locator("tbody a").first.click()
    page.wait_for_selector(LIVE)
    assert shown(page) == rows[0]
