"""The judging page is there for everybody: no barrier in any state, theme and width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from annotation import rendering
from annotation.calibrating import Gold, mark_gold
from annotation.guiding import Entry, publish_guideline
from annotation.models import Guideline, Pair
from tests.browser.sitting import JUDGE, as_read, press_and_go_on

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()


SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
SIZES = [(320, 640), (768, 1024), (1440, 900)]
KINDS = [
    "judging",
    "filled",
    "marked",
    "error",
    "done",
    "empty",
    "answers",
    "no answers",
    "editing",
    "guideline",
    "shortcuts",
    "skip",
    "training",
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
        if kind == "marked":
            entries = [Entry(short=name, text="Be so.") for name in ("Correct", "Kind")]
            publish_guideline(project=project, text=guide, principles=entries)
            type(project).objects.update(votes_policy="all")
        page: Page = enter(alice, JUDGE)
        if kind == "marked":
            for key in ("h", "+", "ArrowDown", "-", "Enter"):
                page.keyboard.press(key)
            expect(page.locator("[data-pop]")).to_be_visible()
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
        if kind == "training":
            type(project).objects.update(gold_round=1, gold_pass=1, shows_results=True)
            example = Pair.objects.order_by("-rank")[0]
            given = [Gold(verdict="second", use="example", why="B says why.\n\nA does not.", pair=example.pk)]
            mark_gold(project=project, gold=given)
            page.goto("/p/everyday/training")
            page.locator("summary").click()
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
