"""The judging page in a real browser: what it promises to somebody who sits in front of it for hours."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Error, Page, Route, expect

from annotation import rendering
from annotation.models import Assignment, Draft, Flag, Guideline, Judgement, Pair, Rationale, SkipReason
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()
JUDGE = "/p/everyday/judge"
TOWARDS_A = {"1": 3, "2": 2, "3": 1, "4": 0, "5": -1, "6": -2, "7": -3, "0": None}


def soon(what: Callable[[], Any]) -> Any:
    """The first true value of `what`; fails when there is none for long."""
    for _ in range(600):
        if value := what():
            return value
        time.sleep(0.05)
    raise AssertionError("It did not come to pass.")


def shown(page: Page) -> int:
    return int(page.locator("#judging [name=assignment]").input_value())


def press_and_go_on(page: Page, *keys: str) -> None:
    """Press keys, the last of which submits, and wait until the next pair stands there."""
    before = shown(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function("before => document.querySelector('#judging').assignment.value != before", arg=before)


def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with the Tab key.")


def as_read(pair: Pair) -> Pair:
    """Render the pair's raw texts, as an import does."""
    pair.prompt.html = rendering.render_prompt(pair.prompt.messages, pair.prompt.system)
    pair.prompt.renderer = rendering.RENDERER
    pair.prompt.save()
    for candidate in (pair.first, pair.second):
        candidate.html, candidate.renderer = rendering.render_candidate(candidate.messages), rendering.RENDERER
        candidate.save()
    return pair


def stored(assignment: int) -> Judgement:
    return Judgement.objects.current().get(assignment=assignment)


# ---- by keyboard alone ---------------------------------------------------------------------------------------------


def test_twenty_pairs_by_keyboard_alone(enter: Any, alice: Any, make_pair: Any) -> None:
    """Signs in, judges twenty pairs, undoes one, edits one: stored is exactly what was chosen, on both sides."""
    pairs = {
        pair.pk: pair for pair in (as_read(make_pair(first=f"first {n}", second=f"second {n}")) for n in range(24))
    }
    page = enter(None)
    mouse: list[str] = []
    page.context.expose_function("mouseSeen", lambda kind: mouse.append(kind))
    page.add_init_script(
        "for (const kind of ['mousedown', 'pointerdown', 'mousemove', 'wheel', 'touchstart'])"
        " addEventListener(kind, () => mouseSeen(kind), true);"
    )
    page.goto(f"/accounts/login/?next={JUDGE}")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "[name=login]")
    page.keyboard.type(alice.user.email)
    tab_to(page, "[type=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{JUDGE}")

    chosen: dict[int, int | None] = {}
    first_stood_as_a = []

    def choose(key: str) -> None:
        assignment = shown(page)
        pair = pairs[Assignment.objects.get(pk=assignment).pair_id]
        in_a = page.locator("#body-a").inner_text().strip()
        assert in_a in (pair.first.text, pair.second.text)
        first_is_a = in_a == pair.first.text
        first_stood_as_a.append(first_is_a)
        towards_a = TOWARDS_A[key]
        chosen[assignment] = towards_a if towards_a is None or first_is_a else -towards_a
        page.keyboard.press(key)

    for number in range(20):
        choose(str(number % 8))
        if number % 3 == 0:
            page.keyboard.press("r")
            page.keyboard.type(f"Because of {number}: 1 2 3 u s f.")
            press_and_go_on(page, "Control+Enter")
        elif number == 1:
            # Warns once that there is no reason, and not again.
            page.keyboard.press("Enter")
            expect(page.locator("[data-line]")).to_contain_text("No reason yet")
            press_and_go_on(page, "Enter")
        elif number == 2:
            press_and_go_on(page, "t", "Space", "Enter")
        elif number == 4:
            page.keyboard.press("Enter")
            press_and_go_on(page, "Enter")
        else:
            page.keyboard.press("Enter")
            before = shown(page)
            if "No reason yet" in page.locator("[data-line]").inner_text():
                page.keyboard.press("Enter")
            page.wait_for_function(
                "before => document.querySelector('#judging').assignment.value != before", arg=before
            )
        if number == 9:
            last = max(chosen)
            press_and_go_on(page, "u")
            assert page.locator("[name=verdict]:checked").count() == 1
            assert shown(page) in chosen
            choose("6")
            press_and_go_on(page, "t", "Space", "Enter")
            assert last in chosen

    assert len(chosen) == 20
    edited = list(chosen)[-1]
    page.keyboard.press("[")
    page.wait_for_url(f"**/answers/{edited}")
    choose("1")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/answers")
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: A much better")

    found = {
        judgement.assignment_id: judgement.strength for judgement in Judgement.objects.current().filter(annotator=alice)
    }
    assert found == chosen
    assert stored(edited).revision == 2
    assert Judgement.objects.filter(annotator=alice, is_current=False).count() == 2
    assert set(first_stood_as_a) == {True, False}
    assert mouse == []


def test_keys_rest_while_writing_and_can_be_switched_off(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("r")
    page.keyboard.type("1 2 3 g ? s u")
    assert page.locator("#note").input_value() == "1 2 3 g ? s u"
    assert page.locator("[name=verdict]:checked").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("[data-single]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert page.locator("[name=verdict]:checked").count() == 0
    page.reload()
    page.keyboard.press("2")
    assert page.locator("[name=verdict]:checked").count() == 0


@pytest.mark.parametrize(
    ("scale", "choices"),
    [
        (7, {"1": "a3", "2": "a2", "3": "a1", "4": "same", "5": "b1", "6": "b2", "7": "b3", "0": "bad"}),
        (6, {"1": "a3", "2": "a2", "3": "a1", "4": None, "5": "b1", "6": "b2", "7": "b3", "0": "bad"}),
        (4, {"1": "a2", "2": "a2", "3": "a1", "4": None, "5": "b1", "6": "b2", "7": "b2", "0": "bad"}),
        (2, {"1": "a1", "2": "a1", "3": "a1", "4": None, "5": "b1", "6": "b1", "7": "b1", "0": "bad"}),
    ],
)
def test_keys_keep_their_place_on_every_scale(
    enter: Any, alice: Any, project: Any, make_pair: Any, scale: int, choices: dict[str, str | None]
) -> None:
    project.scale, project.allow_tie = scale, scale == 7
    project.save()
    make_pair()
    page = enter(alice, JUDGE)
    for key, value in choices.items():
        page.evaluate("document.querySelectorAll('[name=verdict]').forEach(radio => { radio.checked = false; })")
        page.keyboard.press(key)
        found = page.evaluate("document.querySelector('[name=verdict]:checked')?.value ?? null")
        assert found == value, key
    # Every button shows the key that chooses it.
    for segment in page.locator(".scale .seg").all():
        assert choices[segment.locator("kbd").inner_text()] == segment.locator("input").get_attribute("value")


def test_skip_with_a_reason_and_flag(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(3):
        make_pair()
    page = enter(alice, JUDGE)
    skipped = shown(page)
    page.keyboard.press("s")
    expect(page.locator("#menu-skip")).to_be_visible()
    press_and_go_on(page, "2")
    assert soon(lambda: stored(skipped)).skip_reason == "expertise"
    flagged = shown(page)
    page.keyboard.press("f")
    expect(page.locator("#menu-flag")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    press_and_go_on(page, "Enter")
    assert stored(flagged).flags == ["harmful"]
    reasons = {button.get_attribute("data-skip") for button in page.locator("[data-skip]").all()}
    flags = {button.get_attribute("data-flag-as") for button in page.locator("[data-flag-as]").all()}
    assert (reasons, flags) == (set(SkipReason.values), set(Flag.values))


def test_a_required_reason_is_asked_for(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    project.rationale_policy = "required"
    project.save()
    make_pair()
    make_pair()
    page = enter(alice, JUDGE)
    for _ in range(2):
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator("[data-line]")).to_have_text("Say why first: a tag or a sentence")
    assert not Judgement.objects.exists()
    page.keyboard.press("Space")
    press_and_go_on(page, "Enter")
    assert Judgement.objects.count() == 1


# ---- the next pair without a page load -----------------------------------------------------------------------------


def test_the_next_pair_comes_without_a_page_load_and_takes_the_focus(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(6):
        make_pair()
    page = enter(alice, JUDGE)
    page.evaluate("window.stayed = true")
    frame = "['.verdict', '.why', '.send'].map(s => JSON.stringify(document.querySelector(s).getBoundingClientRect()))"
    before = page.evaluate(frame)
    for number in range(1, 4):
        answered = shown(page)
        press_and_go_on(page, "t", "Space", "2", "Enter")
        assert page.evaluate("window.stayed && document.activeElement.id") == "item-heading"
        expect(page.locator("[role=status]")).to_have_text(re.compile(r"Saved: A better.* Pair \d+\."))
        assert page.locator("[data-echo-text]").inner_text().startswith("Saved: A better")
        assert page.locator("[name=verdict]:checked, [name=tag]:checked").count() == 0
        assert page.locator("[data-count]").inner_text() == str(number)
        assert stored(answered).active_ms is not None
        assert stored(answered).first_key_ms is not None
        assert stored(answered).coverage_first == stored(answered).coverage_second == 1
    assert page.evaluate(frame) == before
    assert page.evaluate("scrollY") == 0


def test_coverage_tells_how_far_a_long_candidate_was_read(enter: Any, alice: Any, make_pair: Any) -> None:
    as_read(make_pair(first="Long.\n\n" + "A paragraph of a few words.\n\n" * 200, second="Short."))
    make_pair()
    page = enter(alice, JUDGE)
    answered = shown(page)
    press_and_go_on(page, "t", "Space", "4", "Enter")
    judgement = stored(answered)
    assert judgement.coverage_first is not None
    assert 0 < judgement.coverage_first < 0.3
    assert judgement.coverage_second == 1


def test_the_first_paint_does_not_move(enter: Any, alice: Any, make_pair: Any) -> None:
    as_read(make_pair(first="One.\n\n" * 30))
    page = enter(alice)
    page.add_init_script(
        "window.moved = 0;"
        "new PerformanceObserver(list => list.getEntries().forEach(e => { window.moved += e.value; }))"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(JUDGE)
    page.wait_for_timeout(500)
    assert page.evaluate("window.moved") <= 0.02


def test_mathematics_is_set_and_unreadable_tex_stays(enter: Any, alice: Any, make_pair: Any) -> None:
    as_read(make_pair(first=r"So $x^2$ and $$\frac{1}{2}$$ but $\frac{1}{$.", second="No mathematics."))
    as_read(make_pair(first=r"Then \(y\).", second="Nothing."))
    page = enter(alice, JUDGE)
    expect(page.locator(".katex")).to_have_count(2)
    assert r"\frac{1}{" in page.locator(".math:not([data-set])").inner_text()
    press_and_go_on(page, "t", "Space", "4", "Enter")
    expect(page.locator(".katex")).to_have_count(1)


def test_katex_is_not_loaded_where_there_is_no_mathematics(enter: Any, alice: Any, make_pair: Any) -> None:
    as_read(make_pair(first="It costs $5 or $10."))
    page = enter(alice, JUDGE)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.includes('katex')).length") == 0


def test_undo_on_the_last_page_reopens_the_last_answer(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("r")
    page.keyboard.type("The only one.")
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("You have judged every pair.")
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: B slightly better")
    page.keyboard.press("u")
    expect(page.locator("#note")).to_have_value("The only one.")
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "b1"
    assert not Judgement.objects.current().exists()


# ---- nothing is lost -----------------------------------------------------------------------------------------------


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
    page.route("**/judge/draft", lambda route: route.abort())
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
    page.context.set_offline(True)
    answered = []
    for _ in range(2):
        answered.append(shown(page))
        press_and_go_on(page, "t", "Space", "2", "Enter")
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
    page.context.set_offline(True)
    press_and_go_on(page, "t", "Space", "2", "Enter")
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

    page.route(f"**{JUDGE}", store_and_lose, times=1)
    press_and_go_on(page, "t", "Space", "2", "Enter")
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

    page.route(f"**{JUDGE}", lose_the_first_reply)
    press_and_go_on(page, "t", "Space", "2", "Enter")
    expect(page.locator("[data-echo-text]")).to_contain_text("Sent: 1 answer that waited here")
    assert len(tries) == 2
    assert Judgement.objects.count() == 1


def test_a_server_in_trouble_keeps_the_answer_waiting(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(4):
        make_pair()
    page = enter(alice, JUDGE)
    page.route(f"**{JUDGE}", lambda route: route.fulfill(status=503, body="starting"))
    press_and_go_on(page, "t", "Space", "2", "Enter")
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
    page.wait_for_url(f"**{JUDGE}")
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
    page.locator("[data-echo-kept]").click()
    assert page.locator("#kept textarea").input_value() == "My long thought"
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
    press_and_go_on(page, "t", "Space", "2", "Enter")
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
    expect(page.locator("[data-echo-text]")).to_have_text(re.compile(r"This pair goes back at .*\. Press any key"))
    page.keyboard.press("j")
    expect(page.locator("[data-echo]")).to_be_hidden()


# ---- without JavaScript --------------------------------------------------------------------------------------------


def test_everything_works_without_javascript(enter: Any, alice: Any, make_pair: Any) -> None:
    earlier = [{"role": "user", "content": "Before"}, {"role": "assistant", "content": "Yes"}]
    for _ in range(3):
        pair = make_pair()
        pair.prompt.messages = [*earlier, *pair.prompt.messages]
        as_read(pair)
    page = enter(alice, JUDGE, java_script_enabled=False)
    assert page.locator(".js:visible").count() == 0
    expect(page.get_by_text("Before", exact=True)).to_be_visible()

    page.locator("#note").fill("A reason")
    page.locator(".send button").click()
    expect(page.locator("[data-line]")).to_contain_text("Choose an answer first")
    assert page.locator("#note").input_value() == "A reason"

    first = shown(page)
    page.locator("[name=verdict][value=b2]").check(force=True)
    page.locator("[name=tag]").first.check(force=True)
    page.locator(".send button").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: B better")
    swapped = Assignment.objects.get(pk=first).swapped
    assert stored(first).strength == (2 if swapped else -2)
    assert Rationale.objects.get().text == "A reason"

    second = shown(page)
    page.locator("summary").click()
    page.locator("[name=verdict][value=skip]").check()
    page.locator("[name=skip_reason][value=language]").check()
    page.locator("[name=flag][value=other]").check()
    page.locator(".send button").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: Skipped")
    assert stored(second).skip_reason == "language"

    page.goto("/p/everyday/answers?q=reason")
    assert page.locator(".row").count() == 1
    page.locator(".row a").click()
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "b2"
    assert page.locator("#note").input_value() == "A reason"
    page.locator("[name=verdict][value=same]").check(force=True)
    page.locator(".send button").click()
    expect(page.locator("h1")).to_have_text("My answers")
    assert (stored(first).verdict, stored(first).revision) == ("tie", 2)


# ---- guideline, history --------------------------------------------------------------------------------------------


def test_the_guideline_is_one_key_away_and_can_be_acknowledged(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    text = "# What to decide\n\nThe better answer."
    project.guideline = Guideline.objects.create(
        project=project, version=3, text=text, html=rendering.render_text(text)
    )
    project.save()
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("g")
    expect(page.locator("#guideline h3")).to_have_text("What to decide")
    expect(page.locator("#guideline")).to_contain_text("version 3")
    page.locator("[data-act=acknowledge]").click()
    expect(page.locator("[data-acknowledge]")).to_have_text("You have read this version.")
    assert alice.readings.get().guideline == project.guideline
    page.locator("#guideline [data-close]").focus()
    page.keyboard.press("g")
    expect(page.locator("#guideline")).to_be_hidden()


# ---- for everybody -------------------------------------------------------------------------------------------------

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
SIZES = [(320, 640), (768, 1024), (1440, 900)]
KINDS = [
    "judging",
    "filled",
    "error",
    "done",
    "empty",
    "answers",
    "no answers",
    "editing",
    "guideline",
    "shortcuts",
    "skip",
]


@pytest.fixture
def every_kind(enter: Any, alice: Any, project: Any, make_pair: Any) -> Callable[[str], Page]:
    """A page of each kind, with the texts that strain a layout."""
    guide = "## Read\n\n|Answer|Use it when|\n|-|-|\n|Better|You can say why.|"
    project.guideline = Guideline.objects.create(
        project=project, version=1, text=guide, html=rendering.render_text(guide)
    )
    project.save()
    long = "### A heading\n\n" + "A" * 600 + "\n\n- one\n- two\n\n> quoted\n\n" + "Words and more words. " * 120
    wide = (
        "|a|b|c|d|e|f|g|\n|-|-|-|-|-|-|-|\n" + "|some words" * 7 + "|\n\n```python\nx = 1  # " + "long " * 60 + "\n```"
    )
    texts = [
        (long, wide),
        ("مرحبا بك\n\nنص طويل", "שלום, **hello**"),
        (r"$$\sum_{i=1}^{n} x_i$$ and \(y\)", "# 你好\n\n你好"),
    ]

    def opened(kind: str) -> Page:
        if kind not in ("done", "empty", "no answers"):
            for prompt in ("Say\n\n# hello", "Again"):
                for first, second in texts:
                    as_read(make_pair(prompt=f"{prompt} {first[:9]}", first=first, second=second))
        if kind == "done":
            make_pair()
        page: Page = enter(alice, JUDGE)
        if kind in ("filled", "answers", "editing"):
            page.keyboard.press("2")
            page.keyboard.press("r")
            page.keyboard.type("A reason")
        if kind in ("answers", "editing"):
            press_and_go_on(page, "Control+Enter")
            page.keyboard.press("[")
            page.wait_for_url("**/answers/*")
        if kind == "error":
            Session.objects.all().delete()
            page.keyboard.press("r")
            page.keyboard.type("x")
            expect(page.locator("[data-echo-link]")).to_be_visible()
        if kind == "done":
            page.keyboard.press("t")
            page.keyboard.press("Space")
            page.keyboard.press("2")
            page.keyboard.press("Enter")
            expect(page.locator("h1")).to_contain_text("You have judged")
        if kind in ("answers", "no answers"):
            page.goto("/p/everyday/answers")
        if kind in ("guideline", "shortcuts", "skip"):
            page.keyboard.press({"guideline": "g", "shortcuts": "?", "skip": "s"}[kind])
        if kind == "guideline":
            expect(page.locator("#guideline table")).to_be_visible()
        return page

    return opened


@pytest.mark.parametrize("kind", KINDS)
def test_no_barrier_and_no_sideways_scrolling(every_kind: Callable[[str], Page], kind: str) -> None:
    page = every_kind(kind)
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE)
    found: list[str] = []
    for scheme in SCHEMES:
        for width, height in SIZES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(50)
            result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            for violation in result["violations"]:
                places = [" ".join(map(str, node["target"])) for node in violation["nodes"]][:4]
                found.append(f"{kind} {scheme} {width}: {violation['id']}: {places}")
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{kind} {scheme} {width}: scrolls sideways")
    assert found == []


def test_axe_itself_finds_a_barrier(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.evaluate("document.querySelector('#body-a').append(Object.assign(new Image(), { src: '/static/icon.svg' }))")
    page.evaluate(AXE)
    assert [v["id"] for v in page.evaluate("axe.run(document)")["violations"]] == ["image-alt"]


def test_targets_are_large_enough_and_named(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE, viewport={"width": 320, "height": 640})
    small = page.evaluate(
        "[...document.querySelectorAll('button, a, input:not([type=hidden]), textarea')]"
        ".filter(e => e.checkVisibility())"
        ".map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.width > 0 && r.top >= 0 && (r.width < 24 || r.height < 24)).map(([html]) => html)"
    )
    assert small == []


# ---- blind, and unharmed by what it shows --------------------------------------------------------------------------


def test_nothing_about_the_pair_reaches_the_browser(
    enter: Any, alice: Any, bob: Any, project: Any, make_pair: Any
) -> None:
    """Model, source, label, gold, tags and others' answers: their canaries are in no byte of any reply."""
    hidden = {
        "source": "canary-source",
        "external_id": "canary-id-{}",
        "tags": ["canary-tag"],
        "marks": ["canary-mark"],
        "label": "first",
        "label_kind": "canary-label",
        "meta": {"canary-key": "canary-value"},
        "is_gold": True,
        "split": "canary-split",
    }
    for n in range(8):
        pair = as_read(make_pair(**{**hidden, "external_id": f"canary-id-{n}"}))
        pair.prompt.meta, pair.prompt.source, pair.prompt.tags = (
            {"canary-meta": 1},
            "canary-from",
            ["canary-prompt-tag"],
        )
        pair.prompt.save()
        slot = pair.assignments.filter(annotator=None).earliest("slot")
        slot.annotator, slot.done_at = bob, slot.pair.created_at
        slot.save()
        key = f"00000000-0000-4000-8000-{n:012d}"
        judgement = Judgement.objects.create(
            assignment=slot, annotator=bob, key=key, verdict="tie", strength=0, swapped=False
        )
        Rationale.objects.create(pair=pair, annotator=bob, judgement=judgement, text="canary-rationale")
    seen: list[bytes] = []
    page = enter(alice)
    page.on("response", lambda r: seen.append(f"{r.url} {json.dumps(r.all_headers())}".encode() + r.body()))
    page.goto(JUDGE)
    for _ in range(6):
        press_and_go_on(page, "t", "Space", "2", "Enter")
    page.keyboard.press("u")
    expect(page.locator("[name=verdict]:checked")).to_have_count(1)
    page.goto("/p/everyday/answers")
    page.locator(".row a").first.click()
    page.wait_for_load_state("networkidle")
    told = b"".join(seen)
    assert len(seen) > 12
    assert b"What is 1 plus 1?" in told
    for secret in (b"canary", b"swapped", b"gold", b"bob@", b"first_id", b'"first"'):
        assert secret not in told.replace(b"/static/", b""), secret


# Every way in which the payloads make themselves heard, and a hand that touches everything that waits for one.
HEARD = """
for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = () => { ran(name); return true; };
window.touch = () => {
  const events = `mouseover mouseenter mousemove mousedown mouseup mouseout mouseleave dblclick click auxclick wheel
    contextmenu mousewheel focus focusin focusout blur keydown keypress keyup input beforeinput change invalid select
    search copy cut paste beforecopy beforecut beforepaste drag dragstart dragend dragenter dragleave dragover drop
    scroll pointerover pointerenter pointermove pointerdown pointerup pointerout pointerleave touchstart touchmove
    touchend toggle beforetoggle animationstart animationend transitionend load error`.split(/\\s+/);
  for (const element of document.querySelectorAll('TOUCHED'))
    for (const kind of events) try { element.dispatchEvent(new Event(kind, { bubbles: BUBBLES })); } catch {}
};
addEventListener('load', () => setTimeout(touch, 10));
"""


def fires(page: Page, html: str, heard: list[str]) -> bool:
    """Whether `html`, put into a page as it is, runs script."""
    heard.clear()
    page.route("**/control", lambda route: route.fulfill(content_type="text/html", body=f"<!doctype html><body>{html}"))
    # A payload may navigate away while it fires.
    with contextlib.suppress(Error):
        page.goto("/control")
        for _ in range(10):
            if heard:
                break
            page.wait_for_timeout(40)
    page.unroute("**/control")
    return bool(heard)


def test_live_payloads_do_nothing_here(
    enter: Any, alice: Any, project: Any, make_pair: Any, shared_payloads: Path, live_server: Any
) -> None:
    """Script that runs when unescaped, as prompt, candidate, reason and tag: no dialog, no stray request."""
    items = json.loads((shared_payloads / "live-xss.json").read_text())["items"]
    alive = [item["payload"] for item in items if "body" in item["contexts"]]
    rng = np.random.default_rng(20261121)
    sample = [alive[place] for place in rng.choice(len(alive), size=60, replace=False)]
    htmx = (shared_payloads / "own-htmx.txt").read_text().splitlines()

    heard: list[str] = []
    control = enter(None, watched=False)
    control.context.expose_function("ran", lambda name: heard.append(name))
    control.add_init_script(HEARD.replace("TOUCHED", "body *").replace("BUBBLES", "true"))
    fired = sum(fires(control, payload, heard) for payload in sample)
    # Without this the rest of the test says nothing.
    assert fired >= 54
    heard.clear()

    project.tags = [{"key": "x", "label": sample[0]}, {"key": "y", "label": htmx[0]}]
    project.question = sample[1][:200]
    project.save()
    for payload in [*sample, *htmx]:
        as_read(make_pair(prompt=payload, first=payload, second=f"[x]({payload})\n\n`{payload}`"))
    page = enter(alice)
    page.context.expose_function("ran", lambda name: heard.append(name))
    page.add_init_script(HEARD.replace("TOUCHED", ".text :not(a)").replace("BUBBLES", "false"))
    stray: list[str] = []

    def watch(address: str) -> None:
        if not address.startswith(live_server.url) or "/evil" in address:
            stray.append(address)

    page.on("request", lambda request: watch(request.url))
    page.goto(JUDGE)
    for payload in [*sample, *htmx][:-1]:
        page.evaluate("setTimeout(touch)")
        page.locator("#note").fill(payload)
        page.keyboard.press("Escape")
        page.keyboard.press("4")
        press_and_go_on(page, "Enter")
    for number in (1, 2):
        page.goto(f"/p/everyday/answers?page={number}")
        assert page.locator(".row").count() >= 29
    page.locator(".row a").first.click()
    page.wait_for_load_state("networkidle")
    assert heard == []
    assert stray == []
    assert Judgement.objects.count() == 79
