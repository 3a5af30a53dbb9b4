"""Machine reasons after the lock, in the browser: by keyboard alone, never in the way, nothing before the answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import offering
from annotation.models import Judgement, Offer, Rationale, Reaction
from tests.browser.sitting import (
    JUDGE,
    as_read,
    comes_true,
    go_offline,
    intercept,
    kept_words,
    press_and_go_on,
    shown,
    sign_out,
    soon,
)
from tests.browser.test_pages import faults
from tests.machines import explain, turn_on

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NO_MOUSE = (
    "for (const kind of ['mousedown', 'pointerdown', 'mousemove', 'wheel', 'touchstart'])"
    " addEventListener(kind, () => mouseSeen(kind), true);"
)


def with_reasons(make_pair: Any, n: int = 6, each: int = 1) -> list[Any]:
    """Pairs for both sides of which machines have written."""
    pairs = [as_read(make_pair(first=f"The first says {k}.", second=f"The second says {k}.")) for k in range(n)]
    for pair in pairs:
        for side in ("first", "second"):
            for k in range(each):
                explain(pair, side, f"canary-text {k}: it is short, and it answers what was asked.")
    return pairs


def answer(page: Any, key: str = "2") -> int:
    """Choose, send without a reason, and be at the next pair. Returns the assignment."""
    before = shown(page)
    page.keyboard.press(key)
    press_and_go_on(page, "t", "Space", "Enter")
    return before


def still(left: int) -> re.Pattern[str]:
    """What stands above a reason: how many wait, where it is not the last."""
    return re.compile(rf"You said: .+· {left} wait$" if left > 1 else r"You said: [^·]+$")


def waits(page: Any, n: int) -> None:
    expect(page.locator("[data-after-count]")).to_have_text(str(n) if n else "")


def test_accept_one_edit_one_reject_one_by_keyboard_alone(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    turn_on(project)
    with_reasons(make_pair)
    page = enter(alice)
    mouse: list[str] = []
    page.context.expose_function("mouseSeen", lambda kind: mouse.append(kind))
    page.add_init_script(NO_MOUSE)
    page.goto(JUDGE)

    answered = answer(page)
    waits(page, 1)
    expect(page.locator("[data-after-live]")).to_have_text("1 machine reason to look at")
    # Nothing stands in the way: the next pair is there, and can be judged at once.
    assert not page.locator("#after").is_visible()
    judging_now = shown(page)
    assert judging_now != answered
    page.keyboard.press("o")
    dialog = page.locator("#after")
    expect(dialog.locator("blockquote")).to_contain_text("canary-text")
    expect(dialog).to_contain_text("Written by a machine")
    # The focus favours none of the three.
    assert page.evaluate("document.activeElement.id") == "after-head"
    page.keyboard.press("1")
    expect(dialog).to_be_hidden()
    waits(page, 0)
    assert shown(page) == judging_now
    assert page.evaluate("document.activeElement.id") == "item-heading"
    assert soon(Reaction.objects.first).choice == "accepted"

    answer(page, "6")
    waits(page, 1)
    page.keyboard.press("o")
    expect(dialog.locator("blockquote")).to_be_visible()
    page.keyboard.press("2")
    text = dialog.locator("textarea")
    expect(text).to_be_focused()
    # In the text the keys are letters.
    page.keyboard.type(" And it is kind, 1 2 3 o.")
    page.keyboard.press("Control+Enter")
    expect(dialog).to_be_hidden()
    made = soon(lambda: Rationale.objects.filter(source="edited").first())
    assert made.text.endswith("what was asked. And it is kind, 1 2 3 o.")
    assert made.edit_distance == 25

    answer(page, "3")
    waits(page, 1)
    page.keyboard.press("o")
    expect(dialog.locator("blockquote")).to_be_visible()
    page.keyboard.press("3")
    expect(dialog).to_be_hidden()
    assert soon(lambda: Reaction.objects.count() == 3)
    assert list(Reaction.objects.order_by("pk").values_list("choice", flat=True)) == ["accepted", "edited", "rejected"]
    assert all(one.active_ms is not None for one in Reaction.objects.all())
    # The keys of the dialog have answered no pair.
    assert Judgement.objects.count() == 3
    assert page.locator("[name=verdict]:checked").count() == 0
    assert mouse == []


def test_what_was_made_of_a_reason_is_taken_back_by_keyboard(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair)
    page = enter(alice, JUDGE)
    answer(page)
    waits(page, 1)
    dialog, text = page.locator("#after"), page.locator("#after textarea")
    page.keyboard.press("o")
    expect(dialog.locator("blockquote")).to_be_visible()
    page.keyboard.press("2")
    expect(text).to_be_focused()
    page.keyboard.type(" And u.")
    page.keyboard.press("Control+Enter")
    expect(dialog).to_be_hidden()
    assert soon(Reaction.objects.first).choice == "edited"
    # Opened again, with nothing that waits: the last one is named, and U takes it back.
    page.keyboard.press("o")
    expect(dialog.locator("[data-last]")).to_contain_text("The last one: your version")
    assert faults(page) == []
    page.keyboard.press("u")
    expect(text).to_have_value(re.compile(r"And u\.$"))
    expect(page.locator("[data-after-said]")).to_contain_text("Taken back")
    waits(page, 1)
    assert not Reaction.objects.exists()
    assert not Rationale.objects.filter(source="edited").exists()
    assert page.evaluate("document.activeElement.id") == "after-head"
    page.keyboard.press("3")
    expect(dialog).to_be_hidden()
    assert soon(Reaction.objects.first).choice == "rejected"
    # The judgement itself was never touched.
    assert Judgement.objects.current().count() == Judgement.objects.count() == 1


def test_who_asks_right_after_the_answer_gets_its_reason(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    """The draw is asked for a moment after the answer; who comes before it does not hear that there is none."""
    turn_on(project)
    with_reasons(make_pair)
    page = enter(alice)
    page.clock.install()
    page.goto(JUDGE)
    before = shown(page)
    for key in ("2", "t", "Space", "Enter"):
        page.keyboard.press(key)
    comes_true(page, "before => document.querySelector('#judging').assignment.value != before", before)
    # The page's clock stands still: the quarter of a second never passes.
    page.clock.pause_at(page.evaluate("Date.now()") + 1)
    page.keyboard.press("o")
    expect(page.locator("#after blockquote")).to_be_visible()
    assert Offer.objects.count() == 1


def test_several_are_ticked_by_keyboard(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    with_reasons(make_pair, each=3)
    page = enter(alice, JUDGE)
    answer(page)
    waits(page, 1)
    page.keyboard.press("o")
    boxes = page.locator("#after [name=tick]")
    expect(boxes).to_have_count(3)
    for key in ("3", "1", "2", "2"):
        page.keyboard.press(key)
    assert [boxes.nth(place).is_checked() for place in range(3)] == [True, False, True]
    page.keyboard.press("Control+Enter")
    expect(page.locator("#after")).to_be_hidden()
    offer = Offer.objects.get()
    said = dict(Reaction.objects.values_list("rationale_id", "choice"))
    assert [said[one] for one in offer.rationales] == ["ticked", "left", "ticked"]


def half_an_edit(page: Any) -> None:
    """A reason stands open, and words are in its field that nobody was sent."""
    answer(page)
    waits(page, 1)
    page.keyboard.press("o")
    expect(page.locator("#after blockquote")).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator("#after textarea")).to_be_focused()
    page.keyboard.type(" Half an edit.")


def test_an_edit_that_was_not_sent_is_told_of_and_does_not_outlive_the_sign_out(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair)
    page = enter(alice, JUDGE)
    half_an_edit(page)
    page.keyboard.press("Escape")
    assert kept_words(page, "Half an edit.")
    sign_out(page)
    told = "1 draft is not saved and goes when you sign out. Sign out again to leave anyway."
    expect(page.locator("[data-echo-text]")).to_have_text(told)
    sign_out(page)
    page.wait_for_url("**/accounts/login/")
    assert not kept_words(page, "Half an edit.")


def test_what_was_made_of_a_reason_is_sent_before_one_is_signed_out(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair)
    page = enter(alice, JUDGE)
    half_an_edit(page)
    intercept(page, "**/judge/reasons", lambda route: route.fulfill(status=503, body=""))
    page.keyboard.press("Control+Enter")
    expect(page.locator("#after")).to_be_hidden()
    sign_out(page)
    told = "1 answer is not sent yet. Sign out again to leave anyway."
    expect(page.locator("[data-echo-text]")).to_have_text(told)
    page.unroute("**/judge/reasons")
    sign_out(page)
    page.wait_for_url("**/accounts/login/")
    assert Rationale.objects.get(source="edited").text.endswith("Half an edit.")
    assert not kept_words(page, "Half an edit.")


def test_who_does_not_look_judges_on_and_finds_them_later(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    turn_on(project)
    pairs = with_reasons(make_pair, 3)
    page = enter(alice, JUDGE)
    order = []
    for n in range(2):
        order.append(answer(page))
        waits(page, n + 1)
    assert not Offer.objects.filter(shown_at__isnull=False).exists()
    page.keyboard.press("o")
    expect(page.locator("#after blockquote")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#after")).to_be_hidden()
    page.keyboard.press("2")
    page.keyboard.press("t")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    # The last pair: the page that has nothing to judge still leads to them, and they come one after the other.
    page.wait_for_load_state()
    link = page.locator(".topbar [data-after]")
    expect(page.locator("h1")).to_contain_text("You have judged every pair")
    expect(link.locator("[data-after-count]")).to_have_text("3")
    link.click()
    for left in (3, 2, 1):
        expect(page.locator(".after__said")).to_have_text(still(left))
        page.get_by_role("button", name="Accept").click()
    expect(page.locator(".after__none")).to_contain_text("No machine reasons wait")
    assert Reaction.objects.filter(choice="accepted").count() == 3
    assert len(pairs) == 3


def test_a_control_gets_none_and_no_byte_of_it(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    """Twelve answers, some of them controls: in the replies is what was offered, opened, and nothing else."""
    turn_on(project, control_share=0.5)
    pairs = [as_read(make_pair(first=f"first {k}", second=f"second {k}")) for k in range(15)]
    for pair in pairs:
        for side in ("first", "second"):
            explain(pair, side, f"canary-{pair.pk}-{side}")
    arms = {
        pair.pk: offering.place_of(seed=project.seed, annotator_id=alice.pk, pair_id=pair.pk) < 0.5 for pair in pairs
    }
    seen: list[bytes] = []
    page = enter(alice)

    def hear(reply: Any) -> None:
        # A kept draft is answered without a body, and there is none to ask for.
        body = b"" if reply.status == 204 else reply.body()
        seen.append(f"{reply.url} {json.dumps(reply.all_headers())}".encode() + body)

    page.on("response", hear)
    page.goto(JUDGE)
    for n in range(12):
        answer(page)
        soon(lambda n=n: Offer.objects.count() == n + 1)  # type: ignore[misc]
    offered = [one.pair_id for one in Offer.objects.filter(is_control=False)]
    controls = [one.pair_id for one in Offer.objects.filter(is_control=True)]
    assert {pair: pair in controls for pair in (*offered, *controls)} == {
        pair: arms[pair] for pair in (*offered, *controls)
    }
    assert offered
    assert controls
    waits(page, len(offered))
    page.wait_for_load_state("networkidle")
    # Until one is opened, not a byte of any has come; and nothing tells the arms.
    told = b"".join(seen)
    for secret in (b"is_control", b"control_share", b'"control"'):
        assert secret not in told
    assert b"canary" not in told
    page.keyboard.press("o")
    for left in range(len(offered), 0, -1):
        expect(page.locator("#after .after__said")).to_have_text(still(left))
        page.keyboard.press("3")
    expect(page.locator("#after")).to_be_hidden()
    page.wait_for_load_state("networkidle")
    told = b"".join(seen)
    for pair_id in offered:
        assert f"canary-{pair_id}-".encode() in told
    for pair_id in controls:
        assert f"canary-{pair_id}-".encode() not in told
    for secret in (b"canary-model", b"canary-judge", b"general-"):
        assert secret not in told
    assert not Reaction.objects.filter(offer__is_control=True).exists()


def test_an_edit_survives_closing_a_reload_and_a_lost_connection(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair, 8)
    page = enter(alice, JUDGE)
    answer(page)
    waits(page, 1)
    page.keyboard.press("o")
    text = page.locator("#after textarea")
    page.locator("#after blockquote").wait_for()
    page.keyboard.press("2")
    page.keyboard.press("Control+a")
    page.keyboard.type("Half a sen")
    page.keyboard.press("Escape")
    expect(page.locator("#after")).to_be_hidden()
    page.reload()
    page.keyboard.press("o")
    expect(text).to_have_value("Half a sen")
    text.focus()
    page.keyboard.press("End")
    page.keyboard.type("tence.")
    go_offline(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#after")).to_be_hidden()
    expect(page.locator("[data-live]")).to_contain_text("Kept here")
    assert not Reaction.objects.exists()
    page.context.set_offline(False)
    assert soon(Reaction.objects.first).choice == "edited"
    assert Rationale.objects.get(source="edited").text == "Half a sentence."
    waits(page, 0)


def test_answers_kept_without_connection_are_drawn_when_they_arrive(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair, 8)
    page = enter(alice, JUDGE)
    go_offline(page)
    for _ in range(2):
        answer(page)
    waits(page, 0)
    page.keyboard.press("o")
    expect(page.locator("#after")).to_contain_text("No connection. The reasons wait for you")
    page.keyboard.press("Escape")
    assert not Offer.objects.exists()
    page.context.set_offline(False)
    waits(page, 2)
    assert Judgement.objects.count() == 2


def test_an_expired_session_keeps_the_choice_and_sends_it_after_signing_in(
    enter: Any, alice: Any, project: Any, make_pair: Any, sign_in: Any, settings: Any, live_server: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair, 8)
    page = enter(alice, JUDGE)
    answer(page)
    waits(page, 1)
    page.keyboard.press("o")
    page.locator("#after blockquote").wait_for()
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.keyboard.press("3")
    expect(page.locator("#after")).to_be_hidden()
    expect(page.locator("[data-echo-text]")).to_contain_text("You are signed out")
    assert not Reaction.objects.exists()
    key = sign_in(alice).session.session_key
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    page.goto(JUDGE)
    assert soon(Reaction.objects.first).choice == "rejected"
    waits(page, 0)


def test_time_on_a_reason_is_not_counted_for_the_pair_behind_it(
    enter: Any, alice: Any, project: Any, make_pair: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair, 8)
    page = enter(alice)
    page.clock.install()
    page.goto(JUDGE)
    before = shown(page)
    for key in ("2", "t", "Space", "Enter"):
        page.keyboard.press(key)
    comes_true(page, "before => document.querySelector('#judging').assignment.value != before", before)
    page.clock.run_for(1000)
    waits(page, 1)
    behind = shown(page)
    page.keyboard.press("o")
    page.locator("#after blockquote").wait_for()
    page.clock.run_for(30_000)
    page.keyboard.press("1")
    expect(page.locator("#after")).to_be_hidden()
    assert soon(Reaction.objects.first).active_ms >= 30_000
    for key in ("2", "t", "Space", "Enter"):
        page.keyboard.press(key)
    comes_true(page, "before => document.querySelector('#judging').assignment.value != before", behind)
    # A second before the reason was opened, and what the keys take; never the half minute.
    active_ms = Judgement.objects.get(assignment=behind).active_ms
    assert active_ms is not None
    assert active_ms < 15_000


@pytest.mark.parametrize("way", ["one", "several"])
@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1440, 900, "light"), (768, 1024, "dark"), (320, 640, "dark"), (320, 640, "light")]
)
def test_it_is_sound_at_every_width(
    enter: Any, alice: Any, project: Any, make_pair: Any, way: str, width: int, height: int, scheme: str
) -> None:
    turn_on(project, way)
    pairs = with_reasons(make_pair, 4, each=1 if way == "one" else 4)
    long = "Because " + "and so on and on " * 120 + "x" * 300
    Rationale.objects.filter(pair__in=pairs[:2]).update(text=long)
    page = enter(alice, JUDGE, viewport={"width": width, "height": height}, color_scheme=scheme)
    for _ in range(2):
        answer(page)
    waits(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults(page) == []
    page.keyboard.press("o")
    page.locator("#after .after__said").wait_for()
    if way == "one":
        page.keyboard.press("2")
        # As near, and as large: one row of three.
        sizes = [one.bounding_box() for one in page.locator(".after__acts .btn").all()]
        assert len({(round(one["y"]), round(one["width"]), round(one["height"])) for one in sizes if one}) == 1
    page.locator("#after summary").click()
    assert page.evaluate("(d => d.scrollWidth - d.clientWidth)(document.querySelector('.after__body'))") <= 0
    assert faults(page) == []
    for control in page.locator("#after button:visible, #after input:visible, #after summary").all():
        box = control.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 19.5 or control.get_attribute("type") == "checkbox"
    page.goto(f"{JUDGE}/reasons")
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults(page) == []


def test_the_three_choices_fit_a_phone_in_every_language(
    enter: Any, alice: Any, project: Any, make_pair: Any, settings: Any
) -> None:
    turn_on(project)
    with_reasons(make_pair, 2 * len(settings.LANGUAGES))
    for language, _ in settings.LANGUAGES:
        page = enter(alice, JUDGE, viewport={"width": 320, "height": 640}, locale=language)
        answer(page)
        page.keyboard.press("o")
        page.locator("#after .after__acts").wait_for()
        too_long = page.evaluate(
            "[...document.querySelectorAll('.after__acts .btn')].filter(b => b.scrollWidth > b.clientWidth).length"
        )
        assert too_long == 0, language
        page.keyboard.press("3")
        expect(page.locator("#after")).to_be_hidden()
        page.context.close()
