"""Rewards of both candidates and their margin, as a run; one bad pair costs one; and a real tiny reward model."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotation import registering
from annotation.errors import Refused
from annotation.models import LanguageModel, Run
from curation import measuring
from curation.measuring import RewardsRequest
from tests.workers import holding
from tests.workers.backends.test_reward_local import save_rewarder
from workers import rewards, tasks
from workers.backends.primitives import CannotAnswer

pytestmark = pytest.mark.django_db


class Counter:
    """Each word of the answer is worth one; the word REFUSE cannot be read."""

    model, revision, digest, kind, is_toy = "counter", "r1", "", "stub", True

    def __init__(self):
        self.read = []

    def rewards(self, conversations, *, beat=None):
        self.read += conversations
        if any("REFUSE" in one[-1]["content"] for one in conversations):
            raise CannotAnswer("Text 1 is too long.")
        return [float(len(one[-1]["content"].split())) for one in conversations]


@pytest.fixture
def measured(project):
    def measure(run=None, rewarder=None, **fields):
        asked = RewardsRequest(**({"model": "counter", "preference": "source"} | fields))
        hold = holding.held(project, "measurement", asked.as_parameters(), run=run)
        return hold.run, rewards.execute(hold, open_rewarder=lambda name: rewarder or Counter())

    return measure


def margins(run):
    return list(run.measurements.filter(metric="reward_margin").order_by("pair"))


def test_the_margin_is_that_of_the_better_candidate_and_keeps_both_rewards(measured, make_pair):
    make_pair(first="a b c", second="a", label="first")
    make_pair(first="a b c", second="a", label="second")
    make_pair(first="a", second="b", label="first")
    make_pair(first="a b", second="a", label="tie")
    run, result = measured()
    assert [(one.value, one.n, one.detail) for one in margins(run)] == [
        (2.0, 2, {"rewards": [3.0, 1.0]}),
        (-2.0, 2, {"rewards": [1.0, 3.0]}),
        (0.0, 2, {"rewards": [1.0, 1.0]}),
    ]
    # Equal rewards do not find the better one.
    share = run.measurements.get(metric="reward_accuracy")
    assert (share.value, share.n) == (pytest.approx(1 / 3), 3)
    assert (result["pairs"], result["left_out"]["tied"], result["revision"], result["toy"]) == (3, 1, "r1", True)


def test_the_model_reads_the_prompt_and_the_whole_answer(measured, make_pair):
    make_pair(prompt="Why?", first="So.", second="No.", label="first")
    rewarder = Counter()
    measured(rewarder=rewarder)
    assert rewarder.read[0] == [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


def test_a_pair_that_cannot_be_read_costs_one(measured, make_pair):
    make_pair(first="a b", second="REFUSE", label="first")
    make_pair(first="a b", second="c", label="first")
    run, result = measured()
    bad, good = margins(run)
    assert (bad.value, bad.reason, bad.n, bad.detail) == (
        None,
        "A candidate has no reward.",
        0,
        {"rewards": [None, None]},
    )
    assert (good.value, result["not_scored"]) == (1.0, 1)


def test_a_model_that_can_read_nothing_is_at_fault(measured, make_pair):
    make_pair(first="REFUSE", second="REFUSE too", label="first")
    with pytest.raises(Refused, match=r"counter could read no pair\. The last reason: Text 1 is too long\."):
        measured()


def test_run_again_it_replaces_what_it_wrote(measured, make_pair):
    make_pair(first="a b", second="c", label="first")
    run, _ = measured()
    measured(run=run)
    assert len(margins(run)) == 1


@pytest.fixture
def registered(tmp_path, settings):
    """A tiny reward model, registered, checked by a worker and allowed."""
    settings.MODEL_ROOTS = [tmp_path]
    folder = save_rewarder(tmp_path / "tiny")
    model = registering.register_model(name="tiny-rm", backend="reward_local", location=str(folder))
    tasks.run(registering.request_check(model=model).pk)
    registering.allow_model(model=model)
    model.refresh_from_db()
    return model


def test_a_registered_reward_model_is_checked_and_measures_by_the_command(project, make_pair, registered, capsys):
    assert (registered.is_sound, registered.revision[:7]) == (True, "sha256:")
    assert registered.check_said.startswith("Loaded, and gave ")
    for n in range(4):
        make_pair(first=f"A short answer {n}.", second="No.", label="first")
    typed = ["model=tiny-rm", "preference=source"]
    call_command("measure", "rewards", project=project.slug, set=typed, here=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["measure"], found["model"], found["revision"]) == ("rewards", "tiny-rm", registered.revision)
    assert (found["reward_accuracy"]["n"], len(found["quartiles"])) == (4, 5)
    run = Run.objects.get(kind="measurement")
    assert run.parameters["queue"] == "gpu"
    assert [one.value for one in margins(run)] == [
        pytest.approx(one.detail["rewards"][0] - one.detail["rewards"][1]) for one in margins(run)
    ]
    call_command("measure", "rewards", project=project.slug, set=typed, here=True)
    assert "It finds the better candidate better: " in capsys.readouterr().out


def test_a_model_of_the_other_kind_is_refused(project, make_pair, registered):
    make_pair(label="first")
    with pytest.raises(CommandError, match="“tiny-rm” is a reward model: it writes nothing and chooses nothing"):
        call_command("measure", "margins", project=project.slug, set=["model=tiny-rm"], here=True)
    LanguageModel.objects.filter(pk=registered.pk).update(backend="transformers_local")
    with pytest.raises(CommandError, match="“tiny-rm” is no reward model"):
        call_command("measure", "rewards", project=project.slug, set=["model=tiny-rm"], here=True)
    with pytest.raises(CommandError, match="Name a reward model: --set model=NAME"):
        call_command("measure", "rewards", project=project.slug, here=True)
    with pytest.raises(Refused, match="Name a reward model"):
        measuring.request_measurement(project=project, asked=RewardsRequest())


def test_a_folder_that_is_none_fails_its_check_in_words(tmp_path, settings):
    settings.MODEL_ROOTS = [tmp_path]
    folder = save_rewarder(tmp_path / "two", labels=2)
    model = registering.register_model(name="two", backend="reward_local", location=str(folder))
    tasks.run(registering.request_check(model=model).pk)
    model.refresh_from_db()
    assert model.is_sound is False
    assert "has 2 outputs, and a reward model has one" in model.check_said
