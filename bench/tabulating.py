"""How fast the facts of every pair are built again, against a plain COPY of the same facts.

    python -m bench.tabulating [--quick] [--pairs N] [--workers 1,2] [--repeats N]

Pairs with three judgements each, votes on principles and a measured difficulty, those of `bench.board`, stand in a
database of their own. Then, by turns: the whole gathering with each number of processes, board's columns included; and
the rows that it wrote, copied from memory into a table of the same columns that has a primary key and checks nothing
else. Medians count. Few pairs are divided too, into two parts, so that a second process has something to do. The facts
must come out the same with every number of processes. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from bench.board import seed
from bench.harness import busy_seconds, report, set_up, throw_away_database

QUICK, FULL = 10_000, 100_000


def gathered(project: Any, *, workers: int) -> tuple[float, float]:
    """Seconds of one whole gathering by so many processes; and the share of all processors that was busy meanwhile."""
    from curation.gathering import gather_facts

    began, busy = time.perf_counter(), busy_seconds()
    gather_facts(project=project, workers=workers, command="bench")
    seconds = time.perf_counter() - began
    return seconds, (busy_seconds() - busy) / seconds / (os.cpu_count() or 1)


def contents() -> str:
    """A digest of all facts."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT md5(string_agg(md5(f::text), '' ORDER BY f.pair_id)) FROM pair_facts f")
        return str(cursor.fetchone()[0])


def rows() -> bytes:
    """All facts, as COPY gives and takes them."""
    from django.db import connection

    with connection.cursor() as cursor, cursor.cursor.copy("COPY pair_facts TO STDOUT") as copy:
        return b"".join(copy)


def plain_copy(body: bytes) -> float:
    """Seconds of copying the facts into a table of the same columns, from an empty table to the commit."""
    from django.db import connection, transaction

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS plain")
        cursor.execute("CREATE TABLE plain (LIKE pair_facts INCLUDING DEFAULTS, PRIMARY KEY (pair_id))")
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor, cursor.cursor.copy("COPY plain FROM STDIN") as copy:
        for start in range(0, len(body), 1 << 20):
            copy.write(body[start : start + (1 << 20)])
    return time.perf_counter() - began


def measure(*, pairs: int, counts: list[int], repeats: int) -> dict[str, Any]:
    from annotation.models import Project
    from curation import gathering

    gathering.PART_PAIRS = min(gathering.PART_PAIRS, -(-pairs // 2))
    project = Project.objects.create(slug="bench", name="Bench", overlap=3)
    seed(project.pk, pairs=pairs)
    # Not counted: the first gathering finds no facts to replace.
    gathered(project, workers=1)
    body, known = rows(), contents()
    took: dict[int, list[tuple[float, float]]] = {one: [] for one in counts}
    copied = []
    for _ in range(repeats):
        # By turns: what else the machine does meanwhile falls on all alike.
        for workers in counts:
            took[workers].append(gathered(project, workers=workers))
            if contents() != known:
                raise AssertionError(f"With {workers} processes the facts came out otherwise.")
        copied.append(plain_copy(body))
    alone = pairs / statistics.median(copied)
    found = {}
    for workers, each in took.items():
        seconds = statistics.median(one for one, _ in each)
        found[str(workers)] = {
            "rows_per_s": round(pairs / seconds),
            "share": round(pairs / seconds / alone, 3),
            "seconds": round(seconds, 2),
            "busy": round(statistics.median(busy for _, busy in each), 2),
        }
    first = found[str(counts[0])]
    return {
        "figure": first["rows_per_s"],
        "compared_with": f"plain COPY of the same facts: {round(alone)} rows/s",
        "ratio": first["share"],
        "pairs": pairs,
        "parts": -(-pairs // gathering.PART_PAIRS),
        "bytes_per_row": round(len(body) / pairs),
        "repeats": repeats,
        "by_workers": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} pairs instead of {FULL:,}; ends within 30 s")
    parser.add_argument("--pairs", type=int, help="how many pairs")
    parser.add_argument("--workers", default="1,2", help="how many processes gather: numbers with commas between them")
    parser.add_argument("--repeats", type=int, help="how often each is done; the median counts")
    options = parser.parse_args()
    set_up()
    with throw_away_database():
        line = measure(
            pairs=options.pairs or (QUICK if options.quick else FULL),
            counts=[int(one) for one in options.workers.split(",")],
            repeats=options.repeats or (1 if options.quick else 3),
        )
    report(name="tabulating", unit="rows/s", **line, load=round(os.getloadavg()[0], 1))


if __name__ == "__main__":
    main()
