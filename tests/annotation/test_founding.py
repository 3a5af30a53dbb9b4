"""Projects: founding, settings, states, tags."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.founding import change_settings, found_project, move, read_tags, slug_for
from annotation.models import Annotator, Assignment, Event, Judgement, Project
from annotation.models.projects import default_tags


def test_the_founder_becomes_the_lead(admin: Any) -> None:
    project = found_project(name="  Legal drafting, German ", actor=admin, scale=6, allow_tie=False, overlap=2)
    project.refresh_from_db()
    assert (project.slug, project.name, project.state) == ("legal-drafting-german", "Legal drafting, German", "setup")
    assert (project.scale, project.allow_tie, project.overlap) == (6, False, 2)
    assert project.seed != found_project(name="Another", actor=admin).seed
    assert Annotator.objects.get(project=project).role == "lead"
    event = Event.objects.filter(act="project.found").first()
    assert event is not None
    assert (event.actor, event.project) == (admin.email, "legal-drafting-german")


def test_slugs_are_free_and_never_empty(db: None) -> None:
    assert slug_for("日本語") == "project-1"
    assert slug_for("Round 3!") == "round-3"
    Project.objects.create(slug="round-3", name="a")
    assert slug_for("Round 3") == "round-3-2"
    Project.objects.create(slug="round-3-2", name="b")
    assert slug_for("round 3") == "round-3-3"
    assert len(slug_for("x" * 500)) <= 60


def test_a_taken_address_is_refused(db: None) -> None:
    found_project(name="One", slug="one", command="test")
    with pytest.raises(Refused, match="address 'one' already"):
        found_project(name="Two", slug="one", command="test")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"colour": "red"}, "Unknown setting colour"),
        ({"overlap": 51}, "1 to 50 judgements per pair, not 51"),
        ({"scale": 5}, "Scale"),
        ({"lease_minutes": 0}, "1 to 1440 minutes, not for 0"),
        ({"scale": 7, "allow_tie": False}, "7 points has the tie"),
    ],
)
def test_settings_out_of_range_are_refused(project: Any, lead: Any, wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        change_settings(project=project, actor=lead.user, **wanted)
    with pytest.raises(Refused, match=sentence):
        found_project(name="Wrong", command="test", **wanted)
    assert not Event.objects.exists()


def test_only_what_changed_is_recorded(project: Any, lead: Any) -> None:
    change_settings(project=project, actor=lead.user, name=project.name, question="Which is kinder?")
    project.refresh_from_db()
    assert project.question == "Which is kinder?"
    event = Event.objects.get(act="project.settings")
    assert event.before == {"question": "Which is better overall?"}
    assert event.after == {"question": "Which is kinder?"}
    change_settings(project=project, actor=lead.user, question="Which is kinder?")
    assert Event.objects.count() == 1


def test_the_shortest_reason_is_bounded(project: Any, lead: Any) -> None:
    change_settings(project=project, actor=lead.user, shortest_reason=20)
    with pytest.raises(Refused, match="0 to 1000 characters"):
        change_settings(project=project, actor=lead.user, shortest_reason=1001)
    project.refresh_from_db()
    assert project.shortest_reason == 20
    with pytest.raises(IntegrityError, match="project_shortest_reason_to_1000"), transaction.atomic():
        type(project).objects.update(shortest_reason=1001)


def _judge(pair: Any, annotator: Any, *, slot: bool) -> None:
    assignment = Assignment.objects.filter(pair=pair, annotator=None).first()
    assert assignment is not None
    assignment.annotator, assignment.done_at, assignment.slot = (
        annotator,
        timezone.now(),
        assignment.slot if slot else None,
    )
    assignment.save()
    Judgement.objects.create(
        assignment=assignment, annotator=annotator, key=uuid.uuid4(), verdict="tie", strength=0, swapped=False
    )


def test_the_scale_stays_once_a_pair_was_judged_here(project: Any, lead: Any, alice: Any, make_pair: Any) -> None:
    _judge(make_pair(), alice, slot=False)
    change_settings(project=project, actor=lead.user, scale=4)
    _judge(make_pair(), alice, slot=True)
    with pytest.raises(Refused, match="The scale stays at 4 points"):
        change_settings(project=project, actor=lead.user, scale=6)
    change_settings(project=project, actor=lead.user, scale=4, name="Another name")
    project.refresh_from_db()
    assert (project.scale, project.name) == (4, "Another name")


def test_another_overlap_opens_and_closes_slots(project: Any, lead: Any, alice: Any, make_pair: Any) -> None:
    pair = make_pair()
    assert pair.assignments.count() == 3
    change_settings(project=project, actor=lead.user, overlap=5)
    assert sorted(pair.assignments.values_list("slot", flat=True)) == [1, 2, 3, 4, 5]
    Assignment.objects.filter(pair=pair, slot=5).update(annotator=alice, done_at=timezone.now())
    change_settings(project=project, actor=lead.user, overlap=2)
    assert sorted(pair.assignments.values_list("slot", flat=True)) == [1, 2, 5]


def test_states_move_along_the_drawn_ways_only(project: Any, lead: Any) -> None:
    assert project.state == "judging"
    assert move(project=project, act="pause", actor=lead.user).state == "paused"
    with pytest.raises(Refused, match="'pause' is not possible while the project is paused"):
        move(project=project, act="pause", actor=lead.user)
    assert move(project=project, act="resume", actor=lead.user).state == "judging"
    assert move(project=project, act="close", actor=lead.user).state == "closed"
    assert move(project=project, act="reopen", actor=lead.user).state == "judging"
    with pytest.raises(Refused, match="Possible now: pause, close"):
        move(project=project, act="explode", actor=lead.user)
    acts = list(Event.objects.order_by("id").values_list("act", flat=True))
    assert acts == ["project.pause", "project.resume", "project.close", "project.reopen"]


def test_a_label_keeps_its_key_and_a_new_one_gets_its_own() -> None:
    existing = default_tags()
    tags = read_tags("Follows request\n\n Correctness \nClear!\n正確さ\nClear?", existing=existing)
    assert tags[:2] == [{"key": "request", "label": "Follows request"}, {"key": "correct", "label": "Correctness"}]
    # "clear" is the key of the removed "Clarity": what was said under it must not become said under "Clear!".
    assert [tag["key"] for tag in tags[2:]] == ["clear_2", "tag", "clear_3"]
    for text, sentence in (
        ("A\nA", "stands there twice"),
        ("x" * 41, "at most 40"),
        ("\n".join(map(str, range(25))), "at most 24"),
    ):
        with pytest.raises(Refused, match=sentence):
            read_tags(text, existing=[])
