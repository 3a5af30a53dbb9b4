"""Pairs a second through the import, against a plain COPY of the same rows.

    python -m bench.importing [--quick] [--pairs N]

Both read the same JSON lines, parse them and end with a commit, in one run on one database of their own, which is
dropped afterwards. The plain COPY writes one unchecked table with a primary key. The import checks every row, finds
prompts and candidates that are the same, keeps every constraint and opens the slots (overlap 3; then once more with
overlap 1). Setting texts comes after it and has a figure of its own. The rows: prompts of 30 words, candidates of 96 to
192 words, half of the prompts asked twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import harness

QUICK = 10_000
FULL = 100_000
WORDS = 20_000


def write_file(path: Path, pairs: int) -> None:
    """A file of made-up pairs, the same for the same number."""
    rng = np.random.default_rng(11)
    letters = np.array(list("eeeeaaaooiinnrrssttllddcumph"))
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(2, 11, WORDS)]

    def text(count: int) -> str:
        chosen = rng.integers(0, WORDS, count)
        return " ".join(words[n] + (".\n" if n % 17 == 0 else "") for n in chosen)

    prompts = [text(30) for _ in range(pairs * 2 // 3)]
    with path.open("w") as handle:
        for n in range(pairs):
            row = {
                "item_id": f"bench-{n}",
                "source": "bench",
                "prompt": prompts[n % len(prompts)],
                "response_a": text(int(rng.integers(96, 193))),
                "response_b": text(int(rng.integers(96, 193))),
                "label": ("a", "b", "tie", None)[n % 4],
                "meta": {"models": ["left-model", "right-model"], "category": "made up"},
            }
            handle.write(json.dumps(row) + "\n")


def plain_copy(path: Path) -> float:
    """Seconds of parsing the file and copying it into one table."""
    from django.db import connection, transaction

    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE plain "
            "(item text PRIMARY KEY, source text, prompt text, a text, b text, label text, meta jsonb)"
        )
        with path.open() as handle, cursor.cursor.copy("COPY plain FROM STDIN") as copy:
            for line in handle:
                row = json.loads(line)
                keys = ("item_id", "source", "prompt", "response_a", "response_b", "label")
                copy.write_row([*(row[key] for key in keys), json.dumps(row["meta"])])
    return time.perf_counter() - began


def run(pairs: int) -> dict[str, object]:
    from django.db import connection

    from annotation import typesetting
    from annotation.importing import import_pairs, storing
    from annotation.models import Pair, Project

    storing.SET_AT_ONCE = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        write_file(path, pairs)
        project = Project.objects.create(slug="bench", name="Bench", overlap=3, seed=1)
        server = connection.connection.info.backend_pid
        began, used = time.perf_counter(), (time.process_time(), harness.cpu_seconds([server]))
        report = import_pairs(project=project, path=path)
        seconds = time.perf_counter() - began
        reader_cpu, server_cpu = time.process_time() - used[0], harness.cpu_seconds([server]) - used[1]
        assert report.added == pairs == Pair.objects.count(), report.as_dict()
        copied = plain_copy(path)
        began = time.perf_counter()
        again = import_pairs(project=project, path=path)
        assert again.already == pairs
        twice = time.perf_counter() - began
        once = Project.objects.create(slug="bench-once", name="Bench, judged once", overlap=1, seed=1)
        began = time.perf_counter()
        assert import_pairs(project=once, path=path).added == pairs
        judged_once = time.perf_counter() - began
        began = time.perf_counter()
        texts = typesetting.typeset(project=project, limit=min(pairs, 1_000))
        setting = time.perf_counter() - began
    return {
        "name": "importing",
        "figure": round(pairs / seconds),
        "unit": "pairs/s",
        "ratio": round(copied / seconds, 3),
        "compared_with": f"plain COPY of the same rows: {pairs / copied:,.0f} rows/s",
        "pairs": pairs,
        "overlap_1_pairs_per_s": round(pairs / judged_once),
        # What the machine's load does not change much: seconds of work, not of waiting.
        "cpu_us_per_pair": {
            "reader": round(1e6 * reader_cpu / pairs, 1),
            "database": round(1e6 * server_cpu / pairs, 1),
        },
        "again_pairs_per_s": round(pairs / twice),
        "texts_set_per_s": round(texts / setting),
        "target": 8_000,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} pairs instead of {FULL:,}; ends within 30 s")
    parser.add_argument("--pairs", type=int, help="how many pairs")
    options = parser.parse_args()
    harness.set_up()
    from django.db import connection

    usual = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        print(json.dumps(run(options.pairs or (QUICK if options.quick else FULL))))
    finally:
        connection.creation.destroy_test_db(usual, verbosity=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
