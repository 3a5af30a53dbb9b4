"""The facts of pairs: what they say of judgements, votes on principles and measurements."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Principle, Run
from curation import gathering
from curation.dimensions import DIFFICULTY, dimensions
from curation.models import PairFact
from tests.curation.gathered import fact, gather

pytestmark = pytest.mark.django_db


def test_votes_become_counts_shares_and_entropy(project: Any, make_pair: Any, say: Any, crowd: Any, alice: Any) -> None:
    pair, empty = make_pair(first="x" * 30, second="y" * 10), make_pair()
    for who, what in zip([*crowd, alice], ("first", "first", "second", "skip"), strict=True):
        say(who, pair, what, 2)
    gather(project)
    found = fact(pair)
    assert (found.judgements, found.skips, found.n_first, found.n_second) == (3, 1, 2, 1)
    assert (found.majority, found.dissents) == ("first", 1)
    assert found.share == pytest.approx(2 / 3)
    assert found.item_agreement == pytest.approx(1 / 3)
    assert found.entropy == pytest.approx(0.636514, abs=1e-6)
    assert found.strength == pytest.approx(2 / 3)
    assert found.length_difference == 20
    nothing = fact(empty)
    unknown = ("share", "item_agreement", "entropy", "agreement", "dissents", "strength", "loss", "difficulty")
    assert all(
        getattr(nothing, name) is None for name in (*unknown, "margin", "reward_margin", "n_relevant", "arbitrary")
    )
    assert nothing.b_agreement == 75
    assert nothing.b_dissents == 4


def test_a_reliable_annotator_weighs_more_and_small_numbers_are_shrunk(
    project: Any, make_pair: Any, say: Any, crowd: Any
) -> None:
    good, other, odd = crowd
    for _ in range(30):
        pair = make_pair()
        say(good, pair, "first")
        say(other, pair, "first")
        say(odd, pair, "second")
    split = make_pair()
    say(good, split, "first")
    say(odd, split, "second")
    state = gather(project)
    assert state.weights[str(good.pk)] > 1 > state.weights[str(odd.pk)]
    found = fact(split)
    assert found.item_agreement == 0
    assert (found.agreement or 0) > 0.5, "The more reliable of two who disagree leads."
    w = state.weights
    expected = (w[str(good.pk)] + 0.25) / (w[str(good.pk)] + w[str(odd.pk)] + 0.5)
    assert found.agreement == pytest.approx(expected)


def test_weights_have_exact_sums_so_that_no_order_matters(project: Any, make_pair: Any, say: Any, crowd: Any) -> None:
    """The database adds them up as it reads them, and parts of a gathering read otherwise than all at once."""
    for n in range(31):
        pair = make_pair()
        for place, one in enumerate(crowd):
            say(one, pair, "second" if n % (2 + place) == 0 else "first")
    weights = gather(project).weights.values()
    assert len(set(weights)) == 3
    assert all((weight / gathering.GRAIN).is_integer() for weight in weights)
    assert all(math.fsum(each) == sum(each) for each in permutations([*weights, *weights]))


@pytest.mark.parametrize(
    ("votes", "category", "relevant", "direction"),
    [
        (("first", "first", "irrelevant"), "consensus", 2, 1),
        (("second", "same", "irrelevant"), "consensus", 1, -1),
        (("first", "second", "same"), "conflict", 2, None),
        (("irrelevant", "same", "same"), "indifference", 0, None),
    ],
)
def test_principles_make_the_category(
    project: Any, make_pair: Any, vote: Any, alice: Any, votes: Any, category: str, relevant: int, direction: Any
) -> None:
    pair = make_pair()
    vote(alice, pair, *votes)
    gather(project)
    found = fact(pair)
    assert (found.discretion, found.n_relevant, found.direction) == (category, relevant, direction)


def test_several_voters_on_one_principle_are_counted_and_a_tie_is_indifferent(
    project: Any, make_pair: Any, vote: Any, crowd: Any, robot: Any
) -> None:
    clear, tied, machine = make_pair(), make_pair(), make_pair()
    for who, says in zip(crowd, ("first", "first", "second"), strict=True):
        vote(who, clear, says)
    for who, says in zip(crowd[:2], ("first", "second"), strict=True):
        vote(who, tied, says)
    vote(robot, clear, "second")
    vote(robot, machine, "second")
    gather(project)
    assert (fact(clear).discretion, fact(clear).direction) == ("consensus", 1), "People are heard before judges."
    assert fact(tied).discretion == "indifference"
    assert fact(machine).direction == -1


def test_a_judgement_against_principles_that_agree_is_arbitrary(
    project: Any, make_pair: Any, say: Any, vote: Any, crowd: Any
) -> None:
    pair, conflict = make_pair(), make_pair()
    vote(crowd[0], pair, "first")
    vote(crowd[0], conflict, "first", "second")
    for who, what in zip(crowd, ("first", "second", "tie"), strict=True):
        say(who, pair, what)
        say(who, conflict, what)
    gather(project)
    assert fact(pair).arbitrary == 1
    assert fact(conflict).arbitrary == 0


def test_difficulty_is_a_percentile_of_the_latest_run_of_a_model(project: Any, make_pair: Any, losses: Any) -> None:
    pairs = [make_pair() for _ in range(5)]
    unmeasured = make_pair()
    losses("old", dict(zip(pairs, (5, 4, 3, 2, 1), strict=True)))
    losses("tiny", dict(zip(pairs, (9, 9, 9, 9, 9), strict=True)))
    losses("tiny", dict(zip(pairs, (0.1, 0.2, 0.2, 0.4, 0.9), strict=True)))
    state = gather(project)
    assert state.model == "tiny"
    assert set(state.models_measured) == {"old", "tiny"}
    assert [fact(pair).difficulty for pair in pairs] == pytest.approx([0.1, 0.4, 0.4, 0.7, 0.9])
    assert fact(unmeasured).b_difficulty == DIFFICULTY.bins
    assert gather(project, model="old").model == "old"
    assert fact(pairs[0]).difficulty == pytest.approx(0.9)


def test_principle_votes_of_a_judge_reach_the_board(project: Any, make_pair: Any, oracle: Any, answer: Any) -> None:
    """They come without a judgement, so that no pair is touched by one."""
    pair = make_pair()
    principle = Principle.objects.create(project=project, key="k", short="k", text=".")
    state = gather(project)
    answer(pair, "AB", principle=principle.pk)
    Run.objects.filter(kind="judging").update(state="done", finished_at=timezone.now())
    assert gathering.is_stale(state)
    gather(project)
    assert PairFact.objects.get().discretion == "consensus"


def test_pairs_out_of_play_stay_out_of_the_board(project: Any, make_pair: Any) -> None:
    make_pair()
    gone = make_pair(excluded_at=timezone.now())
    state = gather(project)
    assert state.pairs == 1
    assert fact(gone).is_excluded


def test_duplicates_are_the_same_two_texts_of_one_prompt(project: Any, make_pair: Any) -> None:
    one = make_pair(prompt="Same?", first="yes", second="no")
    turned = make_pair(prompt="Same?", first="no", second="yes")
    other = make_pair(prompt="Same?", first="yes", second="maybe")
    gather(project)
    assert [fact(pair).duplicates for pair in (one, turned, other)] == [1, 1, 0]
    assert fact(one).marked == "duplicate only"


def test_the_facts_cannot_contradict_themselves(project: Any, make_pair: Any) -> None:
    pair = make_pair()
    gather(project)
    for change, name in (
        ({"difficulty": 2.0, "loss": 1.0}, "difficulty_is_a_percentile"),
        ({"difficulty": 0.5}, "difficulty_is_a_percentile"),
        ({"discretion": "conflict"}, "discretion_counts_its_principles"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            PairFact.objects.filter(pair=pair).update(**change)


def test_the_projects_own_categories_have_bins_and_the_rest_is_other(project: Any, make_pair: Any) -> None:
    for source in ("a", "a", "b", ""):
        make_pair(source=source, external_id="" if not source else f"{source}{timezone.now()}")
    state = gather(project)
    assert state.values["source"] == ["a", "b"]
    binned = next(one for one in dimensions(state.values) if one.key == "source")
    found = sorted(PairFact.objects.values_list("b_source", flat=True))
    assert found == [0, 0, 1, binned.bins]
    assert binned.values == ("a", "b", "other")
