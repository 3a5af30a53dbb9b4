"""Ways of looking at a pair: differing words, unseen characters, sides, own keys, linked scrolling; and rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import opening, resting
from annotation.models import Assignment, Judgement
from tests.browser.sitting import JUDGE, as_read, comes_true, press_and_go_on, shown, soon, stored

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "\n\n".join(f"Paragraph {n} says one thing and then another." for n in range(120))
ONLY = "name => [...(CSS.highlights.get(name) ?? [])].map(range => range.toString())"

SHARE = """side => {
  const body = document.querySelector(`#body-${side}`);
  return body.scrollTop / (body.scrollHeight - body.clientHeight);
}"""
SCROLL = """share => {
  const body = document.querySelector('#body-a');
  body.scrollTop = share * (body.scrollHeight - body.clientHeight);
}"""


def first_as_a(page: Page) -> None:
    """Let the first candidate stand as A, whatever was drawn."""
    Assignment.objects.filter(pk=shown(page)).update(swapped=False)
    page.reload()


def said(page: Page, text: str) -> None:
    expect(page.locator("[data-live]")).to_have_text(text)


def test_the_words_that_only_one_has_are_underlined(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair(
        first="Paris is the **old** capital of France.\n\nIt lies on the Seine 😀.",
        second="Paris is the capital of all France.\n\nIt lies on the Rhône 😀.",
    )
    make_pair(first="word " * 3001 + "end", second="other " * 3001 + "stop")
    page = enter(alice, JUDGE)
    first_as_a(page)
    plain = page.locator("#body-a").inner_html()
    page.keyboard.press("d")
    said(page, "The words that only A or only B has are underlined")
    assert page.evaluate(ONLY, "only-a") == ["old", "Seine"]
    assert page.evaluate(ONLY, "only-b") == ["all", "Rhône"]
    assert page.locator("#body-a").inner_html() == plain, "Comparing changes no text."
    # The raw text has two signs more on each side of the bold word.
    page.keyboard.press("w")
    expect(page.locator("#body-a .raw")).to_be_visible()
    assert page.evaluate(ONLY, "only-a") == ["*", "*", "old", "*", "*", "Seine"]
    page.keyboard.press("d")
    assert page.evaluate(ONLY, "only-a") == []
    page.keyboard.press("d")
    page.locator("#note").fill("why")
    press_and_go_on(page, "Escape", "2", "Enter")
    # Each look is off again with the next pair, and two very long texts are not compared.
    assert page.evaluate(ONLY, "only-a") == []
    expect(page.locator("[data-act=diff]")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("d")
    said(page, "These texts are too long to compare word by word.")
    expect(page.locator("[data-echo-text]")).to_have_text("These texts are too long to compare word by word.")
    expect(page.locator("[data-act=diff]")).to_have_attribute("aria-pressed", "false")
    page.evaluate("Object.defineProperty(CSS, 'highlights', { value: undefined })")
    page.keyboard.press("d")
    expect(page.locator("[data-echo-text]")).to_have_text(
        "This browser cannot underline words in a text. A newer one can."
    )


def test_unseen_characters_get_a_label_and_the_text_stays(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair(
        prompt="Zero\u200bwidth", first="Left\u202eright\u2066 and \u00a0", second="A soft\u00adhyphen \U000e0041"
    )
    page = enter(alice, JUDGE)
    first_as_a(page)
    text = page.locator("#body-a .text").evaluate("node => node.textContent")
    heights = "['a', 'b'].map(side => document.querySelector(`#body-${side} .text`).getBoundingClientRect().height)"
    before = page.evaluate(heights)
    page.keyboard.press("i")
    labels = {
        place: page.locator(f"{place} .unseen").all_inner_texts() for place in ("#prompt-body", "#body-a", "#body-b")
    }
    assert labels["#prompt-body"] == ["ZWSP"]
    assert labels["#body-a"][:2] == ["RLO", "LRI"]
    assert labels["#body-b"] == ["SHY", "U+E0041"]
    number = sum(map(len, labels.values()))
    said(page, f"{number} invisible characters shown")
    assert page.locator("#body-a .text").evaluate("node => node.textContent") == text
    assert page.evaluate(heights) == before, "Labels move no text."
    page.keyboard.press("i")
    expect(page.locator(".unseen")).to_have_count(0)


@pytest.mark.parametrize("swapped", [False, True])
def test_sides_change_places_and_stay_a_and_b(enter: Any, alice: Any, make_pair: Any, swapped: bool) -> None:
    """Whatever stands left: A is A, and the answer says what was chosen. That it was looked at so is kept."""
    for _ in range(3):
        make_pair(first="the first", second="the second")
    page = enter(alice, JUDGE)
    Assignment.objects.update(swapped=swapped)
    page.reload()
    left = "side => document.querySelector(`#body-${side}`).getBoundingClientRect().left"
    answered = shown(page)
    assert page.evaluate(left, "a") < page.evaluate(left, "b")
    page.keyboard.press("x")
    said(page, "B stands left now")
    assert page.evaluate(left, "a") > page.evaluate(left, "b")
    page.locator("#note").fill("why")
    press_and_go_on(page, "Escape", "1", "Enter")
    judgement = stored(answered)
    assert judgement.strength == (-3 if swapped else 3), "1 is “A much better”, wherever A stands."
    assert (judgement.swapped, judgement.turned) == (swapped, True)
    assert page.evaluate(left, "a") < page.evaluate(left, "b"), "The next pair stands as it was handed out."
    # Turned and turned back counts as well: both views were seen.
    second = shown(page)
    page.keyboard.press("x")
    page.keyboard.press("x")
    page.locator("#note").fill("why")
    press_and_go_on(page, "Escape", "2", "Enter")
    third = shown(page)
    page.locator("#note").fill("why")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    assert stored(second).turned is True
    soon(lambda: Judgement.objects.filter(assignment=third).exists())
    assert stored(third).turned is False


def test_keys_are_changed_refused_and_reset(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("?")
    page.locator(".own-keys summary").click()
    told = page.locator("[data-own-keys-said]")

    def change(act: str, key: str) -> None:
        page.locator(f"[data-remap={act}]").focus()
        page.keyboard.press("Enter")
        page.keyboard.press(key)

    change("diff", "s")
    expect(told).to_have_text("S is Skip already.")
    change("diff", "7")
    expect(told).to_have_text("Choose a letter or a sign; digits are the answers.")
    change("diff", "Escape")
    expect(told).to_have_text("")
    expect(page.locator("#shortcuts")).to_be_visible()
    change("diff", "y")
    expect(told).to_have_text("Compare words: Y")
    assert page.evaluate("document.activeElement.dataset.remap") == "diff", "Focus stays where the key was changed."
    page.keyboard.press("Escape")
    looks = page.locator("[data-act=diff]")
    page.keyboard.press("d")
    expect(looks).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("y")
    expect(looks).to_have_attribute("aria-pressed", "true")
    # The change outlives the page, and the usual keys come back at once.
    page.reload()
    page.keyboard.press("y")
    expect(looks).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    page.locator(".own-keys summary").click()
    page.locator("[data-act=usual_keys]").click()
    expect(told).to_have_text("All keys are the usual ones again.")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(looks).to_have_attribute("aria-pressed", "false")


def test_a_changed_key_is_shown_and_said_everywhere(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    skip, diff = page.locator("[data-menu=menu-skip]"), page.locator("[data-act=diff]")
    listed = page.locator("#shortcuts [data-key-of=skip]")

    def stands(key: str, of_diff: str) -> None:
        expect(skip.locator("kbd")).to_have_text(key.upper())
        expect(skip).to_have_attribute("aria-keyshortcuts", key)
        expect(listed).to_have_text(key.upper())
        expect(diff).to_have_attribute("aria-keyshortcuts", of_diff)
        expect(diff).to_have_attribute("title", re.compile(rf"\({of_diff.upper()}\)$"))
        expect(page.locator("[data-marks-empty] kbd")).to_have_text("H")

    stands("s", "d")
    page.keyboard.press("?")
    page.locator(".own-keys summary").click()
    for act, key in (("skip", "y"), ("diff", "s")):
        page.locator(f"[data-remap={act}]").click()
        page.keyboard.press(key)
    stands("y", "s")
    page.reload()
    stands("y", "s")
    # A digit stays what it is, and so does what only looks like a key.
    expect(page.locator("[name=verdict][value=a2]")).to_have_attribute("aria-keyshortcuts", "2")
    page.keyboard.press("?")
    page.locator(".own-keys summary").click()
    page.locator("[data-act=usual_keys]").click()
    stands("s", "d")


def test_of_very_many_unseen_characters_as_many_are_named_as_are_shown(enter: Any, alice: Any, make_pair: Any) -> None:
    paragraph = "a\u200b" * 300
    make_pair(first="\n\n".join([paragraph] * 3), second=paragraph)
    page = enter(alice, JUDGE)
    page.keyboard.press("i")
    said(page, "500 invisible characters shown")
    assert page.locator(".unseen").count() == 500


def test_nothing_unseen_is_said_where_one_looks(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("i")
    expect(page.locator("[data-echo-text]")).to_have_text("There are no invisible characters")


def test_linked_panes_scroll_by_the_same_share(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair(first=LONG, second=LONG + "\n\n" + LONG)
    page = enter(alice, JUDGE)
    page.evaluate(SCROLL, 0.5)
    comes_true(page, "document.querySelector('#body-a').scrollTop > 0")
    assert page.evaluate(SHARE, "b") == 0, "Each pane scrolls alone until they are linked."
    page.keyboard.press("l")
    said(page, "Scrolling linked")
    page.evaluate(SCROLL, 0.8)
    comes_true(page, f"Math.abs(({SHARE})('b') - 0.8) < 0.01")
    page.reload()
    expect(page.locator("[data-act=link]")).to_have_attribute("aria-pressed", "true")


def test_a_break_is_suggested_once_and_nothing_is_blocked(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair()
    make_pair()
    page = enter(alice, None)
    page.clock.install()
    page.goto(JUDGE)
    hint = page.locator("[data-echo-text]", has_text="A short break keeps your eye fresh.")
    for minute in range(49):
        page.clock.fast_forward(59_000)
        page.keyboard.press("Shift")
        assert hint.count() == 0, minute
    page.clock.fast_forward(59_000)
    page.keyboard.press("Shift")
    page.clock.fast_forward(59_000)
    page.keyboard.press("Shift")
    expect(hint).to_be_visible()
    # It goes away by itself, and the next one is fifty minutes off.
    for _ in range(10):
        page.clock.fast_forward(59_000)
        page.keyboard.press("Shift")
    expect(hint).to_be_hidden()
    page.locator("#note").fill("why")
    press_and_go_on(page, "Escape", "2", "Enter")
    assert Judgement.objects.count() == 1


def test_who_judges_differently_than_usual_is_told_once(
    enter: Any, alice: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the heartbeat, minutes after the answers: it tells of none of them."""
    make_pair()
    monkeypatch.setattr(resting, "is_due", lambda **_: True)
    page = enter(alice, None)
    page.clock.install()
    page.goto(JUDGE)
    hint = page.locator("[data-echo-text]", has_text="You judge differently from how you usually do.")
    for told in (True, False):
        with page.expect_response("**/judge/beat") as beat:
            # The last one beats. One more would hide what its reply says, or give the reply up.
            for _ in range(5):
                page.clock.fast_forward(59_000)
                page.keyboard.press("Shift")
        assert beat.value.status == 200
        page.wait_for_timeout(300)
        expect(hint).to_be_visible(visible=told)
        page.clock.fast_forward(10_000)
        expect(hint).to_be_hidden()


def test_the_last_page_looks_for_new_pairs_and_leases_none(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    page = enter(alice, None)
    page.clock.install()
    page.goto(JUDGE)
    told = page.locator("[data-ready-said]")
    expect(told).to_contain_text("looks for new pairs by itself")
    with page.expect_response("**/judge/ready") as empty:
        page.clock.fast_forward(121_000)
    assert empty.value.json() == {"ready": False}
    as_read(make_pair(slots=0))
    opening.open_slots(project=project)
    with page.expect_response("**/judge/ready") as full:
        page.clock.fast_forward(181_000)
    assert full.value.json() == {"ready": True}
    expect(told).to_have_text("A pair has arrived. Press the button to judge it.")
    assert not Assignment.objects.leased().exists(), "Looking leases nothing."
    page.get_by_role("link", name="Check for new pairs").click()
    expect(page.locator("#judging")).to_be_visible()
