"""Guidelines: versions, principles, acknowledging, what changed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from annotation.errors import Refused
from annotation.guiding import (
    Entry,
    acknowledge,
    difference,
    has_acknowledged,
    is_news_to,
    last_known,
    principle_changes,
    publish_guideline,
)
from annotation.models import Event, Guideline, GuidelineReading, Principle
from tests.verdicts import claim, send, shown

CORRECT = Entry("Correct", "Claims are true.")
KIND = Entry("Kind", "It is friendly.")


def test_a_version_is_numbered_rendered_and_put_in_force(project: Any, lead: Any) -> None:
    first = publish_guideline(
        project=project, text="# Be *fair*.\r\n<b>no</b>", principles=[CORRECT, KIND], actor=lead.user
    )
    project.refresh_from_db()
    assert (first.version, project.guideline) == (1, first)
    assert first.text == "# Be *fair*.\n<b>no</b>"
    assert "<em>fair</em>" in first.html
    assert "<b>" not in first.html
    assert [place.principle.short for place in first.places.all()] == ["Correct", "Kind"]
    second = publish_guideline(
        project=project,
        text="Fairer.",
        principles=[KIND, CORRECT],
        priority_rules=["Kind first", " "],
        change_note="New",
        actor=lead.user,
    )
    assert (second.version, second.priority_rules) == (2, ["Kind first"])
    assert [place.principle.short for place in second.places.all()] == ["Kind", "Correct"]
    assert Principle.objects.count() == 2
    assert Guideline.objects.get(pk=first.pk).text == "# Be *fair*.\n<b>no</b>"
    event = Event.objects.filter(act="guideline.publish").order_by("-id").first()
    assert event is not None
    assert (event.before, event.after) == ({"version": 1}, {"version": 2, "principles": 2, "change_note": "New"})


def test_a_principle_whose_text_changes_is_a_new_one(project: Any) -> None:
    """Votes and earlier versions stand by what was written."""
    first = publish_guideline(project=project, text="One", principles=[CORRECT], command="test")
    second = publish_guideline(project=project, text="Two", principles=[Entry("Correct", "Code runs.")], command="test")
    assert [p.key for p in Principle.objects.order_by("pk")] == ["correct", "correct-2"]
    assert first.places.get().principle.text == "Claims are true."
    assert second.places.get().principle.text == "Code runs."
    changes = principle_changes(first, second)
    assert [(change.kind, change.principle.text) for change in changes] == [
        ("removed", "Claims are true."),
        ("added", "Code runs."),
    ]


def test_an_imported_principle_is_found_again_by_its_words(project: Any) -> None:
    imported = Principle.objects.create(
        project=project, source="list", key="p1", short="Correct", text="Claims are true."
    )
    guideline = publish_guideline(project=project, text="One", principles=[CORRECT], command="test")
    assert guideline.places.get().principle == imported


def test_the_database_refuses_to_change_a_version(project: Any) -> None:
    guideline = publish_guideline(project=project, text="One", command="test")
    with pytest.raises(IntegrityError, match="guideline_is_immutable"), transaction.atomic():
        Guideline.objects.filter(pk=guideline.pk).update(text="Two")


@pytest.mark.parametrize(
    ("text", "principles", "sentence"),
    [
        ("  \n", [], "is empty"),
        ("x" * 100_001, [], "may have 100,000"),
        ("x", [Entry("A", "a"), Entry("a ", "b")], "Principles 1 and 2 have the same short name"),
        ("x", [Entry("A", "a"), Entry("B", " ")], "Principle 2 needs both"),
        ("x", [Entry("A" * 101, "a")], "more than 100 characters"),
        ("x", [Entry(str(n), "a") for n in range(41)], "at most 40"),
    ],
)
def test_what_can_not_be_a_guideline_is_refused(
    project: Any, text: str, principles: list[Entry], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        publish_guideline(project=project, text=text, principles=principles, command="test")
    assert not Guideline.objects.exists()


def test_acknowledging_twice_does_no_harm(project: Any, alice: Any, stranger: Any) -> None:
    guideline = publish_guideline(project=project, text="One", command="test")
    assert not has_acknowledged(annotator=alice, guideline=guideline)
    acknowledge(annotator=alice, guideline=guideline)
    acknowledge(annotator=alice, guideline=guideline)
    assert has_acknowledged(annotator=alice, guideline=guideline)
    assert GuidelineReading.objects.count() == 1
    with pytest.raises(Refused, match="another project"):
        acknowledge(annotator=stranger, guideline=guideline)


def test_a_change_is_shown_against_the_version_that_is_known(
    project: Any, alice: Any, make_pair: Any, bob: Any
) -> None:
    first, second, third = (publish_guideline(project=project, text=text) for text in ("One.", "Two.", "Three."))

    def known(before: Any) -> Any:
        found = last_known(annotator=alice, before=before)
        return found and (found.guideline, found.is_acknowledged)

    for _ in range(3):
        make_pair()
    assert known(third) is None
    for who in (alice, bob):
        project.guideline = first if who == alice else second
        project.save()
        send(who, shown(claim(who)))
    assert known(third) == (first, False)
    assert known(first) is None
    acknowledge(annotator=bob, guideline=second)
    assert known(third) == (first, False)
    acknowledge(annotator=alice, guideline=first)
    project.guideline = second
    project.save()
    send(alice, shown(claim(alice)))
    assert known(third) == (first, True), "Judged under the second, and acknowledged the first: that one counts."
    project.guideline = third
    project.save()
    assert is_news_to(type(alice).objects.get(pk=alice.pk))
    acknowledge(annotator=alice, guideline=third)
    assert not is_news_to(type(alice).objects.get(pk=alice.pk))


def test_the_difference_is_word_by_word() -> None:
    pieces = difference("Judge the answer.\nSame line.\n", "Judge the whole answer.\nSame line.\n")
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("same", "Judge the "),
        ("added", "whole "),
        ("same", "answer.\nSame line.\n"),
    ]


@given(st.text(alphabet="ab \n.é", max_size=60), st.text(alphabet="ab \n.é", max_size=60))
def test_the_difference_gives_both_texts_back(old: str, new: str) -> None:
    pieces = difference(old, new)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == new
    assert all(piece.text for piece in pieces)
    assert all(one.kind != two.kind for one, two in itertools.pairwise(pieces))


def test_texts_without_lines_do_not_take_forever() -> None:
    old, new = "a b " * 20_000, "b c " * 20_000
    pieces = difference(old, new)
    assert [piece.kind for piece in pieces] == ["removed", "added"]
