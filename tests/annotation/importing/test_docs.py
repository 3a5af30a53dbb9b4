"""docs/importing.md names every layout, every field of a mapping and every reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotation.importing import FIELDS, LAYOUTS, REASONS, judgements, prompts

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "importing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("layout", [*LAYOUTS, "mapping", *judgements.LAYOUTS])
def test_layouts(layout: str) -> None:
    assert f"| `{layout}` |" in PAGE


@pytest.mark.parametrize("field", FIELDS)
def test_fields(field: str) -> None:
    assert f"| `{field}` | {FIELDS[field]} |" in PAGE


@pytest.mark.parametrize("field", prompts.FIELDS)
def test_fields_of_prompts(field: str) -> None:
    assert f"| `{field}` | {prompts.FIELDS[field]} |" in PAGE


@pytest.mark.parametrize("reason", REASONS)
def test_reasons(reason: str) -> None:
    what, mend = REASONS[reason]
    assert f"| `{reason}` | {what} | {mend} |" in PAGE
