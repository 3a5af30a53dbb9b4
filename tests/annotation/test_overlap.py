"""The overlap is exact: 50 clients with bad connections, and the control that proves the harness can see a fault."""

from __future__ import annotations

import pytest
from django.db import connection

from bench.exactness import Plan, without_locks_and_constraints
from bench.harness import throw_away_database
from bench.overlap import play
from tests.databases import leave_alone

# It also tells pytest-django to make the database, where nothing else asks for it.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _alone() -> None:
    """The test database is only copied, and nobody may be connected to it: not even a live server's thread."""
    leave_alone(connection.settings_dict["NAME"])


def test_the_overlap_is_exact_whatever_happens() -> None:
    """1,000 pairs, k = 3, 10 % disconnects, leases that run out, answers that are lost: 3,000 judgements, no fault."""
    plan = Plan(deadline=100.0)
    with throw_away_database(template=connection.settings_dict["NAME"]):
        found = play(plan)
    log = found.log
    assert log.faults == []
    assert found.judgements == plan.pairs * plan.overlap
    assert (found.over, found.under, found.same_annotator_twice, found.slot_twice) == (0, 0, 0, 0)
    assert found.done_without_judgement == 0
    assert (found.acknowledged_missing, found.stored_otherwise) == (0, 0)
    # The day was bad enough to be worth surviving.
    assert len(log.acknowledged) > 2900
    assert log.disconnects > 50
    assert log.swept > 20
    assert log.repeated > 20
    # Which candidate stands left is drawn evenly. Nobody seeds this draw, so only what chance does once in a million
    # runs is called a fault (chi-square, one degree of freedom); test_blindness.py is strict, with a seed.
    straight = found.judgements - found.swapped
    assert (found.swapped - straight) ** 2 / found.judgements < 23.93


def test_without_locks_and_constraints_the_same_harness_finds_faults() -> None:
    plan = Plan(clients=16, pairs=200, deadline=12.0)
    with throw_away_database(template=connection.settings_dict["NAME"]), without_locks_and_constraints():
        found = play(plan)
    assert found.over > 0
    assert found.slot_twice > 0
