"""The house keeps its shape: imports run one way, the web process stays light, rooms have names that say something."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each room may import of the others. The arrow points at what is imported: annotation <- curation <- workers.
MAY_IMPORT = {
    "config": {"config"},
    "annotation": {"annotation", "config"},
    "curation": {"curation", "annotation", "config"},
    "workers": {"workers", "curation", "annotation", "config"},
}
# The two files of `config` that name the apps, as Django wants it.
KNOW_THE_APPS = {"config/settings.py", "config/urls.py"}
# Pure: numbers and exports know neither Django nor torch; rendering knows no database.
PURE = {
    "curation/metrics": {"django", "torch", "annotation", "config"},
    "curation/export": {"django", "torch", "annotation", "config"},
    "annotation/simulating.py": {"django", "torch", "config"},
    "annotation/rendering.py": {"torch", "annotation.models", "config", "django"},
    "annotation/tracing.py": {"torch", "annotation", "config", "django"},
}
TORCH = {"torch", "transformers", "trl", "peft", "accelerate"}
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "services", "service", "common", "misc", "managers"}
# About 500 lines is the aim; what passes this has become two rooms.
LONGEST_FILE = 600


def sources(*rooms):
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path):
    """Every module that a file imports anywhere, function bodies included, as (line, dotted name)."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__", "import_string"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def violations(path, allowed):
    room = path.relative_to(ROOT)
    for line, name in imported(path):
        top = name.split(".")[0]
        if top in MAY_IMPORT and top not in allowed:
            yield f"{room}:{line} imports {name}"


def test_the_reader_of_imports_sees_every_kind(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "annotation" / "views" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import curation.models\n"
        "def f():\n"
        "    from workers import tasks\n"
        "    from ..importing import reading\n"
        "    import_module('curation.metrics')\n"
    )
    assert {name for _, name in imported(file)} == {
        "curation.models",
        "workers",
        "workers.tasks",
        "annotation.importing",
        "annotation.importing.reading",
        "curation.metrics",
    }
    assert len(list(violations(file, MAY_IMPORT["annotation"]))) == 4


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    assert sources(room)
    found = [
        line
        for path in sources(room)
        if path.relative_to(ROOT).as_posix() not in KNOW_THE_APPS
        for line in violations(path, MAY_IMPORT[room])
    ]
    assert found == []


@pytest.mark.parametrize("place", PURE)
def test_the_pure_middle_knows_no_framework(place):
    files = [ROOT / place] if place.endswith(".py") else sources(place)
    assert files
    found = []
    for path in files:
        for line, name in imported(path):
            if any(name == other or name.startswith(f"{other}.") for other in PURE[place]):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert found == []


def test_only_workers_import_torch():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources("config", "annotation", "curation")
        for line, name in imported(path)
        if name.split(".")[0] in TORCH
    ]
    assert found == []


def test_the_web_process_loads_neither_torch_nor_task_bodies():
    code = (
        # What config/wsgi.py does, without its look at the database.
        "import os, sys, config.checks\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "get_wsgi_application()\n"
        "from django.urls import get_resolver\n"
        "def walk(patterns):\n"
        "    return sum(walk(p.url_patterns) if hasattr(p, 'url_patterns') else bool(p.callback) for p in patterns)\n"
        "assert walk(get_resolver().url_patterns) > 20\n"
        f"heavy = {sorted(TORCH | {'sklearn', 'pandas', 'datasets'})!r}\n"
        "print([name for name in [*heavy, 'workers.tasks'] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_no_module_has_a_name_that_says_nothing():
    rooms = [*MAY_IMPORT, "bench", "tests"]
    assert [str(path.relative_to(ROOT)) for path in sources(*rooms) if path.stem in SAYS_NOTHING] == []
    assert [str(p) for room in rooms for p in (ROOT / room).rglob("*") if p.is_dir() and p.name in SAYS_NOTHING] == []


def test_every_file_stays_readable_in_one_sitting():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources(*MAY_IMPORT, "bench")
        if "migrations" not in path.parts
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}, "Two rooms in one? Divide the file."


def test_every_task_that_the_web_knows_by_name_is_registered():
    from config import celery
    from workers import tasks

    names = {value for value in vars(celery).values() if isinstance(value, str) and value.startswith("workers.")}
    assert names == {celery.RUN}
    registered = {name for name in celery.app.tasks if name.startswith("workers.")}
    assert names == registered
    assert tasks.run.name == celery.RUN


def test_models_hide_no_logic_in_save_or_signals():
    found = []
    for path in sources("annotation/models", "curation/models"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in {"save", "delete"}:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} defines {node.name}")
        found += [
            f"{path.relative_to(ROOT)}:{line} imports {name}" for line, name in imported(path) if "signals" in name
        ]
    assert found == []


def test_no_file_names_a_place_of_one_machine():
    """Absolute paths of somebody's home or work folder do not belong into the project."""
    pattern = re.compile(r"(?<![\w./-])/(?:home|Users|work)/[\w.-]+")
    found = []
    for path in [*sources(*MAY_IMPORT, "bench"), ROOT / "Makefile", *sorted((ROOT / ".ci").iterdir())]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []
