"""Margins without training: both candidates' own figures, the reference beside them, and bad pairs that cost one."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.errors import Refused
from curation.measuring import MarginsRequest
from tests.workers import holding
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend
from workers import margins
from workers.backends.primitives import CannotAnswer, Scored

pytestmark = pytest.mark.django_db


class Wordy(StubBackend):
    """Each word costs `price` nats; the word REFUSE cannot be read."""

    def __init__(self, model, price):
        super().__init__(model=model)
        self.price = price

    def score(self, items, *, top_k=0, beat=None):
        found = []
        for _, completion in items:
            words = completion.split()
            if "REFUSE" in words:
                raise CannotAnswer("Text 1 is too long.")
            found.append(Scored(tuple(range(len(words))), np.full(len(words), -self.price), np.ones(len(words))))
        return found


@pytest.fixture
def measured(project):
    def measure(*backends, **fields):
        asked = MarginsRequest(**({"model": "wordy", "preference": "source"} | fields))
        hold = holding.held(project, "measurement", asked.as_parameters())
        return hold.run, margins.execute(hold, open_model=Opener(*backends))

    return measure


def found(run, metric):
    return list(run.measurements.filter(metric=metric).order_by("pair", "candidate"))


def test_the_margin_is_signed_and_small_gaps_are_tagged(measured, make_pair):
    make_pair(first="a b c d e f g h i", second="a", label="first")
    make_pair(first="a b", second="a", label="second")
    make_pair(first="a b", second="a", label="tie")
    run, result = measured(Wordy("wordy", 1.0))
    one, other = found(run, "log_likelihood_margin")
    assert (one.value, one.detail) == (-8.0, {"noisy_likelihood": False})
    assert (other.value, other.n, other.detail) == (1.0, 3, {"noisy_likelihood": True})
    assert (result["noisy"], result["pairs"], result["left_out"]["tied"]) == (1, 2, 1)
    assert not found(run, "implicit_reward_margin")
    share = run.measurements.get(metric="assessment_misalignment")
    assert (share.value, share.n) == (0.0, 2)


def test_a_reference_adds_the_implicit_reward_and_decides_the_tag(measured, make_pair):
    make_pair(first="a b c d e", second="a", label="first")
    run, result = measured(Wordy("wordy", 0.5), Wordy("before", 2.0), reference="before", beta=0.1)
    [reward] = found(run, "implicit_reward_margin")
    # beta ((-2.5 + 10) - (-.5 + 2))
    assert reward.value == pytest.approx(0.6)
    [margin] = found(run, "log_likelihood_margin")
    assert (margin.value, margin.detail) == (-2.0, {"noisy_likelihood": False})
    assert result["reference_revision"] == "revision of before"


def test_every_candidate_has_its_surprise(measured, make_pair):
    pair = make_pair(first="a b c d", second="e", label="first")
    run, _ = measured(Wordy("wordy", 2.0))
    one, other = found(run, "chow_quantiles")
    assert {one.candidate_id, other.candidate_id} == {pair.first_id, pair.second_id}
    assert (one.value, one.n, one.detail["total"], one.detail["quantiles"]) == (2.0, 4, 8.0, [2.0] * 11)


def test_a_pair_that_cannot_be_read_costs_one(measured, make_pair):
    make_pair(first="a b", second="REFUSE", label="first")
    make_pair(first="a b", second="c", label="first")
    run, result = measured(Wordy("wordy", 1.0))
    bad, good = found(run, "log_likelihood_margin")
    assert (bad.value, bad.reason, good.value) == (None, "A candidate has no log-probability.", -1.0)
    assert result["not_scored"] == 1


def test_a_model_that_can_read_nothing_is_at_fault(measured, make_pair):
    make_pair(first="REFUSE", second="REFUSE too", label="first")
    with pytest.raises(Refused, match=r"could score no pair\. The last reason: Text 1 is too long\."):
        measured(Wordy("wordy", 1.0))


def test_run_again_it_replaces_what_it_wrote(measured, make_pair, project):
    make_pair(first="a b", second="c", label="first")
    run, _ = measured(Wordy("wordy", 1.0))
    hold = holding.held(project, "measurement", None, run=run)
    margins.execute(hold, open_model=Opener(Wordy("wordy", 1.0)))
    assert len(found(run, "log_likelihood_margin")) == 1
    assert len(found(run, "chow_quantiles")) == 2


def test_candidates_of_files_have_no_strategy_to_be_told_by(measured, make_pair):
    make_pair(first="a b", second="c", label="first")
    run, _ = measured(Wordy("wordy", 1.0))
    assert run.measurements.get(metric="assessment_misalignment").detail == {"by_strategy": []}
