"""Two devices write in one draft, with clocks that differ: nothing is laid over what its writer has not seen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Draft, Judgement, Rationale
from tests.browser.sitting import JUDGE, intercept, press_and_go_on, shown, soon, stored, tab_to, text_kept, written
from tests.browser.test_pages import faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEN_MINUTES_BEHIND = "const now = Date.now.bind(Date); Date.now = () => now() - 600000;"
TOLD = "There is another version of this draft."


def on_a_device_behind(enter: Any, who: Any, path: str) -> Any:
    page = enter(who)
    page.add_init_script(TEN_MINUTES_BEHIND)
    page.goto(path)
    return page


def is_told(page: Page) -> None:
    expect(page.locator("[data-echo-versions]")).to_be_visible()
    expect(page.locator("[data-echo-text]")).to_have_text(TOLD)


def on_two_devices(enter: Any, who: Any) -> tuple[Page, Page]:
    """Both opened the pair when nothing was written; the first has written since, the second just now."""
    one, two = enter(who, JUDGE), on_a_device_behind(enter, who, JUDGE)
    written(one, "From the first")
    two.locator("#note").fill("From the second")
    is_told(two)
    return one, two


def compare(page: Page) -> None:
    """By keyboard, out of the middle of writing."""
    page.locator("#note").press("Escape")
    page.keyboard.press("v")
    expect(page.locator("#versions")).to_be_visible()


def test_what_is_called_saved_is_what_the_database_has_though_a_clock_is_behind(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    make_pair()
    written(enter(alice, JUDGE), "From the first device")
    two = on_a_device_behind(enter, alice, JUDGE)
    written(two, "From the first device, and more from the second")
    written(two, "And more still")
    two.reload()
    expect(two.locator("#note")).to_have_value("And more still")
    written(two, "And after that")


def test_two_devices_write_and_one_keeps_its_own(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    one, two = on_two_devices(enter, alice)
    assert Draft.objects.get().body["note"] == "From the first", "It is not laid over it."
    # Nothing stands in the way of typing, and what is typed is kept here.
    two.locator("#note").press("End")
    two.keyboard.type(" device")
    expect(two.locator("[data-save-text]")).to_have_text("Kept on this device")
    compare(two)
    assert two.locator("[data-version-mine]").inner_text() == "From the second device"
    assert two.locator("[data-version-other]").inner_text() == "From the first"
    tab_to(two, "[data-act=keep_mine]")
    two.keyboard.press("Enter")
    expect(two.locator("[data-echo]")).to_be_hidden()
    soon(lambda: Draft.objects.get().body["note"] == "From the second device")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    # The first is asked in its turn, when it writes again; a reload finds its words still here.
    one.locator("#note").fill("The first again")
    is_told(one)
    one.reload()
    expect(one.locator("#note")).to_have_value("The first again")
    is_told(one)


def test_two_devices_write_and_one_takes_the_others(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    one, two = on_two_devices(enter, alice)
    one.keyboard.press("Escape")
    one.keyboard.press("2")
    soon(lambda: Draft.objects.get().body["verdict"] == "a2")
    # The choice is made of the newest: what was looked at first was an older one.
    compare(two)
    tab_to(two, "[data-act=take_other]")
    two.keyboard.press("Enter")
    expect(two.locator("#note")).to_have_value("From the first")
    two.locator("#note").fill("From the first, then the second")
    is_told(two)
    compare(two)
    assert two.locator("[data-version-other]").inner_text() == "A better\n\nFrom the first"
    tab_to(two, "[data-act=take_other]")
    two.keyboard.press("Enter")
    assert two.locator("[name=verdict]:checked").get_attribute("value") == "a2"
    written(two, "From the first, then the second")
    assert Draft.objects.get().body["verdict"] == "a2"


def test_where_only_one_of_two_says_anything_nobody_is_asked(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    one, two = enter(alice, JUDGE), enter(alice, JUDGE)
    written(one, "From the first")
    # Whether the server has answered in between or not.
    two.locator("#note").fill("x")
    two.locator("#note").fill("")
    expect(two.locator("#note")).to_have_value("From the first")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    expect(two.locator("[data-echo]")).to_be_hidden()
    written(two, "From both")
    # The same said twice is one version.
    one.locator("#note").fill("From both")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    expect(one.locator("[data-echo]")).to_be_hidden()


def test_who_empties_their_own_after_they_were_asked_has_the_others_as_it_is_now(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    make_pair()
    one, two = on_two_devices(enter, alice)
    written(one, "From the first, and more")
    two.locator("#note").fill("")
    expect(two.locator("#note")).to_have_value("From the first, and more")
    expect(two.locator("[data-save-text]")).to_have_text("Saved")
    expect(two.locator("[data-echo]")).to_be_hidden()
    written(two, "From both")


def test_an_answer_is_sent_over_another_version_after_one_warning(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    make_pair()
    _, two = on_two_devices(enter, alice)
    answered = int(two.locator("#judging [name=assignment]").input_value())
    two.locator("#note").press("Escape")
    two.keyboard.press("2")
    two.keyboard.press("Enter")
    expect(two.locator("[data-line]")).to_contain_text("Another version of this draft waits.")
    assert not Judgement.objects.exists()
    press_and_go_on(two, "Enter")
    assert Rationale.objects.get(judgement=stored(answered)).text == "From the second"
    expect(two.locator("[data-echo-text]")).to_contain_text("Saved: A better")
    assert two.locator("[data-echo-versions]").is_hidden()


def test_an_answer_from_a_device_that_saw_no_draft_offers_its_words(enter: Any, alice: Any, make_pair: Any) -> None:
    """It is sent before any draft of its own was: nobody there could know of the other one."""
    for _ in range(5):
        make_pair()
    one, two = enter(alice, JUDGE), enter(alice, JUDGE)
    written(one, "From the first")
    answered = shown(two)
    intercept(two, "**/judge/draft", lambda route: route.abort())
    press_and_go_on(two, "t", "Space", "2", "Enter")
    expect(two.locator("[data-echo-text]")).to_contain_text("Saved: A better")
    assert stored(answered).strength == (-2 if stored(answered).swapped else 2)
    expect(two.locator("[data-echo-text]")).to_have_text(
        "You had written about it on another device too. Those words are kept here."
    )
    assert text_kept(two) == "From the first"


def test_an_answer_offers_no_words_that_it_holds_itself(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(5):
        make_pair()
    one, two = enter(alice, JUDGE), enter(alice, JUDGE)
    written(one, "The same words")
    intercept(two, "**/judge/draft", lambda route: route.abort())
    two.locator("#note").fill("The same words")
    press_and_go_on(two, "Escape", "2", "Enter")
    expect(two.locator("[data-echo-text]")).to_contain_text("Saved: A better")
    assert two.evaluate("Object.keys(localStorage).filter(k => k.endsWith(':kept'))") == []


def test_words_that_never_reached_the_server_stand_beside_those_of_another_device(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    make_pair()
    one, two = enter(alice, JUDGE), on_a_device_behind(enter, alice, JUDGE)
    intercept(two, "**/judge/draft", lambda route: route.abort())
    two.locator("#note").fill("Only on the second")
    written(one, "From the first")
    two.unroute("**/judge/draft")
    two.reload()
    expect(two.locator("#note")).to_have_value("Only on the second")
    is_told(two)
    compare(two)
    assert two.locator("[data-version-other]").inner_text() == "From the first"


def test_words_that_never_reached_the_server_come_back_though_the_clock_is_behind(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    make_pair()
    one = enter(alice, JUDGE)
    one.locator("#note").fill("First")
    expect(one.locator("[data-save-text]")).to_have_text("Saved")
    two = on_a_device_behind(enter, alice, JUDGE)
    intercept(two, "**/judge/draft", lambda route: route.abort())
    two.locator("#note").fill("First, then this")
    two.reload()
    expect(two.locator("#note")).to_have_value("First, then this")
    two.unroute("**/judge/draft")
    written(two, "First, then this.")


def test_a_save_whose_reply_was_lost_is_no_other_version(enter: Any, alice: Any, make_pair: Any) -> None:
    """The server has it, the page does not know: neither the next save nor a reload asks anybody."""
    make_pair()
    page = enter(alice, JUDGE)

    def store_and_lose(route: Any) -> None:
        route.fetch()
        route.abort()

    intercept(page, "**/judge/draft", store_and_lose, times=1)
    page.locator("#note").fill("Half")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: kept here, 1 waiting")
    assert Draft.objects.get().body["note"] == "Half"
    written(page, "Half a thought")
    intercept(page, "**/judge/draft", store_and_lose, times=1)
    page.locator("#note").fill("A whole thought")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: kept here, 1 waiting")
    assert Draft.objects.get().body["note"] == "A whole thought"
    page.reload()
    expect(page.locator("#note")).to_have_value("A whole thought")
    written(page, "A whole thought, and more")
    expect(page.locator("[data-echo]")).to_be_hidden()


def test_a_page_that_was_made_before_the_last_save_shows_what_was_saved(enter: Any, alice: Any, make_pair: Any) -> None:
    """A reload while a draft is being stored: the page brings an older one, and its reply has been heard here."""
    make_pair()
    page = written(enter(alice, JUDGE), "Half")
    made = page.request.get(JUDGE)
    written(page, "Half a thought")
    written(page, "A whole thought")
    page.route(f"**{JUDGE}", lambda route: route.fulfill(response=made))
    page.reload()
    expect(page.locator("#note")).to_have_value("A whole thought")
    written(page, "A whole thought, and more")
    expect(page.locator("[data-echo]")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_two_versions_are_there_for_everybody(enter: Any, alice: Any, make_pair: Any, scheme: str) -> None:
    make_pair()
    one, two = enter(alice, JUDGE), enter(alice, JUDGE, color_scheme=scheme, locale="de")
    written(one, "From the first " + "x" * 200 + " and more words" * 200)
    two.locator("#note").fill("From the second")
    expect(two.locator("[data-echo-versions]")).to_be_visible()
    for closed in (True, False):
        if not closed:
            compare(two)
        for width in (1440, 768, 320):
            two.set_viewport_size({"width": width, "height": 640})
            assert two.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
            assert faults(two) == [], width
