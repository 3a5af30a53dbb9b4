"""A real Chromium in front of a real server. Skipped, with a line that says so, where there is no Chromium."""

from __future__ import annotations

import contextlib
import os
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from bench.harness import CHROMIUM, NO_CHROMIUM
from tests.browser.sitting import all_answered

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

# The browser's driver runs an event loop in this thread; the tests use the database beside it, never inside it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

# Nothing is timed here: a busy machine may take its time.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)

Enter = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM:
        return
    skip = pytest.mark.skip(reason=f"Browser tests are skipped. {NO_CHROMIUM}")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the pages of this test complained of: script errors, and everything that the content policy refused."""
    return []


def _refusal(line: str, complaints: list[str]) -> None:
    if "Content Security Policy" in line:
        complaints.append(line)


@pytest.fixture
def enter(chromium: Browser, live_server: Any, settings: Any, sign_in: Any, complaints: list[str]) -> Iterator[Enter]:
    """Open a page as a member: `enter(alice, "/p/everyday/judge")`. Any further option goes to the browser context."""
    contexts = []

    def open_page(who: Any, path: str | None = None, *, watched: bool = True, **options: Any) -> Page:
        options = {"viewport": {"width": 1440, "height": 900}, **options}
        context = chromium.new_context(base_url=live_server.url, **options)
        contexts.append(context)
        if who is not None:
            key = sign_in(who).session.session_key
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
        page: Page = context.new_page()
        page.set_default_timeout(PATIENCE)
        if watched:
            page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
            page.on("console", lambda line: _refusal(line.text, complaints))
        if path is not None:
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            # A context whose page is about to open the next one by itself is sometimes never closed by Chromium.
            with contextlib.suppress(Error):
                page.goto("about:blank")
        context.close()
    all_answered(live_server.url)
    assert complaints == []


@pytest.fixture
def crowd(project: Any) -> list[Any]:
    """Four people."""
    from annotation.models import Annotator

    return [Annotator.objects.create(project=project, name=f"Person {n}", external_id=f"a{n}") for n in range(4)]


@pytest.fixture
def thirty(project: Any, alice: Any, bob: Any, adjudicator: Any, make_pair: Any) -> list[Any]:
    """Thirty pairs that three people judged, ten of them with one dissent."""
    from annotation.models import Assignment, Judgement

    pairs = [make_pair(slots=0, external_id=f"p{n}") for n in range(30)]
    for n, pair in enumerate(pairs):
        for place, who in enumerate((alice, bob, adjudicator)):
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()
            )
            strength = -2 if n < 10 and place == 2 else 2
            Judgement.objects.create(
                assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
            )
    return pairs


@pytest.fixture
def judged(project: Any, make_pair: Any, crowd: list[Any]) -> list[Any]:
    """Thirty pairs with judgements, votes and a difficulty; their facts are gathered."""
    from annotation.models import Assignment, Judgement, Principle, PrincipleVote, Run
    from curation import gathering
    from curation.models import Measurement

    draw = random.Random(1)
    pairs = [make_pair(external_id=f"p-{n}", source="s", slots=0) for n in range(30)]
    principle = [Principle.objects.create(project=project, key=k, short=k, text=".") for k in "ab"]
    run = Run.objects.create(
        project=project, kind="measurement", state="done", finished_at=timezone.now(), code_version="t",
        parameters={"measure": "difficulty", "model": "tiny"},
    )  # fmt: skip
    for n, pair in enumerate(pairs):
        for who in crowd[: n % 5]:
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()
            )
            strength = draw.choice([-2, -1, 1, 2, 3])
            Judgement.objects.create(
                assignment=seat, annotator=who, key=uuid.uuid4(), verdict="prefer", strength=strength, swapped=False
            )
        for each in principle:
            vote = draw.choice(["first", "second"])
            PrincipleVote.objects.create(pair=pair, annotator=crowd[0], principle=each, vote=vote)
        if n % 6:
            Measurement.objects.create(run=run, metric="held_out_loss", pair=pair, value=n / 30)
    gathering.gather_facts(project=project)
    return pairs
