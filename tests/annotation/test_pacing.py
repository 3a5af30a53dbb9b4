"""How long it takes: ranges, words, and how good estimates were."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.estimating import within
from annotation.models import Run
from annotation.pacing import duration, duration_range, spread, time_left


def test_durations_in_words():
    assert [duration(s) for s in (0.2, 40, 95, 960, 6720)] == ["1 s", "40 s", "2 min", "16 min", "1 h 52 min"]
    assert duration_range(780, 1200) == "13 to 20 min"
    assert duration_range(40, 1200) == "40 s to 20 min"


def test_the_range_reaches_as_far_as_the_runs_did():
    steady, wild = spread(100, [2.0]), spread(100, [2.0, 8.0, 0.5])
    assert (steady.early, steady.likely, steady.late) == (40, 50, 65)
    assert (wild.early, wild.likely, wild.late) == (12.5, 50, 200)


def test_what_an_earlier_attempt_made_is_no_part_of_the_pace():
    now = timezone.now()
    run = Run(
        state="running",
        claimed_at=now - timedelta(seconds=200),
        pace_since=now - timedelta(seconds=100),
        pace_from=500,
        progress=600,
        total=1000,
    )
    found = time_left(run, now=now)
    assert found is not None
    assert found.likely == pytest.approx(400)
    run.progress = 510
    assert time_left(run, now=now) is None


@pytest.mark.django_db
def test_how_many_ended_near_their_estimate(project):
    """Within 30 % of what the run took: 70 to 130 for a run of 100 seconds."""
    for seconds in (69, 70, 130, 131):
        Run.objects.create(
            project=project,
            kind="generation",
            code_version="t",
            state="done",
            finished_at=timezone.now(),
            busy_seconds=100,
            estimate={"seconds": seconds, "early_seconds": 100},
        )
    Run.objects.create(project=project, kind="generation", code_version="t", estimate={"seconds": 1})
    # Ended early, with what was there: it says nothing about the estimate.
    early = {"state": "done", "finished_at": timezone.now(), "busy_seconds": 5, "parameters": {"only_pair": True}}
    Run.objects.create(project=project, kind="generation", code_version="t", estimate={"seconds": 100}, **early)
    assert within(runs=Run.objects.all()) == (2, 4)
    assert within(runs=Run.objects.all(), early=True) == (4, 4)
    assert within(runs=Run.objects.all(), last=2) == (1, 2)
