"""What makes prompts and candidates the same, and the drawn order."""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Project
from annotation.pairing import as_json, candidate_digest, messages_json, next_rank, prompt_digest, shuffle_key


def test_the_same_conversation_is_one_prompt() -> None:
    one = as_json([{"role": "user", "content": "ü"}])
    assert one == '[{"role":"user","content":"ü"}]'
    assert prompt_digest(one) == prompt_digest(one)
    assert len(prompt_digest(one)) == 32
    assert len({prompt_digest(one), prompt_digest(one, "s"), prompt_digest(as_json([]), "s")}) == 3


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")) | st.text('"\\\n\r\t\b\x00\x1f/é'), max_size=3))
def test_messages_are_written_as_json_writes_them(contents: list[str]) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    assert messages_json(messages) == as_json(messages).encode()


def test_half_a_character_cannot_be_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        messages_json([{"role": "user", "content": "half \ud83d"}])


def test_text_model_and_ordinal_tell_candidates_apart() -> None:
    digests = {
        candidate_digest(said, model, ordinal) for said in ("[1]", "[2]") for model in ("", "m") for ordinal in (0, 1)
    }
    assert len(digests) == 8


def test_the_order_depends_on_the_seed_and_every_part() -> None:
    keys = {shuffle_key(seed, *parts) for seed in (0, 1, 2**62) for parts in (("a", "b"), ("ab",), ("b", "a"))}
    assert len(keys) == 9
    assert all(0 <= key < 2**63 for key in keys)
    assert shuffle_key(7, "s", "x") == shuffle_key(7, "s", "x")


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json(float("nan"))


@pytest.mark.django_db(transaction=True)
def test_the_next_rank_is_held_until_the_transaction_ends(project: Project, make_pair: object) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        next_rank(project=project)
    with transaction.atomic():
        assert next_rank(project=project) == 0
    make_pair(rank=41)  # type: ignore[operator]
    with transaction.atomic():
        assert next_rank(project=project) == 42
