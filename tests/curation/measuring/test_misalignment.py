"""Misalignment in all, by what made the candidates, and by whose preference."""

from __future__ import annotations

import numpy as np
import pytest

from curation import measuring
from curation.measuring import MarginsRequest, margins
from curation.measuring.margins import Scores
from curation.measuring.preferred import preferred_pairs
from tests.workers.holding import held

pytestmark = pytest.mark.django_db


@pytest.fixture
def measured(project):
    """Measure with a model that finds the first candidate of every pair less likely by token, and likelier in all."""

    def measure(**fields):
        asked = MarginsRequest(**({"model": "m", "preference": "source"} | fields))
        hold = held(project, "measurement", asked.as_parameters())
        chosen = preferred_pairs(project=project, asked=asked)
        better_first = chosen.first[:, None]
        total = np.where(better_first, [-6.0, -7.0], [-7.0, -6.0])
        tokens = np.where(better_first, [3.0, 7.0], [7.0, 3.0])
        result = {"revision": "r", "not_scored": 0, "toy": False}
        found = margins.store(
            hold, asked, chosen, scores=Scores(total, tokens), reference=None, surprise={}, result=result
        )
        hold.finish(result=found)
        hold.run.refresh_from_db()
        return hold.run

    return measure


@pytest.fixture
def judged(make_pair, say, alice, bob):
    """Forty pairs, thirty of them with a better first. Both candidates of twenty are of one strategy."""
    for place in range(40):
        pair = make_pair(slots=0, label="first" if place < 30 else "second")
        for candidate in (pair.first, pair.second) if place < 20 else (pair.first,):
            candidate.strategy = "demon"
            candidate.save()
        say(alice, pair, "first")
        if place >= 20:
            say(bob, pair, "second" if place < 38 else "tie")


def of(run, annotator=None):
    return run.measurements.get(metric="assessment_misalignment", annotator=annotator)


def test_of_all_pairs_those_whose_better_candidate_is_less_likely_by_token(measured, judged):
    row = of(measured())
    assert (row.value, row.n) == (0.75, 40)
    assert row.low < 0.75 < row.high


def test_strategies_part_the_pairs_and_two_of_a_pair_stand_together(measured, judged):
    parts = of(measured()).detail["by_strategy"]
    assert [(one["strategy"], one["value"], one["n"]) for one in parts] == [
        (["", "demon"], 0.5, 20),
        (["demon"], 1.0, 20),
    ]


def test_an_annotator_is_measured_by_what_they_preferred_themselves(measured, judged, alice, bob):
    run = measured()
    assert (of(run, alice).value, of(run, alice).n) == (1.0, 40)
    # Of twenty he left two undecided.
    few = of(run, bob)
    assert (few.value, few.n, few.reason) == (None, 18, "Not enough data: 18 of at least 30 pairs.")


def test_nobody_counts_for_pairs_that_were_not_measured(measured, judged, make_pair, say, alice):
    say(alice, make_pair(slots=0, label="tie"), "second")
    assert of(measured(), alice).n == 40


def test_the_report_says_all_of_it(measured, judged):
    found = measuring.report(measured())
    assert [one["annotator"] for one in found["by_annotator"]] == ["Alice", "Bob"]
    said = measuring.as_text(found)
    assert "Assessment misalignment: 0.7500 (" in said
    assert "  demon: 1.0000 (" in said
    assert "  no strategy and demon: 0.5000 (" in said
    assert "  Alice: 1.0000 (" in said
    assert "  Bob: undefined. Not enough data" in said
