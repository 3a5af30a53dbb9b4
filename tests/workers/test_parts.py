"""Runs in parts by real worker processes: whoever dies, what comes out is what one process makes alone."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation import running
from annotation.models import Part, Run
from bench.releasing import seed
from config.version import code_version
from curation import gathering, sharding
from curation.export import files
from curation.models import FactsState, PairFact, Release
from curation.releasing import release
from curation.verifying import verify
from tests.workers import parts
from tests.workers.asking import expire_lease, state_of, wait_for

PAIRS = 60


@pytest.fixture
def judged(project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pairs enough for several parts, in shards as small as the workers' under test."""
    monkeypatch.setattr(files, "GROUP_ROWS", parts.GROUP_ROWS)
    monkeypatch.setattr(files, "SHARD_ROWS", parts.SHARD_ROWS)
    monkeypatch.setattr(sharding, "PART_SHARDS", parts.PART_SHARDS)
    # The code is part of the content; whoever commits while this runs must not be found here.
    version = code_version()
    monkeypatch.setattr(running, "code_version", lambda: version)
    seed(project.pk, rows=PAIRS)
    return project


@pytest.fixture
def ask(judged: Any, tmp_path: Any) -> Any:
    """Ask for a release by the queue, whose parts wait at the gate until it is opened."""

    def request() -> Run:
        parameters = {
            "release": "v1",
            "folder": str(tmp_path / "together"),
            "file": str(tmp_path / "parts.txt"),
            "gate": str(tmp_path / "gate"),
        }
        return running.request_run(project=judged, kind=Run.Kind.RELEASE, parameters=parameters, actor=None)

    return request


def bytes_of(folder: Any) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def at_work(run: Run) -> list[str]:
    return sorted(Part.objects.filter(run=run, state="running").values_list("worker", flat=True))


def expire_part(run: Run, worker: str) -> None:
    past = timezone.now() - timedelta(seconds=1)
    assert Part.objects.filter(run=run, worker=worker).update(lease_until=past) == 1


def process_of(workers: list[Any], name: str) -> Any:
    (found,) = (one for one in workers if one.name == name)
    return found


def is_one_release(judged: Any, tmp_path: Any) -> None:
    """What was written together is whole, follows from the judgements, and is what this process writes alone."""
    again = release(project=judged, version="v1", out=tmp_path / "alone")
    assert not again.is_new
    assert bytes_of(tmp_path / "together") == bytes_of(tmp_path / "alone")
    assert len([*(tmp_path / "alone" / "trl_dpo").iterdir()]) > 2 * parts.PART_SHARDS
    assert verify(tmp_path / "together") == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir() and path.name.startswith(".")) == []
    # The workers gather facts meanwhile, in parts too.
    assert not Part.objects.filter(run__kind=Run.Kind.RELEASE).exists()


def test_two_workers_write_one_release_and_one_of_them_dies(judged, ask, folders, start_worker, tmp_path):
    workers = [start_worker(folders) for _ in range(2)]
    run = ask()
    wait_for(lambda: at_work(run) == ["cpu0@test", "cpu1@test"])
    run.refresh_from_db()
    (helper,) = {"cpu0@test", "cpu1@test"} - {run.worker}
    process_of(workers, helper).kill_all()
    expire_part(run, helper)
    (tmp_path / "gate").touch()
    wait_for(lambda: state_of(run) == "done")
    assert run.attempt == 1
    assert Release.objects.get().run == run
    is_one_release(judged, tmp_path)


def test_the_worker_that_holds_the_release_dies_and_the_other_one_ends_it(judged, ask, folders, start_worker, tmp_path):
    workers = [start_worker(folders) for _ in range(2)]
    run = ask()
    wait_for(lambda: at_work(run) == ["cpu0@test", "cpu1@test"])
    run.refresh_from_db()
    process_of(workers, run.worker).kill_all()
    expire_lease(run)
    (tmp_path / "gate").touch()
    wait_for(lambda: state_of(run) == "done")
    assert run.attempt == 2
    # What the killed one left behind is cleared away after a day, by the next release there.
    for rest in tmp_path.glob(".together.writing-*"):
        shutil.rmtree(rest)
    is_one_release(judged, tmp_path)


def test_a_worker_alone_writes_all_parts(judged, ask, folders, start_worker, tmp_path):
    (tmp_path / "gate").touch()
    start_worker(folders)
    run = ask()
    wait_for(lambda: state_of(run) == "done")
    is_one_release(judged, tmp_path)


def facts() -> list[Any]:
    return list(PairFact.objects.order_by("pk").values())


def test_two_workers_gather_facts_and_one_of_them_dies(judged, folders, start_worker, tmp_path):
    gathering.gather_facts(project=judged)
    alone, version = facts(), FactsState.objects.get().version
    PairFact.objects.update(dissents=99)
    workers = [start_worker(folders) for _ in range(2)]
    parameters = {"whole": True, "gate": str(tmp_path / "gate")}
    run = running.request_run(project=judged, kind=Run.Kind.FACTS, parameters=parameters, actor=None)
    wait_for(lambda: at_work(run) == ["cpu0@test", "cpu1@test"])
    run.refresh_from_db()
    (helper,) = {"cpu0@test", "cpu1@test"} - {run.worker}
    process_of(workers, helper).kill_all()
    expire_part(run, helper)
    (tmp_path / "gate").touch()
    wait_for(lambda: state_of(run) == "done")
    assert (run.attempt, run.result["pairs"]) == (1, PAIRS)
    assert FactsState.objects.get().version == version + 1
    assert facts() == alone
    assert not Part.objects.exists()
