"""The judging page is blind, and unharmed by what it shows."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Error, Page, expect

from annotation.models import Judgement, Offer, Rationale
from tests.browser.sitting import JUDGE, as_read, press_and_go_on, soon
from tests.machines import explain, turn_on

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
    # Machine reasons are on, for four answers in five; they wait behind a button that nobody presses here.
    turn_on(project, control_share=0.2)
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
        for side in ("first", "second"):
            explain(pair, side, "canary-machine", template="canary-template-1")
    seen: list[bytes] = []
    page = enter(alice)
    page.on("response", lambda r: seen.append(f"{r.url} {json.dumps(r.all_headers())}".encode() + r.body()))
    page.goto(JUDGE)
    for _ in range(6):
        press_and_go_on(page, "t", "Space", "2", "Enter")
    soon(lambda: Offer.objects.exists())
    page.keyboard.press("u")
    expect(page.locator("[name=verdict]:checked")).to_have_count(1)
    page.goto("/p/everyday/answers")
    page.locator(".row a").first.click()
    page.wait_for_load_state("networkidle")
    told = b"".join(seen)
    assert len(seen) > 12
    assert b"What is 1 plus 1?" in told
    assert Offer.objects.filter(is_control=False, shown_at=None).exists()
    for secret in (b"canary", b"is_control", b"control_share", b"swapped", b"gold", b"bob@", b"first_id", b'"first"'):
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
