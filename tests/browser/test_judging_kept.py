"""What is not on the server is not called saved: answers that wait, browsers that keep nothing, texts nobody took."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from annotation import drafting, opening
from annotation.models import Annotator, Assignment, Draft, Judgement, Project, Rationale
from tests.browser.sitting import (
    JUDGE,
    KEEPS_NOTHING,
    answer_and_go_on,
    go_offline,
    intercept,
    kept_words,
    press_and_go_on,
    shown,
    sign_out,
    soon,
    stored,
    text_kept,
)
from tests.browser.test_pages import unsound

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


# ---- a browser that keeps nothing ------------------------------------------------------------------------------------


def take_no_answers(page: Any) -> None:
    """The server is in trouble with answers, and with nothing else."""

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=503, body="starting")
        else:
            route.continue_()

    intercept(page, f"**{JUDGE}", refuse)


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
    go_offline(page)
    page.keyboard.press("r")
    page.keyboard.type("my words")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: only in this window, 1 waiting")
    page.keyboard.press("Escape")
    answered = shown(page)
    press_and_go_on(page, "2", "Enter")
    expect(page.locator("[data-echo-text]")).to_have_text("Only in this window: A better · 2 words")
    assert page.locator("[data-save-text]").inner_text() == "Offline: only in this window, 1 waiting"
    answer_and_go_on(page, "6")
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
    go_offline(page)
    answer_and_go_on(page)
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
    answer_and_go_on(page, "1")
    soon(lambda: Judgement.objects.current().filter(assignment=first).exists())
    take_no_answers(page)
    second = shown(page)
    answer_and_go_on(page)
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
    answer_and_go_on(page)
    page.reload()
    assert shown(page) == answered
    page.keyboard.press("r")
    page.keyboard.type("On second thoughts")
    page.unroute(f"**{JUDGE}")
    press_and_go_on(page, "Control+Enter")
    soon(lambda: Judgement.objects.current().filter(assignment=answered).exists())
    assert Rationale.objects.get(judgement=stored(answered)).text == "On second thoughts"


# ---- the lease is over, and the page is loaded again -----------------------------------------------------------------


def hand_over(assignment: int, to: Any) -> None:
    """The lease runs out, the server's draft goes with it, and somebody else is given the pair."""
    Assignment.objects.filter(pk=assignment).update(lease_until="2001-01-01T00:00:00Z")
    assert opening.sweep() == 1
    assert not Draft.objects.filter(assignment=assignment).exists()
    Assignment.objects.filter(pk=assignment).update(annotator=to, lease_until="2099-01-01T00:00:00Z")


def another_window(page: Any, path: str) -> Any:
    """The same browser, after a crash: the page that knew is gone."""
    other = page.context.new_page()
    page.close()
    other.goto(path)
    return other


@pytest.mark.parametrize("pairs", [5, 3], ids=["another pair in hand", "nothing in hand"])
def test_words_about_a_pair_that_went_back_are_offered(
    enter: Any, alice: Any, bob: Any, make_pair: Any, pairs: int
) -> None:
    for _ in range(pairs):
        make_pair()
    page = enter(alice, JUDGE)
    lost = shown(page)
    page.keyboard.press("r")
    page.keyboard.type("Written before lunch")
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    hand_over(lost, bob)
    if pairs == 3:
        Assignment.objects.exclude(pk=lost).filter(annotator=alice).update(annotator=bob)
        Assignment.objects.filter(annotator=None).delete()
    page = another_window(page, JUDGE)
    assert page.locator("#judging").count() == (pairs == 5)
    expect(page.locator("[data-echo-text]")).to_contain_text("A pair is no longer open with you.")
    assert text_kept(page) == "Written before lunch"
    page.locator("[data-act=forget]").click()
    page.reload()
    expect(page.locator("[data-echo]")).to_be_hidden()


def test_words_about_pairs_in_hand_are_drafts_and_nothing_else(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    for _ in range(5):
        make_pair()
    page = enter(alice, JUDGE)
    intercept(page, "**/judge/draft", lambda route: route.abort())
    page.keyboard.press("r")
    page.keyboard.type("Still mine")
    page.goto("/p/everyday/answers")
    expect(page.locator("[data-echo]")).to_be_hidden()
    project.state = "paused"
    project.save()
    page.goto(JUDGE)
    expect(page.locator("h1")).to_contain_text("paused")
    expect(page.locator("[data-echo]")).to_be_hidden()


@pytest.mark.parametrize("path", [JUDGE, "/p/everyday/answers"])
def test_answers_that_wait_are_sent_from_quiet_pages_too(enter: Any, alice: Any, make_pair: Any, path: str) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    go_offline(page)
    page.keyboard.press("r")
    page.keyboard.type("Said offline")
    for key in ("Escape", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#waiting")).to_be_visible()
    other = page.context.new_page()
    page.close()
    if path == JUDGE:  # Nothing to judge: the project rests, and its pages send what waits once it goes on.
        Project.objects.update(state="paused")
    other.context.set_offline(False)
    other.goto(path)
    if path == JUDGE:
        expect(other.locator("[data-echo-text]")).to_contain_text("paused")
        assert not Judgement.objects.exists()
        Project.objects.update(state="judging")
        other.goto("/p/everyday/answers")
    expect(other.locator("[data-echo-text]")).to_have_text("Sent: 1 answer that waited here")
    assert Rationale.objects.get(judgement=stored(answered)).text == "Said offline"


def test_an_answer_that_waits_for_a_pair_that_went_to_somebody_else_is_offered_on_a_quiet_page(
    enter: Any, alice: Any, bob: Any, make_pair: Any
) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    lost = shown(page)
    go_offline(page)
    page.keyboard.press("r")
    page.keyboard.type("Said offline")
    for key in ("Escape", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#waiting")).to_be_visible()
    hand_over(lost, bob)
    Assignment.objects.filter(annotator=None).delete()
    other = page.context.new_page()
    page.close()
    other.context.set_offline(False)
    other.goto(JUDGE)
    expect(other.locator("[data-echo-text]")).to_have_text("One answer could not be saved. Its text is kept here.")
    assert text_kept(other) == "Said offline"


def test_answers_that_wait_are_told_of_where_they_cannot_be_sent(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    take_no_answers(page)
    answer_and_go_on(page)
    page.goto("/p/everyday/answers")
    expect(page.locator("[data-echo-text]")).to_have_text("1 answer is kept here and not sent yet.")
    page.unroute(f"**{JUDGE}")
    soon(Judgement.objects.exists)
    expect(page.locator("[data-echo-text]")).to_have_text("Sent: 1 answer that waited here")


def test_where_nothing_is_left_the_page_says_that_nothing_waits_here(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    for key in ("t", "Space", "2", "Enter"):
        page.keyboard.press(key)
    note = page.locator("[data-waiting-note]")
    expect(note).to_have_text("Nothing waits on this device.")
    page.evaluate(
        "me => localStorage.setItem(`plumbline:${me}:queue:one`, JSON.stringify({ key: 'one', assignment: 1, at: 1 }))",
        page.evaluate("document.body.dataset.me"),
    )
    take_no_answers(page)
    page.reload()
    expect(page.locator("[data-echo-text]")).to_have_text("1 answer is kept here and not sent yet.")
    expect(note).to_have_text("")


def test_the_list_of_projects_says_where_answers_wait(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, "/projects")
    told = page.get_by_text("Answers of yours wait in this browser.")
    expect(told).to_be_hidden()
    page.goto(JUDGE)
    take_no_answers(page)
    answer_and_go_on(page)
    page.goto("/projects")
    expect(told).to_be_visible()
    page.unroute(f"**{JUDGE}")
    page.get_by_role("link", name="Judge in Everyday help").click()
    soon(Judgement.objects.exists)
    expect(page.locator("[data-echo-text]")).to_have_text("Sent: 1 answer that waited here")
    page.goto("/projects")
    expect(told).to_be_hidden()


# ---- signing out -----------------------------------------------------------------------------------------------------


def test_a_draft_is_sent_before_one_is_signed_out(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    failing = ["once"]

    def fail_first(route: Route) -> None:
        if failing:
            failing.clear()
            route.abort()
        else:
            route.continue_()

    intercept(page, "**/judge/draft", fail_first)
    page.locator("#note").fill("Not there yet")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: kept here, 1 waiting")
    sign_out(page)
    page.wait_for_url("**/accounts/login/")
    assert Draft.objects.get().body["note"] == "Not there yet"
    assert not kept_words(page, "Not there yet"), "Nothing of it stays behind on this device."


def test_words_that_cannot_be_sent_are_told_of_once_before_they_go(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    intercept(page, "**/judge/draft", lambda route: route.abort())
    page.locator("#note").fill("Never reached the server")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: kept here, 1 waiting")
    sign_out(page)
    told = "1 draft is not saved and goes when you sign out. Sign out again to leave anyway."
    expect(page.locator("[data-echo-text]")).to_have_text(told)
    assert kept_words(page, "Never reached the server")
    page.goto("/p/everyday/answers")
    sign_out(page)
    expect(page.locator("[data-echo-text]")).to_have_text(told)
    sign_out(page)
    page.wait_for_url("**/accounts/login/")
    assert not kept_words(page, "Never reached the server")


def test_an_unsaved_change_of_an_answer_is_told_of_before_one_signs_out(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    answer_and_go_on(page)
    page.goto(f"/p/everyday/answers/{answered}")
    page.locator("#note").fill("Half a change")
    sign_out(page)
    expect(page.locator("[data-echo-text]")).to_contain_text("1 draft is not saved")
    assert page.locator("#note").input_value() == "Half a change"


def test_without_a_connection_nothing_is_dropped_and_nobody_is_signed_out(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    go_offline(page)
    answer_and_go_on(page)
    page.locator("#note").fill("Offline words")
    sign_out(page)
    expect(page.locator("[data-echo-text]")).to_contain_text("1 answer is not sent yet. 1 draft is not saved")
    sign_out(page)
    expect(page.locator("[data-echo-text]")).to_have_text("No connection. Try again in a moment.")
    assert kept_words(page, "Offline words")
    assert page.locator("#note").input_value() == "Offline words"
    page.context.set_offline(False)
    soon(Judgement.objects.exists)
    soon(Draft.objects.filter(body__note="Offline words").exists)


# ---- an unsaved change of a stored answer ----------------------------------------------------------------------------


def test_an_unsaved_change_says_that_it_is_one_and_can_be_discarded(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    page.locator("#note").fill("As it was said")
    page.keyboard.press("Escape")
    press_and_go_on(page, "2", "Enter")
    page.goto(f"/p/everyday/answers/{answered}")
    discard = page.locator("[data-act=discard]")
    expect(discard).to_be_hidden()
    assert page.locator("[data-save-text]").inner_text() == ""
    page.locator("#note").fill("On second thoughts")
    page.keyboard.press("Escape")
    page.keyboard.press("7")
    page.reload()
    expect(page.locator("#note")).to_have_value("On second thoughts")
    expect(page.locator("[data-save-text]")).to_have_text("Kept here until you save")
    discard.click()
    expect(page.locator("[data-live]")).to_contain_text("discarded")
    for _ in range(2):
        expect(page.locator("#note")).to_have_value("As it was said")
        assert page.locator("[name=verdict]:checked").get_attribute("value") == "a2"
        assert page.locator("[data-save-text]").inner_text() == ""
        expect(discard).to_be_hidden()
        page.reload()


def test_an_unsaved_change_is_never_laid_over_a_newer_answer(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    answer_and_go_on(page)
    path = f"/p/everyday/answers/{answered}"
    page.goto(path)
    page.keyboard.press("1")
    page.locator("#note").fill("Begun on this device")
    other = enter(alice, path)
    other.locator("#note").fill("Said on the other")
    other.keyboard.press("Control+Enter")
    other.wait_for_url("**/answers")
    page.goto(path)
    expect(page.locator("[data-echo-text]")).to_have_text(
        "You have changed this answer elsewhere since. What is saved stands here."
    )
    assert page.locator("#note").input_value() == "Said on the other"
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "a2"
    assert text_kept(page) == "Begun on this device"
    page.locator("[data-act=forget]").click()
    page.reload()
    expect(page.locator("[data-echo]")).to_be_hidden()
    assert page.locator("#note").input_value() == "Said on the other"


# ---- without the script ----------------------------------------------------------------------------------------------


def written_elsewhere(page: Any, words: str) -> None:
    """Another device stores a draft of the pair on the screen, which is answered here then."""
    drafting.save_draft(
        annotator=Annotator.objects.get(name="Alice"),
        assignment_id=shown(page),
        body=f'{{"note": "{words}"}}',
        version=5,
    )
    page.locator("[name=verdict][value=b2]").check(force=True)
    page.locator(".send button").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: B better")


@pytest.mark.parametrize(("width", "height"), [(320, 640), (768, 1024), (1440, 900)])
def test_words_of_another_device_stand_above_the_next_pair_without_the_script(
    enter: Any, alice: Any, make_pair: Any, width: int, height: int
) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE, java_script_enabled=False, viewport={"width": width, "height": height})
    words = "Written elsewhere. " * 40
    written_elsewhere(page, words)
    expect(page.get_by_label("Your reason", exact=True)).to_have_value(words)
    # The pair has its place below them.
    page.locator("#body-b").scroll_into_view_if_needed()
    assert page.locator("#body-b").bounding_box()["height"] > 40
    page.get_by_role("button", name="Delete these texts").click()
    expect(page.get_by_role("heading", name="Words from another device")).to_have_count(0)


def test_the_page_with_words_of_another_device_is_sound(enter: Any, alice: Any, make_pair: Any) -> None:
    """As a browser without JavaScript shows it: axe-core itself needs one with it."""
    for _ in range(2):
        make_pair()

    def plain(route: Route) -> None:
        if route.request.method == "POST":
            route.continue_()
        else:
            answer = route.fetch()
            route.fulfill(response=answer, body=answer.text().replace("<noscript>", "").replace("</noscript>", ""))

    page = enter(alice, reduced_motion="reduce")
    page.route("**/*.js", lambda route: route.abort())
    page.route(f"**{JUDGE}", plain)
    page.goto(JUDGE)
    written_elsewhere(page, "Written elsewhere. " * 40)
    page.goto(JUDGE)
    expect(page.get_by_role("heading", name="Words from another device")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert unsound(page) == []
