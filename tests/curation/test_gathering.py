"""The facts of pairs: what they say, when they are gathered again, and that a part gives what the whole gives."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation import dividing, running
from annotation.errors import Refused
from annotation.models import Event, Judgement, Part, Principle, PrincipleVote, Run
from curation import gathering, packing
from curation.dimensions import DIFFICULTY, dimensions
from curation.models import FactsState, Measurement, PairFact
from tests.curation.finished import finished

pytestmark = pytest.mark.django_db


def gather(project: Any, **options: Any) -> FactsState:
    gathering.gather_facts(project=project, **options)
    return FactsState.objects.get(project=project)


def fact(pair: Any) -> PairFact:
    return PairFact.objects.get(pair=pair)


@pytest.fixture
def vote(project: Any) -> Any:
    """Let an annotator vote on principles: `vote(alice, pair, "first", "second", "irrelevant")`, one each."""

    def cast(who: Any, pair: Any, *votes: str) -> None:
        for place, says in enumerate(votes):
            principle, _ = Principle.objects.get_or_create(
                project=project, key=f"k{place}", defaults={"short": f"k{place}", "text": "."}
            )
            PrincipleVote.objects.create(pair=pair, annotator=who, principle=principle, vote=says)

    return cast


@pytest.fixture
def losses(project: Any) -> Any:
    """A finished measurement of difficulty for a model: `losses("tiny", {pair: 0.3})`."""

    def measure(model: str, values: dict[Any, float], metric: str = "held_out_loss") -> Run:
        run = finished(project, parameters={"measure": metric, "model": model})
        for pair, value in values.items():
            Measurement.objects.create(run=run, metric=metric, pair=pair, value=value)
        return run

    return measure


def test_votes_become_counts_shares_and_entropy(project: Any, make_pair: Any, say: Any, crowd: Any, alice: Any) -> None:
    pair, empty = make_pair(first="x" * 30, second="y" * 10), make_pair()
    for who, what in zip([*crowd, alice], ("first", "first", "second", "skip"), strict=True):
        say(who, pair, what, 2)
    gather(project)
    found = fact(pair)
    assert (found.judgements, found.skips, found.n_first, found.n_second) == (3, 1, 2, 1)
    assert (found.majority, found.dissents) == ("first", 1)
    assert found.share == pytest.approx(2 / 3)
    assert found.item_agreement == pytest.approx(1 / 3)
    assert found.entropy == pytest.approx(0.636514, abs=1e-6)
    assert found.strength == pytest.approx(2 / 3)
    assert found.length_difference == 20
    nothing = fact(empty)
    unknown = ("share", "item_agreement", "entropy", "agreement", "dissents", "strength", "loss", "difficulty")
    assert all(
        getattr(nothing, name) is None for name in (*unknown, "margin", "reward_margin", "n_relevant", "arbitrary")
    )
    assert nothing.b_agreement == 75
    assert nothing.b_dissents == 4


def test_a_reliable_annotator_weighs_more_and_small_numbers_are_shrunk(
    project: Any, make_pair: Any, say: Any, crowd: Any
) -> None:
    good, other, odd = crowd
    for _ in range(30):
        pair = make_pair()
        say(good, pair, "first")
        say(other, pair, "first")
        say(odd, pair, "second")
    split = make_pair()
    say(good, split, "first")
    say(odd, split, "second")
    state = gather(project)
    assert state.weights[str(good.pk)] > 1 > state.weights[str(odd.pk)]
    found = fact(split)
    assert found.item_agreement == 0
    assert (found.agreement or 0) > 0.5, "The more reliable of two who disagree leads."
    w = state.weights
    expected = (w[str(good.pk)] + 0.25) / (w[str(good.pk)] + w[str(odd.pk)] + 0.5)
    assert found.agreement == pytest.approx(expected)


@pytest.mark.parametrize(
    ("votes", "category", "relevant", "direction"),
    [
        (("first", "first", "irrelevant"), "consensus", 2, 1),
        (("second", "same", "irrelevant"), "consensus", 1, -1),
        (("first", "second", "same"), "conflict", 2, None),
        (("irrelevant", "same", "same"), "indifference", 0, None),
    ],
)
def test_principles_make_the_category(
    project: Any, make_pair: Any, vote: Any, alice: Any, votes: Any, category: str, relevant: int, direction: Any
) -> None:
    pair = make_pair()
    vote(alice, pair, *votes)
    gather(project)
    found = fact(pair)
    assert (found.discretion, found.n_relevant, found.direction) == (category, relevant, direction)


def test_several_voters_on_one_principle_are_counted_and_a_tie_is_indifferent(
    project: Any, make_pair: Any, vote: Any, crowd: Any, robot: Any
) -> None:
    clear, tied, machine = make_pair(), make_pair(), make_pair()
    for who, says in zip(crowd, ("first", "first", "second"), strict=True):
        vote(who, clear, says)
    for who, says in zip(crowd[:2], ("first", "second"), strict=True):
        vote(who, tied, says)
    vote(robot, clear, "second")
    vote(robot, machine, "second")
    gather(project)
    assert (fact(clear).discretion, fact(clear).direction) == ("consensus", 1), "People are heard before judges."
    assert fact(tied).discretion == "indifference"
    assert fact(machine).direction == -1


def test_a_judgement_against_principles_that_agree_is_arbitrary(
    project: Any, make_pair: Any, say: Any, vote: Any, crowd: Any
) -> None:
    pair, conflict = make_pair(), make_pair()
    vote(crowd[0], pair, "first")
    vote(crowd[0], conflict, "first", "second")
    for who, what in zip(crowd, ("first", "second", "tie"), strict=True):
        say(who, pair, what)
        say(who, conflict, what)
    gather(project)
    assert fact(pair).arbitrary == 1
    assert fact(conflict).arbitrary == 0


def test_difficulty_is_a_percentile_of_the_latest_run_of_a_model(project: Any, make_pair: Any, losses: Any) -> None:
    pairs = [make_pair() for _ in range(5)]
    unmeasured = make_pair()
    losses("old", dict(zip(pairs, (5, 4, 3, 2, 1), strict=True)))
    losses("tiny", dict(zip(pairs, (9, 9, 9, 9, 9), strict=True)))
    losses("tiny", dict(zip(pairs, (0.1, 0.2, 0.2, 0.4, 0.9), strict=True)))
    state = gather(project)
    assert state.model == "tiny"
    assert set(state.models_measured) == {"old", "tiny"}
    assert [fact(pair).difficulty for pair in pairs] == pytest.approx([0.1, 0.4, 0.4, 0.7, 0.9])
    assert fact(unmeasured).b_difficulty == DIFFICULTY.bins
    assert gather(project, model="old").model == "old"
    assert fact(pairs[0]).difficulty == pytest.approx(0.9)


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
        looked.wait(20)
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


def test_principle_votes_of_a_judge_reach_the_board(project: Any, make_pair: Any, oracle: Any, answer: Any) -> None:
    """They come without a judgement, so that no pair is touched by one."""
    pair = make_pair()
    principle = Principle.objects.create(project=project, key="k", short="k", text=".")
    state = gather(project)
    answer(pair, "AB", principle=principle.pk)
    Run.objects.filter(kind="judging").update(state="done", finished_at=timezone.now())
    assert gathering.is_stale(state)
    gather(project)
    assert PairFact.objects.get().discretion == "consensus"


def test_pairs_out_of_play_stay_out_of_the_board(project: Any, make_pair: Any) -> None:
    make_pair()
    gone = make_pair(excluded_at=timezone.now())
    state = gather(project)
    assert state.pairs == 1
    assert fact(gone).is_excluded


def test_duplicates_are_the_same_two_texts_of_one_prompt(project: Any, make_pair: Any) -> None:
    one = make_pair(prompt="Same?", first="yes", second="no")
    turned = make_pair(prompt="Same?", first="no", second="yes")
    other = make_pair(prompt="Same?", first="yes", second="maybe")
    gather(project)
    assert [fact(pair).duplicates for pair in (one, turned, other)] == [1, 1, 0]
    assert fact(one).marked == "duplicate only"


def test_the_facts_cannot_contradict_themselves(project: Any, make_pair: Any) -> None:
    pair = make_pair()
    gather(project)
    for change, name in (
        ({"difficulty": 2.0, "loss": 1.0}, "difficulty_is_a_percentile"),
        ({"difficulty": 0.5}, "difficulty_is_a_percentile"),
        ({"discretion": "conflict"}, "discretion_counts_its_principles"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            PairFact.objects.filter(pair=pair).update(**change)


def test_the_projects_own_categories_have_bins_and_the_rest_is_other(project: Any, make_pair: Any) -> None:
    for source in ("a", "a", "b", ""):
        make_pair(source=source, external_id="" if not source else f"{source}{timezone.now()}")
    state = gather(project)
    assert state.values["source"] == ["a", "b"]
    binned = next(one for one in dimensions(state.values) if one.key == "source")
    found = sorted(PairFact.objects.values_list("b_source", flat=True))
    assert found == [0, 0, 1, binned.bins]
    assert binned.values == ("a", "b", "other")


def test_the_command_says_what_it_did(project: Any, make_pair: Any, capsys: Any) -> None:
    make_pair()
    call_command("gather_facts", project=project.slug)
    assert "1 pairs in" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no project 'nowhere'"):
        call_command("gather_facts", project="nowhere")
