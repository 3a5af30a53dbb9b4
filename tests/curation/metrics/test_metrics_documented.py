"""The table of measures, and the pages that list it."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from curation.metrics import METRICS, Metric

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_says_what_it_gives_where_it_comes_from_and_when_it_is_undefined(name):
    metric = METRICS[name]
    assert all(getattr(metric, field.name) for field in fields(Metric))
    said = getattr(metric.function, "func", metric.function).__doc__ or ""
    assert re.search(r"\b(Source|Ours|ours)\b", said), "The docstring names no source."
    assert re.search(r"[Uu]ndefined|\bnan\b", said), "The docstring does not say when it is undefined."


def test_the_documentation_lists_every_measure_as_the_table_has_it():
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for name, metric in METRICS.items():
        told = [metric.title, metric.subject, metric.direction, metric.unit, metric.undefined, metric.reference]
        row = f"| `{name}` | {' | '.join(told)} |"
        assert row in text, f"docs/metrics.md lacks this row:\n{row}"
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert [name for name in listed if name not in METRICS] == []


def test_the_papers_page_names_every_measure_and_functions_that_exist():
    text = (DOCS / "papers.md").read_text(encoding="utf-8")
    named = re.findall(r"`(curation\.[\w.]+)\.(\w+)`", text)
    for module, function in named:
        assert hasattr(importlib.import_module(module), function), (
            f"docs/papers.md names {module}.{function}, which is not there."
        )
    functions = {getattr(metric.function, "func", metric.function).__name__ for metric in METRICS.values()}
    lacking = functions - {function for _, function in named}
    assert not lacking, f"docs/papers.md lacks {sorted(lacking)}."
