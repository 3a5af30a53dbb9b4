from __future__ import annotations

import pytest

from curation.arrays import pair_facts
from curation.criteria import parse_all
from curation.voices import Voices


@pytest.mark.django_db
def test_what_was_flagged_after_the_last_judgement_of_a_release_is_not_seen(project, make_pair, say, alice, bob):
    """A release is verified by the judgements up to its last one: later flags and later haste change nothing."""
    calm, hasty = make_pair(), make_pair()
    last = say(alice, calm, "first", flags=["personal"], active_ms=60_000)
    say(bob, calm, "first", flags=["harmful"])
    say(bob, hasty, "first", active_ms=10)
    where = parse_all(["flag=harmful", "flag=personal", "hasty>=1"])
    now = pair_facts(project=project, voices=Voices(), where=where)
    then = pair_facts(project=project, voices=Voices(through=last.pk), where=where)
    assert now.passes.tolist() == [[True, False], [True, False], [False, True]]
    assert then.passes.tolist() == [[False, False], [True, False], [False, False]]
