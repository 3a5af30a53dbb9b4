"""Which runs the facts read; and from a reward model's run to the board's chart, filter, card and selection."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import running
from annotation.models import Run
from curation import browsing, gathering
from curation.arrays import pair_facts
from curation.dimensions import REWARD
from curation.filters import parse
from curation.keeping import criteria_of
from curation.measured import UNNAMED, measured_of
from curation.models import FactsState, Measurement, PairFact
from curation.voices import Voices

pytestmark = pytest.mark.django_db


@pytest.fixture
def measured(project: Any) -> Any:
    """A finished run of a model: `measured("reward_margin", {pair: 1.5}, "rewarder")`; later ones are newer."""

    def make(metric: str, values: dict[Any, float | None], model: str, **fields: Any) -> Run:
        told = {"state": "done", "finished_at": timezone.now() - dt.timedelta(hours=1), **fields}
        run = Run.objects.create(
            project=project, kind="measurement", code_version="t", parameters={"model": model} if model else {}, **told
        )
        for pair, value in values.items():
            said = {"value": value} if value is not None else {"reason": "A candidate has no reward."}
            Measurement.objects.create(run=run, metric=metric, pair=pair, **said)
        return run

    return make


def test_the_latest_finished_run_of_each_measure_counts(project: Any, make_pair: Any, measured: Any) -> None:
    pair = make_pair()
    measured("reward_margin", {pair: 1.0}, "old", finished_at=timezone.now() - dt.timedelta(days=1))
    reward = measured("reward_margin", {pair: 2.0}, "new")
    margin = measured("log_likelihood_margin", {pair: 3.0}, "tiny")
    first = measured("held_out_loss", {pair: 0.5}, "tiny")
    other = measured("held_out_loss", {pair: 0.7}, "")
    measured("reward_margin", {pair: 9.0}, "failed", state="failed", error="Lost.", finished_at=timezone.now())
    measured("reward_accuracy", {}, "of no pair", finished_at=timezone.now())
    found = measured_of(project)
    assert (found.reward, found.rewarder) == ((reward.pk, "reward_margin"), "new")
    assert found.margin == {"tiny": (margin.pk, "log_likelihood_margin")}
    assert found.difficulty == {"tiny": (first.pk, "held_out_loss"), UNNAMED: (other.pk, "held_out_loss")}


def test_the_margin_is_that_of_the_boards_model(project: Any, make_pair: Any, measured: Any) -> None:
    pair = make_pair()
    mine = measured("log_likelihood_margin", {pair: 1.0}, "a", finished_at=timezone.now() - dt.timedelta(days=1))
    loss = measured("held_out_loss", {pair: 1.0}, "a")
    other = measured("held_out_loss", {pair: 2.0}, "b", finished_at=timezone.now() - dt.timedelta(days=2))
    newest = measured("implicit_reward_margin", {pair: -5.0}, "c", finished_at=timezone.now())
    gathering.gather_facts(project=project)
    fact, state = PairFact.objects.get(), FactsState.objects.get()
    assert (state.model, fact.loss, fact.margin) == ("a", 1.0, 1.0)
    assert state.measures == {
        "difficulty": {"model": "a", "run": loss.pk, "metric": "held_out_loss"},
        "margin": {"model": "a", "run": mine.pk, "metric": "log_likelihood_margin"},
    }
    # Of this one no margin was measured: it has none, and not another model's.
    gathering.gather_facts(project=project, model="b")
    fact, state = PairFact.objects.get(), FactsState.objects.get()
    assert (state.model, fact.loss, fact.margin) == ("b", 2.0, None)
    assert state.measures == {"difficulty": {"model": "b", "run": other.pk, "metric": "held_out_loss"}}
    assert measured_of(project).shown("b").keys() == {"difficulty"}
    # Where nobody's difficulty is known, a margin belongs beside nothing else.
    Measurement.objects.filter(metric="held_out_loss").delete()
    assert measured_of(project).shown("") == {
        "margin": {"model": "c", "run": newest.pk, "metric": "implicit_reward_margin"}
    }


def test_nothing_measured_is_nothing(project: Any) -> None:
    found = measured_of(project)
    assert (found.difficulty, found.margin, found.reward, found.rewarder) == ({}, {}, None, "")


@pytest.fixture
def rewarded(project: Any, make_pair: Any, measured: Any) -> list[Any]:
    """Five pairs with rewards, the last one without; their facts are gathered."""
    pairs = [make_pair() for _ in range(5)]
    measured("reward_margin", dict(zip(pairs, [-20.0, -0.1, 0.0, 3.3, None], strict=True)), "a reward model")
    gathering.gather_facts(project=project)
    return pairs


def dims_and_totals(client: Any, project: Any) -> tuple[list[str], dict[str, list[int]]]:
    found = json.loads(gzip.decompress(client.get(f"/p/{project.slug}/board/summary").content))
    return [one["key"] for one in found["header"]["dims"]], found["totals"]


def test_the_board_has_the_chart_where_a_reward_model_measured(
    project: Any, lead: Any, sign_in: Any, rewarded: list[Any]
) -> None:
    keys, totals = dims_and_totals(sign_in(lead), project)
    assert "reward" in keys
    counted = {slot: count for slot, count in enumerate(totals["reward"]) if count}
    # Bins of a quarter: what lies below -8 is in the first, 0 begins one, and the unknown is behind the last.
    assert counted == {0: 1, 31: 1, 32: 1, REWARD.bin_of(3.3): 1, 64: 1}


def test_without_one_the_board_is_as_it_was(project: Any, lead: Any, sign_in: Any, make_pair: Any) -> None:
    make_pair()
    gathering.gather_facts(project=project)
    client = sign_in(lead)
    keys, _ = dims_and_totals(client, project)
    assert "reward" not in keys
    assert client.get(f"/p/{project.slug}/board?reward=0..1").status_code == 400


@pytest.mark.parametrize(
    ("asked", "places"),
    [("reward=0..8", {2, 3}), ("reward=-8..0", {0, 1}), ("reward=unknown", {4}), ("reward=known", {0, 1, 2, 3})],
)
def test_a_filter_finds_the_same_pairs_on_the_board_and_as_criteria_of_a_release(
    project: Any, lead: Any, sign_in: Any, rewarded: list[Any], asked: str, places: set[int]
) -> None:
    state = FactsState.objects.get(project=project)
    dims = browsing.dims_of(state)
    key, _, text = asked.partition("=")
    found = parse({key: text}, dims)
    assert browsing.count(project=project, asked=found, dims=dims) == len(places)
    page = sign_in(lead).get(f"/p/{project.slug}/board/rows?{asked}").content.decode()
    expected = {rewarded[place].pk for place in places}
    assert {int(number) for number in re.findall(r'data-pair="(\d+)"', page)} == expected
    facts = pair_facts(project=project, voices=Voices(), where=criteria_of(found, dims))
    assert set(facts.pair[facts.passes.all(axis=0)].tolist()) == expected


def test_a_pairs_card_says_the_reward_and_whose(project: Any, lead: Any, sign_in: Any, rewarded: list[Any]) -> None:
    client = sign_in(lead)
    says = client.get(reverse("board_pair", args=[project.slug, rewarded[3].pk])).content.decode()
    assert "Reward margin" in says
    assert "3.300 in the unit of a reward model" in says
    assert (
        "Reward margin" not in client.get(reverse("board_pair", args=[project.slug, rewarded[4].pk])).content.decode()
    )


def test_judgements_since_keep_the_rewards(project: Any, rewarded: list[Any], say: Any, alice: Any) -> None:
    """A gathering of some pairs takes the dimensions of the last whole one."""
    say(alice, rewarded[3], "first")
    run = gathering.ask_for_facts(project=project, actor=None, is_whole=False)
    hold = running.claim(run_id=run.pk, worker="w")
    assert hold is not None
    gathering.execute(hold)
    state = FactsState.objects.get(project=project)
    assert (state.is_whole, state.values["reward"]) == (False, ["a reward model"])
    fact = PairFact.objects.get(pair=rewarded[3])
    assert (fact.reward_margin, fact.b_reward) == (3.3, REWARD.bin_of(3.3))
