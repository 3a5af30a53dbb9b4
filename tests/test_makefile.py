"""The commands that a newcomer types. What takes a network or minutes is tried by hand and by the build server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from config import engine
from config.embedded import Cluster

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file())


def make(*words, cwd=ROOT, **environment):
    return subprocess.run(
        ["make", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_make_alone_lists_the_targets():
    done = make()
    assert done.returncode == 0
    listed = re.findall(r"^  make (\S+) +(\S.*)$", done.stdout, flags=re.M)
    assert {"setup", "engine", "demo", "test", "check", "bench", "requirements", "clean"} <= {
        name for name, _ in listed
    }


@pytest.fixture
def spaced(tmp_path):
    """What `make` needs of the project, in a folder whose path has a space, with a Python that only takes notes."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$UV_INDEX_URL|$UV_EXTRA_INDEX_URL|$UV_FIND_LINKS|$*" >> "{tmp_path}/calls"\n'
        'case "$*" in\n'
        "  *ensurepip*) exit 0 ;;\n"
        '  "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;\n'
        '  "-m pip config get"*) exit 1 ;;\n'
        "esac\n"
    )
    fake.chmod(0o755)
    return folder, fake, tmp_path / "calls"


def clean_of_indexes():
    return {name: "" for name in os.environ if name.startswith(("PIP_", "UV_"))}


def test_setup_installs_once_in_a_folder_with_a_space(spaced):
    folder, fake, calls = spaced
    first = make("setup", cwd=folder, PYTHON=str(fake), **clean_of_indexes())
    assert first.returncode == 0, first.stderr
    assert (folder / ".venv" / "installed").exists()
    assert calls.read_text().rstrip().endswith("-r requirements.txt")
    calls.write_text("")
    assert make("setup", cwd=folder, PYTHON=str(fake)).returncode == 0
    assert calls.read_text() == ""
    # A changed pin installs again.
    later = time.time() + 5
    os.utime(folder / "requirements.txt", (later, later))
    assert make("setup", cwd=folder, PYTHON=str(fake)).returncode == 0
    assert "-r requirements.txt" in calls.read_text()


def test_engine_installs_once_and_the_demo_does_not_need_it(spaced):
    folder, fake, calls = spaced
    assert make("demo", cwd=folder, PYTHON=str(fake), **clean_of_indexes()).returncode == 0
    assert "requirements-gpu.txt" not in calls.read_text()
    assert make("engine", cwd=folder, PYTHON=str(fake), **clean_of_indexes()).returncode == 0
    assert calls.read_text().rstrip().endswith("-r requirements-gpu.txt")
    calls.write_text("")
    assert make("engine", cwd=folder, PYTHON=str(fake)).returncode == 0
    assert make("setup", cwd=folder, PYTHON=str(fake)).returncode == 0
    assert calls.read_text() == ""


def test_a_failed_installation_is_not_taken_for_a_finished_one(spaced):
    folder, fake, _ = spaced
    fake.write_text(fake.read_text() + 'case "$*" in *"-r requirements.txt"*) exit 3 ;; esac\n')
    assert make("setup", cwd=folder, PYTHON=str(fake)).returncode != 0
    assert not (folder / ".venv" / "installed").exists()


def test_uv_takes_packages_from_where_pip_would(spaced):
    folder, fake, calls = spaced
    done = make(
        "setup",
        cwd=folder,
        **clean_of_indexes()
        | {
            "PYTHON": str(fake),
            "PIP_INDEX_URL": "https://packages.example.org/simple",
            "PIP_EXTRA_INDEX_URL": "https://one.example.org https://two.example.org",
            "PIP_FIND_LINKS": "/srv/wheels /srv/more",
        },
    )
    assert done.returncode == 0, done.stderr
    assert (
        calls.read_text()
        .splitlines()[-1]
        .startswith(
            "https://packages.example.org/simple|https://one.example.org https://two.example.org|/srv/wheels,/srv/more|"
        )
    )


def test_a_missing_python_is_named(spaced, tmp_path):
    folder, _, _ = spaced
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "dirname", "id", "env", "touch"):
        (tools / name).symlink_to(shutil.which(name))
    done = make("setup", cwd=folder, PYTHON="", PATH=str(tools))
    assert done.returncode != 0
    assert "Python 3.11 was not found" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_sound(script):
    assert os.access(script, os.X_OK)
    checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_run_calls_check_and_test():
    text = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make (\w+)$", text, flags=re.M) == ["check", "test"]


def test_a_browser_that_cannot_be_installed_is_said(tmp_path):
    for name in ("sh", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [ROOT / ".ci" / "chromium"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "browser tests are skipped" in done.stdout


def test_the_requirement_files_hold_exact_pins_and_nothing_of_one_machine():
    for name in ("requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.lstrip().startswith("#")]
        assert lines
        for line in lines:
            assert re.fullmatch(r"[a-z0-9.-]+==[a-z0-9.]+", line), f"{name}: {line}"
        assert not any(line.startswith("nvidia-") for line in lines)


# ---- the demo --------------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path_factory):
    """A fresh folder of state that the database's user can reach."""
    if os.geteuid() != 0:
        yield tmp_path_factory.mktemp("state")
        return
    folder = Path("/var/tmp") / f"plumbline-demo-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_demo(state, *words):
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo", *words],
        cwd=ROOT,
        env=environment | {"PLUMBLINE_VAR": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def read_until(process, mark):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if mark in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def processes_with(text):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "environ").read_bytes().decode(errors="replace") + (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if pid != os.getpid()]


def workers_of(state):
    """The demo's workers by their queues, each with the process that leads its group."""
    found = {}
    for pid in processes_with(str(state)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "celery" in words and "--queues" in words:
            found[words[words.index("--queues") + 1]] = os.getpgid(pid)
    return found


def up_after(said):
    """The seconds that the demo says it took to start."""
    return float(re.findall(r"^Plumbline is up after (\d+\.\d) s: http", said, flags=re.M)[0])


def judged(state):
    """How many judgements the demo's database has, and a digest of every word of them."""
    with psycopg.connect(Cluster(var=state).dsn(), connect_timeout=5) as database:
        return database.execute(
            "SELECT count(*), md5(string_agg(j::text, ' ' ORDER BY id)) FROM judgement j"
        ).fetchone()


def test_the_demo_comes_up_lets_people_in_stops_without_a_trace_and_says_who_died(state):
    port = free_port()
    demo = start_demo(state, "--port", str(port))
    try:
        said = read_until(demo, "Ctrl-C")
        assert f"http://localhost:{port}/" in said
        assert up_after(said) > 0
        # The second worker asks endpoints in any case; where it cannot load models, the demo says how it will.
        assert set(workers_of(state)) == {"cpu", "gpu"}
        assert ("plumbline-toy" in said, "make engine" in said) == (engine.is_installed(), not engine.is_installed())
        links = re.findall(r"http://localhost:\d+(/enter/\S+)", said)
        assert len(links) == len(set(links)) == 2
        for path in ("/health", *links):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                assert answer.status == 200
        before = judged(state)
        assert before[0] > 150
        busy = start_demo(state, "--port", str(port))
        assert f"Port {port} is in use." in busy.communicate(timeout=60)[0]
        assert busy.returncode == 1
    finally:
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, rest
    assert processes_with(str(state)) == []

    # The second time it finds its data. Then its worker dies.
    began = time.monotonic()
    again = start_demo(state, "--port", str(port))
    try:
        said = read_until(again, "Ctrl-C")
        assert "Preparing" not in said
        assert "Loading" not in said
        # How long it took is the machine's affair; that it is the time of this start is ours.
        assert 0 < up_after(said) < time.monotonic() - began + 1
        assert judged(state) == before
        os.kill(workers_of(state)["cpu"], signal.SIGKILL)
        rest = again.communicate(timeout=60)[0]
    finally:
        again.terminate()
        again.wait()
    assert again.returncode == 1
    assert "The worker ended by itself" in rest
    assert "worker.log" in rest
    assert processes_with(str(state)) == []
