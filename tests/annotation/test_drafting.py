"""Drafts: kept by version while the pair is open, refused where they cannot be stored, given back as written."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from annotation import drafting, judging
from annotation.answering import Unfit
from annotation.models import Annotator, Draft
from tests.verdicts import MakePair, claim, send, shown


@pytest.mark.django_db
def test_drafts_are_kept_by_version(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair()
    mine = claim(alice)

    def save(who: Annotator, body: str, version: int) -> int:
        return drafting.save_draft(annotator=who, assignment_id=mine, body=body, version=version)

    assert save(alice, '{"note": "one"}', 5) == 5
    assert save(alice, '{"note": "late"}', 4) == 5
    assert save(alice, '{"note": "one"}', 5) == 5, "Its reply was lost, and it is sent again."
    assert Draft.objects.get().body == {"note": "one"}
    assert save(alice, '{"note": "two", "tag": ["tone"]}', 6) == 6
    assert Draft.objects.get().body == {"note": "two", "tag": ["tone"]}
    with pytest.raises(judging.LeaseLost):
        save(bob, '{"note": "not mine"}', 7)
    send(alice, shown(mine))
    with pytest.raises(judging.LeaseLost):
        save(alice, '{"note": "after the fact"}', 8)
    assert not Draft.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "nonsense",
        '{"note": "\\u0000"}',
        '{"note": "\\ud800"}',
        '{"n": NaN}',
        "[" * 60_000,
        '{"n":"' + "x" * drafting.LARGEST_DRAFT + '"}',
    ],
)
def test_drafts_that_cannot_be_stored_are_refused(make_pair: MakePair, alice: Annotator, body: str) -> None:
    make_pair()
    with pytest.raises(Unfit):
        drafting.save_draft(annotator=alice, assignment_id=claim(alice), body=body, version=1)
    assert not Draft.objects.exists()


@pytest.mark.django_db
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80))
def test_a_draft_comes_back_as_it_was_written(text: str) -> None:
    body = drafting.readable_draft(json.dumps({"note": text}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT (%s::jsonb)->>'note'", [body])
        assert cursor.fetchone()[0] == text
