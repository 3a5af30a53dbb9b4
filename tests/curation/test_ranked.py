"""Rankings in releases: every layout reads what they imply, and the listwise one tells them as they were said."""

from __future__ import annotations

import hashlib
import uuid
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from annotation import ranking
from annotation.models import Candidate, Pair, Prompt
from annotation.ranking import LETTERS, Ranked, claim_of
from curation.releasing import release
from curation.verifying import verify

pytestmark = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def four(project):
    """A prompt with four candidates, in a project that ranks."""
    project.task, project.overlap = "rankings", 2
    project.save()
    prompt = Prompt.objects.create(project=project, messages=[{"role": "user", "content": "Why?"}], digest=b"why")
    made = [
        Candidate.objects.create(
            prompt=prompt,
            messages=[{"role": "assistant", "content": f"Because {n}."}],
            digest=hashlib.sha256(str(n).encode()).digest(),
            model=f"model {n}",
        )
        for n in range(4)
    ]
    for one, other in pairwise(made):
        Pair.objects.create(project=project, prompt=prompt, first=one, second=other, rank=Pair.objects.count())
    return made


def rank(who, places):
    """`places` by candidate, in the order of their numbers."""
    turn = ranking.hand_out(annotator=who)
    assert turn is not None
    by_number = dict(zip(sorted(turn.shown), places, strict=True))
    given = {letter: by_number[number] for letter, number in zip(LETTERS, turn.shown, strict=False)}
    return ranking.submit(
        annotator=who, turn_id=turn.pk, ranked=Ranked(key=uuid.uuid4(), claim=claim_of(turn), places=given)
    )


def read(folder, layout):
    return [row for path in sorted((folder / layout).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_the_listwise_layout_gives_the_rankings_best_first(project, four, alice, bob, tmp_path):
    rank(alice, (2, 1, 3, None))
    rank(bob, (2, 1, 2, 3))
    release(project=project, version="v1", layout="listwise", rule="soft", out=tmp_path / "v1")
    (row,) = read(tmp_path / "v1", "listwise")
    assert [said[0]["content"] for said in row["completions"]] == [
        "Because 1.",
        "Because 0.",
        "Because 2.",
        "Because 3.",
    ]
    assert row["rankings"] == [[1, 2, 3, None], [1, 2, 2, 3]]
    assert row["scores"] == sorted(row["scores"], reverse=True)
    assert len(row["pair_ids"]) == 6
    assert verify(tmp_path / "v1") == []


def test_a_ranking_taken_back_is_not_told(project, four, alice, bob, tmp_path):
    rank(alice, (4, 3, 2, 1))
    rank(bob, (1, 2, 3, 4))
    ranking.undo(annotator=bob)
    release(project=project, version="v1", layout="listwise", rule="soft", out=tmp_path / "v1")
    (row,) = read(tmp_path / "v1", "listwise")
    assert row["rankings"] == [[1, 2, 3, 4]]
    assert [said[0]["content"] for said in row["completions"]] == [f"Because {n}." for n in (3, 2, 1, 0)]


def test_other_layouts_read_what_rankings_imply(project, four, alice, bob, tmp_path):
    rank(alice, (1, 2, 3, None))
    rank(bob, (1, 2, 3, None))
    release(project=project, version="v1", out=tmp_path / "v1")
    rows = read(tmp_path / "v1", "trl_dpo")
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows} == {
        ("Because 0.", "Because 1."),
        ("Because 0.", "Because 2."),
        ("Because 1.", "Because 2."),
    }
    assert all(row["strength_mean"] is None and row["agreement"] == 1 for row in rows)
    assert verify(tmp_path / "v1") == []


def test_progress_counts_turns_and_nothing_implied_as_from_elsewhere(project, four, alice, bob):
    from django.utils import timezone

    from curation import progress

    rank(alice, (1, 2, 3, 4))
    ranking.hand_out(annotator=bob)
    counts = progress.counts_of([project.pk])[project.pk]
    assert (counts.total, counts.done, counts.leased, counts.elsewhere) == (2, 1, 1, 0)
    assert [n for _, n in progress.per_day(project, days=2, now=timezone.now())] == [0, 1]


def test_the_facts_notice_a_ranking_that_was_taken_back_or_changed(project, four, alice):
    """What it implied of pairs is withdrawn, and for some no new judgement comes."""
    from curation import gathering
    from curation.models import FactsState, PairFact

    def judged():
        gathering.gather_facts(project=project)
        state = FactsState.objects.get(project=project)
        assert not gathering.is_stale(state)
        return state, PairFact.objects.filter(judgements=1).count()

    made = rank(alice, (1, 2, 3, 4))
    state, count = judged()
    assert count == 6
    places = dict(zip(LETTERS, (1, 2, None, None), strict=False))
    ranking.revise(
        annotator=alice,
        turn_id=made.turn_id,
        ranked=Ranked(key=uuid.uuid4(), claim=claim_of(made.turn), places=places),
        expected_revision=1,
    )
    touched = gathering._touched(state, most=99)
    assert len(touched) == 6, "Those that are not implied any more too."
    assert judged()[1] == 1
    state = FactsState.objects.get(project=project)
    ranking.undo(annotator=alice)
    assert gathering.is_stale(state)
    assert judged()[1] == 0


def test_rankings_that_are_revised_or_taken_back_later_count_as_they_did(project, four, alice, bob, tmp_path):
    """Before the release one was taken back; after it one is taken back, and one leaves a candidate out."""
    rank(alice, (4, 3, 2, 1))
    ranking.undo(annotator=alice)
    rank(alice, (2, 1, 3, None))
    made = rank(bob, (1, 2, 3, 4))
    for layout, rule in (("listwise", "soft"), ("votes", "votes"), ("trl_dpo", "majority")):
        release(project=project, version=layout, layout=layout, rule=rule, out=tmp_path / layout)
    ranking.undo(annotator=alice)
    turn = made.turn
    by_number = dict(zip(sorted(turn.shown), (4, 3, None, 1), strict=True))
    places = {letter: by_number[number] for letter, number in zip(LETTERS, turn.shown, strict=False)}
    ranking.revise(
        annotator=bob,
        turn_id=turn.pk,
        ranked=Ranked(key=uuid.uuid4(), claim=claim_of(turn), places=places),
        expected_revision=1,
    )
    for layout in ("listwise", "votes", "trl_dpo"):
        assert verify(tmp_path / layout) == [], layout
