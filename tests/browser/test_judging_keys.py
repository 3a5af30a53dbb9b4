"""The judging page by keyboard alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import guiding
from annotation.guiding import Entry
from annotation.models import Assignment, Flag, Judgement, SkipReason, Span
from tests.browser.sitting import JUDGE, TOWARDS_A, as_read, comes_true, press_and_go_on, shown, soon, stored, tab_to
from tests.conftest import PASSWORD

# For two principles each; none that pull apart.
VOTE_KEYS = ("a=", "nb", "==", "bb", "an")

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_twenty_pairs_by_keyboard_alone(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    """Signs in, judges twenty pairs with votes and highlights, undoes one, edits one: stored is what was chosen."""
    entries = [Entry(short=name, text=f"Be {name}.") for name in ("correct", "kind")]
    guideline = guiding.publish_guideline(project=project, text="# Judge", principles=entries)
    guiding.acknowledge(annotator=alice, guideline=guideline)
    type(project).objects.update(votes_policy="all")
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
    # The address of the sign-in page ends alike: its `next` is not where we are.
    page.wait_for_url(re.compile(rf"^[^?]*{JUDGE}$"))

    chosen: dict[int, int | None] = {}
    voted: dict[int, dict[int, str]] = {}
    marked: dict[int, str] = {}
    first_stood_as_a = []

    def vote(assignment: int, keys: str, first_is_a: bool) -> None:
        """One key per principle, in the order in which they are asked."""
        if assignment in voted:
            return  # Reopened: they stand as they were left.
        order = page.evaluate("[...document.querySelectorAll('[data-principle]')].map(r => +r.dataset.principle)")
        page.keyboard.press("m")
        for key in keys:
            page.keyboard.press(key)
        as_a, as_b = ("first", "second") if first_is_a else ("second", "first")
        words = {"a": as_a, "b": as_b, "=": "same", "n": "irrelevant"}
        voted[assignment] = {principle: words[key] for principle, key in zip(order, keys, strict=True)}

    def choose(key: str) -> None:
        assignment = shown(page)
        pair = pairs[Assignment.objects.get(pk=assignment).pair_id]
        in_a = page.locator("#body-a .text").inner_text().strip()
        assert in_a in (pair.first.text, pair.second.text)
        first_is_a = in_a == pair.first.text
        first_stood_as_a.append(first_is_a)
        towards_a = TOWARDS_A[key]
        chosen[assignment] = towards_a if towards_a is None or first_is_a else -towards_a
        # In a random half the overall answer comes first, in the other it waits for the principles.
        overall_first = page.locator("[data-votes][data-waits]").count() == 1
        if not overall_first:
            vote(assignment, VOTE_KEYS[len(chosen) % len(VOTE_KEYS)], first_is_a)
        page.keyboard.press(key)
        if overall_first:
            vote(assignment, VOTE_KEYS[len(chosen) % len(VOTE_KEYS)], first_is_a)

    def mark() -> None:
        """Highlight the first sentence of A, which is all of it."""
        marked[shown(page)] = page.locator("#body-a .text").inner_text().strip()
        for pressed in ("h", "a", "ArrowDown", "+", "Escape"):
            page.keyboard.press(pressed)

    for number in range(20):
        choose(str(number % 8))
        if number % 4 == 3:
            mark()
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
            # Where a reason is asked for, the first press warns and the second goes on.
            before = shown(page)
            page.keyboard.press("Enter")
            comes_true(
                page,
                "before => document.querySelector('#judging').assignment.value != before"
                " || document.querySelector('[data-line]').textContent.includes('No reason yet')",
                before,
            )
            if shown(page) == before:
                press_and_go_on(page, "Enter")
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
    said = {assignment: dict(stored(assignment).votes.values_list("principle_id", "vote")) for assignment in chosen}
    assert said == voted
    spans = Span.objects.filter(rationale__judgement__is_current=True, candidate__isnull=False)
    highlights = {
        span.rationale.judgement.assignment_id: span.candidate.text[span.start : span.end]
        for span in spans.select_related("candidate", "rationale__judgement")
        if span.rationale.judgement and span.candidate
    }
    assert highlights == marked
    assert len(marked) == 5
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


def test_a_reason_that_is_too_short_is_counted(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    project.rationale_policy, project.shortest_reason = "required", 20
    project.save()
    make_pair()
    make_pair()
    page = enter(alice, JUDGE)
    expect(page.locator("#note-hint")).to_have_text(
        "This project needs 20 characters of your own words for every verdict."
    )
    page.keyboard.press("2")
    page.keyboard.press("t")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_have_text("Say why in 20 characters or more; there are 0")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("It is right 😀")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-line]")).to_have_text("Say why in 20 characters or more; there are 13")
    assert not Judgement.objects.exists()
    page.keyboard.type(" and it is kind.")
    press_and_go_on(page, "Control+Enter")
    assert Judgement.objects.get().rationales.get().text == "It is right 😀 and it is kind."
