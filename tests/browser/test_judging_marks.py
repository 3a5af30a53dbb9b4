"""Highlights on the judging page: by mouse, by keyboard, exact in the raw text, and votes by principle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import guiding
from annotation.guiding import Entry
from annotation.models import Assignment, Draft, Judgement, Project, Span
from tests.browser.sitting import JUDGE, as_read, comes_true, press_and_go_on, shown, soon, stored

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXT = (
    "### One & two\n\nThe **first** sentence 😀. A *second* one costs $x^2$ &amp; more.\n\n```\nline = 1\nnext = 2\n```"
)


def marked_words(assignment: int) -> list[tuple[str, str, str]]:
    """What the stored highlights say: where, how, and the words of the raw text."""
    judgement = stored(assignment)
    pair = judgement.assignment.pair
    texts = {None: pair.prompt.last, pair.first_id: pair.first.text, pair.second_id: pair.second.text}
    as_a = pair.second_id if judgement.swapped else pair.first_id
    return [
        (
            "prompt" if span.candidate_id is None else "A" if span.candidate_id == as_a else "B",
            span.polarity,
            texts[span.candidate_id][span.start : span.end],
        )
        for span in Span.objects.filter(rationale__judgement=judgement).order_by("id")
    ]


def test_sentences_are_highlighted_by_keyboard_alone(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(3):
        make_pair(prompt="What is it? Say more.", first=TEXT, second=TEXT)
    page = enter(alice, JUDGE)
    before = page.evaluate("document.querySelector('#body-a').getBoundingClientRect().height")
    heights = "[...document.querySelectorAll('.text > *')].map(e => e.getBoundingClientRect().top)"
    tops = page.evaluate(heights)
    answered = shown(page)
    for key in ["h", "ArrowDown", "+", "ArrowDown", "-", "ArrowDown", "Shift+ArrowDown", "+", "b", "+", "p", "-"]:
        page.keyboard.press(key)
    expect(page.locator(".mk")).to_have_count(5)
    assert page.evaluate(heights) == tops, "Highlights move no text."
    assert page.evaluate("document.querySelector('#body-a').getBoundingClientRect().height") == before
    page.keyboard.press("Escape")
    press_and_go_on(page, "2", "Enter")
    assert marked_words(answered) == [
        ("A", "supports", "The **first** sentence 😀."),
        ("A", "hurts", "A *second* one costs $x^2$ &amp; more."),
        ("A", "supports", "line = 1\nnext = 2"),
        ("B", "supports", "One & two"),
        ("prompt", "hurts", "What is it?"),
    ]
    assert page.locator("[data-echo-text]").inner_text().endswith("5 highlights")
    # Taken back, they are there as they were.
    press_and_go_on(page, "u")
    expect(page.locator(".mk__text").nth(1)).to_have_text("A second one costs x^2 & more.")
    assert page.locator(".mk").count() == 5
    # Changed and removed by keyboard.
    page.locator("[data-go]").first.focus()
    page.keyboard.press("Enter")
    page.locator("[data-pop-tag]").select_option("tone")
    page.locator("[data-pol=hurts]").focus()
    page.keyboard.press("Enter")
    page.locator("[data-off]").nth(4).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mk")).to_have_count(4)
    page.keyboard.press("Control+Enter")
    soon(lambda: Judgement.objects.current().filter(assignment=answered).exists())
    assert marked_words(answered)[0] == ("A", "hurts", "The **first** sentence 😀.")
    assert Span.objects.filter(rationale__judgement=stored(answered)).order_by("id")[0].tag == "tone"


def test_the_sign_of_a_highlight_stands_where_reading_begins(enter: Any, alice: Any, make_pair: Any) -> None:
    make_pair(first="هذه **جملة** واحدة.", second="One **plain** sentence.")
    page = enter(alice, JUDGE)
    Assignment.objects.update(swapped=False)
    page.reload()
    edges = """side => {
      const text = document.querySelector(`#body-${side} p`), range = document.createRange();
      range.selectNodeContents(text);
      const words = range.getBoundingClientRect();
      const sign = document.querySelector(`#body-${side} .tick`).getBoundingClientRect();
      const middle = (sign.left + sign.right) / 2;
      return [Math.abs(middle - words.left), Math.abs(middle - words.right)];
    }"""
    for side in ("a", "b"):
        for key in ("h", side, "ArrowDown", "+", "Escape"):
            page.keyboard.press(key)
    expect(page.locator(".tick")).to_have_count(2)
    from_left, from_right = page.evaluate(edges, "a")
    assert from_right < 12 < from_left, "Arabic begins on the right."
    from_left, from_right = page.evaluate(edges, "b")
    assert from_left < 12 < from_right


def test_words_are_highlighted_by_mouse_and_overlap(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair(first="alpha beta gamma delta", second="alpha beta gamma delta")
    page = enter(alice, JUDGE)
    answered = shown(page)
    box = page.locator("#body-a p").bounding_box()
    assert box
    for start, end, polarity in ((0, 60, "supports"), (20, 150, "hurts")):
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + start, y)
        page.mouse.down()
        page.mouse.move(box["x"] + end, y, steps=3)
        page.mouse.up()
        page.locator(f"[data-pop] [data-pol={polarity}]").click()
    expect(page.locator(".mk")).to_have_count(2)
    soon(lambda: Draft.objects.filter(body__span__1__polarity="hurts").exists())
    page.reload()
    expect(page.locator(".mk")).to_have_count(2)
    assert page.evaluate("[CSS.highlights.get('supports').size, CSS.highlights.get('hurts').size]") == [1, 1]
    press_and_go_on(page, "3", "Enter")
    (_, _, one), (_, _, two) = marked_words(answered)
    assert "alpha beta gamma delta".startswith(one)
    assert "alpha beta gamma delta".find(two) < len(one), "They overlap, and both are kept."


def test_the_principle_of_a_highlight_is_stored_as_it_was_chosen(
    enter: Any, alice: Any, make_pair: Any, guided: list[int]
) -> None:
    Project.objects.update(votes_policy="off")
    for _ in range(2):
        make_pair(first="alpha beta gamma delta", second="alpha beta gamma delta")
    page = enter(alice, JUDGE)
    answered = shown(page)
    box = page.locator("#body-a p").bounding_box()
    assert box
    for start, end, polarity, principle in ((0, 60, "supports", str(guided[1])), (70, 150, "hurts", "")):
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + start, y)
        page.mouse.down()
        page.mouse.move(box["x"] + end, y, steps=3)
        page.mouse.up()
        page.locator("[data-pop-principle]").select_option(principle)
        page.locator(f"[data-pop] [data-pol={polarity}]").click()
    expect(page.locator(".mk")).to_have_count(2)
    expect(page.locator(".mk__tag").first).to_have_text("kind")
    press_and_go_on(page, "3", "Enter")
    spans = Span.objects.filter(rationale__judgement__assignment=answered).order_by("pk")
    assert [(span.polarity, span.principle_id) for span in spans] == [("supports", guided[1]), ("hurts", None)]


def test_highlights_hold_in_the_raw_view(enter: Any, alice: Any, make_pair: Any) -> None:
    for _ in range(2):
        make_pair(first="A **bold** word.", second="A **bold** word.")
    page = enter(alice, JUDGE)
    page.keyboard.press("h")
    page.keyboard.press("+")
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    expect(page.locator("#body-a .raw")).to_have_text("A **bold** word.")
    expect(page.locator(".mk__text")).to_have_text("A **bold** word.")
    answered = shown(page)
    page.keyboard.press("b")
    page.keyboard.press("h")
    page.keyboard.press("b")
    page.keyboard.press("-")
    page.keyboard.press("Escape")
    press_and_go_on(page, "2", "Enter")
    assert marked_words(answered)[0] == ("A", "supports", "A **bold** word.")
    assert marked_words(answered)[1] == ("B", "hurts", "A **bold** word.")
    expect(page.locator(".raw")).to_have_count(0)


# Twenty ranges in every text of the page, from a seed; what each is in the raw text; and the form filled with them.
RANDOM = """
async seed => {
  const marks = await import('/static/judging/marks.js'), places = await import('/static/judging/places.js');
  const draw = n => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return seed % n; }, made = [];
  for (const place of ['prompt', 'a', 'b'])
    for (const text of marks.places[place].querySelectorAll('.text[data-message]')) {
      const own = places.leaves(text), n = places.total(own); let tries = 0, found = 0;
      while (n && found < 20 && tries++ < 400) {
        const x = draw(n), y = draw(n), range = places.rangeOf(own, Math.min(x, y), Math.max(x, y) + 1);
        const meant = marks.meant(range, place); if (!meant) continue;
        found += 1; made.push({ ...meant, range: undefined, polarity: draw(2) ? 'supports' : 'hurts' });
      }
    }
  marks.setMarks(made);
  document.querySelector('#judging').dispatchEvent(new Event('input', { bubbles: true }));
  const shown = [...document.querySelectorAll('.mk__text')].map(b => b.textContent);
  return { made, shown };
}
"""


def letters(text: str) -> str:
    return "".join(re.findall(r"[^\W_]+", text))


def test_twenty_random_highlights_in_each_of_515_naughty_strings(
    enter: Any, alice: Any, make_pair: Any, shared_payloads: Path
) -> None:
    """From the screen through the database: what was selected is what is stored, and what is shown again."""
    naughty = [text.replace("\0", "") for text in json.loads((shared_payloads / "blns.json").read_text())]
    assert len(naughty) == 515
    per_pair = 9
    for n in range(0, len(naughty), per_pair):
        strings = naughty[n : n + per_pair]
        pair = make_pair(prompt=f"Which {n}?")
        pair.first.messages = [{"role": "assistant", "content": text} for text in strings[:5]]
        pair.second.messages = [{"role": "assistant", "content": text} for text in strings[5:] or ["rest"]]
        as_read(pair)
    page = enter(alice, JUDGE, bypass_csp=True)
    done, wrong = 0, []
    for number in range(-(-len(naughty) // per_pair)):
        answered = shown(page)
        told = page.evaluate(RANDOM, number + 1)
        made, again = told["made"], told["shown"]
        assert len(made) == len(again)
        page.keyboard.press("2")
        page.keyboard.press("Control+Enter")
        judgement = soon(Judgement.objects.filter(assignment=answered).first)
        pair = judgement.assignment.pair
        a, b = (pair.second, pair.first) if judgement.swapped else (pair.first, pair.second)
        texts = {"prompt": pair.prompt.messages, "a": a.messages, "b": b.messages}
        ids = {"prompt": None, "a": a.pk, "b": b.pk}
        spans = list(Span.objects.filter(rationale__judgement=judgement).order_by("id"))
        assert len(spans) == len(made)
        for sent, span, words in zip(made, spans, again, strict=True):
            done += 1
            raw = texts[sent["place"]][span.message]["content"][span.start : span.end]
            selected = sent["words"]
            same = (ids[sent["place"]], sent["message"], sent["start"], sent["end"], sent["polarity"]) == (
                span.candidate_id, span.message, span.start, span.end, span.polarity
            )  # fmt: skip
            # An entity is shown as its character; everything else is the same letters in the same order.
            exact = "&" in raw or letters(raw) == letters(selected)
            edges = "&" in raw or "\\" in raw or "$" in raw or (raw[0], raw[-1]) == (selected[0], selected[-1])
            shown_again = words == (" ".join(selected.split()) or "(not shown here)") or not selected.isprintable()
            if not (same and exact and edges and shown_again):
                wrong.append((same, exact, edges, shown_again, selected, raw, words))
        if number < len(naughty) // per_pair:
            comes_true(page, "before => document.querySelector('#judging').assignment.value != before", answered)
    assert wrong == []
    # Strings that show nothing (blanks, invisible signs) have nothing to highlight.
    assert done > 500 * 20


# ---- principle by principle ------------------------------------------------------------------------------------------


@pytest.fixture
def guided(project: Any, alice: Any) -> list[int]:
    entries = [Entry(short=name, text=f"Be {name}.") for name in ("correct", "kind", "brief")]
    guideline = guiding.publish_guideline(project=project, text="# Judge\n\nJudge well.", principles=entries)
    guiding.acknowledge(annotator=alice, guideline=guideline)
    Project.objects.update(votes_policy="all")
    return [place.principle_id for place in guideline.places.all()]


def answer_principles(page: Page, keys: str) -> dict[int, str]:
    """Press one key per principle, in the order in which they are asked; returns what was said of each."""
    order = page.evaluate("[...document.querySelectorAll('[data-principle]')].map(r => +r.dataset.principle)")
    page.keyboard.press("m")
    for key in keys:
        page.keyboard.press(key)
    said = {"a": "a", "b": "b", "=": "same", "n": "irrelevant"}
    return {principle: said[key] for principle, key in zip(order, keys, strict=True)}


def test_principles_are_voted_on_by_keyboard_in_their_drawn_order(
    enter: Any, alice: Any, make_pair: Any, guided: list[int]
) -> None:
    for _ in range(9):
        make_pair()
    page = enter(alice, JUDGE)
    orders, firsts = set(), set()
    for keys in ("a=n", "bbb", "nn=", "aab", "=ba", "nnn", "aaa"):
        answered = shown(page)
        waits = page.locator("[data-votes][data-waits]").count() == 1
        firsts.add(waits)
        if waits:
            page.keyboard.press("2")
            chosen = answer_principles(page, keys)
        else:
            page.keyboard.press("2")
            expect(page.locator("[data-line]")).to_contain_text("Principle by principle first")
            assert page.locator("[name=verdict]:checked").count() == 0
            chosen = answer_principles(page, keys)
            page.keyboard.press("2")
        if {"a", "b"} <= set(keys):
            page.keyboard.press("Control+Enter")
            expect(page.locator("[data-line]")).to_contain_text("pull apart")
            page.locator("[name=deciding]").select_option(str(guided[0]))
        page.locator("#note").fill("why")
        press_and_go_on(page, "Control+Enter")
        judgement = stored(answered)
        swapped = Assignment.objects.get(pk=answered).swapped
        as_a, as_b = ("second", "first") if swapped else ("first", "second")
        expected = {p: {"a": as_a, "b": as_b}.get(vote, vote) for p, vote in chosen.items()}
        votes = list(judgement.votes.order_by("position"))
        assert {vote.principle_id: vote.vote for vote in votes} == expected
        assert [vote.principle_id for vote in votes] == list(chosen), "Stored is the order that was seen."
        assert judgement.overall_first is waits
        assert judgement.deciding_principle_id == (guided[0] if {"a", "b"} <= set(keys) else None)
        orders.add(tuple(chosen))
    assert len(orders) > 1
    assert firsts == {True, False}


def test_votes_work_without_javascript(enter: Any, alice: Any, make_pair: Any, guided: list[int]) -> None:
    make_pair()
    make_pair()
    page = enter(alice, JUDGE, java_script_enabled=False)
    answered = shown(page)
    page.locator(f"[name=vote-{guided[1]}][value=b]").check(force=True)
    page.locator("[name=verdict][value=b2]").check(force=True)
    page.locator(".send button").click()
    expect(page.locator("[data-echo-text]")).to_contain_text("Saved: B better")
    vote = stored(answered).votes.get()
    assert (vote.principle_id, vote.vote) == (guided[1], "first" if stored(answered).swapped else "second")


def test_a_changed_guideline_is_shown_with_its_differences_and_cited(
    enter: Any, alice: Any, project: Any, make_pair: Any, guided: list[int]
) -> None:
    text = "# Judge\n\nJudge well.\n\nA loan is paid back: count its rows."
    guiding.publish_guideline(project=project, text=text, change_note="Loans.", principles=[])
    Project.objects.update(votes_policy="off")
    make_pair(prompt="How many rows has a loan?")
    page = enter(alice, JUDGE)
    expect(page.locator("#guideline ins").first).to_contain_text("A loan is paid back")
    page.locator("[data-act=acknowledge]").click()
    expect(page.locator("#guideline")).to_be_hidden()
    page.keyboard.press("g")
    expect(page.locator("[data-acknowledge]")).to_have_text("You have read this version.")
    page.locator("[data-act=cite]").first.click()
    expect(page.locator("#note")).to_have_value("“A loan is paid back: count its rows.” (guideline 2, paragraph 2)\n")
    page.reload()
    expect(page.locator("#guideline")).to_be_hidden()
