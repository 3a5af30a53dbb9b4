"""Counting: what is done, leased, left; who is active; what nobody can give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation import pacing, ranking, watching
from annotation.models import Annotator, Assignment, Pair, Run, Worker
from curation import progress
from curation.models import Measurement
from tests.curation.finished import finished
from tests.lineups import answers, rank
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


def test_counts_tell_done_leased_left_and_elsewhere_apart(project, make_pair, alice, bob):
    one, two = make_pair(), make_pair()
    judge(alice, one)
    Assignment.objects.filter(pair=one, slot=2).update(annotator=bob, lease_until=timezone.now())
    imported = Annotator.objects.create(project=project, name="expert_1", external_id="expert_1")
    Assignment.objects.create(project=project, pair=two, priority=1, annotator=imported, done_at=timezone.now())
    found = progress.counts_of([project.pk])[project.pk]
    assert (found.total, found.done, found.leased, found.left, found.elsewhere) == (6, 1, 1, 4, 1)
    assert found.percent == 16
    assert found.bar.label == "1 done, 1 leased, 4 left"


def test_percent_says_100_only_when_all_is_done():
    assert progress.Counts(total=1000, done=999).percent == 99
    assert progress.Counts(total=1000, done=1000).percent == 100
    assert progress.Counts().percent == 0


def test_excluded_pairs_are_not_counted(project, make_pair):
    make_pair()
    make_pair(excluded_at=timezone.now())
    assert progress.pairs_of([project.pk]) == {project.pk: 1}


def test_activity_counts_people_of_today_and_nobody_who_came_with_a_file(project, make_pair, alice, bob):
    pair, now = make_pair(), timezone.now()
    judge(alice, pair, at=progress.midnight(now))
    judge(bob, pair, at=progress.midnight(now) - timedelta(minutes=1))
    imported = Annotator.objects.create(project=project, name="expert_1", external_id="expert_1")
    judge(imported, pair, at=now + timedelta(hours=1))
    found = progress.activity_of([project.pk], now=now)[project.pk]
    assert found.active_today == 1
    assert found.last_at == progress.midnight(now)


def test_activity_probes_the_index_of_histories(project, make_pair, alice):
    """The plan, not the clock: walking the primary key backwards took 15 s where this takes milliseconds."""
    prompt = make_pair(slots=0).prompt
    with connection.cursor() as cursor:
        cursor.execute(MANY_JUDGEMENTS, {"prompt": prompt.pk, "project": project.pk, "annotator": alice.pk})
        cursor.execute("ANALYZE judgement")
        cursor.execute(f"EXPLAIN {progress.ACTIVITY}", [timezone.now(), [project.pk]])
        plan = "\n".join(row for (row,) in cursor.fetchall())
    assert "judgement_history" in plan
    assert "judgement_pkey" not in plan


# 60 candidates make 1,770 pairs; one annotator judges them all.
MANY_JUDGEMENTS = """
WITH made AS (
  INSERT INTO candidate (prompt_id, messages, digest, index, model, revision, strategy, polarity, template_version,
    language, html, renderer, characters, created_at)
  SELECT %(prompt)s, '[]', decode(md5(n::text), 'hex'), 0, '', '', '', '', '', '', '', 0, 1, now()
  FROM generate_series(1, 60) n RETURNING id
), paired AS (
  INSERT INTO pair (project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label,
    label_kind, meta, is_gold, split, created_at)
  SELECT %(project)s, %(prompt)s, one.id, other.id, 1000 + row_number() OVER (), '', '', '{}', '{}', '', '', '{}',
    false, '', now()
  FROM made one JOIN made other ON one.id < other.id RETURNING id
), assigned AS (
  INSERT INTO assignment (project_id, pair_id, slot, priority, annotator_id, swapped, done_at)
  SELECT %(project)s, id, 1, id, %(annotator)s, false, now() FROM paired RETURNING id
)
INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength, strength_known,
  skip_reason, flags, swapped, client, created_at)
SELECT id, %(annotator)s, 1, true, gen_random_uuid(), 'prefer', 1, true, '', '{}', false, '', now() FROM assigned
"""


def test_per_day_fills_days_without_judgements(project, make_pair, alice, bob):
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    pair, other = make_pair(), make_pair()
    judge(alice, pair, at=now)
    judge(bob, pair, at=now - timedelta(days=2))
    judge(alice, other, at=now - timedelta(days=2))
    judge(bob, other, at=now - timedelta(days=3))  # Before the window.
    days = progress.per_day(project, days=3, now=now)
    assert [(day.day, n) for day, n in days] == [(18, 2), (19, 0), (20, 1)]


def test_what_nobody_can_give(project, make_pair, lead, alice):
    """k = 3 with two people: one slot of every pair stays open for ever, and no more than that."""
    untouched, begun = make_pair(), make_pair()
    judge(alice, begun)
    assert progress.impossible(project, people=2) == 2
    assert progress.impossible(project, people=3) == 0
    # Somebody who left has used a slot and no longer counts as a person: the rest can do more than before.
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    assert progress.impossible(project, people=1) == 2 + 1
    assert untouched.pk != begun.pk


def test_the_latest_measurement_of_the_whole_wins(project, alice):
    def measured(value: float, *, whole: bool = True, **subject: Any) -> None:
        run = finished(project, parameters={"whole": whole})
        Measurement.objects.create(run=run, metric="alpha_nominal", value=value, **subject)

    measured(0.1)
    measured(0.2)
    measured(0.3, whole=False)
    measured(0.4, annotator=alice)
    assert progress.latest_of([project.pk], "alpha_nominal")[project.pk].value == 0.2


def test_workers_that_were_heard_of_lately_are_alive(project):
    now = timezone.now()
    Worker.objects.create(name="one", queues=["cpu"], seen_at=now)
    Worker.objects.create(name="two", queues=["cpu", "gpu"], seen_at=now)
    gone = Worker.objects.create(name="three", queues=["gpu"], seen_at=now - timedelta(minutes=2))
    Run.objects.create(project=project, kind="import", code_version="t")
    found = watching.workers_now([project.pk])
    assert (found.alive, found.by_queue, found.waiting, found.running) == (2, [("cpu", 2), ("gpu", 1)], 1, 0)
    Worker.objects.exclude(pk=gone.pk).delete()
    assert watching.workers_now([project.pk]).last == gone


def test_time_left_needs_a_pace(project):
    now = timezone.now()
    run = Run(
        project=project, kind="import", state="running", claimed_at=now - timedelta(seconds=60), progress=40, total=1000
    )
    assert pacing.time_left(run, now=now) is None
    run.progress = 250
    found = pacing.time_left(run, now=now)
    assert found is not None
    assert (found.early, found.likely, found.late) == pytest.approx((144, 180, 234))
    run.state = "waiting"
    assert pacing.time_left(run, now=now) is None


def test_gold_checks_and_who_settled_count_towards_nothing(project, make_pair, alice, adjudicator):
    from annotation.recusing import recuse

    pair, check, now = make_pair(), make_pair(slots=0), timezone.now()
    judge(alice, pair, at=now)
    Pair.objects.filter(pk=check.pk).update(is_gold=True, gold_use="check", gold_verdict="first")
    Assignment.objects.create(
        project=project, pair=check, slot=1, priority=1, annotator=alice, done_at=now, is_extra=True
    )
    recuse(annotator=adjudicator, pair_id=pair.pk)
    found = progress.counts_of([project.pk])[project.pk]
    assert (found.total, found.done, found.elsewhere) == (3, 1, 0)
    assert progress.per_day(project, days=2, now=now)[-1][1] == 1


# ---- rankings --------------------------------------------------------------------------------------------------------


def test_prompts_that_nobody_has_lined_up_are_counted_as_if_they_were(ranking_project, alice, bob):
    for n in range(3):
        answers(ranking_project, 4, text=f"Prompt {n}?")
    answers(ranking_project, 2, text="Too few?")
    answers(ranking_project, 4, text="All the same?", spread=False)
    to_do = progress.counts_of([ranking_project.pk])[ranking_project.pk]
    assert (to_do.total, to_do.done, to_do.left, to_do.elsewhere) == (6, 0, 6, 0)
    rank(alice, 1, 2, 3, 4)
    ranking.hand_out(annotator=bob)
    lined_up = progress.counts_of([ranking_project.pk])[ranking_project.pk]
    assert (lined_up.total, lined_up.done, lined_up.leased, lined_up.left) == (6, 1, 1, 4)
    # Six implied judgements were handed out by nobody.
    assert lined_up.elsewhere == 0
    days = progress.per_day(ranking_project, days=3, now=timezone.now())
    assert [n for _, n in days] == [0, 0, 1]


def test_a_project_of_pairs_counts_no_lineups(project, alice):
    answers(project, 4)
    assert progress.counts_of([project.pk]) == {}
    assert progress.turns_to_come([project.pk]) == {}


def test_rankings_that_nobody_can_give_are_counted_before_and_after_lining_up(ranking_project, alice, bob):
    ranking_project.overlap = 4
    ranking_project.save()
    for n in range(2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    assert progress.impossible(ranking_project, people=2) == 4
    rank(alice, 1, 2, 3)
    assert progress.impossible(ranking_project, people=2) == 4
    assert progress.impossible(ranking_project, people=4) == 0


def test_one_ranking_counts_once_whatever_it_implies(ranking_project, make_pair, alice, bob):
    pair = make_pair()
    for n in range(2):
        answers(ranking_project, 4, text=f"Prompt {n}?")
    rank(alice, 1, 2, 3, 4)
    rank(alice, skip_reason="language")
    found = progress.own_counts([alice.pk, bob.pk])
    assert set(found) == {alice.pk}
    assert found[alice.pk][0] == 2
    assert found[alice.pk][1] is not None
    judge(alice, pair)
    assert progress.own_counts([alice.pk])[alice.pk][0] == 3
