"""Ties and Dawid-Skene: what a rule says of a pair, and what each layout makes of it."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from annotation.errors import Refused
from annotation.models import Annotator
from curation.diffing import diff
from curation.export.layouts import LAYOUTS
from curation.metrics.aggregation import dawid_skene
from curation.metrics.labels import Labels
from curation.releasing import plan, release
from curation.verifying import verify

pytestmark = pytest.mark.usefixtures("same_connection")


def read(folder, layout="trl_dpo"):
    return [row for path in sorted((folder / layout).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def steps(done):
    return {step["name"]: step["removed"] for step in done.release.manifest["steps"] if step["removed"]}


@pytest.fixture
def told(make_pair, say, alice, bob, adjudicator):
    """A first, a second, a tie and a both bad, each by two of three."""
    made = {}
    for name in ("first", "second", "tie", "both_bad"):
        made[name] = make_pair(slots=0, external_id=name)
        for who, what in zip((alice, bob, adjudicator), (name, name, "first"), strict=True):
            say(who, made[name], what)
    return made


@pytest.fixture
def mended(told):
    """The same, and whoever prefers an answer marked a strength in it and edited it."""
    from annotation.models import Edit, Judgement, Rationale, Span

    for judgement in Judgement.objects.filter(verdict="prefer"):
        seat = judgement.assignment
        why = Rationale.objects.create(
            pair=seat.pair, annotator=judgement.annotator, judgement=judgement, text="Clearer.", source="human"
        )
        assert judgement.strength is not None
        better = seat.pair.first if judgement.strength > 0 else seat.pair.second
        Edit.objects.create(judgement=judgement, candidate=better, text="Mended.", edit_distance=3)
        Span.objects.create(rationale=why, candidate=better, start=0, end=2)


@pytest.mark.parametrize("rule", ["majority", "strength", "label", "dawid_skene"])
def test_ties_are_dropped_where_nothing_else_is_asked_for(project, told, rule):
    assert plan(project=project, version="v", rule=rule).ties == "drop"


@pytest.mark.parametrize("rule", ["soft", "votes"])
def test_what_chooses_nothing_keeps_ties_and_drops_them_on_request(project, told, rule, tmp_path):
    kept = release(project=project, version="v1", rule=rule, layout="soft", out=tmp_path / "v1")
    assert (kept.release.manifest["ties"], kept.release.rows) == ("keep", 4)
    without = release(project=project, version="v2", rule=rule, layout="soft", ties="drop", out=tmp_path / "v2")
    assert steps(without) == {"tie": 1}
    assert verify(tmp_path / "v1") == verify(tmp_path / "v2") == []


@pytest.mark.parametrize("layout", [name for name, layout in LAYOUTS.items() if not layout.chooses])
def test_a_layout_that_can_hold_ties_keeps_them_beside_a_rule_that_chooses(project, mended, layout, tmp_path):
    done = release(project=project, version="v1", layout=layout, ties="keep", out=tmp_path / "v1")
    assert done.release.manifest["chosen"] == 3
    assert steps(done) == {"both bad": 1}
    assert verify(tmp_path / "v1") == []


@pytest.mark.parametrize("layout", [name for name, layout in LAYOUTS.items() if layout.chooses])
def test_a_layout_that_cannot_hold_ties_says_which_can(project, layout):
    with pytest.raises(Refused, match=rf"{layout} has a chosen answer in every row.*listwise, helpsteer3, votes, soft"):
        plan(project=project, version="v", layout=layout, ties="keep")


@pytest.mark.parametrize("layout", [name for name, layout in LAYOUTS.items() if not layout.reverses])
def test_only_layouts_of_one_pair_a_row_can_hold_a_tie_in_both_orders(project, layout):
    with pytest.raises(Refused, match=rf"{layout} cannot hold a tie as two rows.*Only trl_dpo and trl_reward can"):
        plan(project=project, version="v", layout=layout, ties="both")


def test_what_ties_cannot_be_is_refused(project):
    with pytest.raises(Refused, match=r"Unknown for ties is 'flip'\. Known are drop, keep, both"):
        plan(project=project, version="v", ties="flip")


@pytest.mark.parametrize("layout", ["trl_dpo", "trl_reward"])
def test_a_tie_in_both_orders_is_two_rows_of_one_pair(project, told, layout, tmp_path, say, alice):
    options = {"layout": layout, "ties": "both", "test_share": 0.4}
    done = release(project=project, version="v1", out=tmp_path / "v1", **options)
    sides = [(row["external_id"], row["chosen_side"]) for row in read(tmp_path / "v1", layout)]
    assert sorted(sides) == [("first", "first"), ("second", "second"), ("tie", "first"), ("tie", "second")]
    one, other = [row for row in read(tmp_path / "v1", layout) if row["external_id"] == "tie"]
    assert (one["chosen"], one["rejected"]) == (other["rejected"], other["chosen"])
    assert (done.release.manifest["chosen"], done.release.rows) == (3, 4)
    assert verify(tmp_path / "v1") == []
    assert "twice, once in each order" in (tmp_path / "v1" / "README.md").read_text()
    release(project=project, version="v2", out=tmp_path / "v2", layout=layout, test_share=0.4)
    assert diff(tmp_path / "v1", tmp_path / "v2").went == {told["tie"].pk: "tie"}
    assert diff(tmp_path / "v1", tmp_path / "v1").same == 3


# ---- Dawid and Skene -------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(project, make_pair, say):
    """Three who mostly agree and two who are mostly against them; on the last pair the three lose two to three."""
    reliable = [Annotator.objects.create(project=project, name=f"good {n}") for n in range(3)]
    contrary = [Annotator.objects.create(project=project, name=f"bad {n}") for n in range(2)]
    pairs = []
    for n in range(20):
        truth, other = ("first", "second") if n % 2 else ("second", "first")
        pairs.append(make_pair(slots=0, external_id=str(n)))
        for who in reliable:
            say(who, pairs[-1], truth)
        for who in contrary:
            say(who, pairs[-1], other)
    pairs.append(make_pair(slots=0, external_id="turned"))
    for who, what in ((reliable[0], "first"), (contrary[0], "second"), (contrary[1], "second")):
        say(who, pairs[-1], what)
    return pairs


def test_the_likeliest_answer_is_chosen_and_told_with_its_probability(project, crowded, tmp_path):
    by_majority = release(project=project, version="v1", out=tmp_path / "v1")
    done = release(project=project, version="v2", rule="dawid_skene", out=tmp_path / "v2")
    chosen = {row["external_id"]: row for row in read(tmp_path / "v2")}
    assert by_majority.release.rows == done.release.rows == 21
    assert {row["external_id"]: row["chosen_side"] for row in read(tmp_path / "v1")}["turned"] == "second"
    assert chosen["turned"]["chosen_side"] == "first"
    expected = np.round(posterior_of(crowded).max(axis=1), 12)
    np.testing.assert_allclose([chosen[pair.external_id]["probability"] for pair in crowded], expected, rtol=1e-9)
    card = (tmp_path / "v2" / "README.md").read_text()
    assert "Dawid and Skene" in card
    assert "`probability`" in card
    assert verify(tmp_path / "v2") == []


def posterior_of(pairs):
    """The same by the measure itself, from labels that were put together here."""
    said = [
        (pair.pk, judgement.annotator_id, "first" if judgement.strength > 0 else "second")
        for pair in pairs
        for seat in pair.assignments.all()
        for judgement in seat.judgements.all()
    ]
    items, annotators, values = zip(*said, strict=True)
    labels = Labels.from_columns(items, annotators, values, levels=("first", "second", "tie", "both_bad"))
    return dawid_skene(labels).posterior


def test_pairs_of_which_it_is_less_sure_are_counted_out(project, crowded, make_pair, say, alice, bob, tmp_path):
    doubtful = make_pair(slots=0, external_id="doubtful")
    say(alice, doubtful, "first")
    say(bob, doubtful, "tie")
    done = release(
        project=project, version="v1", rule="dawid_skene", least_probability=0.999, layout="soft", out=tmp_path / "v1"
    )
    rows = read(tmp_path / "v1", "soft")
    assert min(row["probability"] for row in rows) >= 0.999
    assert steps(done)["probability below 0.999"] >= 1
    assert verify(tmp_path / "v1") == []
    with pytest.raises(Refused, match="The rule majority gives no probability"):
        plan(project=project, version="v", least_probability=0.9)
    with pytest.raises(Refused, match="0 to 1, not 90"):
        plan(project=project, version="v", rule="dawid_skene", least_probability=90)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_each_layout_of_pairs_tells_the_probability(project, mended, layout, tmp_path):
    done = release(project=project, version="v1", rule="dawid_skene", layout=layout, out=tmp_path / "v1")
    rows = read(tmp_path / "v1", layout)
    assert done.release.rows == len(rows) > 0
    if LAYOUTS[layout].by_prompt:
        assert "probability" not in rows[0]
    else:
        assert all(0.25 < row["probability"] <= 1 for row in rows)
    assert verify(tmp_path / "v1") == []


def test_without_judgements_it_chooses_nothing(project, make_pair, tmp_path):
    make_pair(slots=0)
    done = release(project=project, version="v1", rule="dawid_skene", out=tmp_path / "v1")
    assert (done.release.rows, steps(done)) == (0, {"no judgement": 1})
