"""What every benchmark prints, and how it is asked to be quick. None is run here: they take minutes and every core."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from bench import harness

PROGRAMS = [path for path in sorted(Path(harness.__file__).parent.glob("*.py")) if "__main__" in path.read_text()]
LINE = {"name", "figure", "unit", "ratio", "compared_with"}


def test_the_three_that_were_promised_are_there() -> None:
    assert {"importing", "next_and_submit", "releasing"} <= {path.stem for path in PROGRAMS}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_benchmark_says_all_of_its_line_and_can_be_quick(path: Path) -> None:
    tree = ast.parse(path.read_text())
    said = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    said |= {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords if word.arg}
    assert said >= LINE
    assert f"python -m bench.{path.stem} " in (ast.get_docstring(tree) or "")
    asked = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "add_argument"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]
    assert "--quick" in asked


def test_the_line_is_one_object_with_what_it_is_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    harness.report(
        name="sorting", figure=12.5, unit="rows/s", compared_with="standing still: 0 rows/s", ratio=None, rows=3
    )
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    told = json.loads(printed)
    assert told == {
        "name": "sorting", "figure": 12.5, "unit": "rows/s", "ratio": None,
        "compared_with": "standing still: 0 rows/s", "rows": 3,
    }  # fmt: skip


def test_percentiles_are_in_milliseconds() -> None:
    found = harness.percentiles([n / 1000 for n in range(100, 0, -1)])
    assert found == {"p50_ms": 51.0, "p95_ms": 96.0, "p99_ms": 100.0}
    assert harness.percentiles([0.002]) == {"p50_ms": 2.0, "p95_ms": 2.0, "p99_ms": 2.0}
