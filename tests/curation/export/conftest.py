from __future__ import annotations

from collections.abc import Callable

import pytest

from curation.export.records import Record


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A record that a trainer reads as it is meant; change a part of it to break it."""

    def make(**changes: object) -> Record:
        whole: dict[str, object] = {
            "pair_id": 7,
            "external_id": "q7",
            "source": "test",
            "language": "en",
            "tags": ["code"],
            "system": "",
            "prompt": [{"role": "user", "content": "What is two plus two?"}],
            "first": [{"role": "assistant", "content": "Four."}],
            "second": [{"role": "assistant", "content": "Five."}],
            "first_model": "right",
            "second_model": "wrong",
            "winner": "first",
            "counts": (2, 1, 0, 0),
            "agreement": 1 / 3,
            "strength_mean": 1.5,
        }
        return Record(**{**whole, **changes})  # type: ignore[arg-type]

    return make
