"""Answers become facts: stored as chosen, once; taken back, revised; drafts. And A/B against first/second."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation import judging, opening, recalling
from annotation.answering import (
    CONTROLS,
    LONGEST_TEXT,
    Answer,
    Shown,
    Unfit,
    control_of,
    sides,
    turned,
    verdict_in_words,
)
from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Draft, Guideline, Judgement, Project, Rationale
from tests.verdicts import MakePair, claim, send, shown

# ---- A and B, first and second ---------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(CONTROLS)), st.booleans())
def test_every_control_survives_storing_on_both_sides(control: str, swapped: bool) -> None:
    stored = shown(1, control).stored(swapped=swapped)
    assert control_of(verdict=stored.verdict, strength=stored.strength, swapped=swapped) == control


@given(st.sampled_from(sorted(CONTROLS)), st.booleans())
def test_the_candidate_that_was_chosen_is_the_one_that_is_stored(control: str, swapped: bool) -> None:
    """Told without `turned`: A is the second candidate when swapped, and strengths above 0 are for the first."""
    on_the_screen = {"a": "second", "b": "first"} if swapped else {"a": "first", "b": "second"}
    strength = shown(1, control).stored(swapped=swapped).strength
    if control[0] in "ab" and control[1:].isdigit():
        assert strength is not None
        assert ("first" if strength > 0 else "second") == on_the_screen[control[0]]
        assert abs(strength) == int(control[1])
    else:
        assert not strength


@given(st.none() | st.integers(-3, 3), st.booleans(), st.integers(), st.integers())
def test_turning_twice_changes_nothing(strength: int | None, swapped: bool, one: int, other: int) -> None:
    assert turned(turned(strength, swapped=swapped), swapped=swapped) == strength
    assert sides(*sides(one, other, swapped=swapped), swapped=swapped) == (one, other)


def test_coverage_is_turned_with_the_sides() -> None:
    answer = shown(1, coverage_a=0.25, coverage_b=0.75)
    assert (answer.stored(swapped=False).coverage_first, answer.stored(swapped=False).coverage_second) == (0.25, 0.75)
    assert (answer.stored(swapped=True).coverage_first, answer.stored(swapped=True).coverage_second) == (0.75, 0.25)


@pytest.mark.parametrize(
    ("verdict", "strength", "swapped", "scale", "words"),
    [
        ("prefer", 3, False, 7, "A much better"),
        ("prefer", 1, True, 7, "B slightly better"),
        ("prefer", -2, True, 6, "A better"),
        ("prefer", -1, False, 2, "B better"),
        ("tie", 0, True, 7, "About the same"),
        ("both_bad", None, False, 7, "Both bad"),
        ("skip", None, False, 7, "Skipped: I do not read this language"),
    ],
)
def test_verdicts_in_words(verdict: str, strength: int | None, swapped: bool, scale: int, words: str) -> None:
    reason = "language" if verdict == "skip" else ""
    said = verdict_in_words(verdict=verdict, strength=strength, swapped=swapped, skip_reason=reason, scale=scale)
    assert said == words


# ---- submitting ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("control", sorted(CONTROLS))
def test_stored_is_what_was_chosen(make_pair: MakePair, alice: Annotator, control: str, swapped: bool) -> None:
    """Through the statement itself, which picks the side; checked against the candidate that stood as A."""
    pair = make_pair()
    mine = claim(alice)
    Assignment.objects.filter(pk=mine).update(swapped=swapped)
    send(alice, shown(mine, control, coverage_a=0.25, coverage_b=0.75))
    stored = Judgement.objects.get()
    as_a = pair.second_id if swapped else pair.first_id
    if stored.verdict == "prefer":
        assert stored.strength is not None
        better = pair.first_id if stored.strength > 0 else pair.second_id
        assert (better == as_a) == (control[0] == "a")
        assert abs(stored.strength) == int(control[1])
    else:
        assert (stored.verdict, stored.strength) == {
            "same": ("tie", 0), "bad": ("both_bad", None), "skip": ("skip", None)
        }[control]  # fmt: skip
    assert stored.swapped is swapped
    assert (stored.coverage_first if as_a == pair.first_id else stored.coverage_second) == 0.25


@pytest.mark.django_db
def test_everything_that_was_said_is_stored(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    guideline = Guideline.objects.create(project=project, version=1, text="Judge.", html="<p>Judge.</p>")
    Project.objects.update(guideline=guideline)
    pair, following = make_pair(), make_pair()
    mine = claim(alice)
    Assignment.objects.filter(pk=mine).update(swapped=True)
    Draft.objects.create(assignment_id=mine, body={"note": "half"}, version=3, saved_at=timezone.now())
    answer = shown(
        mine, "b1", flags=("personal", "harmful", "personal"), tags=("clear", "tone", "clear"), text="B says why 🎈",
        active_ms=61_000, first_key_ms=900, coverage_a=1.0, coverage_b=0.5, client="page 3",
    )  # fmt: skip
    outcome = send(alice, answer)
    row = Judgement.objects.get(key=answer.key)
    assert (row.assignment_id, row.annotator_id, row.revision, row.is_current) == (mine, alice.pk, 1, True)
    assert (row.verdict, row.strength, row.swapped, row.guideline_id) == ("prefer", 1, True, guideline.pk)
    assert (row.flags, row.active_ms, row.first_key_ms, row.client) == (["personal", "harmful"], 61_000, 900, "page 3")
    assert (row.coverage_first, row.coverage_second) == (0.5, 1.0)
    why = row.rationales.get()
    assert (why.text, why.tags, why.source, why.format) == ("B says why 🎈", ["clear", "tone"], "human", "plain")
    assert (why.pair_id, why.annotator_id) == (pair.pk, alice.pk)
    slot = Assignment.objects.get(pk=mine)
    assert slot.done_at
    assert slot.lease_until is None
    assert not Draft.objects.exists()
    assert outcome.echo == "B slightly better · 4 words · 2 reasons · flagged: personal data, harmful content"
    assert outcome.next
    assert Assignment.objects.get(pk=outcome.next.assignment_id).pair_id == following.pk
    assert outcome.today == 1
    assert outcome.echo == recalling.echo(row), "Read again, it says the same."


@pytest.mark.django_db
def test_no_rationale_is_stored_where_nothing_was_said(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    send(alice, shown(claim(alice)))
    assert not Rationale.objects.exists()


@pytest.mark.django_db
def test_the_same_key_stores_once_and_says_saved_again(make_pair: MakePair, alice: Annotator) -> None:
    for _ in range(6):
        make_pair()
    mine, kept = claim(alice), claim(alice)
    answer = shown(mine, "b3", text="because")
    first = send(alice, answer, held=(kept,))
    again = send(alice, answer, held=(kept,))
    assert Judgement.objects.count() == 1
    assert again.echo == first.echo
    assert again.today == 1
    assert first.next
    assert again.next
    assert again.next.assignment_id not in (mine, kept), "The repeated answer brings an item the page does not hold."


@pytest.mark.django_db
def test_a_used_key_never_finishes_another_slot(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    make_pair()
    mine, other = claim(alice), claim(alice)
    answer = shown(mine)
    send(alice, answer)
    with pytest.raises(judging.LeaseLost):
        send(alice, shown(other, key=answer.key))
    slot = Assignment.objects.get(pk=other)
    assert slot.done_at is None, "A slot is never done without a judgement."
    assert slot.annotator_id == alice.pk


@pytest.mark.django_db
def test_a_late_answer_changes_nothing(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair(slots=1)
    Project.objects.update(overlap=1)
    mine = claim(alice)
    Assignment.objects.update(lease_until=timezone.now() - timedelta(days=1))
    opening.sweep()
    with pytest.raises(judging.LeaseLost, match="ran out"):
        send(alice, shown(mine))
    assert claim(bob) == mine
    with pytest.raises(judging.LeaseLost):
        send(alice, shown(mine))
    assert not Judgement.objects.exists()
    send(bob, shown(mine))
    with pytest.raises(judging.LeaseLost, match="already"):
        send(bob, shown(mine))
    assert Judgement.objects.count() == 1


@pytest.mark.django_db
def test_an_expired_lease_that_nobody_took_still_counts(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    Assignment.objects.leased().update(lease_until=timezone.now() - timedelta(hours=1))
    assert send(alice, shown(mine)).echo == "A better"


@pytest.mark.django_db
def test_others_cannot_answer_for_me(
    make_pair: MakePair, alice: Annotator, bob: Annotator, stranger: Annotator
) -> None:
    make_pair()
    mine = claim(alice)
    with pytest.raises(judging.LeaseLost):
        send(bob, shown(mine))
    with pytest.raises(Annotator.DoesNotExist):
        judging.submit_and_next(user_id=stranger.user_id, slug=alice.project.slug, shown=shown(mine))  # type: ignore[arg-type]
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    with pytest.raises(Annotator.DoesNotExist):
        send(alice, shown(mine))
    assert not Judgement.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["setup", "paused", "closed"])
def test_a_project_that_is_not_judging_takes_no_answers(make_pair: MakePair, alice: Annotator, state: str) -> None:
    make_pair()
    mine = claim(alice)
    Project.objects.update(state=state)
    with pytest.raises(Refused, match="not stored"):
        send(alice, shown(mine))
    assert not Judgement.objects.exists()


@pytest.mark.django_db
def test_an_answer_told_by_first_and_second_is_stored_as_told(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    Assignment.objects.filter(pk=mine).update(swapped=True)
    answer = Answer(assignment_id=mine, key=uuid.uuid4(), verdict="prefer", strength=-3)
    outcome = judging.submit(user_id=alice.user_id, project=alice.project, answer=answer)  # type: ignore[arg-type]
    assert Judgement.objects.get().strength == -3
    assert outcome.echo == "A much better"
    assert outcome.next is None, "It leases nothing."


# ---- what a project accepts ------------------------------------------------------------------------------------------


def refusal(who: Annotator, answer: Shown) -> tuple[str, str]:
    with pytest.raises(Unfit) as error:
        send(who, answer)
    assert not Judgement.objects.exists()
    return error.value.field, str(error.value)


@pytest.mark.django_db
def test_answers_must_fit_the_project(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    Project.objects.update(scale=4, allow_tie=False, allow_both_bad=False)
    for control in ("a3", "b3", "same", "bad"):
        assert refusal(alice, shown(mine, control))[0] == "verdict"
    assert refusal(alice, shown(mine, "skip", skip_reason="bored"))[0] == "skip_reason"
    assert refusal(alice, shown(mine, flags=("rude",)))[0] == "flag"
    field, text = refusal(alice, shown(mine, tags=("wit",)))
    assert field == "tag"
    assert "wit" in text
    field, text = refusal(alice, shown(mine, text="a\0b"))
    assert field == "note"
    assert "NUL" in text
    assert refusal(alice, shown(mine, text="é" * (LONGEST_TEXT + 1)))[0] == "note"
    Project.objects.update(rationale_policy="required")
    assert refusal(alice, shown(mine, "a2", text=" \n"))[0] == "note"
    assert send(alice, shown(mine, "a2", tags=("tone",))).echo == "A better · 1 reason"


@pytest.mark.django_db
def test_a_project_may_ask_for_so_many_characters_of_ones_own(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    make_pair()
    mine = claim(alice)
    Project.objects.update(rationale_policy="required", shortest_reason=12)
    for text in ("", "  Eleven ch.  ", " \n" * 12):
        field, said = refusal(alice, shown(mine, "a2", text=text, tags=("tone",)))
        assert field == "note"
        assert "12 characters" in said
    skipped = send(alice, shown(mine, "skip"))
    assert skipped.next is not None, "A skip needs no reason of one's own."
    # Characters are code points, however many bytes or UTF-16 units they take.
    assert send(alice, shown(skipped.next.assignment_id, "a2", text="😀" * 12)).echo.startswith("A better")


@pytest.mark.django_db
@pytest.mark.parametrize("policy", ["optional", "off"])
def test_where_no_reason_is_needed_its_length_is_not_asked(make_pair: MakePair, alice: Annotator, policy: str) -> None:
    make_pair()
    Project.objects.update(rationale_policy=policy, shortest_reason=12)
    assert send(alice, shown(claim(alice), "a2", text="Short.")).echo.startswith("A better")


@pytest.mark.django_db
def test_the_longest_text_and_a_skip_without_reason_are_taken(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    make_pair()
    Project.objects.update(rationale_policy="required")
    one, two = claim(alice), claim(alice)
    send(alice, shown(one, "a1", text="😀" * LONGEST_TEXT))
    assert len(Rationale.objects.get().text) == LONGEST_TEXT
    send(alice, shown(two, "skip"))
    assert Judgement.objects.filter(verdict="skip", skip_reason="language").exists()


@pytest.mark.django_db
def test_a_change_of_the_project_counts_for_the_next_answer(make_pair: MakePair, alice: Annotator) -> None:
    """The terms are cached; the statement names the row they came from, so an old cache is never what decides."""
    for _ in range(3):
        make_pair()
    one, two, three = claim(alice), claim(alice), claim(alice)
    send(alice, shown(one, "same"))
    Project.objects.update(allow_tie=False, scale=6)
    with pytest.raises(Unfit):
        send(alice, shown(two, "same"))
    Project.objects.update(tags=[{"key": "wit", "label": "Wit"}])
    assert send(alice, shown(three, "a1", tags=("wit",))).echo == "A slightly better · 1 reason"


@pytest.mark.django_db
@pytest.mark.parametrize("measured", [-1, 2**31, 10**20])
def test_what_the_browser_measured_never_stands_in_the_way(
    make_pair: MakePair, alice: Annotator, measured: int
) -> None:
    make_pair()
    odd: Any = {"active_ms": measured, "first_key_ms": measured, "coverage_a": float("nan"), "coverage_b": 1.5}
    send(alice, shown(claim(alice), client="x" * 500 + "\0", **odd))
    row = Judgement.objects.get()
    assert (row.active_ms, row.first_key_ms, row.coverage_first, row.coverage_second) == (None, None, None, None)
    assert len(row.client) == 60
