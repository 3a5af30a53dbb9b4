"""What is not on the server is not called saved: answers that wait, browsers that keep nothing, texts nobody took."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from annotation.models import Judgement, Rationale
from tests.browser.sitting import JUDGE, press_and_go_on, shown, soon, stored

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


# ---- a browser that keeps nothing ------------------------------------------------------------------------------------

KEEPS_NOTHING = "Storage.prototype.setItem = () => { throw new Error('full'); };"


def take_no_answers(page: Any) -> None:
    """The server is in trouble with answers, and with nothing else."""

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=503, body="starting")
        else:
            route.continue_()

    page.route(f"**{JUDGE}", refuse)


def enter_keeping_nothing(enter: Any, who: Any) -> Any:
    page = enter(who)
    page.context.add_init_script(KEEPS_NOTHING)
    page.goto(JUDGE)
    return page


def test_a_browser_that_keeps_nothing_sends_what_waited_and_never_calls_it_kept(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    for _ in range(6):
        make_pair()
    page = enter_keeping_nothing(enter, alice)
    page.context.set_offline(True)
    page.keyboard.press("r")
    page.keyboard.type("my words")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: only in this window, 1 waiting")
    page.keyboard.press("Escape")
    answered = shown(page)
    press_and_go_on(page, "2", "Enter")
    expect(page.locator("[data-echo-text]")).to_have_text("Only in this window: A better · 2 words")
    assert page.locator("[data-save-text]").inner_text() == "Offline: only in this window, 1 waiting"
    press_and_go_on(page, "t", "Space", "6", "Enter")
    for key in ("t", "Space", "6", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#waiting")).to_contain_text("3 answers are not sent yet and only in this window.")
    assert not Judgement.objects.exists()
    page.context.set_offline(False)
    soon(lambda: Judgement.objects.count() == 3)
    assert Rationale.objects.get(judgement=stored(answered)).text == "my words"


def test_a_window_that_alone_has_an_answer_is_not_left_unasked(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter_keeping_nothing(enter, alice)
    answered = shown(page)
    page.context.set_offline(True)
    press_and_go_on(page, "t", "Space", "2", "Enter")
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    page.context.set_offline(False)
    soon(lambda: Judgement.objects.filter(assignment=answered).exists())


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not kept"])
def test_taking_back_never_reaches_past_an_answer_that_waits(
    enter: Any, alice: Any, make_pair: Any, *, keeps: bool
) -> None:
    """The server takes undos and no answers: the waiting one comes back, and the stored one stays."""
    for _ in range(6):
        make_pair()
    page = enter(alice, JUDGE) if keeps else enter_keeping_nothing(enter, alice)
    first = shown(page)
    press_and_go_on(page, "t", "Space", "1", "Enter")
    soon(lambda: Judgement.objects.current().filter(assignment=first).exists())
    take_no_answers(page)
    second = shown(page)
    press_and_go_on(page, "t", "Space", "2", "Enter")
    press_and_go_on(page, "u")
    assert shown(page) == second
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "a2"
    press_and_go_on(page, "7", "Enter")
    if keeps:
        # Loaded again, the page knows no more than that an answer waits: of the pair that it shows, or of another one.
        page.reload()
        assert shown(page) == second
        page.keyboard.press("u")
        expect(page.locator("[data-live]")).to_contain_text("Reopened")
        press_and_go_on(page, "6", "Enter")
        page.goto("/p/everyday/answers")
        page.keyboard.press("u")
        expect(page.locator("[data-echo-text]")).to_contain_text("is not sent yet")
    assert Judgement.objects.current().filter(assignment=first).exists()
    page.unroute(f"**{JUDGE}")
    if keeps:
        page.goto(JUDGE)
    soon(lambda: Judgement.objects.current().filter(assignment=second).exists())
    assert abs(stored(second).strength or 0) == (2 if keeps else 3)


def test_what_waits_of_a_pair_is_replaced_by_what_is_sent_of_it_now(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    take_no_answers(page)
    press_and_go_on(page, "t", "Space", "2", "Enter")
    page.reload()
    assert shown(page) == answered
    page.keyboard.press("r")
    page.keyboard.type("On second thoughts")
    page.unroute(f"**{JUDGE}")
    press_and_go_on(page, "Control+Enter")
    soon(lambda: Judgement.objects.current().filter(assignment=answered).exists())
    assert Rationale.objects.get(judgement=stored(answered)).text == "On second thoughts"
