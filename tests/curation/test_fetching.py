"""Columns as they cross from the database: what was stored comes out, whichever way it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection

from annotation.models import Prompt
from curation import fetching
from curation.fetching import Table, columns_of, fetch

pytestmark = pytest.mark.django_db

PROMPT = Table("prompt", {"messages": "messages", "system": "text", "language": "text", "tags": "tags"})
PAIR = Table("pair", {"prompt_id": "number", "external_id": "text", "tags": "tags"})

ODD: list[Any] = [
    [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}, {"role": "user", "content": "3?"}],
    [{"role": "developer", "content": "A role that has no code."}],
    [],
    [{"role": "tool", "content": ""}],
    [{"role": "user", "content": 'A "quoted"\nline, \\ \u2028 日本語 🦊 \x7f'}],
    [{"content": "The other way round.", "role": "system"}],
]
TAGS = [[], ["a", "b"], ['with "quotes"', "comma, space"], ["日本語", "{curly}"], ["NULL", "\\"], ["a", "b"]]


@pytest.fixture
def prompts(make_pair: Any) -> list[Prompt]:
    made = []
    for n, (messages, tags) in enumerate(zip(ODD, TAGS, strict=True)):
        made.append(make_pair(slots=0, prompt=f"Question {n}?", tags=tags).prompt)
        made[-1].messages, made[-1].tags, made[-1].system = messages, tags, "Be brief." * (n % 2)
        made[-1].save()
    return made


def test_what_was_stored_comes_out_by_ascending_number(prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    # Lines of two numbers, in whatever order the database groups them.
    monkeypatch.setattr(fetching, "LINE_ROWS", 2)
    shuffled = np.array([prompts[place].pk for place in (4, 0, 5, 2, 1, 3)])
    found = columns_of(fetch(PROMPT, shuffled, using=connection))
    assert found["id"].to_pylist() == sorted(shuffled.tolist())
    assert found["messages"].to_pylist() == ODD
    assert found["tags"].to_pylist() == TAGS
    assert found["system"].to_pylist() == [prompt.system for prompt in prompts]
    assert set(found["language"].to_pylist()) == {prompts[0].language}


def test_only_what_is_not_a_message_alone_crosses_as_json(prompts: list[Prompt]) -> None:
    fetched = fetch(PROMPT, np.array([prompt.pk for prompt in prompts]), using=connection)
    assert sorted(fetched.odd.tolist()) == [prompts[place].pk for place in (0, 1, 2)]
    alone = fetch(PROMPT, np.array([prompts[4].pk]), using=connection)
    assert (alone.odd.tolist(), alone.lines) == ([], b"")


def test_what_is_no_message_is_null_and_its_neighbours_are_whole(prompts: list[Prompt]) -> None:
    wrong: list[Any] = ["What?", [1], [{"role": "user", "content": 5}], [{"content": "x"}], {}, [None]]
    for messages in (*wrong, [{"role": "user", "content": None}]):
        prompts[1].messages = messages
        prompts[1].save()
        found = columns_of(fetch(PROMPT, np.array([prompt.pk for prompt in prompts]), using=connection))
        read = found["messages"].to_pylist()
        assert [read[0], *read[2:]] == [ODD[0], *ODD[2:]]
        assert read[1] != [{"role": "user", "content": "5"}]
        assert not read[1] or None in read[1] or None in {*read[1][0].values()}


def test_numbers_and_rows_that_are_not_there(make_pair: Any) -> None:
    pairs = [make_pair(slots=0, external_id=f"é{n}") for n in range(3)]
    found = columns_of(fetch(PAIR, np.array([pairs[2].pk, pairs[0].pk, 10**12]), using=connection))
    assert found["prompt_id"].to_pylist() == [pairs[0].prompt_id, pairs[2].prompt_id]
    assert found["external_id"].to_pylist() == ["é0", "é2"]
    nothing = columns_of(fetch(PAIR, np.zeros(0, dtype=np.int64), using=connection))
    assert {name: len(column) for name, column in nothing.items()} == dict.fromkeys(nothing, 0)
