"""Highlights and edits: whose count, and what a release is made of them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.db import connection

from annotation.distance import edit_distance
from annotation.models import Edit, Judgement, Rationale, Span
from curation import edits, marks
from curation.drafting import count
from curation.needing import Lacking
from curation.planning import plan
from curation.releasing import release
from curation.verifying import verify
from curation.voices import Voices

pytestmark = pytest.mark.usefixtures("same_connection")
TEXT = "Two and two is four. That is prime. So I am sure."


@pytest.fixture
def mark():
    """Let an annotator highlight: `mark(judgement, pair.first, 0, 5)`, with `hurts` as a fault."""

    def make(judgement, candidate, start, end, *, hurts=False, pair=None, annotator=None, message=0):
        pair = pair or judgement.assignment.pair
        why, _ = Rationale.objects.get_or_create(
            pair=pair, annotator=annotator or judgement.annotator, judgement=judgement, defaults={"text": "So."}
        )
        polarity = "hurts" if hurts else "supports"
        return Span.objects.create(
            rationale=why, candidate=candidate, start=start, end=end, polarity=polarity, message=message
        )

    return make


def read(folder, layout):
    return [row for path in sorted((folder / layout).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_highlights_of_current_judgements_and_of_imported_reasons_count(
    project, make_pair, say, alice, bob, robot, mark
):
    pair, other = make_pair(slots=0, first=TEXT), make_pair(slots=0)
    old = say(alice, pair, "second")
    mark(old, pair.first, 0, 3)
    now = say(alice, pair, "first")
    mark(now, pair.first, 21, 26, hurts=True)
    mark(None, pair.second, 0, 2, pair=pair, annotator=bob)
    mark(say(robot, pair, "first"), pair.first, 0, 3)
    mark(now, None, 0, 3)
    mark(now, pair.first, 0, 3, message=1)
    people = Voices()
    pairs = np.array([other.pk, pair.pk])
    none, found = marks.marks_of(pairs, voices=people, using=connection)
    assert none == []
    assert [tuple(one) for one in found] == [(alice.pk, "first", 21, 26, True), (bob.pk, "second", 0, 2, False)]
    assert len(marks.marks_of(pairs, voices=Voices(kind="all"), using=connection)[1]) == 3
    first, second = marks.with_marks(project=project, voices=people, using=connection)
    assert (first.tolist(), second.tolist()) == ([pair.pk], [pair.pk])


def test_an_answer_of_several_messages_has_no_steps(project, make_pair, say, alice, mark):
    pair = make_pair(slots=0)
    pair.first.messages = [*pair.first.messages, {"role": "user", "content": "?"}, *pair.first.messages]
    pair.first.save()
    mark(say(alice, pair, "first"), pair.first, 0, 3)
    first, second = marks.with_marks(project=project, voices=Voices(), using=connection)
    assert (len(first), len(second)) == (0, 0)


def test_a_stepwise_release_has_a_row_for_each_marked_answer(project, make_pair, say, alice, bob, mark, tmp_path):
    marked, both, plain = (make_pair(slots=0, first=TEXT) for _ in range(3))
    one = say(alice, marked, "first")
    mark(one, marked.first, 21, 35, hurts=True)
    mark(one, marked.first, 0, 3)
    for who in (alice, bob):
        judgement = say(who, both, "tie")
        mark(judgement, both.first, 0, 3, hurts=who is bob)
        mark(judgement, both.second, 0, 2)
    say(alice, plain, "first")
    asked = plan(project=project, version="v1", rule="soft", layout="trl_stepwise")
    counted = count(asked, selection=[], least=[])
    assert (counted.chosen, counted.rows) == (2, 3)
    done = release(project=project, version="v1", rule="soft", layout="trl_stepwise", out=tmp_path / "out").release
    assert done.rows == 3
    assert done.manifest["steps"][-1] == {"name": "no highlighted answer", "removed": 1, "left": 2}
    first, second, third = read(tmp_path / "out", "trl_stepwise")
    assert first["completions"] == ["Two and two is four.", "That is prime.", "So I am sure."]
    assert (first["labels"], first["step_hurts"], first["step_supports"]) == ([True, False, True], [0, 1, 0], [1, 0, 0])
    # One marked a fault where the other marked a strength.
    assert (second["labels"], second["n_markers"], second["pair_id"]) == ([True, True, True], 2, both.pk)
    assert (third["side"], third["model"], third["n_tie"]) == ("second", "canary-second", 2)
    assert "Nobody judged steps one by one" in (tmp_path / "out" / "README.md").read_text()
    assert verify(tmp_path / "out") == []


def test_without_a_highlight_or_an_edit_the_layouts_are_refused_with_what_is_lacking(
    project, make_pair, say, alice, lead, sign_in, tmp_path
):
    say(alice, make_pair(slots=0), "first")
    for layout, what in (("trl_stepwise", "highlighted as a strength or as a fault"), ("token_weights", "edited")):
        with pytest.raises(Lacking, match=what):
            release(project=project, version="v1", layout=layout, out=tmp_path / "out")
        page = sign_in(lead).get("/p/everyday/releases/new", {"layout": layout})
        assert page.status_code == 200
        assert what in page.context["form"].errors["layout"][0]
    assert not (tmp_path / "out").exists()


# ---- edits ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def edited():
    """Let an annotator have edited the answer that they prefer: `edited(alice, pair, "second", "Better.")`."""

    def make(who, pair, side, text):
        judgement = Judgement.objects.current().get(assignment__pair=pair, annotator=who)
        better = getattr(pair, side)
        distance = edit_distance(better.text, text)
        return Edit.objects.create(judgement=judgement, candidate=better, text=text, edit_distance=distance)

    return make


def test_an_edit_counts_while_its_revision_is_the_current_one_of_somebody_who_counts(
    project, make_pair, say, alice, bob, robot, edited
):
    pair, turned, plain = (make_pair(slots=0, first=TEXT) for _ in range(3))
    for who in (alice, bob, robot):
        say(who, pair, "first")
        edited(who, pair, "first", f"{TEXT} Says {who.name}.")
    say(alice, turned, "second")
    edited(alice, turned, "second", "It was this.")
    say(alice, turned, "second", 2)
    edited(alice, turned, "second", "It is this.")
    say(alice, plain, "first")
    # Revised, without an edit.
    say(bob, pair, "first", 3)
    numbers = np.array([plain.pk, turned.pk, pair.pk])

    def told(voices):
        found = edits.edits_of(numbers, voices=voices, shown=str, using=connection)
        first, second = edits.with_edits(project=project, voices=voices, using=connection)
        return [[tuple(one) for one in each] for each in found], first.tolist(), second.tolist()

    mine = (str(alice.pk), "first", f"{TEXT} Says Alice.")
    assert told(Voices()) == ([[], [(str(alice.pk), "second", "It is this.")], [mine]], [pair.pk], [turned.pk])
    machines = (str(robot.pk), "first", f"{TEXT} Says robot-1.")
    assert told(Voices(kind="judge")) == ([[], [], [machines]], [pair.pk], [])
    assert told(Voices(kind="all"))[1] == [pair.pk, pair.pk], "A pair is there once for each edit."
    before = Judgement.objects.get(annotator=alice, assignment__pair=pair).pk
    assert told(Voices(through=before)) == ([[], [], [mine]], [pair.pk], [])


def test_each_edit_of_an_answer_is_a_row_by_pseudonym(project, make_pair, say, alice, bob, edited, tmp_path):
    mended, other = (make_pair(slots=0, first=TEXT) for _ in range(2))
    for pair in (mended, other):
        for who in (alice, bob):
            say(who, pair, "first")
    edited(alice, mended, "first", "Two and two is four. That is not prime.")
    edited(bob, mended, "first", "Four.")
    asked = plan(project=project, version="v1", layout="token_weights")
    assert count(asked, selection=[], least=[]).rows == 2
    done = release(project=project, version="v1", layout="token_weights", out=tmp_path / "out").release
    assert (done.rows, done.manifest["steps"][-1]["name"]) == (2, "no edited answer")
    one, two = read(tmp_path / "out", "token_weights")
    assert one["initial"] == "".join(one["initial_segments"]) == TEXT
    assert one["revised"] == "".join(one["revised_segments"])
    taken = [word for word, weight in zip(one["initial_segments"], one["initial_weights"], strict=True) if weight]
    brought = [word for word, weight in zip(one["revised_segments"], one["revised_weights"], strict=True) if weight]
    assert (taken, brought) == ([".", " So", " I", " am", " sure"], [" not"])
    assert one["editor"].startswith("annotator-")
    assert one["editor"] != two["editor"]
    assert "Alice" not in json.dumps([one, two])
    assert verify(tmp_path / "out") == []


def test_in_the_listwise_layout_an_edit_stands_above_its_answer(project, make_pair, say, alice, edited, tmp_path):
    pair = make_pair(slots=0, first="Four.", second="Five.")
    say(alice, pair, "first")
    edited(alice, pair, "first", "It is four.")
    release(project=project, version="v1", layout="listwise", rule="soft", out=tmp_path / "out")
    [row] = read(tmp_path / "out", "listwise")
    assert [one[0]["content"] for one in row["completions"]] == ["It is four.", "Four.", "Five."]
    assert row["edited"] == [True, False, False]
    assert verify(tmp_path / "out") == []
