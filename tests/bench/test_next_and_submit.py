"""The project that the benchmark fills is one that could be: every pair has two candidates of its own prompt."""

from __future__ import annotations

import pytest

from annotation.models import Assignment, Candidate, Pair
from bench import next_and_submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("pairs", "prompts", "each"), [(3, 3, 2), (6, 6, 2), (7, 4, 3), (12, 4, 3), (13, 3, 4), (30, 2, 6)]
)
def test_pairs_beyond_the_candidates_share_them_within_a_prompt(
    monkeypatch: pytest.MonkeyPatch, pairs: int, prompts: int, each: int
) -> None:
    monkeypatch.setattr(next_and_submit, "MOST_CANDIDATES", 12)
    assert len(next_and_submit.fill(pairs=pairs, people=2)) == 2
    assert Candidate.objects.count() == prompts * each
    made = set(Pair.objects.values_list("prompt", "first__prompt", "second__prompt", "first", "second"))
    assert len(made) == len({frozenset((first, second)) for *_, first, second in made}) == pairs
    assert all(prompt == one == other for prompt, one, other, *_ in made)
    assert sorted(Pair.objects.values_list("rank", flat=True)) == list(range(pairs))
    assert Assignment.objects.count() == 3 * pairs
