"""Rankings: claimed, submitted, taken back, revised; and the judgements that they imply, each with its origin."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from annotation import judging, lining_up, opening, ranking
from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.founding import change_settings
from annotation.models import Annotator, Judgement, Pair, Project, Ranking, Turn
from annotation.ranking import claim_of
from tests.lineups import answers, rank, ranked
from tests.locks import until_somebody_waits

MakePair = Callable[..., Pair]


def says(who: Annotator) -> dict[tuple[int, int], int]:
    found = Judgement.objects.current().filter(annotator=who).select_related("assignment__pair")
    return {(one.assignment.pair.first_id, one.assignment.pair.second_id): one.strength for one in found}  # type: ignore[misc]


@pytest.mark.django_db
def test_the_overlap_is_never_exceeded_and_nobody_ranks_a_lineup_twice(
    ranking_project: Project, alice: Annotator, bob: Annotator, adjudicator: Annotator
) -> None:
    for n in range(3):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    done: list[tuple[int, int]] = []
    for _ in range(4):
        for who in (alice, bob, adjudicator):
            turn = ranking.hand_out(annotator=who)
            if turn is not None:
                ranking.submit(annotator=who, turn_id=turn.pk, ranked=ranked(turn, 1, 2, 3))
                done.append((turn.lineup_id, who.pk))
    assert len(done) == len(set(done)) == 3 * 2
    assert Ranking.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_two_tabs_of_one_annotator_get_one_turn_and_two_people_two(
    ranking_project: Project, alice: Annotator, bob: Annotator
) -> None:
    for n in range(2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    lining_up.open_lineups(project=ranking_project)
    got: list[tuple[int, int]] = []
    start = threading.Barrier(6)

    def tab(who: Annotator) -> None:
        start.wait()
        try:
            turn = ranking.hand_out(annotator=who)
            assert turn is not None
            got.append((who.pk, turn.pk))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=tab, args=(who,)) for who in (alice, bob) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6
    assert len(set(got)) == len({turn for _, turn in got}) == 2


@pytest.mark.django_db
def test_the_order_on_the_screen_is_drawn_and_stays_the_turns(
    ranking_project: Project, alice: Annotator, bob: Annotator
) -> None:
    ranking_project.overlap = 50
    ranking_project.save()
    for n in range(60):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    first_shown = []
    for _ in range(60):
        turn = ranking.hand_out(annotator=alice)
        assert turn is not None
        again = ranking.hand_out(annotator=alice)
        assert again is not None
        assert again.shown == turn.shown
        assert sorted(turn.shown) == turn.lineup.candidates
        first_shown.append(turn.lineup.candidates.index(turn.shown[0]))
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked(turn, 1, 2, None))
    # Each of three stands first as good as equally often: 60 draws stay above 6 but for one time in ten thousand.
    assert min(first_shown.count(place) for place in range(3)) > 6
    assert all(one.shown == one.turn.shown for one in Ranking.objects.select_related("turn"))


@pytest.mark.django_db
def test_an_expired_turn_goes_to_somebody_else_and_the_late_answer_changes_nothing(
    ranking_project: Project, alice: Annotator, bob: Annotator
) -> None:
    ranking_project.overlap = 1
    ranking_project.save()
    answers(ranking_project, 3)
    mine = ranking.hand_out(annotator=alice)
    assert mine is not None
    assert ranking.hand_out(annotator=bob) is None
    Turn.objects.filter(annotator__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))
    taken = ranking.hand_out(annotator=bob)
    assert taken is not None
    assert taken.pk == mine.pk
    with pytest.raises(judging.LeaseLost, match="not open with you"):
        ranking.submit(annotator=alice, turn_id=mine.pk, ranked=ranked(mine, 1, 2, 3))
    assert not Ranking.objects.exists()
    assert not Judgement.objects.exists()


@pytest.mark.django_db
def test_a_turn_that_comes_again_stands_as_it_did_and_otherwise_for_somebody_else(
    ranking_project: Project, alice: Annotator, bob: Annotator
) -> None:
    """What the browser kept of it, places of letters among it, still means the same."""
    ranking_project.overlap = 1
    ranking_project.save()
    answers(ranking_project, 8)

    def again(who: Annotator) -> Turn:
        Turn.objects.filter(annotator__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))
        ranking.sweep(project=ranking_project)
        turn = ranking.hand_out(annotator=who)
        assert turn is not None
        return turn

    first, theirs, second = again(alice), again(bob), again(alice)
    assert first.pk == theirs.pk == second.pk
    assert (second.shown, claim_of(second)) == (first.shown, claim_of(first))
    assert theirs.shown != first.shown
    made = ranking.submit(annotator=alice, turn_id=second.pk, ranked=ranked(first, *range(1, 9))).ranking
    assert made.shown == first.shown


@pytest.mark.django_db
def test_letters_of_an_earlier_claim_are_never_taken_for_those_of_a_later_one(
    ranking_project: Project, alice: Annotator
) -> None:
    """As claims of a version of this program were that drew a turn anew each time."""
    answers(ranking_project, 8)
    old = ranking.hand_out(annotator=alice)
    assert old is not None
    Turn.objects.filter(pk=old.pk).update(shown=old.shown[::-1])
    new = ranking.hand_out(annotator=alice)
    assert new is not None
    assert new.pk == old.pk
    with pytest.raises(judging.LeaseLost, match="in another order"):
        ranking.submit(annotator=alice, turn_id=new.pk, ranked=ranked(old, *range(1, 9)))
    with pytest.raises(judging.LeaseLost):
        ranking.save_draft(annotator=alice, turn_id=new.pk, claim=claim_of(old), body="{}", version=1)


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["paused", "closed", "setup"])
def test_where_the_project_is_not_open_nothing_is_handed_out_or_taken(
    ranking_project: Project, alice: Annotator, state: str
) -> None:
    answers(ranking_project, 3)
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    Project.objects.update(state=state)
    assert ranking.hand_out(annotator=Annotator.objects.select_related("project").get(pk=alice.pk)) is None
    with pytest.raises(Refused, match="takes no rankings now"):
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked(turn, 1, 2, 3))


# ---- what is stored and implied --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("given", [(3, 1, 2, 4), (1, 1, 2, 2), (2, None, 1, None), (1, 1, 1, 1), (7, 7, 3, None)])
def test_a_ranking_is_stored_and_implies_its_pairs(
    ranking_project: Project, alice: Annotator, given: tuple[int | None, ...]
) -> None:
    answers(ranking_project, 4)
    made = rank(alice, *given)
    by_candidate = dict(zip(made.shown, given, strict=True))
    implied = says(alice)
    both = {
        two for two in combinations(sorted(by_candidate), 2) if None not in (by_candidate[two[0]], by_candidate[two[1]])
    }
    assert {*implied} == both
    for (first, second), strength in implied.items():
        a, b = by_candidate[first], by_candidate[second]
        assert a is not None
        assert b is not None
        assert strength == (b > a) - (b < a)
    for one in Judgement.objects.all():
        assert one.ranking == made
        assert not one.strength_known
        assert one.assignment.slot is None
        assert one.assignment.done_at == made.created_at
        pair = one.assignment.pair
        assert one.swapped == (made.shown.index(pair.second_id) < made.shown.index(pair.first_id))


@pytest.mark.django_db
def test_the_same_key_stores_once_and_another_answer_to_a_done_turn_is_late(
    ranking_project: Project, alice: Annotator
) -> None:
    answers(ranking_project, 3)
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    sent = ranked(turn, 1, 2, 3)
    first = ranking.submit(annotator=alice, turn_id=turn.pk, ranked=sent)
    assert ranking.submit(annotator=alice, turn_id=turn.pk, ranked=sent) == first
    with pytest.raises(Stale):
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked(turn, 3, 2, 1))
    assert (Ranking.objects.count(), Judgement.objects.count()) == (1, 3)


@pytest.mark.django_db
def test_a_skip_has_a_reason_and_implies_nothing(ranking_project: Project, alice: Annotator) -> None:
    answers(ranking_project, 3)
    made = rank(alice, 1, 2, 3, skip_reason="language", flags=("personal",), note="I read none of these.")
    assert (made.ranks, made.skip_reason, made.flags) == ([None] * 3, "language", ["personal"])
    assert not Judgement.objects.exists()
    assert ranking.echo(made) == "Skipped: I do not read this language"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ranks", "more", "field"),
    [
        ((1, None, None), {}, "place"),
        ((None, None, None), {}, "place"),
        ((0, 1, 2), {}, "place"),
        ((1, 2, 1000), {}, "place"),
        ((1, 2, 3, 4), {}, "place"),
        ((1, 2, 3), {"flags": ("nonsense",)}, "flag"),
        ((1, 2, 3), {"note": "a\0b"}, "note"),
        ((1, 2, 3), {"note": "x" * 20_001}, "note"),
        ((None, None, None), {"skip_reason": "tired"}, "skip_reason"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_field(
    ranking_project: Project, alice: Annotator, ranks: Any, more: dict[str, Any], field: str
) -> None:
    answers(ranking_project, 3)
    with pytest.raises(Unfit) as refused:
        rank(alice, *ranks, **more)
    assert refused.value.field == field
    assert not Ranking.objects.exists()


@pytest.mark.django_db
def test_a_revision_withdraws_what_the_one_before_implied(ranking_project: Project, alice: Annotator) -> None:
    answers(ranking_project, 3)
    first = rank(alice, 1, 2, 3)
    again = ranked(first.turn, 2, 1, None)
    second = ranking.revise(annotator=alice, turn_id=first.turn_id, ranked=again, expected_revision=1)
    assert second.revision == 2
    a, b, _c = first.shown
    sign = 1 if b < a else -1
    assert says(alice) == {(min(a, b), max(a, b)): sign}
    assert {one.ranking_id for one in Judgement.objects.current()} == {second.pk}
    assert Judgement.objects.filter(is_current=False).count() == 3
    assert ranking.revise(annotator=alice, turn_id=first.turn_id, ranked=again, expected_revision=1) == second
    with pytest.raises(Stale, match="another window"):
        ranking.revise(annotator=alice, turn_id=first.turn_id, ranked=ranked(first.turn, 1, 2, 3), expected_revision=1)
    whole = ranking.revise(
        annotator=alice, turn_id=first.turn_id, ranked=ranked(first.turn, 3, 2, 1), expected_revision=2
    )
    assert len(says(alice)) == 3
    assert {one.ranking_id for one in Judgement.objects.current()} == {whole.pk}


@pytest.mark.django_db
def test_undo_reopens_the_latest_with_it_as_a_draft_before_what_waits(
    ranking_project: Project, alice: Annotator
) -> None:
    for n in range(2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    made = rank(alice, 2, 1, None, note="So.", flags=("other",))
    waits = ranking.hand_out(annotator=alice)
    assert waits is not None
    assert waits.pk != made.turn_id
    reopened = ranking.undo(annotator=alice)
    assert reopened.pk == made.turn_id
    assert says(alice) == {}
    again = ranking.hand_out(annotator=alice)
    assert again is not None
    assert again.pk == made.turn_id
    assert again.shown == made.shown
    assert again.draft == {
        "place": {"a": 2, "b": 1, "c": ""},
        "skip_reason": "",
        "flag": ["other"],
        "note": "So.",
    }
    better = ranking.submit(annotator=alice, turn_id=again.pk, ranked=ranked(again, 1, 2, 3)).ranking
    assert better.revision == 2
    assert len(says(alice)) == 3
    following = ranking.hand_out(annotator=alice)
    assert following is not None
    assert following.pk == waits.pk


@pytest.mark.django_db
def test_a_verdict_on_the_pair_itself_stands(
    project: Project, alice: Annotator, lead: Annotator, make_pair: MakePair
) -> None:
    prompt = answers(project, 3)
    opening.open_slots(project=project)
    item = judging.hand_out(user_id=alice.user_id, slug="everyday")[0]  # type: ignore[arg-type]
    from annotation.answering import Shown

    judging.submit_shown(
        user_id=alice.user_id,  # type: ignore[arg-type]
        slug="everyday",
        shown=Shown(assignment_id=item.assignment_id, key=uuid.uuid4(), control="same"),
    )
    direct = Judgement.objects.get()
    assert lead.user is not None
    change_settings(project=project, actor=lead.user, task="rankings")
    made = rank(Annotator.objects.select_related("project").get(pk=alice.pk), 1, 2, 3)
    direct.refresh_from_db()
    assert direct.is_current
    assert direct.ranking is None
    # The first pair is judged and the second still leased to her: only the third is implied.
    assert Judgement.objects.filter(ranking=made).count() == 1
    assert Pair.objects.filter(prompt=prompt).count() == 3


@pytest.mark.django_db
def test_rankings_of_several_people_come_together_in_the_measures(
    ranking_project: Project, alice: Annotator, bob: Annotator
) -> None:
    from curation.arrays import judgement_labels

    answers(ranking_project, 4)
    order = {}
    for who in (alice, bob):
        turn = ranking.hand_out(annotator=who)
        assert turn is not None
        by_number = {candidate: at + 1 for at, candidate in enumerate(sorted(turn.shown))}
        ranking.submit(annotator=who, turn_id=turn.pk, ranked=ranked(turn, *(by_number[one] for one in turn.shown)))
        order[who.pk] = by_number
    labels = judgement_labels(project=ranking_project)
    assert len(labels.value) == 2 * 6
    assert set(labels.value.tolist()) == {0}
    assert judgement_labels(project=ranking_project, level="ordinal").value.size == 0


# ---- what the database refuses ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_end_of_the_queue_counts_what_was_ranked(ranking_project: Project, alice: Annotator) -> None:
    for n in (1, 2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
        rank(alice, 1, 2, 3)
        told = ranking.why_nothing(annotator=alice)["facts"]
        assert told == [(n, "ranking is yours, and saved." if n == 1 else "rankings are yours, and saved.")]


@pytest.mark.django_db
def test_a_ranking_that_is_taken_back_or_changed_goes_on_from_the_time_before(
    ranking_project: Project, alice: Annotator
) -> None:
    for n in range(2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    for measured, told in (((90_000, 1_500, 2_000), [90_000, 91_500, 93_500]), ((None, 1_500, 2_000), [None] * 3)):
        turn = ranking.hand_out(annotator=alice)
        assert turn is not None
        first, second, third = (replace(ranked(turn, 1, 2, 3), active_ms=ms) for ms in measured)
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=first)
        ranking.undo(annotator=alice)
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=second)
        ranking.revise(annotator=alice, turn_id=turn.pk, ranked=third, expected_revision=2)
        assert list(turn.rankings.order_by("revision").values_list("active_ms", flat=True)) == told


# ---- drafts ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("beyond", "handed_back"),
    [((0,), True), ((0, 7), True), ((0, 5), False), ((5,), False), (None, False)],
    ids=["nothing", "another", "that one", "it alone", "not said"],
)
def test_a_ranking_hands_back_the_draft_that_its_page_had_not_seen(
    ranking_project: Project, alice: Annotator, beyond: tuple[int, ...] | None, handed_back: bool
) -> None:
    answers(ranking_project, 3)
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    claimed: dict[str, Any] = {"annotator": alice, "turn_id": turn.pk, "claim": claim_of(turn)}
    ranking.save_draft(**claimed, body='{"note": "elsewhere"}', version=5, beyond=(0,))
    outcome = ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked(turn, 1, 2, 3, beyond=beyond))
    assert outcome.unseen == ({"note": "elsewhere"} if handed_back else None)
    turn.refresh_from_db()
    assert turn.draft is None


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_waited_for_the_ranking_hears_that_it_is_too_late(
    ranking_project: Project, alice: Annotator
) -> None:
    answers(ranking_project, 3)
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    heard: list[Any] = []

    def write() -> None:
        claimed: dict[str, Any] = {"annotator": alice, "turn_id": turn.pk, "claim": claim_of(turn)}
        try:
            heard.append(ranking.save_draft(**claimed, body='{"note": "late"}', version=5, beyond=(0,)))
        except judging.LeaseLost as error:
            heard.append(str(error))
        finally:
            connections.close_all()

    with transaction.atomic():
        ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked(turn, 1, 2, 3, beyond=(0,)))
        other = threading.Thread(target=write)
        other.start()
        until_somebody_waits()
    other.join()
    assert heard == ["This lineup is not open with you any more. What you wrote is kept on this page."]
