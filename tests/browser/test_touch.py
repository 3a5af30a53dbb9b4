"""By fingers: judging, highlighting and ranking on a phone and on a tablet, with real touch events and no mouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Draft, Judgement, Project, Ranking, Reaction, Turn
from tests.browser.sitting import JUDGE, as_read, comes_true, shown, soon, stored
from tests.browser.test_judging_marks import marked_words
from tests.browser.test_pages import faults
from tests.browser.test_ranking_page import RANK, lined_up, order, ready
from tests.browser.test_ranking_page import stored as ranks_stored
from tests.machines import explain, turn_on

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TABLET: dict[str, Any] = {"viewport": {"width": 1180, "height": 820}, "has_touch": True, "is_mobile": True}
# What a mouse would send by itself; after a tap browsers send its like, which tell of the finger.
NO_MOUSE = """for (const kind of ['pointerdown', 'pointermove'])
  addEventListener(kind, e => { if (e.pointerType !== 'touch') window.mice = (window.mice || 0) + 1; }, true);"""


# What stands fixed on the screen is there already.
BRING = """node => {
  for (let one = node; one; one = one.parentElement) if (getComputedStyle(one).position === 'fixed') return;
  node.scrollIntoView({ block: 'center', behavior: 'instant' });
}"""


SELECT = "(node, [start, end]) => getSelection().setBaseAndExtent(node.firstChild, start, node.firstChild, end)"


class Finger:
    """One finger on the glass, in CSS px of the viewport."""

    def __init__(self, page: Page) -> None:
        self._page, self._wire = page, page.context.new_cdp_session(page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        self._wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    @contextmanager
    def down(self, x: float, y: float) -> Iterator[None]:
        self._send("touchStart", (x, y))
        yield
        self._send("touchEnd")

    def stroke(self, start: tuple[float, float], end: tuple[float, float], steps: int = 12) -> None:
        with self.down(*start):
            for n in range(1, steps + 1):
                x, y = (one + (other - one) * n / steps for one, other in zip(start, end, strict=True))
                self._send("touchMove", (x, y))

    def tap(self, selector: str) -> None:
        """Where the thing is seen, after the page was brought there: what covers it gets the tap."""
        place = self._page.locator(selector)
        place.evaluate(BRING)
        box = place.bounding_box()
        assert box, f"{selector} is not there."
        with self.down(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2):
            pass

    def hold(self, selector: str, start: int, end: int) -> None:
        """As a phone's browser does it: the word under a finger that rests is selected, and the finger taken over."""
        box = self._page.locator(selector).bounding_box()
        assert box
        self._send("touchStart", (box["x"] + 20, box["y"] + box["height"] / 2))
        self._page.locator(selector).evaluate(SELECT, [start, end])
        self._send("touchCancel")


@pytest.fixture
def touching(enter: Any, alice: Any) -> Any:
    """A page on a device without a mouse, and a finger on it."""

    def opened(path: str, device: dict[str, Any]) -> tuple[Page, Finger]:
        page = enter(alice, **device)
        page.add_init_script(NO_MOUSE)
        page.goto(path)
        return page, Finger(page)

    return opened


def pairs_of(make_pair: Any, n: int = 4, **texts: str) -> None:
    for k in range(n):
        as_read(make_pair(**{"prompt": f"Question {k}?", "first": "One plain answer.", "second": "Another.", **texts}))


def next_pair(page: Page, before: int) -> None:
    comes_true(page, "before => document.querySelector('#judging').assignment.value != before", before)


@pytest.mark.parametrize("device", [PHONE, TABLET], ids=["phone", "tablet"])
def test_pairs_are_judged_taken_back_flagged_and_skipped_by_taps(
    touching: Any, make_pair: Any, device: dict[str, Any]
) -> None:
    pairs_of(make_pair)
    page, finger = touching(JUDGE, device)
    first = shown(page)
    finger.tap(".seg:has([value=b2])")
    expect(page.locator("[name=verdict][value=b2]")).to_be_checked()
    finger.tap(".chip:has([value=tone])")
    finger.tap("[data-flag]")
    finger.tap("[data-flag-as=harmful]")
    expect(page.locator("[data-flag-label]")).to_have_text("Flagged")
    finger.tap(".send button")
    next_pair(page, first)
    judgement = stored(first)
    assert judgement.flags == ["harmful"]
    assert judgement.rationales.get().tags == ["tone"]
    assert judgement.strength == (2 if judgement.swapped else -2)
    layout = "narrow" if device is PHONE else "medium"
    assert judgement.client == f"page 2 {layout} touch"
    # Taken back, it stands as it was left; then it is skipped with a reason.
    second = shown(page)
    finger.tap("[data-echo-undo]")
    next_pair(page, second)
    assert shown(page) == first
    expect(page.locator("[name=verdict][value=b2]")).to_be_checked()
    finger.tap("[data-menu=menu-skip]")
    finger.tap("[data-skip=language]")
    next_pair(page, first)
    assert stored(first).skip_reason == "language"
    assert not page.evaluate("window.mice || 0")


def test_a_held_word_is_highlighted_and_taken_off_again(touching: Any, make_pair: Any) -> None:
    pairs_of(make_pair, first="alpha beta gamma", second="alpha beta gamma")
    page, finger = touching(JUDGE, PHONE)
    answered = shown(page)
    finger.hold("#body-a p", 0, 5)
    expect(page.locator("[data-pop]")).to_be_visible()
    small = page.evaluate(
        "[...document.querySelectorAll('[data-pop] button:not([hidden]), [data-pop] select')]"
        ".map(n => n.getBoundingClientRect()).filter(r => Math.min(r.width, r.height) < 24).length"
    )
    assert small == 0
    finger.tap("[data-pop] [data-pol=hurts]")
    expect(page.locator(".mk")).to_have_count(1)
    soon(lambda: Draft.objects.filter(body__span__0__polarity="hurts").exists())
    finger.tap("[data-off]")
    expect(page.locator(".mk")).to_have_count(0)
    finger.hold("#body-a p", 6, 10)
    expect(page.locator("[data-pop]")).to_be_visible()
    finger.tap("[data-pop] [data-pol=supports]")
    finger.tap(".seg:has([value=a1])")
    finger.tap(".send button")
    next_pair(page, answered)
    assert marked_words(answered) == [("A", "supports", "beta")]


def test_what_the_handles_select_after_a_scroll_can_be_highlighted(touching: Any, make_pair: Any) -> None:
    """A finger that scrolls is taken over by the browser, and no pointerup comes; nor does one of the handles."""
    pairs_of(make_pair, first="One sentence. " * 200, second="One sentence. " * 180)
    page, finger = touching(JUDGE, PHONE)
    # While the page still glides, the bar goes away with every step of it, and comes again at rest.
    page.evaluate("addEventListener('scrollend', () => window.rested = true)")
    finger.stroke((200, 500), (200, 200))
    comes_true(page, "() => window.rested && scrollY > 100")
    page.locator("#body-a p").first.evaluate(SELECT, [0, 13])
    expect(page.locator("[data-pop]")).to_be_visible()
    page.keyboard.press("+")
    expect(page.locator(".mk__text")).to_have_text("One sentence.")


def test_a_machine_reason_is_answered_and_taken_back_by_taps(touching: Any, make_pair: Any, project: Any) -> None:
    turn_on(project)
    for _ in range(3):
        pair = as_read(make_pair())
        for side in ("first", "second"):
            explain(pair, side)
    page, finger = touching(JUDGE, PHONE)
    before = shown(page)
    finger.tap(".seg:has([value=a2])")
    finger.tap(".chip:has([value=tone])")
    finger.tap(".send button")
    next_pair(page, before)
    expect(page.locator("[data-after-count]")).to_have_text("1")
    finger.tap("[data-after]")
    expect(page.locator("#after blockquote")).to_be_visible()
    finger.tap("#after [value=accepted]")
    expect(page.locator("#after")).to_be_hidden()
    assert soon(Reaction.objects.first).choice == "accepted"
    finger.tap("[data-after]")
    finger.tap("#after [data-last] button")
    expect(page.locator("#after blockquote")).to_be_visible()
    assert not Reaction.objects.exists()
    assert faults(page) == []
    finger.tap("#after [value=rejected]")
    assert soon(Reaction.objects.first).choice == "rejected"
    assert Judgement.objects.current().count() == 1


# ---- ranking ---------------------------------------------------------------------------------------------------------


def grip(page: Page, letter: str) -> tuple[float, float]:
    box = page.locator(f'[data-letter="{letter}"] .place__grip').bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def middle(page: Page, selector: str, at: float = 0.5) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] * at


@pytest.mark.parametrize("device", [PHONE, TABLET], ids=["phone", "tablet"])
def test_letters_are_dragged_by_their_grips(touching: Any, project: Any, device: dict[str, Any]) -> None:
    Project.objects.filter(pk=project.pk).update(task="rankings")
    lined_up(project)
    page, finger = touching(RANK, device)
    ready(page)
    page.locator("[data-lists]").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('[data-lists]').scrollIntoView({ block: 'center', behavior: 'instant' })")
    finger.stroke(grip(page, "c"), middle(page, "[data-ranked-empty]"))
    soon(lambda: order(page) == ["c"])
    finger.stroke(grip(page, "a"), middle(page, '[data-letter="c"]', 0.2))
    soon(lambda: order(page) == ["a", "c"])
    finger.stroke(grip(page, "d"), middle(page, '[data-letter="c"]', 0.8))
    soon(lambda: order(page) == ["a", "c", "d"])
    finger.stroke(grip(page, "a"), middle(page, "[data-unranked]", 0.8))
    soon(lambda: order(page) == ["c", "d"])
    assert not page.evaluate("window.mice || 0")
    soon(lambda: Turn.objects.filter(draft__place__d=2, draft__place__a="").exists())
    # The browser takes a tap that follows a stroke at once for the end of a fling: the rest is done on the page anew.
    page.reload()
    ready(page)
    finger.tap('[data-letter="d"] [data-tie]')
    soon(lambda: order(page) == ["c", "=d"])
    finger.tap(".order__send button")
    expect(page.locator("[data-line]")).to_contain_text("Not ranked: A, B")
    finger.tap(".order__send button")
    assert ranks_stored() == [None, None, 1, 1]
    assert Ranking.objects.get().client.endswith(" touch")


def test_beside_the_grip_a_finger_scrolls_and_moves_nothing(touching: Any, project: Any) -> None:
    Project.objects.filter(pk=project.pk).update(task="rankings")
    lined_up(project, n=8)
    page, finger = touching(RANK, PHONE)
    ready(page)
    page.evaluate("document.querySelector('[data-lists]').scrollIntoView({ block: 'center', behavior: 'instant' })")
    before = page.evaluate("scrollY")
    x, y = middle(page, '[data-letter="d"] .place__words')
    finger.stroke((x, y), (x, y + 200))
    comes_true(page, "before => scrollY < before - 50", before)
    assert order(page) == []
    assert page.locator("[data-dragged]").count() == 0
