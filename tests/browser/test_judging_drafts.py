"""The judging page never loses a word."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Route, expect

from annotation import opening
from annotation.marking_gold import Gold, mark_gold
from annotation.models import Assignment, Draft, Judgement, Project, Rationale
from bench import drafts
from tests.browser.sitting import (
    JUDGE,
    KEEPS_NOTHING,
    answer_and_go_on,
    go_offline,
    intercept,
    press_and_go_on,
    shown,
    soon,
    stored,
    text_kept,
    written,
)
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_draft_is_on_the_server_and_survives_a_reload(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("3")
    page.keyboard.press("r")
    page.keyboard.type("Half a thou")
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    assert Draft.objects.get().body["note"] == "Half a thou"
    assert Draft.objects.get().body["verdict"] == "a1"
    page.keyboard.type("ght")
    page.reload()
    expect(page.locator("#note")).to_have_value("Half a thought")
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "a1"
    soon(lambda: Draft.objects.get().body["note"] == "Half a thought")
    # Another device knows it too.
    assert enter(alice, JUDGE).locator("#note").input_value() == "Half a thought"


def test_a_draft_that_never_reached_the_server_survives_a_crash(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    intercept(page, "**/judge/draft", lambda route: route.abort())
    page.keyboard.press("r")
    page.keyboard.type("Only in this browser")
    again = page.context.new_page()
    again.goto(JUDGE)
    expect(again.locator("#note")).to_have_value("Only in this browser")
    soon(lambda: Draft.objects.filter(body__note="Only in this browser").exists())


def test_answers_given_offline_are_sent_once_when_the_connection_returns(
    enter: Any, alice: Any, make_pair: Any
) -> None:
    for _ in range(5):
        make_pair()
    page = enter(alice, JUDGE)
    go_offline(page)
    answered = []
    for _ in range(2):
        answered.append(shown(page))
        answer_and_go_on(page)
        assert page.locator("[data-echo-text]").inner_text().startswith("Kept here: A better")
    page.keyboard.press("7")
    expect(page.locator("[data-save-text]")).to_have_text("Offline: kept here, 3 waiting")
    answered.append(shown(page))
    page.keyboard.press("t")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#waiting")).to_contain_text("3 answers are kept here and not sent yet.")
    assert not Judgement.objects.exists()
    page.context.set_offline(False)
    soon(lambda: Judgement.objects.count() == 3)
    assert sorted(Judgement.objects.values_list("assignment", flat=True)) == sorted(answered)
    expect(page.locator("#judging")).to_be_visible()
    assert shown(page) not in answered
    assert page.evaluate("Object.keys(localStorage).filter(k => localStorage[k].includes('verdict=')).length") == 0


def test_an_answer_that_waits_can_be_taken_back(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    go_offline(page)
    answer_and_go_on(page)
    press_and_go_on(page, "u")
    assert shown(page) == answered
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "a2"
    page.context.set_offline(False)
    press_and_go_on(page, "7", "Enter")
    soon(lambda: Judgement.objects.count() == 1)
    assert abs(stored(answered).strength or 0) == 3


def test_a_changed_mind_is_never_taken_for_the_first_answer(enter: Any, alice: Any, make_pair: Any) -> None:
    """The first answer was stored and its reply lost; it is taken back unseen and changed. The page does not lie."""
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)

    def store_and_lose(route: Route) -> None:
        route.fetch()
        route.abort()

    intercept(page, f"**{JUDGE}", store_and_lose, times=1)
    answer_and_go_on(page)
    press_and_go_on(page, "u")
    page.keyboard.press("7")
    press_and_go_on(page, "Enter")
    echo = page.locator("[data-echo-text]").inner_text()
    assert abs(stored(answered).strength or 0) == 2
    assert not echo.startswith("Saved"), echo


def test_an_answer_whose_reply_was_lost_is_stored_once(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    tries: list[str] = []

    def lose_the_first_reply(route: Route) -> None:
        tries.append(route.request.post_data or "")
        if len(tries) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    intercept(page, f"**{JUDGE}", lose_the_first_reply)
    answer_and_go_on(page)
    expect(page.locator("[data-echo-text]")).to_contain_text("Sent: 1 answer that waited here")
    assert len(tries) == 2
    assert Judgement.objects.count() == 1


def test_a_server_in_trouble_keeps_the_answer_waiting(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    intercept(page, f"**{JUDGE}", lambda route: route.fulfill(status=503, body="starting"))
    answer_and_go_on(page)
    assert page.locator("[data-echo-text]").inner_text().startswith("Kept here")
    page.unroute(f"**{JUDGE}")
    page.reload()
    soon(lambda: Judgement.objects.count() == 1)


def test_an_expired_session_keeps_the_text_until_one_is_back(
    enter: Any, alice: Any, make_pair: Any, settings: Any
) -> None:
    for _ in range(3):
        make_pair()
    page = enter(alice, JUDGE)
    Session.objects.all().delete()
    page.keyboard.press("r")
    page.keyboard.type("Do not lose me")
    expect(page.locator("[data-echo-text]")).to_have_text("You are signed out. Your text is kept here.")
    page.keyboard.press("Escape")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_contain_text("Not sent")
    page.locator("[data-echo-link]").click()
    page.locator("[name=login]").fill(alice.user.email)
    page.locator("[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"^[^?]*{JUDGE}$"))
    expect(page.locator("#note")).to_have_value("Do not lose me")
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "b2"
    press_and_go_on(page, "Control+Enter")
    assert Rationale.objects.get().text == "Do not lose me"


def test_a_pair_that_went_to_somebody_else_is_said_and_the_text_kept(
    enter: Any, alice: Any, bob: Any, make_pair: Any
) -> None:
    for _ in range(5):
        make_pair()
    page = enter(alice, JUDGE)
    lost = shown(page)
    Assignment.objects.filter(pk=lost).update(annotator=bob)
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.keyboard.type("My long thought")
    press_and_go_on(page, "Control+Enter")
    assert not Judgement.objects.exists()
    expect(page.locator("[data-echo-text]")).to_have_text("One answer could not be saved. Its text is kept here.")
    assert text_kept(page) == "My long thought"
    page.locator("[data-act=forget]").click()
    page.reload()
    expect(page.locator("[data-echo]")).to_be_hidden()


def test_a_paused_project_keeps_the_answer_in_the_form(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    stays = shown(page)
    project.state = "paused"
    project.save()
    page.keyboard.press("r")
    page.keyboard.type("Wait for me")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_contain_text("paused")
    assert shown(page) == stays
    assert page.locator("#note").input_value() == "Wait for me"
    project.state = "judging"
    project.save()
    page.reload()
    expect(page.locator("#note")).to_have_value("Wait for me")
    press_and_go_on(page, "Enter")
    assert Rationale.objects.get().text == "Wait for me"


def test_a_stale_edit_is_refused_and_the_text_kept(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE)
    edited = shown(page)
    answer_and_go_on(page)
    page.keyboard.press("[")
    page.wait_for_url(f"**/answers/{edited}")
    other = page.context.new_page()
    other.goto(f"/p/everyday/answers/{edited}")
    other.keyboard.press("7")
    other.keyboard.press("Enter")
    other.wait_for_url("**/answers")
    page.keyboard.press("1")
    page.keyboard.press("r")
    page.keyboard.type("Second thoughts")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-line]")).to_have_attribute("data-kind", "error")
    assert page.locator("#note").input_value() == "Second thoughts"
    assert stored(edited).revision == 2


def test_the_lease_is_renewed_while_somebody_works(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice)
    page.clock.install()
    page.goto(JUDGE)
    Assignment.objects.filter(annotator=alice).update(lease_until="2001-01-01T00:00:00Z")
    for _ in range(13):
        page.clock.run_for(30_000)
        page.keyboard.press("j")
    soon(lambda: Assignment.objects.filter(annotator=alice, lease_until__year__gt=2001).exists())


def test_a_lease_that_runs_out_is_warned_of(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice)
    page.clock.install()
    page.goto(JUDGE)
    page.clock.run_for(29 * 60_000)
    expect(page.locator("[data-echo-text]")).to_have_text(re.compile(r"This pair goes back in \d:\d\d\."))
    expect(page.locator("[data-live]")).to_have_text(
        re.compile(r"This pair goes back at .*\. Press any key to keep it\.")
    )
    page.locator("[data-act=extend]").click()
    expect(page.locator("[data-echo]")).to_be_hidden()


# ---- rounds ----------------------------------------------------------------------------------------------------------

# In the suite a few; before a release `python -m bench.drafts`, which plays the same with 50.
ROUNDS = 3


def test_a_killed_tab_loses_no_letter_older_than_a_second(enter: Any, alice: Any, make_pair: Any) -> None:
    """The renderer is killed at a random moment while somebody types; another tab has what was typed."""
    make_pair()
    kept = drafts.kill_tabs(enter(alice, JUDGE).context, JUDGE, rounds=ROUNDS, rng=np.random.default_rng(6))
    assert (kept.rounds, kept.lost) == (ROUNDS, 0)
    assert kept.typed >= 12 * ROUNDS


def test_going_offline_and_back_loses_and_doubles_nothing(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(ROUNDS + 3):
        make_pair()
    kept = drafts.go_offline(enter(alice, JUDGE), rounds=ROUNDS, rng=np.random.default_rng(7))
    assert (kept.rounds, kept.lost) == (ROUNDS, 0)
    assert Judgement.objects.count() == ROUNDS


def test_expired_sessions_keep_every_word(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    kept = drafts.expire(enter(alice, JUDGE), JUDGE, email=alice.user.email, rounds=ROUNDS)
    assert (kept.rounds, kept.lost) == (ROUNDS, 0)
    assert kept.typed >= 8 * ROUNDS


def test_the_rounds_see_a_loss(enter: Any, alice: Any, make_pair: Any) -> None:
    """A browser that keeps nothing and a server that takes nothing: without this the rounds say nothing."""
    make_pair()
    page = enter(alice)
    page.context.route("**/judge/draft", lambda route: route.abort())
    page.context.add_init_script(KEEPS_NOTHING)
    kept = drafts.kill_tabs(page.context, JUDGE, rounds=2, rng=np.random.default_rng(6))
    assert kept.lost + kept.lost_young == kept.typed


def test_two_tabs_show_the_newest_of_one_draft(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    one = enter(alice, JUDGE)
    two = one.context.new_page()
    two.goto(JUDGE)
    two.bring_to_front()
    two.locator("#note").fill("From the second tab")
    soon(Draft.objects.filter(body__note="From the second tab").exists)
    again = one.context.new_page()
    again.goto(JUDGE)
    expect(again.locator("#note")).to_have_value("From the second tab")
    two.keyboard.press("Escape")
    two.keyboard.press("2")
    two.keyboard.press("Enter")
    soon(lambda: Judgement.objects.count() == 1)
    one.bring_to_front()
    one.keyboard.press("t")
    one.keyboard.press("Space")
    one.keyboard.press("7")
    one.keyboard.press("Control+Enter")
    expect(one.locator("[data-alert]")).to_contain_text("another window")
    assert Judgement.objects.count() == 1


@pytest.mark.parametrize("is_check", [False, True], ids=["a pair of the queue", "a check"])
def test_what_comes_back_after_its_lease_has_its_draft_in_the_form(
    enter: Any, alice: Any, project: Any, make_pair: Any, is_check: bool
) -> None:
    """A check as everything else: nobody can tell it by what becomes of a draft."""
    pair = make_pair()
    if is_check:
        mark_gold(project=project, gold=[Gold(verdict="first", pair=pair.pk)])
        Project.objects.update(gold_round=1, gold_pass=0)
    page = written(enter(alice, JUDGE), "half a thought")
    page.goto("about:blank")
    Assignment.objects.leased().update(lease_until=timezone.now() - timedelta(minutes=1))
    assert opening.sweep() == 1
    assert not Draft.objects.exists(), "What comes back comes from this browser."
    page.goto(JUDGE)
    expect(page.locator("#note")).to_have_value("half a thought")
    expect(page.locator("[data-echo-kept]")).to_be_hidden()
