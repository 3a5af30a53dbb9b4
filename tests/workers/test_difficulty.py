"""Difficulty by training: planted truth is found again, nothing is trained twice, a cancel is met between two steps."""

from __future__ import annotations

import json
import math
import re
import uuid
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Assignment, Judgement, LanguageModel, Run
from annotation.running import Cancelled, Superseded
from curation import gathering
from curation.measuring import DifficultyRequest
from curation.models import HeldOutLoss, HeldOutTraining, Measurement, PairFact
from tests.workers import holding, preferences
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend
from workers import difficulty
from workers.backends import load_backend

pytestmark = [pytest.mark.django_db, pytest.mark.gpu_stack]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = preferences.save_model(tmp_path_factory.mktemp("model"))
    return load_backend(name="tiny", kind="transformers_local", folder_or_url=str(folder), device="cpu")


@pytest.fixture
def opened(tiny):
    return Opener(tiny)


def settings(**fields):
    usual: dict[str, Any] = {"model": "tiny", "preference": "source", "learning_rate": 3e-3, "beta": 0.1, "batch": 8}
    return DifficultyRequest(**(usual | fields)).as_parameters()


def small(**fields):
    return settings(**({"seeds": "41", "checkpoints": 2, "batch": 4} | fields))


@pytest.fixture
def held(project):
    def hold(parameters, run=None):
        return holding.held(project, "measurement", parameters, run=run)

    return hold


def values_of(run, metric):
    found = Measurement.objects.filter(run=run, metric=metric, pair__isnull=False).order_by("pair")
    return np.array([math.nan if one.value is None else one.value for one in found])


def test_flipped_preferences_are_found_to_be_the_hardest(project, held, opened):
    pairs = preferences.make_pairs(project, 160)
    hold = held(settings())
    result = difficulty.execute(hold, open_model=opened)
    hold.finish(result=result)
    is_flipped = np.array([pairs[pair] for pair in sorted(pairs)])
    losses = values_of(hold.run, "held_out_loss")
    assert preferences.auroc(losses, is_flipped) >= 0.95
    assert {one.n for one in hold.run.measurements.filter(metric="held_out_loss")} == {15}
    assert (result["pairs"], result["trainings"], result["steps"]) == (160, 6, [2, 4, 6, 8, 10])
    # Every loss is there, each pair under three models that never saw it.
    assert HeldOutLoss.objects.filter(training__run=hold.run).count() == 160 * 15
    trust = hold.run.measurements.get(metric="between_run_spearman")
    assert trust.value > 0.5
    assert trust.n == 160
    # What is learned early has low losses.
    learned = values_of(hold.run, "learned_step")
    assert np.isnan(learned[is_flipped]).mean() > 0.8
    assert np.isnan(learned[~is_flipped]).mean() < 0.2
    assert values_of(hold.run, "difficulty_percentile").mean() == pytest.approx(50)
    # And the board shows it.
    gathering.gather_facts(project=project)
    facts = PairFact.objects.filter(project=project).order_by("pair")
    assert [one.loss for one in facts] == losses.tolist()
    assert project.facts_state.model == "tiny"


def test_a_run_that_goes_on_trains_only_what_is_missing(project, held, opened, monkeypatch):
    from workers import preference_training

    preferences.make_pairs(project, 24)
    parameters = small(seeds="41,42")
    whole = held(parameters)
    difficulty.execute(whole, open_model=opened)

    trained: list[Any] = []
    train = preference_training.Trainer.held_out_losses

    def dies_in_the_third(self, **asked):
        if len(trained) == 2:
            trained.append("died")
            raise MemoryError
        trained.append(asked["seed"])
        return train(self, **asked)

    monkeypatch.setattr(preference_training.Trainer, "held_out_losses", dies_in_the_third)
    hold = held(parameters)
    with pytest.raises(MemoryError):
        difficulty.execute(hold, open_model=opened)
    assert HeldOutTraining.objects.filter(run=hold.run).count() == 2
    again = held(None, run=hold.run)
    result = difficulty.execute(again, open_model=opened)
    assert trained == [82, 83, "died", 84, 85]
    assert result["trainings"] == 4
    # The same seeds give the same losses to the last bit, interrupted or not.
    assert values_of(hold.run, "held_out_loss").tolist() == values_of(whole.run, "held_out_loss").tolist()
    third = held(None, run=hold.run)
    difficulty.execute(third, open_model=opened)
    assert len(trained) == 5
    assert Measurement.objects.filter(run=hold.run, metric="held_out_loss").count() == 24


def test_other_data_is_trained_anew_and_the_old_losses_stay(project, held, opened):
    pairs = preferences.make_pairs(project, 24)
    hold = held(small())
    difficulty.execute(hold, open_model=opened)
    before = values_of(hold.run, "held_out_loss")
    pair = project.pairs.get(pk=min(pairs))
    pair.label = "second" if pair.label == "first" else "first"
    pair.save(update_fields=["label"])
    result = difficulty.execute(held(None, run=hold.run), open_model=opened)
    assert HeldOutTraining.objects.filter(run=hold.run).count() == 4
    assert result["trainings"] == 2
    assert values_of(hold.run, "held_out_loss").tolist() != before.tolist()


def test_a_cancel_is_met_within_a_step_and_leaves_the_model_as_it_was(project, held, opened, tiny):
    preferences.make_pairs(project, 24)
    hold = held(small(epochs=10))
    before = {name: one.clone() for name, one in tiny.network.state_dict().items()}
    looks = 0

    def check():
        nonlocal looks
        looks += 1
        if looks > 40:  # Long after the texts were read: in the middle of the first training.
            raise Cancelled

    hold.check = check
    with pytest.raises(Cancelled):
        difficulty.execute(hold, open_model=opened)
    assert looks == 41
    assert not HeldOutTraining.objects.filter(run=hold.run).exists()
    after = tiny.network.state_dict()
    assert list(after) == list(before)
    assert all(bool((after[name] == one).all()) for name, one in before.items())
    assert not tiny.network.training


def test_a_worker_that_lost_its_lease_writes_no_loss(project, held, opened):
    preferences.make_pairs(project, 24)
    hold = held(small())
    Run.objects.filter(pk=hold.run.pk).update(state="waiting", token=None, lease_until=None)
    with pytest.raises(Superseded):
        difficulty.execute(hold, open_model=opened)
    assert not HeldOutLoss.objects.exists()


def test_people_decide_and_ties_are_left_out_and_counted(project, held, opened, alice, bob, make_pair):
    def say(who, pair, side):
        seat = Assignment.objects.create(project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now())
        strength = 1 if side == "first" else -1
        fields = {"verdict": "prefer", "strength": strength, "strength_known": True, "swapped": False}
        Judgement.objects.create(assignment=seat, annotator=who, key=uuid.uuid4(), revision=1, **fields)

    pairs = [make_pair(first=f"abc {place}", second=f"xyz {place}", slots=0) for place in range(14)]
    for pair in pairs[:12]:
        say(alice, pair, "first")
    say(alice, pairs[12], "first")
    say(bob, pairs[12], "second")
    result = difficulty.execute(held(small(preference="judgements", batch=2)), open_model=opened)
    assert result["pairs"] == 12
    assert (result["left_out"]["tied"], result["left_out"]["not judged"]) == (1, 1)


def test_what_is_too_long_is_cut_and_counted(project, held, opened, make_pair):
    for place in range(8):
        make_pair(prompt="why " * 40 + str(place), first="ab" * 40, second="yz" * 40, slots=0, label="first")
    result = difficulty.execute(held(small(max_length=64, batch=2)), open_model=opened)
    assert (result["pairs"], result["cut"]) == (8, 8)


def test_one_seed_and_one_checkpoint_suffice(project, held, opened):
    """A single loss has no spread, and a single seed agrees with no other: both are said, and neither is a number."""
    preferences.make_pairs(project, 24)
    hold = held(small(checkpoints=1))
    hold.finish(result=difficulty.execute(hold, open_model=opened))
    losses = hold.run.measurements.filter(metric="held_out_loss")
    assert losses.count() == 24
    for one in losses:
        assert one.detail == {"spread": None, "seeds": [round(one.value, 6)], "first": one.detail["first"]}
    trust = hold.run.measurements.get(metric="between_run_spearman")
    assert (trust.value, trust.reason) == (None, "There are fewer than two runs.")


def test_an_endpoint_is_not_trained(project, held):
    preferences.make_pairs(project, 8)
    with pytest.raises(Refused, match="asked over an endpoint"):
        difficulty.execute(held(small(model="stub")), open_model=Opener(StubBackend()))


def test_too_few_pairs_say_what_to_set(project, held, opened):
    preferences.make_pairs(project, 6)
    with pytest.raises(Refused, match="Set a smaller batch, more epochs, or judge more pairs"):
        difficulty.execute(held(small(batch=16)), open_model=opened)
    with pytest.raises(Refused, match="No pair has a better candidate"):
        difficulty.execute(held(small(preference="judgements")), open_model=opened)


def test_the_command_measures_here_with_a_model_of_the_register(project, tmp_path, capsys, request):
    request.getfixturevalue("settings").MODEL_ROOTS = [tmp_path]
    preferences.make_pairs(project, 24)
    folder = preferences.save_model(tmp_path / "tiny", width=16)
    LanguageModel.objects.create(
        name="tiny",
        backend="transformers_local",
        location=str(folder),
        allowed_at=timezone.now(),
        is_sound=True,
        checked_at=timezone.now(),
        check_said="Loaded.",
    )
    typed = ["model=tiny", "preference=source", "seeds=41", "checkpoints=2", "batch=4", "learning_rate=0.003"]
    call_command("measure", "difficulty", project=project.slug, set=typed, here=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["measure"], found["model"], found["pairs"], found["trainings"]) == ("difficulty", "tiny", 24, 2)
    assert len(found["hardest"]) == 10
    assert found["between_run_spearman"]["reason"] == "There are fewer than two runs."
    assert found["revision"]
    call_command("measure", "margins", project=project.slug, set=typed[:2], here=True)
    said = capsys.readouterr().out
    assert re.search(r"Assessment misalignment: 0\.\d{4} \(", said)


def test_the_command_says_what_is_missing(project):
    with pytest.raises(CommandError, match="Name the model that is to be trained: --set model=NAME"):
        call_command("measure", "difficulty", project=project.slug, here=True)
    with pytest.raises(CommandError, match="There is no model “nobody”"):
        call_command("measure", "difficulty", project=project.slug, set=["model=nobody"], here=True)
    assert not Run.objects.exists()
