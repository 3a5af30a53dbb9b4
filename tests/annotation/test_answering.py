"""Why, where and by which principle: highlights and votes, from the screen into the database and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import guiding, judging, recalling, revising
from annotation.answering import Marked, Terms, Unfit
from annotation.guiding import Entry
from annotation.models import Annotator, Assignment, Judgement, Pair, Project, Span
from annotation.ordering import VOTES, asked, is_asked
from tests.verdicts import claim, send, shown

MakePair = Callable[..., Pair]


# ---- highlights ------------------------------------------------------------------------------------------------------


def marks(**more: Any) -> Marked:
    return Marked(**{"place": "a", "message": 0, "start": 0, "end": 2, **more})


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
def test_highlights_are_stored_on_the_candidate_that_was_marked(
    make_pair: MakePair, alice: Annotator, swapped: bool
) -> None:
    pair = make_pair(prompt="😀é is this", first="First text", second="Second text")
    mine = claim(alice)
    Assignment.objects.filter(pk=mine).update(swapped=swapped)
    spans = (
        marks(place="a", start=1, end=4, polarity="hurts", tag="tone"),
        marks(place="b", start=0, end=10),
        marks(place="prompt", start=0, end=2),
        marks(place="a", start=2, end=6),
    )
    outcome = send(alice, shown(mine, "a2", spans=spans))
    assert outcome.echo == "A better · 4 highlights"
    judgement = Judgement.objects.get()
    as_a, as_b = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    found = [
        (span.candidate_id, span.start, span.end, span.polarity, span.tag)
        for span in judgement.rationales.get().spans.order_by("id")
    ]
    assert found == [
        (as_a.pk, 1, 4, "hurts", "tone"),
        (as_b.pk, 0, 10, "supports", ""),
        (None, 0, 2, "supports", ""),
        (as_a.pk, 2, 6, "supports", ""),
    ]
    assert recalling.fields_of(judgement)["span"] == [asdict(span) for span in spans], "Read again, it is as it was."
    revised = revising.revise(
        annotator=alice,
        assignment=judgement.assignment,
        answer=shown(mine, "a2", spans=spans[:2]).stored(swapped=swapped),
        expected_revision=1,
    )
    assert recalling.fields_of(revised)["span"] == [asdict(span) for span in spans[:2]]
    assert judgement.rationales.get().spans.count() == 4, "The first revision keeps its own."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("span", "word"),
    [
        ({"start": 0, "end": 11}, "outside"),
        ({"message": 1}, "outside"),
        ({"place": "prompt", "end": 999}, "outside"),
        ({"start": 3, "end": 3}, "empty"),
        ({"start": 4, "end": 3}, "empty"),
        ({"polarity": "loves"}, "read"),
        ({"place": "system"}, "read"),
        ({"tag": "wit"}, "not among"),
        ({"principle": 7}, "principle"),
    ],
)
def test_a_highlight_that_does_not_fit_is_refused(
    make_pair: MakePair, alice: Annotator, span: dict[str, Any], word: str
) -> None:
    make_pair(first="0123456789", second="abcdefghij")
    mine = claim(alice)
    with pytest.raises(Unfit, match=word) as refused:
        send(alice, shown(mine, "a2", spans=(marks(**span),)))
    assert refused.value.field == "span"
    assert not Judgement.objects.exists()
    send(alice, shown(mine, "a2", spans=(marks(end=10),)))


WHOLE = {"place": "a", "message": 0, "start": 0, "end": 2, "polarity": "hurts", "tag": "tone", "principle": 4}


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "0"},
        {"start": True},
        {"end": 1e3},
        {"end": -1},
        {"end": 2**31},
        {"message": None},
        {"place": 1},
        {"principle": "4"},
        {"tag": []},
    ],
)
def test_a_highlight_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    assert asdict(Marked.read(json.dumps(WHOLE))) == WHOLE
    for text in (json.dumps(WHOLE | wrong), "", "[]", "1", "{}", "[" * 9999):
        with pytest.raises(Unfit, match="cannot be read"):
            Marked.read(text)


@pytest.mark.django_db
def test_the_database_refuses_an_empty_highlight(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    send(alice, shown(mine, "a2", spans=(marks(),)))
    with pytest.raises(IntegrityError, match="span_is_not_empty"), transaction.atomic():
        Span.objects.update(end=0)


# ---- principle by principle ------------------------------------------------------------------------------------------


@pytest.fixture
def principles(project: Project) -> list[int]:
    entries = [Entry(short=name, text=f"Be {name}.") for name in ("correct", "kind", "brief", "clear")]
    guideline = guiding.publish_guideline(project=project, text="Judge well.", principles=entries)
    Project.objects.update(votes_policy="all")
    return [place.principle_id for place in guideline.places.all()]


@pytest.mark.django_db
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_the_stored_vote_is_the_chosen_one_on_both_sides(
    make_pair: MakePair, alice: Annotator, principles: list[int], data: st.DataObject
) -> None:
    # Everything is drawn before anything is made: a draw may end the example.
    swapped = data.draw(st.booleans())
    control = data.draw(st.sampled_from(["a3", "b1", "same", "bad"]))
    votes = data.draw(st.lists(st.none() | st.sampled_from(sorted(VOTES)), min_size=4, max_size=4))
    pair = make_pair()
    Annotator.objects.update(dry_until=None, cursor=-1)
    mine = claim(alice)
    Assignment.objects.filter(pk=mine).update(swapped=swapped)
    chosen = {p: vote for p, vote in zip(principles, votes, strict=True) if vote}
    deciding = next(iter(chosen), 0)
    send(alice, shown(mine, control, votes=chosen, deciding=deciding))
    judgement = Judgement.objects.get(assignment=mine)
    as_a = "second" if swapped else "first"
    as_b = "first" if swapped else "second"
    expected = {p: {"a": as_a, "b": as_b}.get(vote, vote) for p, vote in chosen.items()}
    assert dict(judgement.votes.values_list("principle", "vote")) == expected
    assert judgement.deciding_principle_id == (deciding or None)
    assert recalling.fields_of(judgement)["vote"] == {str(p): vote for p, vote in chosen.items()}
    assert set(judgement.votes.values_list("pair", flat=True)) <= {pair.pk}
    order = terms_now().asked(assignment_id=mine, user_id=alice.user_id or 0)
    assert judgement.overall_first is (order.overall_first if chosen else None)
    asked = dict(judgement.votes.values_list("principle", "position"))
    assert asked == {p: place for place, p in enumerate(order.order, start=1) if p in chosen}


def terms_now() -> Terms:
    terms = judging.terms_of("everyday", fresh=True)
    assert terms is not None
    return terms


@pytest.mark.django_db
def test_principles_that_pull_apart_need_one_that_decided(
    make_pair: MakePair, alice: Annotator, principles: list[int]
) -> None:
    make_pair()
    mine = claim(alice)
    one, two = principles[:2]
    apart = {one: "a", two: "b"}
    with pytest.raises(Unfit, match="pull apart"):
        send(alice, shown(mine, "a2", votes=apart))
    with pytest.raises(Unfit, match="decided"):
        send(alice, shown(mine, "a2", votes=apart, deciding=principles[3]))
    with pytest.raises(Unfit, match="guideline has changed"):
        send(alice, shown(mine, "a2", votes={10**9: "a"}))
    send(alice, shown(mine, "a2", votes=apart, deciding=0))
    assert Judgement.objects.get().deciding_principle is None
    assert recalling.fields_of(Judgement.objects.get())["deciding"] == "0"


def test_orders_are_drawn_evenly_and_stay() -> None:
    draws = [asked(principles=(1, 2, 3), seed=7, assignment_id=n, user_id=5) for n in range(6000)]
    assert draws[:50] == [asked(principles=(1, 2, 3), seed=7, assignment_id=n, user_id=5) for n in range(50)]
    orders = Counter(draw.order for draw in draws)
    assert len(orders) == 6
    # Chi-square, five degrees of freedom, p > .001; the draw is fixed.
    assert sum((n - 1000) ** 2 / 1000 for n in orders.values()) < 20.5
    assert abs(sum(draw.overall_first for draw in draws) - 3000) < 130
    sampled = sum(is_asked(policy="sample", seed=7, pair_id=n) for n in range(5000))
    assert 900 < sampled < 1100
    assert is_asked(policy="all", seed=7, pair_id=1)
    assert not is_asked(policy="off", seed=7, pair_id=1)
