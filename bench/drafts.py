"""No word is lost: tabs killed while somebody types, connections and sessions that end, in a real Chromium.

    python -m bench.drafts [--quick] [--rounds N] [--seed N]

N rounds of killing the tab at a random moment while typing; two in five as many of going offline and back, and of a
session that ends and a sign-in again. The web server is the real one. A character that was typed more than a second
before the tab was killed must be there when the page is opened again; an answer given offline must be stored once; a
draft must outlive its session. Prints one JSON line; the figure is what was lost, of which 0 is promised.

The rounds are drawn from the seed. How far the typing was when the tab died is told by the clock, which no seed rules.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.harness import CHROMIUM, NO_CHROMIUM, busy_seconds, report, set_up, throw_away_database
from bench.next_and_submit import SLUG, fill
from bench.serving import web_server

PASSWORD = "a-long-quiet-password-73"
# Older than this must be kept.
SECOND = 1.0
PATIENCE = 60.0


@dataclass
class Kept:
    """What came of some rounds: letters typed, letters older than a second that were lost, and younger ones."""

    rounds: int = 0
    typed: int = 0
    lost: int = 0
    lost_young: int = 0


def until(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true value of `what`; raises AssertionError when there is none for long."""
    end = time.monotonic() + patience
    while not (value := what()):
        if time.monotonic() > end:
            raise AssertionError("It did not come to pass.")
        time.sleep(0.05)
    return value


def _until_it_reads(page: Any, field: str, text: str) -> None:
    until(lambda: page.locator(field).input_value() == text)


def _until_it_reads_not(page: Any, field: str, text: str) -> None:
    until(lambda: page.locator(field).input_value() != text)


def common(one: str, other: str) -> int:
    """How many letters from the beginning two texts share."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def kill_tabs(context: Any, path: str, *, rounds: int, rng: np.random.Generator) -> Kept:
    """Type into one draft; kill the renderer at a random moment; open the page again and see what is there."""
    kept, text = Kept(rounds=rounds), ""
    for number in range(rounds):
        page = context.new_page()
        page.goto(path)
        _until_it_reads(page, "#note", text)
        page.locator("#note").focus()
        page.keyboard.press("Control+End")
        stamps: list[tuple[float, str]] = []
        for letter in f" round {number} {rng.integers(10**6)} and a few words more"[: int(rng.integers(12, 45))]:
            page.keyboard.press("Space" if letter == " " else letter)
            text += letter
            stamps.append((time.monotonic(), text))
            page.wait_for_timeout(float(rng.uniform(1, 60)))
        killed = time.monotonic()
        with contextlib.suppress(Exception):  # It dies while it answers.
            page.goto("chrome://crash", timeout=5000)
        page.close()
        page = context.new_page()
        page.goto(path)
        found = page.locator("#note").input_value()
        older = next((said for at, said in reversed(stamps) if at < killed - SECOND), "")
        kept.typed += len(stamps)
        kept.lost += max(0, len(older) - common(found, text))
        kept.lost_young += len(text) - max(len(older), common(found, text))
        page.close()
        text = found
    return kept


def cut(page: Any) -> None:
    """Take the connection away. Chromium says that it has a moment before the page hears of it."""
    page.context.set_offline(True)
    until(lambda: page.evaluate("fetch('/', { method: 'HEAD' }).then(() => false, () => !navigator.onLine)"))


def go_offline(page: Any, *, rounds: int, rng: np.random.Generator) -> Kept:
    """Answer without a connection, with and without a draft that was stored before; get it back; count what is stored.

    `lost` counts letters of reasons that are not stored, and those that are stored twice.
    """
    from annotation.models import Judgement, Rationale

    kept, said = Kept(rounds=rounds), {}
    before = Judgement.objects.count()
    for number in range(rounds):
        answered, words = int(page.locator("#judging [name=assignment]").input_value()), f"Offline {number}"
        cut(page)
        page.locator("#note").fill(words)
        if rng.random() < 0.5:
            page.context.set_offline(False)
            until(lambda: page.locator("[data-save]").get_attribute("data-kind") == "saved")
            cut(page)
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        _until_it_reads_not(page, "#judging [name=assignment]", str(answered))
        said[answered] = words
        assert not Judgement.objects.filter(assignment=answered).exists(), "Nothing is stored without a connection."
        page.context.set_offline(False)
        until(Judgement.objects.filter(assignment=answered).exists)
        until(lambda: page.locator("[data-save]").get_attribute("data-kind") != "offline")
    found = dict(Rationale.objects.filter(judgement__assignment__in=said).values_list("judgement__assignment", "text"))
    kept.typed = sum(map(len, said.values()))
    kept.lost = sum(len(words) for answered, words in said.items() if found.get(answered) != words)
    kept.lost += sum(map(len, said.values())) * (Judgement.objects.count() - before != rounds)
    return kept


def expire(page: Any, path: str, *, email: str, rounds: int) -> Kept:
    """End every session while a draft is open; write on; sign in again from the page; the draft is there and stored."""
    from django.contrib.sessions.models import Session

    from annotation.models import Draft

    kept, text = Kept(rounds=rounds), ""
    for number in range(rounds):
        Session.objects.all().delete()
        page.locator("#note").focus()
        page.keyboard.press("Control+End")
        page.keyboard.type(f"Word {number}. ")
        text += f"Word {number}. "
        until(lambda: page.locator("[data-echo-link]").is_visible())
        page.locator("[data-echo-link]").click()
        page.locator("[name=login]").fill(email)
        page.locator("[type=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: url.endswith(path) and "?" not in url)
        until(lambda: page.locator("#judging").is_visible())
        kept.typed = len(text)
        kept.lost += len(text) - common(page.locator("#note").input_value(), text)
        until(Draft.objects.filter(body__note=text).exists)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description="Drafts survive: killed tabs, lost connections, ended sessions.")
    parser.add_argument("--quick", action="store_true", help="2 rounds, 1 and 1; ends within 30 s")
    parser.add_argument("--rounds", type=int, default=0, help="of killing the tab; default: 50")
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 50)
    others = max(1, rounds * 2 // 5)
    if CHROMIUM is None:
        print(NO_CHROMIUM)
        return 1
    set_up()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from playwright.sync_api import sync_playwright

    from annotation import typesetting
    from annotation.models import Project, User
    from config import embedded

    path, rng = f"/p/{SLUG}/judge", np.random.default_rng(options.seed)
    start, busy = time.perf_counter(), busy_seconds()
    with throw_away_database() as database:
        people = fill(pairs=4 * others + 20, people=3)
        typesetting.typeset(project=Project.objects.get(slug=SLUG))
        last = User.objects.get(pk=people[2][0])
        last.set_password(PASSWORD)
        last.save()
        with (
            web_server(database=database, workers=1, log=embedded.var_folder() / "bench-drafts.log") as (port, _),
            sync_playwright() as driver,
        ):
            address = f"http://127.0.0.1:{port}"
            chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

            def as_(who: int) -> Any:
                context = chromium.new_context(base_url=address, viewport={"width": 1440, "height": 900})
                context.set_default_timeout(PATIENCE * 1000)
                context.add_cookies([{"name": "plumbline", "value": people[who][1], "url": address}])
                return context

            killed = kill_tabs(as_(0), path, rounds=rounds, rng=rng)
            print(f"Killed tabs: {killed}", file=sys.stderr)
            page = as_(1).new_page()
            page.goto(path)
            offline = go_offline(page, rounds=others, rng=rng)
            print(f"Offline: {offline}", file=sys.stderr)
            page = as_(2).new_page()
            page.goto("/accounts/login/?next=" + path)
            page.locator("[name=login]").fill(last.email)
            page.locator("[type=password]").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: url.endswith(path) and "?" not in url)
            ended = expire(page, path, email=last.email, rounds=others)
            chromium.close()
    lost = killed.lost + offline.lost + ended.lost
    report(
        name="drafts",
        figure=lost,
        unit="characters lost that were older than a second, or had been answered or drafted",
        compared_with="none, as promised",
        ratio=None,
        seed=options.seed,
        killed_tabs=asdict(killed),
        offline=asdict(offline),
        sessions=asdict(ended),
        seconds=round(time.perf_counter() - start, 1),
        # The whole machine's, of all its cores: how much else was going on.
        machine_busy=round((busy_seconds() - busy) / (time.perf_counter() - start) / (os.cpu_count() or 1), 2),
    )
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
