"""How fast an annotator's submit is answered with the next pair, over HTTP, at 1, 16 and 64 clients.

    python -m bench.next_and_submit [--quick] [--pairs N] [--clients 1,16,64] [--seconds S]

A project of N pairs (overlap 3, candidates of about 144 words) in a throw-away database; the real web server with all
of its middleware; clients that keep their connection, sign in by session and judge without a pause for thought. They
run in one process beside the server. Every reply is checked, and at the end every acknowledged answer must be stored.

The machine may be shared: `foreign_cores` says how much of it others used meanwhile, and CPU milliseconds per request
are the figure to trust. Prints one JSON line. The ratio is to the same submits called as a function, without HTTP.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import selectors
import socket
import sys
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.harness import busy_seconds, cpu_seconds, family, percentiles, report, set_up, throw_away_database
from bench.serving import session_of, web_server

SLUG = "bench"
ROOT = Path(__file__).resolve().parent.parent
CSRF = "b" * 32
WARM = 5
WORDS = 144
# More rows would measure the disc: beyond this, a prompt has more than two candidates, and each is in several pairs.
MOST_CANDIDATES = 200_000

# ---- the project -----------------------------------------------------------------------------------------------------

FILL = """
WITH words AS (SELECT array_agg(substr(md5(n::text), 1, 2 + n %% 8)) AS w FROM generate_series(1, 997) AS n),
p AS (
  INSERT INTO prompt (project_id, messages, system, language, tags, source, external_id, meta, digest, html,
    renderer, created_at)
  SELECT %(project)s::bigint, jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Question ' || n)), '',
    'en', '{}', '', '', '{}', sha256(n::text::bytea), '<p>Question ' || n || '</p>', %(renderer)s, now()
  FROM generate_series(1, %(prompts)s::int) AS n RETURNING id),
numbered AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM p)
INSERT INTO candidate (prompt_id, messages, digest, index, model, revision, strategy, polarity, template_version,
  language, html, renderer, characters, created_at)
SELECT numbered.id, jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', t.body)),
  sha256(c::text::bytea), 0, 'model', '', '', '', '', 'en', '<p>' || t.body || '</p>', %(renderer)s, length(t.body),
  now()
FROM generate_series(0, %(candidates)s::int - 1) AS c JOIN numbered ON numbered.n = c / %(each)s::int CROSS JOIN words
CROSS JOIN LATERAL (
  SELECT string_agg(words.w[1 + (c * 7 + i * i * 31) %% 997], ' ') AS body
  FROM generate_series(1, %(words)s::int) AS i) AS t
"""

# As an import leaves them: numbered as they came, in a drawn order; those of one prompt are far apart.
PAIR = """
WITH numbered AS MATERIALIZED (
  SELECT c.id, c.prompt_id, row_number() OVER (ORDER BY c.id) - 1 AS n
  FROM candidate c JOIN prompt p ON p.id = c.prompt_id WHERE p.project_id = %(project)s::bigint),
two AS MATERIALIZED (
  SELECT i, j, row_number() OVER (ORDER BY j - i, i) - 1 AS n
  FROM generate_series(0, %(each)s::int - 1) AS i CROSS JOIN generate_series(0, %(each)s::int - 1) AS j WHERE i < j)
INSERT INTO pair (project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label, label_kind,
  meta, is_gold, split, created_at)
SELECT %(project)s::bigint, f.prompt_id, f.id, s.id, drawn, '', '', '{}', '{}', '', '', '{}', false, '', now()
FROM (SELECT k, row_number() OVER (ORDER BY md5(k::text)) - 1 AS drawn
      FROM generate_series(0, %(pairs)s::int - 1) AS k ORDER BY k) AS placed
JOIN two ON two.n = k / %(prompts)s::int
JOIN numbered f ON f.n = %(each)s::int * (k %% %(prompts)s::int) + two.i
JOIN numbered s ON s.n = %(each)s::int * (k %% %(prompts)s::int) + two.j
ORDER BY k
"""


def shape(pairs: int) -> tuple[int, int]:
    """How many prompts, and how many candidates of each, as few as will do for so many different pairs."""
    each = 2
    while min(pairs, MOST_CANDIDATES // each) * math.comb(each, 2) < pairs:
        each += 1
    return min(pairs, MOST_CANDIDATES // each), each


def fill(*, pairs: int, people: int) -> list[tuple[int, str]]:
    """Returns (account number, session key) of each annotator."""
    from django.db import connection

    from annotation import opening
    from annotation.models import Annotator, Project, User
    from annotation.rendering import RENDERER

    project = Project.objects.create(slug=SLUG, name="Benchmark", overlap=3, seed=1)
    prompts, each = shape(pairs)
    values = {
        "project": project.pk,
        "prompts": prompts,
        "each": each,
        "candidates": prompts * each,
        "words": WORDS,
        "renderer": RENDERER,
        "pairs": pairs,
    }
    with connection.cursor() as cursor:
        cursor.execute(FILL, values)
        cursor.execute("ANALYZE candidate")
        cursor.execute(PAIR, values)
        cursor.execute("ANALYZE pair")
    made = Project.objects.get(pk=project.pk).pairs.count()
    opening.open_slots(project=project)
    with connection.cursor() as cursor:
        # Only what was filled. A table that was analysed while it was empty passes for one of no pages: prepared
        # statements would then read all of it, row by row, until the first automatic ANALYZE a minute later.
        cursor.execute("VACUUM ANALYZE prompt, candidate, pair, assignment")
    entered = []
    for n in range(people):
        user = User.objects.create_user(f"annotator{n}@example.org", None, name=f"Annotator {n}")
        Annotator.objects.create(project=project, user=user, name=user.name)
        entered.append((user.pk, session_of(user)))
    print(f"{made} pairs, {people} annotators.", file=sys.stderr)
    return entered


# ---- the clients -----------------------------------------------------------------------------------------------------


@dataclass
class Annotator:
    """One connection, one session, three pairs in hand."""

    session: str
    held: list[int]
    dice: random.Random
    link: socket.socket
    sent_at: float = 0.0
    sent: int = 0
    key: str = ""
    replies: int = 0
    received: bytearray = field(default_factory=bytearray)


@dataclass
class Tally:
    seconds: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def drive(pipe: Connection, port: int, people: list[tuple[str, list[int]]], warm_up: float, seconds: float) -> None:
    """All clients in one process: send, wait for the reply, send the next. Tells when the measured part begins.

    It begins after `warm_up` seconds, and not before every connection has had WARM replies: a web worker imports its
    pages on its first request, which is not what is measured.
    """
    clock, watch = time.perf_counter, selectors.DefaultSelector()
    everybody: list[Annotator] = []
    for number, (session, held) in enumerate(people):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = Annotator(session, list(held), random.Random(number), link)
        watch.register(link, selectors.EVENT_READ, one)
        everybody.append(one)
        submit(one, port)
    tally, start = Tally(), clock() + warm_up
    measuring, cpu = False, 0.0
    working = len(people)
    while working:
        now = clock()
        if not measuring and now >= start and all(one.replies >= WARM for one in everybody):
            pipe.send("started")
            measuring, start, cpu = True, now, time.process_time()
        for ready, _ in watch.select(timeout=0.2):
            one = ready.data
            one.received += one.link.recv(262_144)
            status, body = reply(one.received)
            if status is None:
                continue
            now = clock()
            if measuring:
                tally.latencies.append(now - one.sent_at)
            one.received.clear()
            one.replies += 1
            said = json.loads(body) if status == 200 else {}
            if status != 200 or said["saved"]["assignment"] != one.sent:
                tally.errors.append(f"{status}: {body[:300]!r}")
                said = {}
            else:
                tally.keys.append(one.key)
            if said.get("item"):
                one.held.append(said["item"]["assignment"])
            if one.held and said and now < start + (seconds if measuring else 1e9):
                submit(one, port)
            else:
                watch.unregister(one.link)
                one.link.close()
                working -= 1
    tally.seconds, tally.cpu = clock() - start, time.process_time() - cpu
    pipe.send(tally)


NOTES = [
    "",
    "",
    "Clearer, and it answers the question that was asked.",
    "B misses the second part of the request entirely.",
]


def submit(one: Annotator, port: int) -> None:
    one.sent, one.key = one.held.pop(0), str(uuid.uuid4())
    form = [
        ("assignment", one.sent),
        ("key", one.key),
        ("verdict", one.dice.choice(["a3", "a2", "a1", "same", "b1", "b2", "b3", "bad"])),
        ("tag", "clear"),
        ("note", one.dice.choice(NOTES)),
        ("active_ms", 61_000),
        ("first_key_ms", 9_000),
        ("coverage_a", "1"),
        ("coverage_b", "0.9"),
        ("client", "bench"),
        *(("held", held) for held in one.held),
    ]
    body = urllib.parse.urlencode(form)
    one.sent_at = time.perf_counter()
    one.link.sendall(
        f"POST /p/{SLUG}/judge HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Plumbline: 1\r\nX-CSRFToken: {CSRF}\r\n"
        f"Cookie: plumbline={one.session}; plumbline_csrf={CSRF}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )


def reply(received: bytearray) -> tuple[int | None, bytes]:
    """Status and body, once the whole of them is there."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None, b""
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), None)
    if length is None:
        raise RuntimeError(f"A reply without Content-Length: {bytes(head)!r}")
    return (int(head[9:12]), bytes(body)) if len(body) >= length else (None, b"")


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(*, port: int, server: int, people: list[tuple[int, str]], warm_up: float, seconds: float) -> dict[str, Any]:
    """One run with these annotators."""
    from django.db import connection

    from annotation import assigning

    ready = [
        (session, [one.assignment_id for one in assigning.hand_out(user_id=user, slug=SLUG)])
        for user, session in people
    ]
    connection.close()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    clients = context.Process(target=drive, args=(there, port, ready, warm_up, seconds))
    clients.start()
    assert here.recv() == "started"
    web, database, busy = family(server), family(postmaster()), busy_seconds()
    before = cpu_seconds(web), cpu_seconds(database)
    tally: Tally = here.recv()
    database = family(postmaster())
    used = cpu_seconds(web) - before[0], cpu_seconds(database) - before[1]
    foreign = busy_seconds() - busy - sum(used) - tally.cpu
    clients.join()
    done = len(tally.latencies)
    return {
        "clients": len(people),
        "pairs_per_s": round(done / tally.seconds, 1),
        **percentiles(tally.latencies),
        "web_cpu_ms": round(1000 * used[0] / done, 2),
        "database_cpu_ms": round(1000 * used[1] / done, 2),
        "client_cpu_ms": round(1000 * tally.cpu / done, 2),
        "foreign_cores": round(max(0.0, foreign) / tally.seconds, 2),
        "errors": len(tally.errors),
        "missing": _missing(tally.keys),
        **({"first_error": tally.errors[0]} if tally.errors else {}),
    }


def _missing(keys: list[str]) -> int:
    """Acknowledged answers that are not stored."""
    from annotation.models import Judgement

    return len(keys) - Judgement.objects.filter(key__in=keys).count()


def postmaster() -> int:
    from config import embedded

    return int((embedded.cluster().data / "postmaster.pid").read_text().split("\n", 1)[0])


def as_function(*, user: int, seconds: float) -> float:
    """Submits per second of one client that calls the verb itself."""
    from annotation import assigning, judging

    held = [one.assignment_id for one in assigning.hand_out(user_id=user, slug=SLUG)]
    done, start = 0, time.perf_counter()
    while held and time.perf_counter() - start < seconds:
        shown = judging.Shown(assignment_id=held.pop(0), key=uuid.uuid4(), control="a2", tags=("clear",))
        outcome = judging.submit_and_next(user_id=user, slug=SLUG, shown=shown)
        held += [outcome.next.assignment_id] if outcome.next else []
        done += 1
    return done / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit and next over HTTP.")
    parser.add_argument("--quick", action="store_true", help="1,250 pairs, one second a run; ends within 30 s")
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--clients", default="1,16,64")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seconds = options.seconds or (1.0 if options.quick else 15.0)
    pairs = options.pairs or (1_250 if options.quick else 10_000)
    sizes = [int(size) for size in options.clients.split(",")]
    set_up()
    from config import embedded

    with throw_away_database() as database:
        people = fill(pairs=pairs, people=max(sizes) + 1)
        log = embedded.var_folder() / "bench-web.log"
        with web_server(database=database, workers=options.workers, log=log) as (port, server):
            warm_up = 0.5 if options.quick else 2.0
            runs = [
                measure(port=port, server=server, people=people[:size], warm_up=warm_up, seconds=seconds)
                for size in sizes
            ]
        called = as_function(user=people[-1][0], seconds=1.0 if options.quick else 3.0)
    main_run = next((run for run in runs if run["clients"] == 16), runs[-1])
    report(
        name="next_and_submit",
        figure=main_run["pairs_per_s"],
        unit=f"pairs/s at {main_run['clients']} clients over HTTP",
        compared_with=f"{called:.0f} submits/s of one client that calls the function without HTTP",
        ratio=round(main_run["pairs_per_s"] / called, 2),
        pairs=pairs,
        runs=runs,
    )
    return 1 if any(run["errors"] or run["missing"] for run in runs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
