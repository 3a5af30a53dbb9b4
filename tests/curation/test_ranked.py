"""Rankings in releases: every layout reads what they imply, and the listwise one tells them as they were said."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from annotation import ranking
from curation.releasing import release
from curation.verifying import verify
from tests.lineups import by_candidate, rank_candidates, ranked

pytestmark = pytest.mark.usefixtures("same_connection")


def read(folder, layout):
    return [row for path in sorted((folder / layout).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_the_listwise_layout_gives_the_rankings_best_first(project, four, alice, bob, tmp_path):
    rank_candidates(alice, 2, 1, 3, None)
    rank_candidates(bob, 2, 1, 2, 3)
    release(project=project, version="v1", layout="listwise", rule="soft", out=tmp_path / "v1")
    (row,) = read(tmp_path / "v1", "listwise")
    assert [said[0]["content"] for said in row["completions"]] == [
        "Answer 1 to Why?",
        "Answer 0 to Why?",
        "Answer 2 to Why?",
        "Answer 3 to Why?",
    ]
    assert row["rankings"] == [[1, 2, 3, None], [1, 2, 2, 3]]
    assert row["scores"] == sorted(row["scores"], reverse=True)
    assert len(row["pair_ids"]) == 6
    assert verify(tmp_path / "v1") == []


def test_a_ranking_taken_back_is_not_told(project, four, alice, bob, tmp_path):
    rank_candidates(alice, 4, 3, 2, 1)
    rank_candidates(bob, 1, 2, 3, 4)
    ranking.undo(annotator=bob)
    release(project=project, version="v1", layout="listwise", rule="soft", out=tmp_path / "v1")
    (row,) = read(tmp_path / "v1", "listwise")
    assert row["rankings"] == [[1, 2, 3, 4]]
    assert [said[0]["content"] for said in row["completions"]] == [f"Answer {n} to Why?" for n in (3, 2, 1, 0)]


def test_other_layouts_read_what_rankings_imply(project, four, alice, bob, tmp_path):
    rank_candidates(alice, 1, 2, 3, None)
    rank_candidates(bob, 1, 2, 3, None)
    release(project=project, version="v1", out=tmp_path / "v1")
    rows = read(tmp_path / "v1", "trl_dpo")
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows} == {
        ("Answer 0 to Why?", "Answer 1 to Why?"),
        ("Answer 0 to Why?", "Answer 2 to Why?"),
        ("Answer 1 to Why?", "Answer 2 to Why?"),
    }
    assert all(row["strength_mean"] is None and row["agreement"] == 1 for row in rows)
    assert verify(tmp_path / "v1") == []


def test_progress_counts_turns_and_nothing_implied_as_from_elsewhere(project, four, alice, bob):
    from django.utils import timezone

    from curation import progress

    rank_candidates(alice, 1, 2, 3, 4)
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

    made = rank_candidates(alice, 1, 2, 3, 4)
    state, count = judged()
    assert count == 6
    fewer = ranked(made.turn, 1, 2, None, None)
    ranking.revise(annotator=alice, turn_id=made.turn_id, ranked=fewer, expected_revision=1)
    touched = gathering._touched(state, most=99)
    assert len(touched) == 6, "Those that are not implied any more too."
    assert judged()[1] == 1
    state = FactsState.objects.get(project=project)
    ranking.undo(annotator=alice)
    assert gathering.is_stale(state)
    assert judged()[1] == 0


def test_rankings_that_are_revised_or_taken_back_later_count_as_they_did(project, four, alice, bob, tmp_path):
    """Before the release one was taken back; after it one is taken back, and one leaves a candidate out."""
    rank_candidates(alice, 4, 3, 2, 1)
    ranking.undo(annotator=alice)
    rank_candidates(alice, 2, 1, 3, None)
    made = rank_candidates(bob, 1, 2, 3, 4)
    for layout, rule in (("listwise", "soft"), ("votes", "votes"), ("trl_dpo", "majority")):
        release(project=project, version=layout, layout=layout, rule=rule, out=tmp_path / layout)
    ranking.undo(annotator=alice)
    turn = made.turn
    fewer = ranked(turn, places=by_candidate(turn, 4, 3, None, 1))
    ranking.revise(annotator=bob, turn_id=turn.pk, ranked=fewer, expected_revision=1)
    for layout in ("listwise", "votes", "trl_dpo"):
        assert verify(tmp_path / layout) == [], layout
