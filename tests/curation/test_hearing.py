"""What comes after a release changes nothing of it: not the same release made again, and not what verifying finds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation import reacting
from annotation.models import Annotator, Edit, Event, Judgement, Pair, Rationale, Span
from annotation.recording import record
from curation.criteria import parse_all
from curation.export import files
from curation.export.layouts import LAYOUTS
from curation.models import Adjudication, Release, Ruling
from curation.releasing import release
from curation.verifying import verify
from tests.curation.folders import bytes_of
from tests.machines import explain, seat_of, shown_to, turn_on

pytestmark = pytest.mark.usefixtures("same_connection")


def take_back(judgement: Judgement) -> None:
    """As an undo does."""
    Judgement.objects.filter(pk=judgement.pk).update(is_current=False)
    seat = judgement.assignment
    before = {"judgement": judgement.pk, "revision": judgement.revision}
    record(act="judgement.undo", subject=f"assignment {seat.pk}", command="test", project=seat.project, before=before)


@pytest.fixture
def judged(project: Any, make_pair: Any, say: Any, alice: Any, bob: Any, robot: Any) -> list[Pair]:
    """Three pairs that a person and a judge prefer the first of, each with a reason, highlights and an edit.

    Both had said something else before, and another person had taken back what they said.
    """
    turn_on(project, "one")
    made = []
    for n in range(3):
        pair = make_pair(slots=0, first=f"One, {n}. Two.")
        take_back(say(bob, pair, "second", flags=["harmful"], active_ms=1))
        for who in (alice, robot):
            say(who, pair, "second", flags=["harmful"], active_ms=1)
            judgement = say(who, pair, "first", active_ms=60_000)
            why = Rationale.objects.create(
                pair=pair, annotator=who, judgement=judgement, text="" if n == 2 else f"So says {who.name}."
            )
            Span.objects.create(rationale=why, candidate=pair.first, start=0, end=3)
            Edit.objects.create(judgement=judgement, candidate=pair.first, text=f"Only one, {n}.", edit_distance=9)
        made.append(pair)
    return made


@pytest.fixture
def later(project: Any, judged: list[Pair], make_pair: Any, say: Any, alice: Any, bob: Any, robot: Any) -> Any:
    """Everything that can come after a release."""

    def come(voices: str) -> None:
        other = {"people": robot, "judges": bob}[voices]
        second = Annotator.objects.create(project=project, kind="judge", name="robot-2", model="robot-2")
        pair = judged[0]
        # Flags and haste of those who count and of those who do not, by judgements that are new.
        for who in (bob, second, other):
            say(who, judged[1], "second", flags=["harmful"], active_ms=1)
        # A reason and a highlight that came with a file, of somebody who counted already.
        for who in (alice, robot):
            for one in judged:
                why = Rationale.objects.create(pair=one, annotator=who, text="Later.", source="imported")
                Span.objects.create(rationale=why, candidate=one.first, start=4, end=9, polarity="hurts")
        # A machine's reason that somebody agrees with now, in the place of words that they never gave.
        explain(judged[2], text="A machine said it.")
        slot = judged[2].assignments.get(annotator=alice)
        slot.slot = 1
        slot.save()
        reacting.react(annotator=seat_of(alice), number=shown_to(alice).pk, choice="accepted")
        # A ruling that turns the pair round, and a pair that was not there.
        ada = Annotator.objects.create(project=project, name="Ada", role="adjudicator", external_id="ada")
        project.assignments.create(pair=pair, annotator=ada, priority=0, is_recused=True, done_at=pair.created_at)
        held = Adjudication.objects.create(
            project=project, pair=pair, adjudicator=ada, outcome="second", settled_at=pair.created_at
        )
        Ruling.objects.create(
            adjudication=held, adjudicator=ada, key="00000000-0000-4000-8000-000000000001", outcome="second"
        )
        say(alice, make_pair(slots=0), "first")
        say(robot, make_pair(slots=0), "first")
        # What counted is said otherwise, or taken back and said again.
        for who in (alice, robot):
            say(who, judged[1], "second", flags=["harmful"], active_ms=1)
            take_back(Judgement.objects.current().get(annotator=who, assignment__pair=judged[0]))
            say(who, judged[0], "tie", flags=["personal"])
            take_back(Judgement.objects.current().get(annotator=who, assignment__pair=judged[2]))

    return come


@pytest.mark.parametrize("voices", ["people", "judges"])
def test_whatever_comes_later_a_release_is_derived_as_it_was(project, judged, later, voices, tmp_path):
    where = parse_all(["flag!=harmful", "hasty=0"])
    for name, layout in LAYOUTS.items():
        rule = "majority" if layout.chooses else "votes" if name == "votes" else "soft"
        made = release(
            project=project, version=name, layout=name, rule=rule, annotators=voices, where=where, out=tmp_path / name
        ).release
        # One reason has no words.
        assert made.manifest["chosen"] == (2 if layout.reasons else 3)
        assert verify(tmp_path / name) == []
    later(voices)
    for name in LAYOUTS:
        assert verify(tmp_path / name) == [], name


def test_what_a_release_does_not_read_does_not_keep_it_from_being_made_again(
    project, judged, say, alice, robot, tmp_path
):
    """Judges say more, and a reason comes: rows of people without reasons are the same bytes."""
    before = release(project=project, version="v1", out=tmp_path / "a")
    manifest = before.release.manifest
    assert sorted(manifest["heard"]) == ["judgement", "pair", "ranking", "undone"]
    second = Annotator.objects.create(project=project, kind="judge", name="robot-2", model="robot-2")
    say(second, judged[0], "second")
    Rationale.objects.create(pair=judged[0], annotator=alice, text="Later.", source="imported")
    again = release(project=project, version="v1", out=tmp_path / "b")
    assert (again.is_new, again.release.pk) == (False, before.release.pk)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_release_from_before_it_said_so_is_derived_from_all_there_is(project, judged, tmp_path):
    release(project=project, version="v1", layout="votes", rule="votes", out=tmp_path / "v1")
    manifest = json.loads((tmp_path / "v1" / files.MANIFEST).read_text())
    del manifest["heard"], manifest["facts"]
    described = files.write_text(tmp_path / "v1", files.MANIFEST, files.canonical(manifest))
    (tmp_path / "v1" / files.SUMS).write_text(f"{described.sha256}  {files.MANIFEST}\n")
    Release.objects.update(digest=files.digest_of(manifest))
    assert verify(tmp_path / "v1") == []


@pytest.mark.parametrize("where", [[], ["flag!=personal"]])
def test_a_release_says_how_far_it_has_heard_of_what_it_reads(project, judged, say, alice, robot, where, tmp_path):
    last = say(alice, judged[0], "first").pk
    theirs = say(robot, judged[0], "tie").pk
    reason = Rationale.objects.filter(annotator__kind="person").latest("pk").pk
    made = release(
        project=project, version="v1", layout="votes", rule="votes", where=parse_all(where), out=tmp_path / "v1"
    ).release
    assert made.manifest["heard"] == {
        "pair": max(one.pk for one in judged),
        # Flags are looked at whoever set them.
        "judgement": theirs if where else last,
        "undone": Event.objects.filter(act="judgement.undo").latest("pk").pk,
        "ranking": 0,
        "rationale": reason,
        "reaction": 0,
    }
    assert json.loads((tmp_path / "v1" / "manifest.json").read_text())["heard"] == made.manifest["heard"]
