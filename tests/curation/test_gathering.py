"""Gathering facts: when they are gathered again, by whom, and that a part gives what the whole gives."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from annotation import dividing, running
from annotation.errors import Refused
from annotation.models import Event, Judgement, Part, Run
from curation import gathering, packing
from curation.models import FactsState, PairFact
from tests.curation.finished import finished
from tests.curation.gathered import fact, gather

pytestmark = pytest.mark.django_db


def test_a_part_gives_what_the_whole_gives(project: Any, make_pair: Any, say: Any, crowd: Any, losses: Any) -> None:
    pairs = [make_pair() for _ in range(6)]
    for pair in pairs:
        say(crowd[0], pair, "first")
    losses("tiny", {pair: place for place, pair in enumerate(pairs)})
    first = gather(project)
    say(crowd[1], pairs[2], "second", 3)
    gathering.ask_for_facts(project=project, actor=None, is_whole=False)
    run = Run.objects.filter(kind="facts").latest("pk")
    from annotation import running

    hold = running.claim(run_id=run.pk, worker="test")
    assert hold is not None
    result = gathering.execute(hold)
    assert result["gathered"] == 1
    part = {row.pk: row for row in PairFact.objects.all()}
    state = FactsState.objects.get(project=project)
    assert (state.version, state.is_whole) == (first.version + 1, False)
    assert part[pairs[2].pk].judgements == 2
    gather(project)
    for row in PairFact.objects.all():
        for field in PairFact._meta.concrete_fields:
            if field.name not in ("agreement", "b_agreement"):
                assert getattr(row, field.attname) == getattr(part[row.pk], field.attname), field.name


def test_in_ranges_the_facts_are_those_of_one_piece(
    project: Any, make_pair: Any, say: Any, crowd: Any, losses: Any, vote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Percentiles, reliabilities and duplicates reach across ranges."""
    pairs = [make_pair(prompt=f"Question {n % 4}?", first="The same.", second=f"Or {n % 2}.") for n in range(11)]
    for n, pair in enumerate(pairs):
        for who, what in zip(
            crowd, ("first", "second" if n % 3 else "first", "tie" if n % 2 else "first"), strict=True
        ):
            say(who, pair, what, 1 + n % 3)
    vote(crowd[0], pairs[7], "first", "second")
    losses("tiny", {pair: n % 5 for n, pair in enumerate(pairs[:9])})

    def all_facts() -> list[Any]:
        return list(PairFact.objects.order_by("pk").values())

    whole = gather(project)
    expected = all_facts()
    assert {row["duplicates"] for row in expected} == {1, 2}
    # What lies there is old, and nobody knows of one of them.
    PairFact.objects.update(dissents=99)
    PairFact.objects.filter(pk=pairs[4].pk).delete()
    monkeypatch.setattr(gathering, "PART_PAIRS", 3)
    run = gathering.ask_for_facts(project=project, actor=None)
    hold = running.claim(run_id=run.pk, worker="test")
    assert hold is not None
    asked: list[Any] = []
    usual = gathering.execute_part

    def watched(part: Any) -> Any:
        asked.append(part.part.task["span"])
        return usual(part)

    monkeypatch.setattr(gathering, "execute_part", watched)
    assert gathering.execute(hold)["pairs"] == 11
    numbers = [pair.pk for pair in pairs]
    assert [low for low, _ in asked] == numbers[::3]
    assert asked[-1][1] == 2**63 - 1
    assert all_facts() == expected
    state = FactsState.objects.get(project=project)
    assert (state.version, state.is_whole, state.summary) != (whole.version, True, whole.summary)
    assert bytes(state.columns) != b""


def test_a_range_that_was_lost_is_not_written(project: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [make_pair() for _ in range(4)]
    gather(project)
    PairFact.objects.update(dissents=99)
    run = gathering.ask_for_facts(project=project, actor=None)
    hold = running.claim(run_id=run.pk, worker="first")
    assert hold is not None
    task: dict[str, Any] = {
        "span": [pairs[0].pk, pairs[3].pk],
        "weights": {},
        "values": {},
        "loss": None,
        "margin": None,
    }
    dividing.divide(hold, [task])
    slow = dividing.claim_part(run_id=run.pk, worker="second")
    assert slow is not None
    Part.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert dividing.claim_part(run_id=run.pk, worker="third") is not None
    with pytest.raises(running.Superseded):
        gathering.execute_part(slow)
    assert set(PairFact.objects.values_list("dissents", flat=True)) == {99}


@pytest.mark.parametrize("asks", ["command", "page", "worker"])
def test_a_model_that_was_not_measured_is_refused_and_nothing_is_lost(
    project: Any, make_pair: Any, losses: Any, lead: Any, sign_in: Any, asks: str
) -> None:
    pair = make_pair()
    with pytest.raises(Refused, match="for none: run manage"):
        gathering.gather_facts(project=project, model="tiny")
    losses("tiny", {pair: 1.0})
    gather(project)
    if asks == "command":
        with pytest.raises(CommandError, match=r"No difficulty was measured for the model 'typo'\. It was for tiny\."):
            call_command("gather_facts", "--project", project.slug, "--model", "typo")
    elif asks == "page":
        refused = sign_in(lead).post(f"/p/{project.slug}/board/gather", {"model": "typo"})
        assert refused.status_code == 400
        assert "It was for tiny" in refused.content.decode()
    else:
        with pytest.raises(Refused, match="It was for tiny"):
            gathering.ask_for_facts(project=project, actor=None, model="typo")
    state = FactsState.objects.get()
    assert (state.version, state.model, fact(pair).loss) == (1, "tiny", 1.0)
    assert Run.objects.filter(kind="facts").count() == 1


def test_a_part_keeps_the_runs_of_the_whole(project: Any, make_pair: Any, losses: Any, say: Any, alice: Any) -> None:
    one, other = make_pair(), make_pair()
    losses("tiny", {one: 1.0, other: 2.0})
    losses("tiny", {one: 3.0, other: 4.0}, metric="log_likelihood_margin")
    whole = gather(project)
    # A newer margin, which no whole gathering has read: a part must not mix the two.
    newer = losses("tiny", {one: 7.0, other: 8.0}, metric="log_likelihood_margin")
    say(alice, one, "first")
    run = gathering.ask_for_facts(project=project, actor=None, model="tiny", is_whole=False)
    hold = running.claim(run_id=run.pk, worker="test")
    assert hold is not None
    gathering.execute(hold)
    state = FactsState.objects.get()
    assert (state.is_whole, fact(one).judgements, fact(one).margin) == (False, 1, 3.0)
    assert state.measures == whole.measures
    assert state.measures["margin"]["run"] != newer.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_gatherings_at_once_one_waits_for_the_other(
    project: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [make_pair() for _ in range(3)]
    gather(project)
    packs, looked = threading.Event(), threading.Event()
    usual = packing.pack

    def held(**given: Any) -> Any:
        # The first has written its facts and not committed; it goes on when the second has come.
        packs.set()
        looked.wait(120)
        return usual(**given)

    def seen(seconds: float) -> None:
        looked.set()
        time.sleep(seconds)

    def gathered() -> Run:
        try:
            return gathering.gather_facts(project=project)
        finally:
            connection.close()

    monkeypatch.setattr(packing, "pack", held)
    monkeypatch.setattr(gathering, "pause", seen)
    with ThreadPoolExecutor(2) as both:
        first = both.submit(gathered)
        assert packs.wait(120)
        second = both.submit(gathered)
        runs = [first.result(120), second.result(120)]
    assert looked.is_set()
    assert [run.state for run in runs] == ["done", "done"]
    assert [run.result["version"] for run in runs] == [2, 3]
    assert set(PairFact.objects.values_list("pair", flat=True)) == {pair.pk for pair in pairs}
    # Nobody holds the lock any more.
    assert gather(project).version == 4


@pytest.mark.django_db(transaction=True)
def test_a_gathering_that_waits_for_another_can_be_cancelled(
    project: Any, make_pair: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.celery import app

    app.conf.task_always_eager = False
    make_pair()
    taken, go = threading.Event(), threading.Event()

    def hold_it() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", [gathering.GATHER_LOCK, project.pk])
                taken.set()
                assert go.wait(120)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        held = other.submit(hold_it)
        try:
            assert taken.wait(120)
            run = gathering.ask_for_facts(project=project, actor=None)
            hold = running.claim(run_id=run.pk, worker="test")
            assert hold is not None
            # Somebody cancels it while it waits.
            monkeypatch.setattr(
                gathering, "pause", lambda seconds: Run.objects.filter(pk=run.pk).update(cancel_requested=True)
            )
            with pytest.raises(running.Cancelled):
                gathering.execute(hold)
        finally:
            go.set()
        held.result(120)
    assert not PairFact.objects.exists()


def test_the_sweep_asks_once_after_a_rest_for_what_is_new(
    project: Any, make_pair: Any, say: Any, crowd: Any, settings: Any
) -> None:
    from config.celery import app

    app.conf.task_always_eager = False
    pair = make_pair()
    now = timezone.now()
    assert gathering.sweep_facts(now=now) == 1, "Pairs that were never gathered are gathered."
    Run.objects.all().delete()
    gather(project)
    later = now + timedelta(hours=1)
    assert gathering.sweep_facts(now=later) == 0, "Nothing was said."
    said = say(crowd[0], pair, "first")
    assert gathering.sweep_facts(now=timezone.now()) == 0, "It rests."
    assert gathering.sweep_facts(now=later) == 1
    assert gathering.sweep_facts(now=later) == 0, "One that waits is enough."
    Run.objects.all().delete()
    gather(project)
    Judgement.objects.filter(pk=said.pk).update(is_current=False)
    assert not gathering.is_stale(FactsState.objects.get(project=project))
    from annotation.recording import record

    record(act="judgement.undo", subject=f"assignment {said.assignment_id}", command="test", project=project)
    assert Event.objects.exists()
    assert gathering.is_stale(FactsState.objects.get(project=project))


def test_an_import_or_a_measurement_makes_everything_old(project: Any, make_pair: Any, losses: Any) -> None:
    pair = make_pair()
    state = gather(project)
    assert not gathering.is_stale(state)
    losses("tiny", {pair: 1.0})
    assert gathering.is_stale(state)


@pytest.mark.parametrize("kind", ["import", "generation", "judging", "measurement"])
def test_a_run_that_ended_while_facts_were_gathered_is_not_missed(project: Any, make_pair: Any, kind: str) -> None:
    make_pair()
    state = gather(project)
    FactsState.objects.update(seconds=60.0)
    state.refresh_from_db()
    run = finished(project, kind=kind, finished_at=state.gathered_at - timedelta(minutes=2))
    assert not gathering.is_stale(state), "It had ended before anything was read."
    Run.objects.filter(pk=run.pk).update(finished_at=state.gathered_at - timedelta(seconds=30))
    assert gathering.is_stale(state)


def test_a_judgement_that_was_being_saved_is_not_missed(
    project: Any, make_pair: Any, say: Any, crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is lower than one that was there already: numbers are drawn before rows are there."""
    early, late = make_pair(), make_pair()
    say(crowd[0], early, "first")
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('judgement', 'id'))")
        drawn = cursor.fetchone()[0]
    say(crowd[1], early, "first")
    make_pair()
    state = gather(project)
    say(crowd[2], late, "first", id=drawn)
    assert gathering.is_stale(state)
    gathering.ask_for_facts(project=project, actor=None, is_whole=False)
    hold = running.claim(run_id=Run.objects.filter(kind="facts").latest("pk").pk, worker="test")
    assert hold is not None
    assert gathering.execute(hold)["gathered"] == 2
    assert fact(late).judgements == 1
    monkeypatch.setattr(gathering, "SAVING_SECONDS", 0)
    assert not gathering.is_stale(gather(project)), "A number that never comes is not waited for without end."


def test_what_leads_do_to_pairs_makes_everything_old(project: Any, make_pair: Any) -> None:
    from annotation.recording import record

    make_pair()
    for act in ("pairs.gold", "import.undo"):
        state = gather(project)
        assert not gathering.is_stale(state)
        record(act=act, subject="pairs", command="test", project=project)
        assert gathering.is_stale(state)


def test_the_command_says_what_it_did(project: Any, make_pair: Any, capsys: Any) -> None:
    make_pair()
    call_command("gather_facts", project=project.slug)
    assert "1 pairs in" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no project 'nowhere'"):
        call_command("gather_facts", project="nowhere")
