"""How fast a release is written, against pyarrow writing the same rows from memory.

    python -m bench.releasing [--quick] [--rows N] [--workers 1,2] [--repeats N]

Both in one run: judged pairs in a scratch database of its own become a `trl_dpo` release; then pyarrow writes the very
rows of that release, held as Python dictionaries, with the same settings. Prints one JSON line; memory is what the
process grew by at most while it wrote, and the whole of the largest helper.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import family, report, set_up, throw_away_database

# About as long as the texts of public preference data: characters of a prompt and of an answer.
PROMPT, ANSWER = 250, 600

PASSAGES = 400


def passages() -> list[str]:
    """Texts of 900 to 1,000 characters of different words, always the same ones."""
    import numpy as np

    rng = np.random.default_rng(0)
    words = ["".join(map(chr, rng.integers(97, 123, size=rng.integers(2, 10)))) for _ in range(5000)]
    return [" ".join(words[place] for place in rng.integers(0, 5000, size=200))[:1000] for _ in range(PASSAGES)]


def seed(project: int, *, rows: int) -> None:
    """Fill the project with `rows` judged pairs: three people each, three of four pairs with a majority."""
    from django.db import connection

    text = "substr(p.t, (1 + (i * 37) %% 300)::int, {length}) || ' ' || i"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE passage (n int, t text)")
        cursor.execute(
            "INSERT INTO passage SELECT place, t FROM unnest(%s::text[]) WITH ORDINALITY AS given (t, place)",
            [passages()],
        )
        cursor.execute(
            f"""INSERT INTO prompt (project_id, messages, system, language, tags, source, external_id, meta, digest,
                                    html, renderer, created_at)
            SELECT %s, jsonb_build_array(jsonb_build_object('role', 'user', 'content', {text.format(length=PROMPT)})),
                   '', 'en', '{{}}', '', '', '{{}}', sha256(i::text::bytea), '', 1, now()
            FROM generate_series(1, %s) i JOIN passage p ON p.n = 1 + i %% {PASSAGES}""",
            [project, rows],
        )
        cursor.execute(
            f"""INSERT INTO candidate (prompt_id, messages, digest, "index", model, revision, strategy, polarity,
                                       template_version, language, html, renderer, characters, created_at)
            SELECT q.id,
                   jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', {text.format(length=ANSWER)})),
                   sha256((i * 2 + side)::text::bytea), side, 'model-' || side, '', '', '', '', 'en', '', 1, {ANSWER},
                   now()
            FROM (SELECT id, row_number() OVER (ORDER BY id) AS i FROM prompt WHERE project_id = %s) q,
                 generate_series(0, 1) side, passage p
            WHERE p.n = 1 + (i * 3 + side * 17) %% {PASSAGES}""",
            [project],
        )
        cursor.execute(
            """INSERT INTO pair (project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks,
                                 label, label_kind, meta, is_gold, split, created_at)
            SELECT %s, prompt_id, min(c.id), max(c.id), row_number() OVER (ORDER BY md5(prompt_id::text)), 'bench',
                   'pair-' || prompt_id, '{general}', '{}', '', '', '{}', false, '', now()
            FROM candidate c JOIN prompt q ON q.id = c.prompt_id WHERE q.project_id = %s GROUP BY prompt_id
            ORDER BY prompt_id""",
            [project, project],
        )
        cursor.execute(
            """INSERT INTO annotator (project_id, kind, role, name, external_id, is_simulated, is_active, languages,
                                      model, revision, prompt_version, cursor, created_at)
            SELECT %s, 'person', 'annotator', 'a' || i, 'a' || i, true, true, '[]', '', '', '', -1, now()
            FROM generate_series(1, 60) i""",
            [project],
        )
        cursor.execute(
            """INSERT INTO assignment (project_id, pair_id, slot, priority, annotator_id, swapped, done_at)
            SELECT %s, p.id, slot, p.rank * 1000000 + slot, n.id, false, now()
            FROM pair p CROSS JOIN generate_series(1, 3) slot
            JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM annotator WHERE project_id = %s) n
              ON n.place = (p.rank * 3 + slot) %% 60 WHERE p.project_id = %s ORDER BY 4""",
            [project, project, project],
        )
        cursor.execute(
            """INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength,
                                      strength_known, skip_reason, flags, swapped, client, created_at)
            SELECT id, annotator_id, 1, true, gen_random_uuid(), CASE WHEN draw < 0.1 THEN 'tie' ELSE 'prefer' END,
                   CASE WHEN draw < 0.1 THEN 0 WHEN draw < 0.5 THEN -2 ELSE 1 END, true, '', '{}', false, '', now()
            FROM (SELECT id, annotator_id, random() AS draw FROM assignment WHERE project_id = %s) a""",
            [project],
        )
        cursor.execute("ANALYZE")


def release(project: object, folder: Path, *, version: str, workers: int) -> tuple[float, int, float, float]:
    """Seconds and rows of one release; and the most memory, in MB: this process beyond what it had, and any helper."""
    from curation.releasing import release as write

    # Forget the peak that was: what counts is that of this release.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    with largest_helper() as helper:
        began = time.perf_counter()
        done = write(project=project, version=version, out=folder, workers=workers, command="bench")  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
    return seconds, done.release.rows, memory("VmHWM") - before, helper[0]


def memory(which: str, pid: int | str = "self") -> float:
    """A figure of a process, in MB: VmRSS is what it has, VmHWM the most that it had. 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{which}:")), 0.0)


@contextmanager
def largest_helper() -> Iterator[list[float]]:
    """Look at this process's children until the block ends: the most memory that one of them had, in MB."""
    most, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for pid in family(os.getpid())[1:]:
                most[0] = max(most[0], memory("VmHWM", pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def plain(folder: Path, rows: list[dict]) -> float:
    """Seconds that pyarrow needs for the same rows, from Python dictionaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from curation.export.files import GROUP_ROWS, WRITER
    from curation.export.trl import DPO

    began = time.perf_counter()
    with pq.ParquetWriter(folder / "plain.parquet", DPO, **WRITER) as writer:
        for start in range(0, len(rows), GROUP_ROWS):
            writer.write_table(pa.Table.from_pylist(rows[start : start + GROUP_ROWS], schema=DPO))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows; ends within 30 s")
    parser.add_argument("--rows", type=int, help="how many pairs are judged")
    parser.add_argument("--workers", default="1", help="how many processes write: numbers with commas between them")
    parser.add_argument("--repeats", type=int, help="how often each is done; the median counts")
    options = parser.parse_args()
    rows = options.rows or (20_000 if options.quick else 100_000)
    repeats = options.repeats or (1 if rows > 200_000 else 3)
    set_up()
    with throw_away_database(), tempfile.TemporaryDirectory() as place:
        from annotation.models import Project

        project = Project.objects.create(slug="bench", name="Bench")
        seed(project.pk, rows=rows)
        folder = Path(place)
        held: list[dict] = []
        found: dict[str, dict[str, float]] = {}
        alone: list[float] = []
        took: dict[int, list[tuple[float, int, float, float]]] = {}
        counts = [int(one) for one in options.workers.split(",")]
        for turn in range(repeats):
            # By turns, with pyarrow in between: what else the machine does meanwhile falls on all alike.
            for workers in counts:
                name = f"w{workers}r{turn}"
                took.setdefault(workers, []).append(release(project, folder / name, version=name, workers=workers))
                if not held:
                    size = sum(path.stat().st_size for path in (folder / name).rglob("*.parquet"))
                    held = first_rows(folder / name, 100_000)
                else:
                    shutil.rmtree(folder / name)
            alone += [plain(folder, held) for _ in range(max(1, 3 // repeats))]
        theirs = len(held) / statistics.median(alone)
        for workers, runs in took.items():
            seconds, written = statistics.median(one[0] for one in runs), runs[0][1]
            found[str(workers)] = {
                "rows_per_s": round(written / seconds),
                "share": round(written / seconds / theirs, 3),
                "seconds": round(seconds, 2),
                "memory_growth_mb": round(max(one[2] for one in runs)),
                "helper_memory_mb": round(max(one[3] for one in runs)),
            }
    first = found[str(counts[0])]
    report(
        name="releasing",
        figure=first["rows_per_s"],
        unit="rows/s",
        compared_with=f"pyarrow writing the same rows from memory: {round(theirs)} rows/s",
        ratio=first["share"],
        rows=written,
        pairs=rows,
        bytes_per_row=round(size / written),
        memory_growth_mb=first["memory_growth_mb"],
        seconds=first["seconds"],
        repeats=repeats,
        by_workers=found,
        load=round(os.getloadavg()[0], 1),
    )


def first_rows(folder: Path, most: int) -> list[dict]:
    """The first rows of a release, as Python dictionaries."""
    import pyarrow.parquet as pq

    held: list[dict] = []
    for path in sorted((folder / "trl_dpo").glob("*.parquet")):
        held += pq.read_table(path).slice(0, most - len(held)).to_pylist()
    return held


if __name__ == "__main__":
    main()
