"""What becomes in a release of what an adjudicator decided."""

from __future__ import annotations

from typing import Any

import pytest

from curation import settling
from curation.choosing import choose
from curation.models import Ruling
from curation.planning import plan
from tests.curation.settled import settle


def _taken(project: Any, rule: str, through: int | None = None) -> tuple[dict[int, bool], dict[str, int], int]:
    from dataclasses import replace

    from django.db import connection

    asked = plan(project=project, version="1", rule=rule, layout="soft" if rule == "soft" else "trl_dpo")
    found = choose(replace(asked, rulings_through=through), using=connection)
    wins = dict(zip(found.facts.pair[found.rows].tolist(), found.first_wins.tolist(), strict=True))
    return wins, {step.name: step.removed for step in found.sieve.steps if step.removed}, found.rulings_through


def test_an_adjudicator_decides_instead_of_the_majority(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any
) -> None:
    plain, turned, torn, tied, open_ = (make_pair() for _ in range(5))
    for pair in (plain, turned, tied, open_):
        for who in crowd:
            say(who, pair, "first", 2)
    for who, what in zip(crowd, ("first", "second", "tie"), strict=True):
        say(who, torn, what, 1)
    before = _taken(project, "majority")
    settle(waiting(turned), adjudicator, "second")
    settle(waiting(torn), adjudicator, "first")
    settle(waiting(tied), adjudicator, "ambiguous")
    taken_back = waiting(open_)
    settle(taken_back, adjudicator, "second")
    settling.take_back(adjudication=taken_back, adjudicator=adjudicator)
    for rule in ("majority", "strength"):
        wins, removed, last = _taken(project, rule)
        assert wins == {plain.pk: True, turned.pk: False, torn.pk: True, open_.pk: True}, rule
        assert removed == {"adjudicated: ambiguous": 1}
        assert last == Ruling.objects.latest("pk").pk
    assert set(_taken(project, "soft")[0]) == {one.pk for one in (plain, turned, torn, tied, open_)}
    assert _taken(project, "majority", through=0)[:2] == before[:2], "What was ruled later changes no earlier release."
    assert before[1] == {"no majority": 1}


@pytest.mark.usefixtures("same_connection")
def test_of_an_overruled_pair_no_margin_points_the_wrong_way(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any, tmp_path: Any
) -> None:
    import pyarrow.parquet as pq

    from curation.releasing import release

    upheld, overruled, plain = (make_pair(slots=0) for _ in range(3))
    for pair in (upheld, overruled, plain):
        for who in crowd:
            say(who, pair, "first", 2)
    settle(waiting(upheld), adjudicator, "first")
    settle(waiting(overruled), adjudicator, "second")
    done = release(project=project, version="v1", layout="trl_reward", rule="dawid_skene", out=tmp_path / "out").release
    rows = {row["pair_id"]: row for row in pq.read_table(tmp_path / "out" / "trl_reward").to_pylist()}
    found = {pair: (row["chosen_side"], row["margin"], row["strength_mean"]) for pair, row in rows.items()}
    assert found == {
        upheld.pk: ("first", 2.0, 2.0),
        overruled.pk: ("second", 0.0, -2.0),
        plain.pk: ("first", 2.0, 2.0),
    }
    # The rule's probability is of what the rule says, and here an adjudicator said it.
    assert [rows[pair.pk]["probability"] is None for pair in (upheld, overruled, plain)] == [True, True, False]
    assert done.manifest["adjudicated"]["pairs"] == 2
    assert "decided 2 of these pairs" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.usefixtures("same_connection")
def test_no_layout_says_the_other_of_what_an_adjudicator_decided(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any, tmp_path: Any
) -> None:
    import pyarrow.parquet as pq

    from curation.export.layouts import LAYOUTS
    from curation.releasing import release
    from curation.verifying import verify

    pair = make_pair(slots=0)
    for who in crowd:
        say(who, pair, "first", 3)
    settle(waiting(pair), adjudicator, "second")
    second = "Second."
    pair.second.messages = [{"role": "assistant", "content": second}]
    pair.second.save()

    def row(layout: str) -> Any:
        release(project=project, version=layout, layout=layout, out=tmp_path / layout)
        assert verify(tmp_path / layout) == []
        (only,) = pq.read_table(tmp_path / layout / layout, schema=LAYOUTS[layout].schema).to_pylist()
        return only

    helpsteer = row("helpsteer3")
    assert (helpsteer["overall_preference"], helpsteer["adjudicated"]) == (1, True)
    assert {one["score"] for one in helpsteer["individual_preference"]} == {-3}, "What each said stays what they said."
    scored = row("ultrafeedback_binarized")
    assert (scored["score_chosen"], scored["score_rejected"], scored["adjudicated"]) == (1.0, 0.0, True)
    assert scored["chosen"][-1]["content"] == second
    listed = row("listwise")
    assert (listed["scores"], listed["adjudicated"]) == ([1.0, 0.0], [True])
    assert listed["completions"][0][0]["content"] == second
    assert row("pku_saferlhf")["better_response_id"] == 1
    assert row("trl_dpo")["adjudicated"] is True
