"""An import is undone: what it brought goes, what anybody judged stays, and after thirty days all of it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from annotation import ranking
from annotation.errors import Refused
from annotation.importing import undoing
from annotation.models import Annotator, Assignment, Candidate, Event, JudgeAnswer, Lineup, Pair, Prompt, Run
from curation.models import Adjudication, Embedding, HeldOutLoss, HeldOutTraining, PairFact
from tests.annotation.importing.pressed import GOOD, line, page, press, send, worked
from tests.verdicts import judge

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quiet_telling")]


@pytest.fixture
def client(lead: Any, sign_in: Any) -> Any:
    return sign_in(lead)


def imported(client: Client, project: Any, data: bytes = GOOD) -> Run:
    send(client, project, data)
    press(client, worked(), do="import")
    return worked()


def test_undo_takes_away_what_the_import_brought_and_nothing_else(project, client, make_pair, alice):
    mine = make_pair()
    run = imported(client, project)
    Assignment.objects.filter(pair__imported_by=run, slot=1).update(annotator=None)
    assert "Undo this import: delete 20 pairs" in page(client, run)
    press(client, run, do="undo")
    assert list(Pair.objects.all()) == [mine]
    assert (Candidate.objects.count(), Prompt.objects.count()) == (2, 1)
    assert Assignment.objects.count() == project.overlap
    assert Event.objects.filter(act="import.undo").count() == 1
    text = page(client, run)
    assert "Undone." in text
    assert "Undo this import" not in text
    assert press(client, run, do="undo").status_code == 422
    assert imported(client, project).result["added"] == 20


def test_what_somebody_judged_stays(project, client, alice):
    run = imported(client, project)
    judge(alice, Pair.objects.order_by("id")[0])
    assert "Undo this import" not in page(client, run)
    assert press(client, run, do="undo").status_code == 422
    assert Pair.objects.count() == 20


def test_undo_ends_after_thirty_days(project, client):
    run = imported(client, project)
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(days=30, minutes=1))
    assert "Undo this import" not in page(client, run)
    answer = press(client, run, do="undo")
    assert answer.status_code == 422
    assert "older than 30 days" in answer.content.decode()
    assert Pair.objects.count() == 20
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(days=29))
    assert "Undo is possible for 30 days" in page(client, run)
    press(client, run, do="undo")
    assert Pair.objects.count() == 0


def test_what_was_derived_of_its_pairs_goes_with_them(project, client, lead):
    run = imported(client, project)
    call_command("gather_facts", project=project.slug)
    assert PairFact.objects.count() == 20
    pair = Pair.objects.order_by("id")[0]
    Embedding.objects.create(run=run, pair=pair, dimensions=1, vector=b"\0" * 4)
    facts: dict[str, Any] = {"model": "m", "revision": "r", "digest": "d", "seed": 1, "half": 0, "trained_on": 1}
    training = HeldOutTraining.objects.create(run=run, steps=[1], seconds=1.0, **facts)
    HeldOutLoss.objects.create(training=training, pair=pair, checkpoint=0, loss=0.5)
    Adjudication.objects.create(project=project, pair=pair, asked_by=lead.user)
    assert "Undo this import: delete 20 pairs" in page(client, run)
    assert press(client, run, do="undo").status_code == 302
    connection.check_constraints()
    assert not Pair.objects.exists()
    assert not PairFact.objects.exists()


def test_what_a_judge_answered_and_what_was_settled_stays(project, client, lead, adjudicator):
    run = imported(client, project)
    first, second = Pair.objects.order_by("id")[:2]
    judge_of_it = Annotator.objects.create(project=project, kind="judge", name="judge")
    said = {"probability_a": 0.5, "probability_b": 0.25, "probability_na": 0.25}
    answer = JudgeAnswer.objects.create(
        run=run, annotator=judge_of_it, pair=first, swapped=False, injection="ignore", injected_into="first", **said
    )
    with pytest.raises(Refused, match="never thrown away"):
        undoing.undo_import(run=run, actor=lead.user)
    answer.delete()
    Adjudication.objects.create(
        project=project, pair=second, adjudicator=adjudicator, outcome="tie", settled_at=timezone.now()
    )
    assert "Undo this import" not in page(client, run)
    with pytest.raises(Refused, match="never thrown away"):
        undoing.undo_import(run=run, actor=lead.user)
    assert Pair.objects.count() == 20


def test_an_open_pair_is_taken_back_from_the_screen(project, client, lead, alice):
    run = imported(client, project)
    row = Assignment.objects.filter(project=project).order_by("id")[0]
    Assignment.objects.filter(pk=row.pk).update(annotator=alice, lease_until=timezone.now() + timedelta(minutes=5))
    undoing.undo_import(run=run, actor=lead.user)
    assert not Assignment.objects.exists()


def test_lineups_go_with_their_import_and_a_ranking_keeps_it(project, client, lead, alice):
    project.task, project.overlap = "rankings", 1
    project.save()
    alice.refresh_from_db()
    lines = "\n".join(line(n, prompt="What is it?", response_a=f"This {n}.", response_b=f"That {n}.") for n in (1, 2))
    run = imported(client, project, lines.encode())
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    assert len(turn.shown) == 4
    assert Pair.objects.count() == 6
    undoing.undo_import(run=run, actor=lead.user)
    assert not Pair.objects.exists()
    assert not Lineup.objects.exists()
    run = imported(client, project, (lines + "\n").encode())
    turn = ranking.hand_out(annotator=alice)
    assert turn is not None
    skipped: dict[str, Any] = {"places": {}, "skip_reason": "language"}
    ranked = ranking.Ranked(key=uuid.uuid4(), claim=ranking.claim_of(turn), **skipped)
    ranking.submit(annotator=alice, turn_id=turn.pk, ranked=ranked)
    with pytest.raises(Refused, match="never thrown away"):
        undoing.undo_import(run=run, actor=lead.user)


def test_texts_that_another_pair_uses_stay(project, client, lead):
    imported(client, project, line(1).encode())
    second = imported(
        client, project, line(2, prompt="What is 1?", response_a="It is 1.", response_b="Something else.").encode()
    )
    undoing.undo_import(run=second, actor=lead.user)
    assert Pair.objects.count() == 1
    assert Candidate.objects.count() == 2
    assert Prompt.objects.count() == 1


def test_a_check_cannot_be_undone(project, client):
    send(client, project, GOOD)
    assert press(client, worked(), do="undo").status_code == 422


# ---- prompts that came alone ----------------------------------------------------------------------------------------

ASKED = b'{"prompt": "How?"}\n{"prompt": "Why?"}\n'


def test_prompts_go_again_until_a_model_has_answered_one(project, client, lead):
    send(client, project, GOOD.splitlines()[0])
    press(client, worked(), do="import")
    worked()
    send(client, project, ASKED + b'{"prompt": "What is 0?"}\n', name="asked.jsonl", holds="prompts")
    press(client, worked(), do="import")
    run = worked()
    assert (run.result["added"], run.result["already"], Prompt.objects.count()) == (2, 1, 3)
    asking = Run.objects.create(project=project, kind="generation", code_version="test")
    with pytest.raises(Refused, match="Models are being asked"):
        undoing.undo_import(run=run, actor=lead.user)
    asking.delete()
    how = Prompt.objects.get(imported_by=run, messages__0__content="How?")
    answer = Candidate.objects.create(prompt=how, messages=[], digest=b"answered")
    assert "Undo this import" not in page(client, run)
    with pytest.raises(Refused, match="has answers by now"):
        undoing.undo_import(run=run, actor=lead.user)
    answer.delete()
    press(client, run, do="undo")
    connection.check_constraints()
    assert [prompt.last for prompt in Prompt.objects.all()] == ["What is 0?"]
    text = page(client, run)
    assert "no model had answered them" in text
    assert "Let models answer them" not in text
    assert Event.objects.get(act="import.undo").before == {"prompts": 2}
