"""The judging page in a real browser: what it promises to somebody who sits in front of it for hours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import guiding, rendering
from annotation.marking_gold import Gold, mark_gold
from annotation.models import Assignment, Guideline, Judgement, Project, Rationale
from tests.browser.sitting import JUDGE, as_read, comes_true, press_and_go_on, shown, soon, stored
from tests.browser.test_pages import faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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


def test_who_jumps_to_the_end_has_not_seen_the_middle(enter: Any, alice: Any, make_pair: Any) -> None:
    long = "A paragraph of many words. " * 20 + "\n\n"
    for _ in range(3):
        as_read(make_pair(first=long * 20, second=long * 20))
    page = enter(alice, JUDGE)
    jumped = shown(page)
    end = "el => el.scrollTo({ top: el.scrollHeight, behavior: 'instant' })"
    tops = "() => ['a', 'b'].every(s => document.querySelector(`#body-${s}`).scrollTop > 0)"
    for side in ("#body-a", "#body-b"):
        page.locator(side).evaluate(end)
    comes_true(page, tops)
    for key in ("2", "t", "Space"):
        page.keyboard.press(key)
    press_and_go_on(page, "Enter")
    judgement = stored(jumped)
    assert judgement.coverage_first is not None
    # The beginning and the end: two screens of it, and not what lies between.
    visible = page.evaluate("(b => b.clientHeight / b.scrollHeight)(document.querySelector('#body-a'))")
    assert judgement.coverage_first == pytest.approx(2 * visible, abs=0.06)
    assert judgement.coverage_first < 0.8
    # Screen by screen, it is all of it.
    read = shown(page)
    page.evaluate(
        """async () => {
          for (const s of ['a', 'b']) {
            const b = document.querySelector(`#body-${s}`);
            for (let y = 0; y < b.scrollHeight; y += b.clientHeight * 0.7) {
              b.scrollTo({ top: y, behavior: 'instant' });
              await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            }
          }
        }"""
    )
    press_and_go_on(page, "2", "t", "Space", "Enter")
    assert stored(read).coverage_first == stored(read).coverage_second == 1


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


def test_mathematics_of_an_explained_example_is_set(enter: Any, alice: Any, make_pair: Any) -> None:
    pair = as_read(make_pair(first=r"So $x^2$.", second="No mathematics."))
    example = Gold(verdict="first", use="example", why="It shows the sum.", pair=pair.pk)
    mark_gold(project=pair.project, gold=[example])
    page = enter(alice, "/p/everyday/training")
    page.get_by_text("Judge it").click()
    expect(page.locator(".explained .katex")).to_be_visible()


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

    page.get_by_role("button", name="Take back my last answer").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Taken back")
    assert (shown(page), page.locator("#note").input_value()) == (first, "A reason")
    page.locator(".send button").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: B better")

    second = shown(page)
    page.locator(".plain-more summary").click()
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
    assert (stored(first).verdict, stored(first).revision) == ("tie", 3)

    page.goto(JUDGE)
    Project.objects.update(state=Project.State.PAUSED)
    page.locator("#note").fill("Half a thought")
    page.locator(".send button").click()
    expect(page.locator("h1")).to_have_text("This answer was not saved.")
    assert page.get_by_label("Your reason").input_value() == "Half a thought"


def test_the_page_of_what_was_not_saved_reads_well(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE, watched=False)
    Project.objects.update(state=Project.State.PAUSED)
    page.locator("#note").fill("A reason that is long. " * 60)
    # As a browser without JavaScript sends it.
    page.locator("#judging").evaluate("form => form.submit()")
    expect(page.locator("h1")).to_have_text("This answer was not saved.")
    for width, scheme in ((320, "light"), (768, "dark"), (1440, "light")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert faults(page) == []


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
    # Nobody is asked about a version without being shown it: the first comes by itself.
    expect(page.locator("[data-act=acknowledge]")).to_be_visible()
    assert page.locator("#guideline .changes").count() == 0
    page.keyboard.press("g")
    expect(page.locator("#guideline")).to_be_hidden()
    page.keyboard.press("g")
    expect(page.locator("#guideline h3")).to_have_text("What to decide")
    expect(page.locator("#guideline")).to_contain_text("version 3")
    page.locator("[data-act=acknowledge]").click()
    expect(page.locator("#guideline")).to_be_hidden()
    page.keyboard.press("g")
    expect(page.locator("[data-acknowledge]")).to_have_text("You have read this version.")
    assert alice.readings.get().guideline == project.guideline
    page.locator("#guideline [data-close]").focus()
    page.keyboard.press("g")
    expect(page.locator("#guideline")).to_be_hidden()


def test_who_never_acknowledged_is_shown_what_changed_and_held_once(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    for _ in range(3):
        make_pair()
    guiding.publish_guideline(project=project, text="Short is good.")
    page = enter(alice, JUDGE)
    expect(page.locator("#guideline")).to_be_visible()
    page.keyboard.press("Escape")
    first = shown(page)
    page.locator("#note").fill("My reason.")
    page.keyboard.press("Escape")
    for key in ("2", "Enter"):
        page.keyboard.press(key)
    # Once it is held, with everything in it; who reads and does not acknowledge is not held a second time.
    expect(page.locator("#guideline")).to_be_visible()
    assert not Judgement.objects.exists()
    page.keyboard.press("Escape")
    expect(page.locator("[data-line]")).to_contain_text("read the guideline first")
    expect(page.locator("#note")).to_have_value("My reason.")
    press_and_go_on(page, "Enter")
    assert stored(first).rationales.get().text == "My reason."
    guiding.publish_guideline(project=Project.objects.get(pk=project.pk), text="Short is very good.")
    second = shown(page)
    press_and_go_on(page, "1", "Enter", "Enter")
    expect(page.locator("[data-echo-text]")).to_contain_text("new version")
    third = shown(page)
    for key in ("3", "Enter"):
        page.keyboard.press(key)
    # The version came while the page was open: it is shown against the one that was judged under.
    expect(page.locator("#guideline ins")).to_have_text("very ")
    expect(page.locator("#guideline")).to_contain_text("under which you have answered")
    expect(page.locator("#guideline .dlg__head")).to_contain_text("version 2")
    page.locator("[data-act=acknowledge]").click()
    # The page of version 2 stands there, with what was entered.
    expect(page.locator("body")).to_have_attribute("data-guideline-id", str(Guideline.objects.get(version=2).pk))
    expect(page.locator("[name=verdict][value=a1]")).to_be_checked()
    assert shown(page) == third
    expect(page.locator("#guideline")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    soon(lambda: Judgement.objects.filter(assignment=third).exists())
    # Each is stamped with the version that stood on the screen, whatever was in force when it arrived.
    assert [stored(one).guideline.version for one in (first, second, third)] == [1, 1, 2]  # type: ignore[union-attr]
    page.wait_for_load_state()
