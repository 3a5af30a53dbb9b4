"""Ranking in a real browser: by keyboard alone, by dragging, by writing places; ties, partial, drafts, undo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotation import guiding, ranking
from annotation.models import Judgement, Project, Ranking, Turn
from tests.browser.sitting import comes_true, go_offline, intercept, soon, text_kept
from tests.browser.test_pages import LOOKS, faults
from tests.lineups import answers

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RANK = "/p/everyday/rank"


@pytest.fixture(autouse=True)
def _ranks(project: Any) -> None:
    Project.objects.filter(pk=project.pk).update(task="rankings")


def lined_up(project: Any, n: int = 4, prompts: int = 1, more: str = "") -> None:
    for at in range(prompts):
        answers(project, n, text=f"What is harbour {at} for?", more=more)


def ready(page: Any) -> Any:
    """The page as somebody sees it: keys that are pressed before it is first painted may go nowhere."""
    expect(page.locator("[data-lists][data-ready]")).to_be_visible()
    page.evaluate("new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    return page


def ready_again(page: Any) -> Any:
    page.reload()
    return ready(page)


def order(page: Any) -> list[str]:
    """The letters that are ranked, best first; one that ties with the one above is written with an equal sign."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('[data-ranked] .place')]"
        ".map(li => ('tied' in li.dataset ? '=' : '') + li.dataset.letter)"
    )
    return found


def put_in_places(page: Any, **places: str) -> None:
    for letter, place in places.items():
        page.locator(f"#place-{letter}").fill(place)
        page.locator(f"#place-{letter}").press("Tab")


def stored() -> list[int | None]:
    made: Ranking = soon(lambda: Ranking.objects.filter(is_current=True).order_by("-pk").first())
    return made.ranks


def test_a_lineup_is_ranked_by_keyboard_alone(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, prompts=2)
    page = ready(enter(alice, RANK))
    page.evaluate("window.mice = 0; addEventListener('mousedown', () => { window.mice += 1; }, true)")
    page.keyboard.press("o")
    expect(page.locator('[data-letter="a"] [data-grab]')).to_be_focused()
    # A is taken, goes to the end of the ranking, and is put down; B above it; C ties with A; D is left out.
    for key in ("Space", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator("[data-live]")).to_contain_text("place 1 of 1")
    page.keyboard.press("Space")
    assert order(page) == ["a"]
    page.keyboard.press("ArrowDown")
    expect(page.locator('[data-letter="b"] [data-grab]')).to_be_focused()
    for key in ("Space", "ArrowUp", "ArrowUp", "Space"):
        page.keyboard.press(key)
    assert order(page) == ["b", "a"]
    for key in ("ArrowDown", "ArrowDown", "3", "="):
        page.keyboard.press(key)
    assert order(page) == ["b", "a", "=c"]
    expect(page.locator("[data-live]")).to_contain_text("tied with A")
    page.keyboard.press("r")
    page.keyboard.type("B answers what was asked.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-line]")).to_contain_text("Not ranked: D")
    assert not Ranking.objects.exists()
    page.keyboard.press("Control+Enter")
    assert stored() == [2, 1, 2, None]
    assert Judgement.objects.filter(ranking__isnull=False).count() == 3
    expect(page.locator("[data-echo-text]")).to_contain_text("B > A = C, D not ranked")
    ready(page)
    assert Ranking.objects.get().note == "B answers what was asked."
    # And taken back: it stands as it was left.
    page.keyboard.press("u")
    expect(page.locator("[data-echo-text]")).to_contain_text("Reopened")
    ready(page)
    assert order(page) == ["b", "a", "=c"]
    assert page.locator("#note").input_value() == "B answers what was asked."
    assert not page.evaluate("window.mice || 0")
    assert not Judgement.objects.filter(is_current=True).exists()


def test_escape_puts_back_and_arrows_move_past_ties(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "=", "ArrowDown", "3"):
        page.keyboard.press(key)
    assert order(page) == ["a", "=b", "c"]
    for key in ("Space", "ArrowUp", "Escape"):
        page.keyboard.press(key)
    assert order(page) == ["a", "=b", "c"]
    for key in ("Space", "ArrowUp", "Space"):
        page.keyboard.press(key)
    assert order(page) == ["c", "a", "=b"]
    for key in ("Space", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    assert order(page) == ["a", "=b"]
    expect(page.locator("[data-live]")).to_contain_text("not ranked")
    expect(page.locator('[data-letter="c"] [data-grab]')).to_be_focused()


def drag(page: Any, letter: str, onto: str, *, below: bool = False) -> None:
    start = page.locator(f'[data-letter="{letter}"] [data-grab]').bounding_box()
    end = page.locator(onto).bounding_box()
    page.mouse.move(start["x"] + 30, start["y"] + start["height"] / 2)
    page.mouse.down()
    y = end["y"] + end["height"] * (0.8 if below else 0.2)
    page.mouse.move(start["x"] + 32, (start["y"] + y) / 2, steps=4)
    page.mouse.move(start["x"] + 32, y, steps=6)
    page.mouse.up()


def test_letters_are_dragged_into_order_and_out_again(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    drag(page, "c", "[data-ranked-empty]")
    assert order(page) == ["c"]
    drag(page, "a", '[data-letter="c"]')
    assert order(page) == ["a", "c"]
    drag(page, "d", '[data-letter="c"]', below=True)
    assert order(page) == ["a", "c", "d"]
    drag(page, "d", '[data-letter="a"]')
    assert order(page) == ["d", "a", "c"]
    drag(page, "a", "[data-unranked]", below=True)
    assert order(page) == ["d", "c"]
    page.locator('[data-letter="c"] [data-tie]').click()
    assert order(page) == ["d", "=c"]
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="Submit").click()
    assert stored() == [None, None, 1, 1]


def test_places_can_be_written_and_a_draft_survives_a_reload(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    put_in_places(page, a="2", b="1", d="2")
    assert order(page) == ["b", "a", "=d"]
    soon(lambda: Turn.objects.filter(draft__place__d=2).exists())
    page.evaluate("localStorage.clear()")
    page.reload()
    assert order(ready(page)) == ["b", "a", "=d"]
    put_in_places(page, c="1")
    assert order(page) == ["b", "=c", "a", "=d"]
    page.reload()
    assert order(ready(page)) == ["b", "=c", "a", "=d"]


def test_a_page_that_was_made_before_the_last_save_shows_what_was_saved(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    put_in_places(page, a="2", b="1")
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    made = page.request.get(RANK)
    put_in_places(page, d="2")
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__place__d=2).exists()
    page.route(f"**{RANK}", lambda route: route.fulfill(response=made))
    page.reload()
    assert order(ready(page)) == ["b", "a", "=d"]
    put_in_places(page, c="1")
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__place__c=1, draft__place__d=2).exists()
    expect(page.locator("[data-echo-versions]")).to_be_hidden()


def test_what_is_called_saved_is_what_the_database_has_though_a_clock_is_behind(
    enter: Any, project: Any, alice: Any
) -> None:
    lined_up(project)
    one = ready(enter(alice, RANK))
    one.locator("#note").fill("From the first device")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    two = enter(alice)
    two.add_init_script("const now = Date.now.bind(Date); Date.now = () => now() - 600000;")
    two.goto(RANK)
    ready(two).locator("#note").fill("And from the second")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__note="And from the second").exists()
    two.locator("#note").fill("The second again")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__note="The second again").exists()
    two.reload()
    assert ready(two).locator("#note").input_value() == "The second again"


def test_places_and_note_outlive_their_lease(enter: Any, project: Any, alice: Any) -> None:
    """The turn went back and came again, in the order in which it stood: its letters mean what they meant."""
    lined_up(project, n=8)
    page = ready(enter(alice, RANK))
    page.locator("#place-a").fill("1")
    page.locator("#note").fill("The second is the shortest.")
    soon(lambda: Turn.objects.filter(draft__note="The second is the shortest.").exists())
    Turn.objects.filter(draft__isnull=False).update(lease_until=timezone.now() - timedelta(minutes=1))
    assert ranking.sweep(project=project) == 1
    page.reload()
    ready(page)
    expect(page.locator("#note")).to_have_value("The second is the shortest.")
    assert order(page) == ["a"]
    soon(lambda: Turn.objects.filter(draft__note="The second is the shortest.").exists())


def test_offline_everything_stays_and_goes_out_later_once(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, n=3)
    page = ready(enter(alice, RANK))
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "ArrowDown", "3"):
        page.keyboard.press(key)
    go_offline(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-line]")).to_contain_text("No connection")
    page.context.set_offline(False)
    page.keyboard.press("Control+Enter")
    assert stored() == [1, 2, 3]
    assert Ranking.objects.count() == 1


def test_a_skip_needs_its_reason(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    page.keyboard.press("s")
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-line]")).to_contain_text("Say why you skip")
    page.locator("#skip-reason").select_option("expertise")
    page.keyboard.press("Control+Enter")
    soon(lambda: Ranking.objects.filter(skip_reason="expertise").exists())


def test_a_ranking_is_changed_from_my_rankings(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, n=3)
    page = ready(enter(alice, RANK))
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "ArrowDown", "3", "Control+Enter"):
        page.keyboard.press(key)
    # Submitting opens the next page by itself: until that stands there, going elsewhere would cross it.
    expect(page.locator("[data-echo-text]")).to_contain_text("A > B > C")
    page.goto("/p/everyday/rankings")
    page.locator(".row__prompt a").click()
    ready(page)
    assert order(page) == ["a", "b", "c"]
    page.keyboard.press("o")
    for key in ("Space", "End", "Space", "Control+Enter"):
        page.keyboard.press(key)
    soon(lambda: Ranking.objects.filter(revision=2).exists())
    assert stored() == [3, 1, 2]
    page.wait_for_load_state()


def test_an_unsaved_change_says_so_and_is_never_laid_over_a_newer_ranking(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, n=3)
    page = ready(enter(alice, RANK))
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "ArrowDown", "3", "Control+Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-echo-text]")).to_contain_text("A > B > C")
    path = f"/p/everyday/rankings/{Ranking.objects.get().turn_id}"
    page.goto(path)
    ready(page).locator("#note").fill("Half a change")
    page.reload()
    assert ready(page).locator("#note").input_value() == "Half a change"
    expect(page.locator("[data-save-text]")).to_have_text("Kept on this device")
    page.locator("[data-act=discard]").click()
    expect(page.locator("#note")).to_have_value("")
    expect(page.locator("[data-act=discard]")).to_be_hidden()
    ready(page).locator("#note").fill("Begun on this device")
    other = ready(enter(alice, path))
    other.locator("#note").fill("Said on the other")
    other.keyboard.press("Control+Enter")
    soon(Ranking.objects.filter(revision=2).exists)
    other.wait_for_url("**/rankings")
    page.goto(path)
    assert ready(page).locator("#note").input_value() == "Said on the other"
    expect(page.locator("[data-echo-text]")).to_contain_text("changed this answer elsewhere")
    page.locator("[data-echo-kept]").click()
    assert page.locator("#kept textarea").input_value() == "Begun on this device"


def test_what_is_new_in_the_guideline_comes_first_and_holds_once(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, n=3, prompts=2)
    guiding.publish_guideline(project=project, text="Be kind.")
    page = ready(enter(alice, RANK))
    expect(page.locator("#guideline")).to_contain_text("Be kind")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "ArrowDown", "3", "Control+Enter"):
        page.keyboard.press(key)
    expect(page.locator("#guideline")).to_be_visible()
    assert not Ranking.objects.exists()
    page.locator("[data-acknowledge] button").click()
    expect(page.locator("#guideline")).to_be_hidden()
    expect(page.locator("[data-line]")).to_contain_text("read the guideline first")
    assert order(page) == ["a", "b", "c"]
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-echo-text]")).to_contain_text("A > B > C")
    guiding.publish_guideline(project=Project.objects.get(pk=project.pk), text="Be kind and short.")
    page.goto(RANK)
    ready(page)
    expect(page.locator("#guideline ins")).to_contain_text("and short")
    page.locator("[data-acknowledge] button").click()
    expect(page.locator("#guideline")).to_be_hidden()
    page.reload()
    ready(page)
    assert not page.locator("#guideline").is_visible()


def test_own_keys_hold_on_this_page_too(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    page.evaluate(
        "me => localStorage.setItem(`plumbline:${me}:keys`, JSON.stringify({ note: 'q', undo: 'r', diff: 'o' }))",
        alice.pk,
    )
    page.reload()
    ready(page)
    for act, sign in (("note", "Q"), ("undo", "R"), ("skip", "S")):
        expect(page.locator(f"#shortcuts [data-key-of={act}]")).to_have_text(sign)
    # Somebody put another act on O: the order has no key then, rather than two acts one.
    expect(page.locator("#shortcuts [data-key-of=order]")).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator("[data-echo-text]")).to_contain_text("no ranking to take back")
    assert page.evaluate("document.activeElement.id") != "note"
    page.keyboard.press("q")
    assert page.evaluate("document.activeElement.id") == "note"
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    assert page.evaluate("document.activeElement.name") == "skip"


def test_without_the_script_places_are_written(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = enter(alice, RANK, java_script_enabled=False)
    for letter, place in (("a", "3"), ("b", "1"), ("c", "1")):
        page.get_by_label(f"Place of {letter.upper()}").fill(place)
    page.get_by_role("button", name="Submit").click()
    assert stored() == [2, 1, 1, None]


@pytest.mark.parametrize("width", [320, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_faults_and_does_not_overflow(
    enter: Any, project: Any, alice: Any, width: int, scheme: str
) -> None:
    lined_up(project, n=8, more="\n\n" + "x" * 200 + "\n\n```\n" + "code " * 60 + "\n```\n" + "More words. " * 120)
    page = ready(enter(alice, RANK, viewport={"width": width, "height": 900}, color_scheme=scheme))
    page.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "=", "ArrowDown", "Space"):
        page.keyboard.press(key)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults(page) == []
    small = page.evaluate(
        "[...document.querySelectorAll('.order button, .order input, .order summary')]"
        ".filter(n => n.checkVisibility({ visibilityProperty: true })).map(n => n.getBoundingClientRect())"
        ".filter(r => r.height < 24 && r.width > 20 || r.width && r.width < 12).length"
    )
    assert small == 0


def test_keys_are_changed_here_too_and_only_those_that_the_page_has(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    page = ready(enter(alice, RANK))
    page.evaluate('me => localStorage.setItem(`plumbline:${me}:keys`, \'{"diff": "z"}\')', alice.pk)
    page = ready_again(page)

    def change(act: str, key: str) -> None:
        page.locator(f"[data-remap={act}]").focus()
        page.keyboard.press("Enter")
        page.keyboard.press(key)

    page.keyboard.press("?")
    page.locator(".own-keys summary").focus()
    page.keyboard.press("Enter")
    acts = page.evaluate("[...document.querySelectorAll('[data-remap]')].map(b => b.dataset.remap)")
    assert sorted(acts) == ["guideline", "note", "order", "shortcuts", "skip", "undo", "versions"]
    told = page.locator("[data-own-keys-said]")
    change("order", "z")
    expect(told).to_have_text("Z is Compare words already.")
    change("order", "y")
    expect(told).to_have_text("Your order: Y")
    expect(page.locator("#shortcuts kbd[data-key-of=order]")).to_have_text("Y")
    assert faults(page) == []
    page.keyboard.press("Escape")
    page = ready_again(page)
    page.keyboard.press("o")
    assert not page.locator('[data-letter="a"] [data-grab]').evaluate("n => n === document.activeElement")
    page.keyboard.press("y")
    expect(page.locator('[data-letter="a"] [data-grab]')).to_be_focused()


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_around_it_have_no_faults(enter: Any, project: Any, alice: Any, look: str) -> None:
    for path in (RANK, "/p/everyday/rankings"):
        page = enter(alice, path, **LOOKS[look])
        if path == RANK:
            comes_true(page, "() => document.body.dataset.state === 'done'")
            lined_up(project)
        else:
            expect(page.locator("h1")).to_have_text("My rankings")
        assert faults(page) == []


def test_two_devices_rank_one_lineup_and_one_is_chosen(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project)
    one, two = ready(enter(alice, RANK)), ready(enter(alice, RANK))
    for page, keys in ((one, ("1", "ArrowDown", "2")), (two, ("2", "ArrowDown", "1"))):
        page.keyboard.press("o")
        for key in keys:
            page.keyboard.press(key)
        if page is one:
            expect(page.locator("[data-save-text]")).to_have_text("Saved")
    expect(two.locator("[data-echo-versions]")).to_be_visible()
    assert Turn.objects.filter(draft__place__a=1).exists(), "It is not laid over it."
    two.keyboard.press("v")
    expect(two.locator("[data-version-mine]")).to_contain_text("B > A")
    expect(two.locator("[data-version-other]")).to_contain_text("A > B")
    assert faults(two) == []
    two.locator("[data-act=take_other]").press("Enter")
    assert order(two) == ["a", "b"]
    two.locator("#note").fill("A names the port.")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__note="A names the port.").exists()
    one.locator("#note").fill("A is short.")
    expect(one.locator("[data-echo-versions]")).to_be_visible()
    one.keyboard.press("Escape")
    one.keyboard.press("v")
    one.locator("[data-act=keep_mine]").press("Enter")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    assert Turn.objects.filter(draft__note="A is short.").exists()


def test_who_empties_their_own_ranking_after_they_were_asked_has_the_others(
    enter: Any, project: Any, alice: Any
) -> None:
    lined_up(project)
    one, two = ready(enter(alice, RANK)), ready(enter(alice, RANK))
    one.locator("#note").fill("From the first")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    two.locator("#note").fill("From the second")
    expect(two.locator("[data-echo-versions]")).to_be_visible()
    two.locator("#note").fill("")
    expect(two.locator("#note")).to_have_value("From the first")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    expect(two.locator("[data-echo-versions]")).to_be_hidden()


def test_a_ranking_from_a_device_that_saw_no_draft_offers_its_words(enter: Any, project: Any, alice: Any) -> None:
    lined_up(project, prompts=2)
    one, two = ready(enter(alice, RANK)), ready(enter(alice, RANK))
    one.locator("#note").fill("From the first")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    intercept(two, "**/rank/draft", lambda route: route.abort())
    two.keyboard.press("o")
    for key in ("1", "ArrowDown", "2", "Control+Enter", "Control+Enter"):
        two.keyboard.press(key)
    assert stored() == [1, 2, None, None]
    expect(two.locator("[data-echo-kept]")).to_be_visible()
    assert text_kept(two) == "From the first"
