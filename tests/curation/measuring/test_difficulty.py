"""Difficulty as it is asked for and stored: settings, halves, and what the database never takes."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import IntegrityError, connection, transaction

from annotation.errors import Refused
from annotation.models import Run
from curation import measuring
from curation.measuring import DifficultyRequest, MarginsRequest
from curation.measuring.preferred import halves_of, preferred_pairs
from curation.models import HeldOutLoss, HeldOutTraining


def test_the_settings_of_the_paper_are_the_usual_ones():
    asked = DifficultyRequest()
    assert (asked.beta, asked.halves, asked.seed_list, asked.checkpoints) == (0.01, 2, [41, 42, 43], 5)
    assert asked.as_parameters()["queue"] == "gpu"
    assert DifficultyRequest.from_parameters(asked.as_parameters()) == asked
    assert "bootstrap" not in DifficultyRequest.settings()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"beta": 0.0}, "beta is above 0"),
        ({"learning_rate": 2.0}, "learning_rate is above 0 and at most 1"),
        ({"halves": 1}, "halves is 2 to 20"),
        ({"checkpoints": 0}, "checkpoints is 1 to 100"),
        ({"seeds": "41,x"}, "whole numbers with commas"),
        ({"seeds": "41,41"}, "different seeds"),
        ({"preference": "mine"}, "judgements or source"),
        ({"max_length": 3}, "max_length is 16"),
    ],
)
def test_a_setting_out_of_range_is_refused(fields, says):
    with pytest.raises(Refused, match=says):
        DifficultyRequest(**fields)


def test_a_reference_that_is_the_model_is_refused():
    with pytest.raises(Refused, match="every implicit reward would be 0"):
        MarginsRequest(model="tiny", reference="tiny")


@pytest.mark.parametrize(("trained_on", "steps"), [(300, [3, 6, 9, 12, 15]), (1000, [12, 24, 36, 48, 60])])
def test_checkpoints_are_evenly_spaced(trained_on, steps):
    assert DifficultyRequest().steps(trained_on) == steps


def test_fewer_steps_than_checkpoints_are_refused():
    with pytest.raises(Refused, match="give 4 steps of 16 pairs, fewer than the 5 checkpoints"):
        DifficultyRequest().steps(79)


@pytest.mark.parametrize("halves", [2, 3])
def test_halves_are_even_and_pairs_of_one_prompt_are_together(halves):
    prompts = np.repeat(np.arange(60), 2)
    dealt = halves_of(prompts, seed=41, halves=halves)
    assert np.bincount(dealt).tolist() == [120 // halves] * halves
    assert (dealt[::2] == dealt[1::2]).all()
    assert (halves_of(prompts, seed=41, halves=halves) == dealt).all()
    assert (halves_of(prompts, seed=42, halves=halves) != dealt).any()


@pytest.mark.django_db
def test_more_than_half_of_the_people_decide(project, make_pair, say, alice, bob, crowd, robot):
    pairs = [make_pair(slots=0) for _ in range(4)]
    say(alice, pairs[0], "second")
    say(robot, pairs[0], "first")
    for who, what in zip((alice, bob, crowd[0]), ("first", "first", "tie"), strict=True):
        say(who, pairs[1], what)
    for who, what in zip((alice, bob), ("first", "tie"), strict=True):
        say(who, pairs[2], what)
    found = preferred_pairs(project=project, asked=DifficultyRequest())
    assert found.pair.tolist() == [pairs[0].pk, pairs[1].pk]
    assert found.first.tolist() == [False, True]
    assert found.left_out == {"not judged": 1, "tied": 1, "identical or empty": 0}
    assert found.digest("a") != found.digest("b")


@pytest.fixture
def training(project):
    run = Run.objects.create(project=project, kind="measurement", code_version="t")
    return HeldOutTraining.objects.create(
        run=run, model="m", revision="r", digest="d", seed=41, half=0, trained_on=1, steps=[1], seconds=1.0
    )


@pytest.mark.django_db
@pytest.mark.parametrize("loss", [-0.1, float("nan"), float("inf")])
def test_a_loss_is_a_number_from_zero(training, make_pair, loss):
    pair = make_pair(slots=0)
    with pytest.raises(IntegrityError, match="a_loss_is_a_number_from_zero"):
        HeldOutLoss.objects.create(training=training, pair=pair, checkpoint=0, loss=loss)


@pytest.mark.django_db
def test_neither_a_training_nor_a_loss_stands_twice(training, make_pair):
    pair = make_pair(slots=0)
    HeldOutLoss.objects.create(training=training, pair=pair, checkpoint=0, loss=0.5)
    with pytest.raises(IntegrityError, match="one_loss_per_training_pair_checkpoint"), transaction.atomic():
        HeldOutLoss.objects.create(training=training, pair=pair, checkpoint=0, loss=0.6)
    training.pk = None
    with pytest.raises(IntegrityError, match="one_training_per_seed_and_half"):
        training.save(force_insert=True)


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["held_out_training SET seed = 1", "held_out_loss SET loss = 1"])
def test_they_are_appended_and_never_changed(training, make_pair, table):
    HeldOutLoss.objects.create(training=training, pair=make_pair(slots=0), checkpoint=0, loss=0.5)
    with (
        pytest.raises(IntegrityError, match="held_out_is_appended"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {table}")


@pytest.mark.django_db
def test_a_measure_that_loads_a_model_is_not_done_by_the_web_server(project):
    asked = DifficultyRequest(model="tiny")
    with pytest.raises(Refused, match="A worker of the queue gpu does it"):
        measuring.measure(project=project, asked=asked)
