"""Somebody is still saving while a release takes its snapshot: what they say has a lower number, and comes later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from annotation.models import Annotator, Edit, Judgement, Pair, Rationale, Span
from curation.criteria import parse_all
from curation.export.layouts import LAYOUTS
from curation.hearing import missed_by
from curation.models import Adjudication, Release, Ruling
from curation.planning import plan
from curation.releasing import release
from curation.verifying import verify
from tests.curation.folders import bytes_of

committed = pytest.mark.django_db(transaction=True)
PATIENCE = 120.0


@contextmanager
def saving(write: Callable[[], None]) -> Iterator[None]:
    """On another connection `write` has written and not committed; it commits at the end."""
    written, go = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                write()
                written.set()
                assert go.wait(PATIENCE)
        finally:
            written.set()
            connection.close()

    with ThreadPoolExecutor(1) as other:
        held = other.submit(hold)
        try:
            assert written.wait(PATIENCE)
            assert not held.done(), held.exception()
            yield
        finally:
            go.set()
        held.result(PATIENCE)


@pytest.fixture
def tell(say: Any) -> Callable[..., Judgement]:
    """Judge with a reason, a highlight in it, and an edit of the better."""

    def told(who: Any, pair: Pair, what: str, **fields: Any) -> Judgement:
        judgement: Judgement = say(who, pair, what, **fields)
        why = Rationale.objects.create(pair=pair, annotator=who, judgement=judgement, text=f"{who.name} of {pair.pk}.")
        Span.objects.create(rationale=why, candidate=pair.first, start=0, end=3)
        better = pair.first if what == "first" else pair.second
        Edit.objects.create(judgement=judgement, candidate=better, text=f"Edited by {who.pk}.", edit_distance=9)
        return judgement

    return told


@pytest.fixture
def settle(project: Any) -> Callable[..., None]:
    """An adjudicator settles a pair: `settle(pair, "first")`."""

    def settled(pair: Pair, outcome: str) -> None:
        name = f"settler of {pair.pk}"
        judge = Annotator.objects.create(project=project, name=name, role="adjudicator", external_id=name)
        at = pair.created_at
        project.assignments.create(pair=pair, annotator=judge, priority=0, is_recused=True, done_at=at)
        asked = Adjudication.objects.create(
            project=project, pair=pair, adjudicator=judge, outcome=outcome, settled_at=at
        )
        key = f"00000000-0000-4000-8000-{pair.pk:012d}"
        Ruling.objects.create(adjudication=asked, adjudicator=judge, key=key, outcome=outcome)

    return settled


@committed
def test_what_was_being_saved_when_a_release_was_made_changes_nothing_of_it(
    project, make_pair, say, tell, settle, alice, bob, tmp_path
):
    there = [make_pair(slots=0, first=f"One, {n}. Two.") for n in range(4)]
    for pair in there:
        # Of one she gives no reason.
        (say if pair == there[2] else tell)(alice, pair, "first")
    where = parse_all(["flag!=harmful", "hasty=0"])

    def write() -> None:
        tell(bob, there[0], "second", flags=["harmful"], active_ms=1)
        tell(alice, there[1], "second", flags=["harmful"], active_ms=1)
        why = Rationale.objects.create(pair=there[2], annotator=alice, text="Of a file.", source="imported")
        Span.objects.create(rationale=why, candidate=there[2].first, start=0, end=3)
        settle(there[2], "second")
        tell(bob, make_pair(slots=0), "first")

    made = {}
    with saving(write):
        # Of everything one more, with a higher number, that the release sees.
        latest = make_pair(slots=0, first="One, more. Two.")
        tell(alice, latest, "first")
        settle(there[3], "first")
        for name, layout in LAYOUTS.items():
            rule = "majority" if layout.chooses else "votes" if name == "votes" else "soft"
            asked = {"project": project, "version": name, "layout": name, "rule": rule, "where": where}
            made[name] = release(**asked, out=tmp_path / name).release
            # Some layouts leave out the pair without a reason, a highlight or an edit.
            assert made[name].manifest["chosen"] in (4, 5)
            assert made[name].manifest["heard"]["pair"] == latest.pk
            assert not release(**asked, out=tmp_path / "again" / name).is_new
            assert bytes_of(tmp_path / "again" / name) == bytes_of(tmp_path / name)
            assert verify(tmp_path / name) == []
    assert Judgement.objects.filter(annotator=bob, pk__lt=Judgement.objects.get(assignment__pair=latest).pk).exists()
    for name in LAYOUTS:
        assert verify(tmp_path / name) == [], name
    # What keeps it right is what was kept of it, and nothing else.
    Release.objects.update(missed={})
    for name in LAYOUTS:
        assert "have been added since" in verify(tmp_path / name)[0], name


@pytest.mark.django_db
def test_what_is_missed_are_the_numbers_that_are_not_there_up_to_the_last(project, make_pair, say, alice):
    """In blocks that are empty, not full and full: every number from one on is either there or missed."""
    pair = make_pair(slots=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM judgement_id_seq")
        start = (cursor.fetchone()[0] // 1024 + 3) * 1024
    there = [start - 1, start + 5, start + 2 * 1024]
    seat = say(alice, pair, "first").assignment
    Judgement.objects.all().delete()

    def bear(numbers: list[int]) -> None:
        Judgement.objects.bulk_create(
            Judgement(
                pk=number,
                assignment=seat,
                annotator=alice,
                is_current=False,
                revision=number - start + 2,
                key=f"00000000-0000-4000-8000-{number:012d}",
                verdict="tie",
                strength=0,
                swapped=False,
            )
            for number in numbers
        )

    bear(there)
    missed = missed_by(plan(project=project, version="v1"), using=connection)["judgement"]
    assert missed == (f"{{[1,{start - 1}),[{start},{start + 5}),[{start + 6},{start + 2 * 1024})}}")
    bear([number for number in range(start, start + 1024) if number not in there])
    missed = missed_by(plan(project=project, version="v1"), using=connection)["judgement"]
    assert missed == f"{{[1,{start - 1}),[{start + 1024},{start + 2 * 1024})}}"
