"""Loaded once for all tests of the backends: importing transformers takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workers.backends import models


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    return {kind: models.save(home / kind, kind) for kind in ("llama", "qwen2")}


@pytest.fixture(scope="session")
def loaded(folders: dict[str, Path]) -> dict[str, Any]:
    from workers.backends import load_backend

    return {
        kind: load_backend(name=f"tiny-{kind}", kind="transformers_local", folder_or_url=str(folder), device="cpu")
        for kind, folder in folders.items()
    }


@pytest.fixture(params=["llama", "qwen2"])
def local(request: Any, loaded: dict[str, Any]) -> Any:
    """A tiny model with random weights, loaded as any other is."""
    from workers.backends.decoding import ANY_NUMBER

    backend = loaded[request.param]
    # A test may have made them fewer.
    backend.rows, backend.decoder.rows = 32, 32
    backend.fits, backend.decoder.fits = ANY_NUMBER, ANY_NUMBER
    return backend


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Callable[[], Path]:
    """A model's folder of the test's own, to be made hostile."""
    import shutil

    def copy() -> Path:
        return Path(shutil.copytree(folders["llama"], tmp_path / "model", dirs_exist_ok=True))

    return copy
