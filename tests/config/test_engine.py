"""Whether models can be loaded is told without loading what that takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from config import engine


def test_it_imports_none_of_what_it_looks_for():
    code = "import sys; from config import engine; engine.is_installed(); print(set(engine.NEEDED) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("missing", engine.NEEDED)
def test_all_of_it_is_needed(monkeypatch, missing):
    monkeypatch.setattr(engine, "find_spec", lambda name: None if name == missing else object())
    assert not engine.is_installed()
