"""How quick the judging page is under an annotator's hands: a real Chromium, the real web server, twenty colleagues.

    python -m bench.page [--quick] [--items N]

One browser judges N pairs by keyboard while twenty simulated annotators submit over HTTP, each with a second or two of
thought in between. Measured in the page, from the key's own time stamp to the frame after the change was painted:
submit to next pair, key to visible change, and the layout's shift. The bytes are those of the page's scripts and style
sheets, gzip, without mathematics. Prints one JSON line; the ratio is of submit-to-next to its limit of 60 ms.

Then the same once the project asks for everything: in `asking_all` annotators vote on three principles for every pair,
and a twentieth of what they are handed is gold. The limits are the same; `votes` and `gold` say how many were stored.

`beyond` names every limit that was passed. `cpu` says what the parts used while the pairs were judged, in seconds, and
`foreign` which share of the machine something else took: above a tenth the times tell of that, not of the page.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import threading
import time
import urllib.parse
import uuid
from typing import Any

from bench.harness import (
    CHROMIUM,
    NO_CHROMIUM,
    busy_seconds,
    cpu_seconds,
    family,
    percentiles,
    report,
    set_up,
    throw_away_database,
)
from bench.next_and_submit import CSRF, ROOT, SLUG, fill, postmaster
from bench.serving import web_server

OTHERS = 20
PRINCIPLES = ("Correct", "Kind", "Short")
GOLD_RATE = 0.05
# Milliseconds, bytes, and the layout's shift: what the page promises.
LIMITS = {
    "submit_to_next": {"p50_ms": 60, "p95_ms": 120, "p99_ms": 250},
    "key_to_change": {"p95_ms": 50},
    "layout_shift": 0.02,
    "shipped_gzip_bytes": 60_000,
}
# From the key's time stamp to the first frame after which `done` holds; layout shifts besides.
WATCH = """
window.bench = { moved: 0, shifts: new PerformanceObserver(l => l.getEntries().forEach(e => {
  if (!e.hadRecentInput) bench.moved += e.value; })) };
bench.shifts.observe({ type: 'layout-shift', buffered: true });
bench.wait = done => new Promise(ready => addEventListener('keydown', e => {
  const look = () => done() ? requestAnimationFrame(() => { const c = new MessageChannel();
    c.port1.onmessage = () => ready(performance.now() - e.timeStamp); c.port2.postMessage(0); })
    : requestAnimationFrame(look);
  look();
}, { once: true, capture: true }));
"""


def colleague(
    port: int,
    session: str,
    held: list[int],
    stop: threading.Event,
    seed: int,
    sent: list[int],
    votes: dict[str, str],
) -> None:
    """Submits, thinks, submits. `votes` are sent with each answer, from when there are some."""
    dice, link = random.Random(seed), http.client.HTTPConnection("127.0.0.1", port)
    headers = {
        "X-Plumbline": "1",
        "X-CSRFToken": CSRF,
        "Cookie": f"plumbline={session}; plumbline_csrf={CSRF}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    while held and not stop.wait(dice.uniform(1, 3)):
        form = {"assignment": held.pop(0), "key": uuid.uuid4(), "verdict": "a2", "tag": "clear", "note": "Clearer."}
        form |= votes
        link.request("POST", f"/p/{SLUG}/judge", urllib.parse.urlencode(form), headers)
        answer = link.getresponse()
        said = json.loads(answer.read())
        sent.append(answer.status)
        if said.get("item"):
            held.append(said["item"]["assignment"])


def vote(page: Any) -> None:
    """On every principle, by key."""
    for key in ("m", *("a" for _ in PRINCIPLES)):
        page.keyboard.press(key)


def ask_all(me: int) -> dict[str, str]:
    """From now on the project asks for votes on every pair, and a twentieth of what is handed out is gold.

    Returns the votes that go with an answer. `me` is the account whose page is measured: it knows the guideline.
    """
    from annotation import guiding, marking_gold
    from annotation.models import Annotator, Pair, Principle, Project

    project = Project.objects.get(slug=SLUG)
    entries = [guiding.Entry(short=name, text=f"It is {name.lower()}.") for name in PRINCIPLES]
    guideline = guiding.publish_guideline(project=project, text="Which is better?", principles=entries)
    # The last ones: nobody has them in hand.
    last = Pair.objects.filter(project=project).order_by("-rank")[: max(10, Pair.objects.count() // 20)]
    gold = [marking_gold.Gold(verdict="first", pair=pair.pk) for pair in last]
    marking_gold.mark_gold(project=project, gold=gold)
    Project.objects.filter(pk=project.pk).update(votes_policy=Project.VotesPolicy.ALL, gold_rate=GOLD_RATE)
    guiding.acknowledge(annotator=Annotator.objects.get(project=project, user=me), guideline=guideline)
    return {f"vote-{principle.pk}": "a" for principle in Principle.objects.filter(project=project)}


def play(page: Any, *, items: int, asking_all: bool = False) -> dict[str, Any]:
    """Judge `items` pairs: a verdict by key, the votes where they are asked, then submit by key."""
    keys, submits = [], []
    for number in range(items):
        verdict, value = [("2", "a2"), ("5", "b1"), ("4", "same")][number % 3]
        votes_first = page.locator(".scale[data-waits]").count() > 0
        if votes_first:
            vote(page)
        page.evaluate(
            f"""window.waited = bench.wait(() => document.querySelector('[value="{value}"]').checked); undefined"""
        )
        page.keyboard.press(verdict)
        keys.append(page.evaluate("waited") / 1000)
        if asking_all and not votes_first:
            vote(page)
        page.keyboard.press("t")
        page.keyboard.press("Space")
        page.evaluate(
            """{ const now = () => document.querySelector('#judging').assignment.value, before = now();
            window.waited = bench.wait(() => now() !== before); } undefined"""
        )
        page.keyboard.press("Enter")
        submits.append(page.evaluate("waited") / 1000)
    return {
        "submit_to_next": percentiles(submits),
        "key_to_change": percentiles(keys),
        "layout_shift": round(page.evaluate("bench.moved"), 4),
    }


def shipped() -> int:
    """Bytes of the judging page's own scripts and style sheets, gzip."""
    files = [path for path in sorted((ROOT / "static" / "judging").iterdir()) if path.suffix in (".js", ".css")]
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in [*files, ROOT / "static" / "tokens.css"])


def beyond(found: dict[str, Any]) -> list[str]:
    """The limits that were passed, in words."""
    said = []
    for name, limit in LIMITS.items():
        limits = limit if isinstance(limit, dict) else {"": limit}
        for part, most in limits.items():
            if name not in found:
                continue
            value = found[name][part] if part else found[name]
            if value > most:
                said.append(f"{name} {part}: {value} of {most}".replace(" :", ":"))
    return said


def used(server: int) -> dict[str, float]:
    """CPU seconds so far of the web server, the database, and this program with its browser."""
    web, base = cpu_seconds(family(server)), cpu_seconds(family(postmaster()))
    return {"web": web, "database": base, "browser_and_colleagues": cpu_seconds(family(os.getpid())) - web}


def main() -> int:
    parser = argparse.ArgumentParser(description="The judging page in a real browser.")
    parser.add_argument("--quick", action="store_true", help="12 items of each; ends within 30 s")
    parser.add_argument("--items", type=int, default=0)
    options = parser.parse_args()
    items = options.items or (12 if options.quick else 200)
    if CHROMIUM is None:
        print(NO_CHROMIUM)
        return 1
    set_up()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from django.db.models import Count
    from playwright.sync_api import sync_playwright

    from annotation import assigning, typesetting
    from annotation.models import Candidate, Judgement, Project, Prompt
    from config import embedded

    with throw_away_database() as database:
        people = fill(pairs=400 if options.quick else 1_000, people=OTHERS + 1)
        Candidate.objects.update(renderer=0)
        Prompt.objects.update(renderer=0)
        typesetting.typeset(project=Project.objects.get(slug=SLUG))
        held = [
            [one.assignment_id for one in assigning.hand_out(user_id=user, slug=SLUG)] for user, _ in people[:OTHERS]
        ]
        stop, sent, votes = threading.Event(), list[int](), dict[str, str]()
        with web_server(database=database, workers=2, log=embedded.var_folder() / "bench-page.log") as (port, server):
            threads = [
                threading.Thread(
                    target=colleague, args=(port, people[n][1], held[n], stop, n, sent, votes), daemon=True
                )
                for n in range(OTHERS)
            ]
            for thread in threads:
                thread.start()
            with sync_playwright() as driver:
                chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                context = chromium.new_context(viewport={"width": 1440, "height": 900})
                address = f"http://127.0.0.1:{port}"
                context.add_cookies([{"name": "plumbline", "value": people[-1][1], "url": address}])
                page = context.new_page()
                page.add_init_script(WATCH)
                page.goto(f"{address}/p/{SLUG}/judge")
                page.wait_for_load_state("networkidle")
                play(page, items=3)
                start, busy, before = time.perf_counter(), busy_seconds(), used(server)
                found = play(page, items=items)
                seconds, busy, after = time.perf_counter() - start, busy_seconds() - busy, used(server)
                others_per_s = round(len(sent) / max(seconds, 1), 1)
                votes |= ask_all(people[-1][0])
                page.goto(f"{address}/p/{SLUG}/judge")
                page.wait_for_load_state("networkidle")
                play(page, items=2, asking_all=True)
                found_all = play(page, items=items, asking_all=True)
                chromium.close()
            mine = Judgement.objects.filter(annotator__user=people[-1][0], is_current=True)
            found_all["votes"] = mine.aggregate(n=Count("votes"))["n"]
            found_all["gold"] = mine.filter(assignment__pair__is_gold=True).count()
            stop.set()
            for thread in threads:
                thread.join(10)
    found["shipped_gzip_bytes"] = shipped()
    cpu = {name: round(after[name] - before[name], 2) for name in after}
    p50 = found["submit_to_next"]["p50_ms"]
    report(
        name="page",
        figure=p50,
        unit="ms from Enter to the next pair painted, p50",
        compared_with="the limit of 60 ms",
        ratio=round(p50 / 60, 2),
        items=items,
        others=OTHERS,
        others_per_s=others_per_s,
        **found,
        asking_all=found_all,
        beyond=[*beyond(found), *(f"asking all, {said}" for said in beyond(found_all))],
        cpu=cpu,
        foreign=round(max(0.0, busy - sum(cpu.values())) / (seconds * (os.cpu_count() or 1)), 2),
    )
    return 1 if set(sent) - {200} else 0


if __name__ == "__main__":
    raise SystemExit(main())
