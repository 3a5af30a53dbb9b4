"""How fast the board is: a brush in a real Chromium, a page of the table, an exact count, the first paint.

    python -m bench.board [--quick] [--pairs N ...]

Synthetic pairs with three judgements each, votes on principles and a measured difficulty are made in a database of
their own; their facts are gathered; a web server serves the board; Chromium drags brushes with a real pointer. Prints
one JSON line for each size. The figure is the 95th percentile of a brush frame, from the handler to after the paint;
it is compared with asking the database for one histogram at each move. Without Chromium the browser's figures are null.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import CHROMIUM
from bench.serving import web_server

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10_000, 100_000, 1_000_000)
STATES = 60
MOVES = 60
# The board is opened so often, each time with an empty cache.
LOADS = 5
QUICK_LOADS = 3

# One statement each; what is random is drawn from the row's number, so that two runs make the same pairs. `amb` is how
# ambiguous a pair is and `hard` how hard: votes, strengths, principles and losses follow from the two.
SEED = [
    "SELECT setseed(0.42)",
    """CREATE TEMP TABLE made AS SELECT i, random() ^ 2.2 AS amb, random() ^ 1.6 AS hard, random() < 0.03 AS wrong,
        random() AS u, (ARRAY['en','en','en','es','fr','de','zh','ja','pt','hi','ar','sw'])
        [1 + floor(random() * 12)::int] AS language, (ARRAY['writing','coding','maths','reasoning','safety',
        'medical','legal','roleplay','summary','translation','factual','other'])
        [1 + floor(random() * 12)::int] AS tag FROM generate_series(1, {n}) i""",
    """INSERT INTO prompt (id, project_id, messages, system, language, tags, source, external_id, meta, digest, html,
        renderer, created_at)
        SELECT i, {p},
        jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'What about number ' || i || '?')),
        '', language, ARRAY[tag], '', '', '{{}}', decode(lpad(to_hex(i), 16, '0'), 'hex'), '', 1, now() FROM made""",
    """INSERT INTO candidate (id, prompt_id, messages, digest, "index", model, revision, strategy, polarity,
        template_version, language, html, renderer, characters, created_at)
        SELECT 2 * i + side, i, jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', 'It is ' || i)),
        decode(lpad(to_hex(2 * i + side), 16, '0'), 'hex'), side, 'model-' || side, '', '', '', '', language, '', 1,
        (300 + 900 * random() ^ 2)::int, now() FROM made CROSS JOIN generate_series(0, 1) side""",
    """INSERT INTO pair (id, project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label,
        label_kind, meta, is_gold, split, created_at)
        SELECT i, {p}, i, 2 * i, 2 * i + 1, i, 'bench', 'p-' || i, '{{}}', '{{}}', '', '', '{{}}', i % 97 = 0, '', now()
        FROM made""",
    """INSERT INTO annotator (id, project_id, kind, role, name, external_id, is_simulated, is_active, languages, model,
        revision, prompt_version, cursor, created_at)
        SELECT i, {p}, 'person', 'annotator', 'a' || i, 'a' || i, true, true, '[]', '', '', '', -1, now()
        FROM generate_series(1, 60) i""",
    """INSERT INTO assignment (id, project_id, pair_id, slot, priority, annotator_id, swapped, done_at)
        SELECT 3 * i + k, {p}, i, k, i, 1 + (i * 7 + k * 13) % 60, i % 2 = 0, now()
        FROM made CROSS JOIN generate_series(1, 3) k""",
    """INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength, strength_known,
        skip_reason, flags, swapped, client, created_at)
        SELECT 3 * i + k, 1 + (i * 7 + k * 13) % 60, 1, true, gen_random_uuid(),
        CASE WHEN draw < 0.12 * amb THEN 'tie' ELSE 'prefer' END,
        CASE WHEN draw < 0.12 * amb THEN 0 ELSE (CASE WHEN draw < 0.12 * amb + 0.95 - 0.5 * amb THEN 1 ELSE -1 END)
          * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END) * (1 + floor(3 * random() * (1 - 0.6 * amb)))::int END,
        true, '', '{{}}', false, '', now()
        FROM (SELECT *, random() AS draw FROM made CROSS JOIN generate_series(1, 3) k) each""",
    """INSERT INTO principle (project_id, source, key, short, text)
        SELECT {p}, '', 'k' || i, 'k' || i, 'k' || i FROM generate_series(1, 3) i""",
    """INSERT INTO principle_vote (pair_id, annotator_id, principle_id, vote, created_at)
        SELECT i, 1, r.id, CASE WHEN draw < 0.45 THEN 'irrelevant'
          WHEN (draw < 0.95 - 0.3 * amb) = (i % 2 = 0) THEN 'first' ELSE 'second' END, now()
        FROM (SELECT *, random() AS draw FROM made CROSS JOIN generate_series(1, 3) k WHERE i % 2 = 0 OR i % 3 = 0) each
        JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM principle) r ON r.place = each.k""",
    """INSERT INTO measurement (run_id, metric, pair_id, value, detail, created_at)
        SELECT r.id, m.metric, i, CASE m.metric WHEN 'held_out_loss' THEN 0.2 + 1.1 * amb + 0.7 * hard
          + (CASE WHEN wrong THEN 1.5 ELSE 0 END) + 0.3 * random()
          ELSE 3 - 4 * amb - 2 * hard + 2 * random() END,
        '{{}}', now()
        FROM made CROSS JOIN run r CROSS JOIN (VALUES ('held_out_loss'), ('log_likelihood_margin')) m (metric)""",
]
SEQUENCES = ("prompt", "candidate", "pair", "annotator", "assignment")


def seed(project: int, *, pairs: int) -> None:
    """Fill an empty database with one project's pairs. The keys between tables hold by construction."""
    from django.db import connection
    from django.utils import timezone

    from annotation.models import Run

    with connection.cursor() as cursor:
        # Three million foreign keys that are known to hold are not checked one by one.
        cursor.execute("SET session_replication_role = replica")
        Run.objects.create(
            project_id=project,
            kind=Run.Kind.MEASUREMENT,
            state=Run.State.DONE,
            parameters={"measure": "difficulty", "model": "tiny-lm"},
            code_version="bench",
            finished_at=timezone.now(),
        )
        for statement in SEED:
            cursor.execute(statement.format(n=pairs, p=project))
        for table in SEQUENCES:
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")


# ---- the server's share ----------------------------------------------------------------------------------------------


def states(dims: Any, *, count: int) -> list[Any]:
    """Random filters as a hand makes them: one to four dimensions, an interval or some values of each."""
    from curation.filters import Filter

    draw = random.Random(7)
    made = []
    for _ in range(count):
        passing = {}
        for one in draw.sample(list(dims[:10]), draw.randint(1, 4)):
            if one.kind == "category":
                passing[one.key] = tuple(sorted(draw.sample(range(one.slots), draw.randint(1, one.slots - 1))))
            else:
                low = draw.randrange(one.bins)
                passing[one.key] = tuple(range(low, min(one.bins, low + draw.randint(1, one.bins)) or 1))
        made.append(Filter(passing))
    return made


def served(project: Any) -> dict[str, Any]:
    """Milliseconds of a page of the table with its count, of a count, and of the histogram a plain board would ask for.

    Pages are asked in every order of the table; `_in_sql` is the same from the table of the database alone.
    """
    import numpy as np
    from django.db import connection

    from curation import browsing, columns
    from curation.filters import ORDERS, Order

    state = browsing.state_of(project)
    assert state is not None
    dims = browsing.dims_of(state)
    asked = states(dims, count=STATES)
    orders = [Order(key, is_descending) for key in ORDERS for is_descending in (True, False)]
    # A process reads the columns once for each version of the facts, and each order when it is asked for first.
    reading = _seconds(lambda: columns.of(state))
    held = columns.of(state)
    assert held is not None
    ordering = [_seconds(lambda key=key: held.order(key)) for key in ORDERS]
    pages, counts, sql_pages, sql_counts, plain = [], [], [], [], []
    for place, one in enumerate(asked):
        order = orders[place % len(orders)]
        pages.append(_seconds(lambda: browsing.page(state=state, asked=one, order=order, dims=dims)))  # noqa: B023
        counts.append(_seconds(lambda: int(np.count_nonzero(held.passing(one)))))  # noqa: B023
    for one in asked[:20]:
        whole = {"state": state, "asked": one, "order": Order(), "dims": dims, "mark": None, "size": 51}
        sql_pages.append(_seconds(lambda: browsing.page_of_the_database(**whole)))  # noqa: B023
        sql_counts.append(_seconds(lambda: browsing.count(project=project, asked=one, dims=dims)))  # noqa: B023
    for one in asked[:20]:
        condition, params = one.sql(dims)
        sql = f"SELECT b_strength, count(*) FROM pair_facts f WHERE f.project_id = %s AND {condition} GROUP BY 1"
        with connection.cursor() as cursor:
            plain.append(_seconds(lambda: cursor.execute(sql, [project.pk, *params])))  # noqa: B023
    return {
        "table_page": harness.percentiles(pages),
        "exact_count": harness.percentiles(counts),
        "columns_read_ms": round(1000 * reading, 1),
        "order_read_ms": round(1000 * max(ordering), 1),
        "columns_held_bytes": held.size,
        "table_page_in_sql": harness.percentiles(sql_pages),
        "exact_count_in_sql": harness.percentiles(sql_counts),
        "one_histogram_in_sql": harness.percentiles(plain),
    }


def _seconds(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def asked_over_http(port: int, slug: str, cookie: tuple[str, str], dims: Any, web: int) -> dict[str, Any]:
    """The table as the page asks for it after a brush: milliseconds, and the server's processor time for each."""
    from urllib.request import Request, urlopen

    from curation.filters import ORDERS

    def ask(query: str) -> None:
        address = f"http://127.0.0.1:{port}/p/{slug}/board/rows?{query}"
        with urlopen(Request(address, headers={"Cookie": f"{cookie[0]}={cookie[1]}"})) as answer:
            answer.read()

    draw, queries = random.Random(9), []
    for _ in range(STATES):
        ranges = draw.sample([one for one in dims[:10] if one.kind == "number"], draw.randint(1, 3))
        parts = []
        for one in ranges:
            low = draw.randrange(one.bins)
            high = low + draw.randint(1, one.bins - low)
            parts.append(f"{one.key}={one.edge(low):.4f}..{one.edge(high):.4f}")
        queries.append("&".join([*parts, f"sort=-{draw.choice(ORDERS)}"]))
    for query in queries[:10]:
        ask(query)
    before = harness.cpu_seconds(harness.family(web))
    times = [_seconds(lambda query=query: ask(query)) for query in queries]
    spent = harness.cpu_seconds(harness.family(web)) - before
    return {"rows_over_http": harness.percentiles(times), "web_cpu_ms_per_rows": round(1000 * spent / len(queries), 1)}


# ---- the browser's share ---------------------------------------------------------------------------------------------

WATCH = """() => {
  const W = window.watched = { frames: [], gaps: [], on: false };
  let began = null, last = null;
  addEventListener('pointermove', () => { if (W.on && began === null) began = performance.now(); }, true);
  document.getElementById('board').addEventListener('painted', () => {
    if (began === null) return;
    const start = began, after = new MessageChannel();
    began = null;
    after.port1.onmessage = () => W.frames.push(performance.now() - start);
    after.port2.postMessage(0);
  });
  const tick = now => {
    if (W.on && last !== null) W.gaps.push(now - last);
    last = W.on ? now : null;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
LOADED = """() => {
  const at = name => { const found = performance.getEntriesByName(name)[0]; return found ? found.startTime : null; };
  return { painted: at('first-contentful-paint'), summary: at('board-painted'), columns: at('columns-ready'),
           live: at('board-live') };
}"""


def browsed(port: int, slug: str, cookie: tuple[str, str], web: int, *, loads_wanted: int) -> dict[str, Any]:
    """What a Chromium sees: how the board comes up, and how it follows a hand on four brushes."""
    from playwright.sync_api import sync_playwright

    home = f"http://127.0.0.1:{port}"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        loads, frames, gaps, builds, spent = [], [], [], [], []
        for round_ in range(loads_wanted):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": home}])
            page = context.new_page()
            before = harness.cpu_seconds(harness.family(web))
            page.goto(f"{home}/p/{slug}/board")
            page.wait_for_selector("#board[data-live]", timeout=60_000)
            loads.append(page.evaluate(LOADED))
            spent.append(harness.cpu_seconds(harness.family(web)) - before)
            if round_:
                context.close()
                continue
            page.evaluate(WATCH)
            for target in ("#at-x .chart", "#d-strength", "#d-length", "#plane"):
                chart = page.locator(
                    target if " " in target or target == "#plane" else f"section[aria-labelledby={target[1:]}] .chart"
                )
                chart.scroll_into_view_if_needed()
                box = chart.bounding_box()
                assert box is not None
                is_plane = target == "#plane"
                x, y = box["x"] + 0.15 * box["width"], box["y"] + box["height"] * (0.2 if is_plane else 0.5)
                page.mouse.move(x, y)
                page.wait_for_timeout(100)
                page.evaluate("() => board.settled()")
                builds.append(page.evaluate("() => board.S.lastBuild.sync + board.S.lastBuild.build"))
                page.mouse.down()
                page.evaluate("() => { watched.on = true; }")
                for move in range(1, MOVES + 1):
                    page.mouse.move(
                        x + 0.7 * box["width"] * move / MOVES,
                        y + (0.6 * box["height"] * move / MOVES if is_plane else 0),
                    )
                page.evaluate("() => { watched.on = false; }")
                page.mouse.up()
                page.wait_for_timeout(300)
                page.locator("#clear-all").click()
                page.wait_for_timeout(300)
            frames, gaps = page.evaluate("() => [watched.frames, watched.gaps]")
            context.close()
        browser.close()
    middle = {name: round(statistics.median(load[name] for load in loads), 1) for name in loads[0]}
    return {
        "brush_frame": harness.percentiles([frame / 1000 for frame in frames]),
        "frames": len(frames),
        "animation_frame_interval": harness.percentiles([gap / 1000 for gap in gaps]),
        "cube_ms": round(max(builds), 1),
        "first_paint_ms": middle["painted"],
        "summary_painted_ms": middle["summary"],
        "columns_ready_ms": middle["columns"],
        "live_ms": middle["live"],
        "first_paint_of_each_load_ms": [round(load["painted"]) for load in loads],
        "web_cpu_ms_per_load": round(1000 * statistics.median(spent)),
    }


def measure(pairs: int, *, loads: int) -> None:
    from django.conf import settings
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import Client

    from annotation.models import Project, User
    from curation.gathering import gather_facts

    with harness.throw_away_database() as database, tempfile.TemporaryDirectory() as folder:
        project = Project.objects.create(slug="bench", name="Bench", overlap=3)
        began = time.perf_counter()
        seed(project.pk, pairs=pairs)
        seeded = time.perf_counter() - began
        gather_facts(project=project, command="bench")
        sent = len(bytes(project.facts_state.summary)) + len(bytes(project.facts_state.columns))
        found: dict[str, Any] = {
            "pairs": pairs,
            "seeding_s": round(seeded, 1),
            "gathering_s": round(project.facts_state.seconds, 1),
        }
        found |= {"bytes_sent": sent, **served(project)}
        browser: dict[str, Any] = {}
        if CHROMIUM:
            lead = User.objects.create_superuser("bench@example.org", None, name="Bench")
            client = Client()
            client.force_login(lead, backend="annotation.signing_in.Backend")
            assert isinstance(client.session, SessionStore)
            cookie = (settings.SESSION_COOKIE_NAME, str(client.session.session_key))
            from curation import browsing

            dims = browsing.dims_of(project.facts_state)
            with web_server(database=database, log=Path(folder) / "web.log") as (port, web):
                browser = browsed(port, project.slug, cookie, web, loads_wanted=loads)
                browser |= asked_over_http(port, project.slug, cookie, dims, web)
    plain = found["one_histogram_in_sql"]["p95_ms"]
    frame = browser["brush_frame"]["p95_ms"] if browser else None
    harness.report(
        name="board",
        figure=frame,  # type: ignore[arg-type]
        unit="ms, brush frame p95",
        ratio=round(frame / plain, 3) if frame else None,
        compared_with=f"one histogram in SQL at each move: p95 {plain} ms",
        **found,
        **browser,
        load=round(os.getloadavg()[0], 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 pairs only, and fewer loads; ends within 30 s")
    parser.add_argument("--pairs", type=int, nargs="+", help="how many pairs")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    harness.set_up()
    for pairs in options.pairs or (SIZES[:1] if options.quick else SIZES):
        measure(pairs, loads=QUICK_LOADS if options.quick else LOADS)


if __name__ == "__main__":
    main()
