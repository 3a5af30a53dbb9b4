"""Somebody sits in front of the judging page: what the browser tests of it share."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from annotation import guiding, rendering
from annotation.models import Annotator, Draft, Judgement, Pair, Project

JUDGE = "/p/everyday/judge"
# A script for a browser that keeps nothing: a private window, or no room left.
KEEPS_NOTHING = "Storage.prototype.setItem = () => { throw new Error('full'); };"
TOWARDS_A = {"1": 3, "2": 2, "3": 1, "4": 0, "5": -1, "6": -2, "7": -3, "0": None}


def soon(what: Callable[[], Any]) -> Any:
    """The first true value of `what`; fails when there is none for long."""
    for _ in range(600):
        if value := what():
            return value
        time.sleep(0.05)
    raise AssertionError("It did not come to pass.")


def comes_true(page: Page, script: str, *args: object) -> None:
    """Wait for a page's own condition. Asked from outside: the content policy lets no page evaluate a text itself."""
    soon(lambda: page.evaluate(script, *args))


def intercept(page: Page, pattern: str, answer: Callable[[Route], Any], **more: Any) -> None:
    """Route what an open page asks for at `pattern`, from its very next request on.

    Chromium says that it intercepts a moment before the page hears of it, and on a busy machine a request slips past in
    between: so the page asks for something that only a route answers, until that is what it gets.
    """
    page.route("**/is-it-routed", lambda route: route.fulfill(status=204))
    page.route(pattern, answer, **more)
    comes_true(page, "fetch('/is-it-routed').then(reply => reply.status === 204)")
    page.unroute("**/is-it-routed")


def go_offline(page: Page) -> None:
    """Take the page's connection away, and wait until it has heard that too."""
    page.context.set_offline(True)
    comes_true(page, "fetch('/is-it-online', { method: 'HEAD' }).then(() => false, () => !navigator.onLine)")


def answering() -> list[threading.Thread]:
    """The threads of the live server that hold a connection, each perhaps in the middle of an answer."""
    return [one for one in threading.enumerate() if one.name.endswith("(process_request_thread)")]


def all_answered(url: str) -> None:
    """Wait until the server at `url` has nothing more to do for browsers that have gone.

    One that outlives its test holds locks that emptying the tables then waits for, and writes into the next test.
    Connections are taken in the order they came, so once one more is answered none from before is still unseen.
    """
    one_more = http.client.HTTPConnection(url.removeprefix("http://"))
    one_more.request("HEAD", "/static/")
    one_more.getresponse()
    one_more.close()
    soon(lambda: not answering())


def has_read(who: Annotator) -> None:
    """The guideline in force is known to `who`: it does not stand in front of their page."""
    guideline = Project.objects.get(pk=who.project_id).guideline
    assert guideline is not None
    guiding.acknowledge(annotator=who, guideline=guideline)


def shown(page: Page) -> int:
    return int(page.locator("#judging [name=assignment]").input_value())


def press_and_go_on(page: Page, *keys: str) -> None:
    """Press keys, the last of which submits, and wait until the next pair stands there."""
    before = shown(page)
    for key in keys:
        page.keyboard.press(key)
    comes_true(page, "before => document.querySelector('#judging').assignment.value != before", before)


def answer_and_go_on(page: Page, key: str = "2") -> None:
    """An answer with a tag for its reason, by keyboard."""
    press_and_go_on(page, "t", "Space", key, "Enter")


def written(page: Page, words: str) -> Page:
    """Words in the reason's field, called saved, and in the database."""
    page.locator("#note").fill(words)
    expect(page.locator("[data-save-text]")).to_have_text("Saved")
    assert Draft.objects.filter(body__note=words).exists()
    return page


def text_kept(page: Page) -> str:
    """What the page offers under "Show the text"."""
    page.locator("[data-echo-kept]").click()
    return page.locator("#kept textarea").input_value()


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


def sign_out(page: Any) -> None:
    page.locator("[popovertarget=menu-account]").click()
    page.locator("[data-sign-out] button").click()


def kept_words(page: Any, words: str) -> bool:
    """Whether this browser keeps them, under whatever name."""
    found: bool = page.evaluate("words => Object.values(localStorage).some(text => text.includes(words))", words)
    return found
