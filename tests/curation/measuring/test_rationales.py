from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.models import Rationale, Span
from curation import measuring
from curation.measuring import RationalesRequest
from curation.measuring.rationales import NO_SPANS

TEXT = "e\N{COMBINING ACUTE ACCENT}" + "x" * 38


@pytest.fixture
def mark(make_pair):
    """Let somebody mark parts of a candidate of a pair, by default the first: `mark(alice, pair, (0, 10))`."""

    def give(who, pair, *spans, judgement=None, of="first"):
        source = "machine" if who.is_judge else "human"
        rationale = Rationale.objects.create(pair=pair, annotator=who, judgement=judgement, source=source)
        for start, end in spans:
            Span.objects.create(rationale=rationale, candidate=getattr(pair, of), start=start, end=end)

    return give


def measured(project, **settings):
    return measuring.measure(project=project, asked=RationalesRequest(**{"bootstrap": 50, **settings}))


def of(run, metric, one, other=None):
    return run.measurements.get(metric=metric, annotator=one, other=other)


@pytest.fixture
def marked(make_pair, mark, alice, bob, robot):
    """Ten pairs: Alice marks 0 to 20, Bob 10 to 30 (a third in common), the robot exactly as Alice."""
    for _ in range(10):
        pair = make_pair(slots=0, first=TEXT)
        mark(alice, pair, (0, 20))
        mark(bob, pair, (10, 30))
        mark(robot, pair, (0, 20))


def test_spans_that_are_shifted_by_a_known_amount_have_the_known_figures(project, marked, alice, bob, robot):
    run = measured(project)
    shifted = of(run, "token_f1", alice, bob)
    assert (shifted.value, shifted.n, shifted.detail["pairs"]) == (0.5, 10, 10)
    # 10 of 30 in common: below the half.
    assert of(run, "iou_f1", alice, bob).value == 0
    assert of(measured(project, threshold=0.3), "iou_f1", alice, bob).value == 1
    assert [of(run, metric, alice, robot).value for metric in ("token_f1", "span_f1", "iou_f1")] == [1, 1, 1]


def test_a_model_is_set_beside_people_and_never_beside_itself(project, marked, alice, bob, robot):
    run = measured(project)
    # For the robot the people are Alice, who marks the same, and Bob; for Alice it is Bob alone.
    assert of(run, "auprc", robot).value > of(run, "auprc", alice).value
    assert of(run, "auprc", robot).n == 10
    # Of the 20 code points that Alice marked Bob marked 10, and of the other 20 as many: he tells nothing of hers.
    assert of(run, "average_precision", alice).value == pytest.approx(0.5)
    assert of(run, "roc_auc", alice).value == pytest.approx(0.5)
    # All that the robot marked some person marked too, half of it both.
    assert of(run, "roc_auc", robot).value > 0.8
    assert run.result == {"spans": 30, "texts": 10, "people": 2, "counted": 3}


def test_who_marks_another_candidate_than_everybody_else_disagrees_with_them(project, make_pair, mark, alice, bob):
    """In ten pairs the same is marked, in thirty each marks another candidate, of which the other says nothing."""
    for number in range(40):
        pair = make_pair(slots=0, first=TEXT, second=TEXT)
        mark(alice, pair, (0, 10))
        mark(bob, pair, (0, 10), of="first" if number < 10 else "second")
    run = measured(project)
    # A text whose scores are all equal has the base rate as its average precision, half way to 1 as its area.
    base = 10 / len(TEXT)
    for who in (alice, bob):
        found = {metric: of(run, metric, who) for metric in ("auprc", "eraser_auprc", "average_precision", "roc_auc")}
        assert {row.n for row in found.values()} == {40}
        assert found["eraser_auprc"].value == found["auprc"].value, "They differ in texts without a mark alone."
        assert found["auprc"].value == pytest.approx((10 + 30 * (1 + base) / 2) / 40)
        assert found["average_precision"].value == pytest.approx((10 + 30 * base) / 40)
        assert found["roc_auc"].value == pytest.approx((10 + 30 * 0.5) / 40)


def test_the_share_of_others_is_of_who_marked_the_pair(project, make_pair, mark, alice, bob, lead):
    """Alice marks a half. Bob marks it, too; the lead marks the other candidate and so leaves this one at a half."""
    for _ in range(10):
        pair = make_pair(slots=0, first=TEXT, second=TEXT)
        mark(alice, pair, (0, 20))
        mark(bob, pair, (0, 20))
        mark(lead, pair, (0, 20), of="second")
    run = measured(project)
    assert of(run, "roc_auc", alice).value == 1
    # Of the people beside the lead nobody marked what the lead did.
    assert of(run, "roc_auc", lead).value == 0.5
    assert of(run, "roc_auc", lead).n == 10


def test_few_common_pairs_are_not_enough_and_none_are_no_row(project, make_pair, mark, alice, bob, lead):
    for _ in range(9):
        pair = make_pair(slots=0, first=TEXT)
        mark(alice, pair, (0, 5))
        mark(bob, pair, (0, 5))
    mark(lead, make_pair(slots=0, first=TEXT), (0, 5))
    run = measured(project)
    assert of(run, "token_f1", alice, bob).reason == "Not enough data: 9 of at least 10 pairs that both marked."
    for metric in ("auprc", "average_precision", "roc_auc"):
        assert of(run, metric, alice).reason == "Not enough data: 9 of at least 10 pairs that others marked."
    assert not run.measurements.filter(metric="token_f1", other=lead).exists()
    assert of(measured(project, least_pairs=9), "token_f1", alice, bob).value == 1


def test_a_withdrawn_judgement_takes_its_marks_along(project, make_pair, say, mark, alice, bob):
    pair = make_pair(slots=0, first=TEXT)
    mark(alice, pair, (0, 5), judgement=say(alice, pair, "first"))
    mark(bob, pair, (0, 5))
    assert measured(project, least_pairs=1).result["counted"] == 2
    say(alice, pair, "second")
    assert measured(project, least_pairs=1).result["counted"] == 1


def test_it_is_said_in_lines_and_as_json(project, marked, capsys):
    call_command("measure", "rationales", "--project", "everyday", "--json")
    found = json.loads(capsys.readouterr().out)
    assert {(one["first"], one["second"], one["kinds"]) for one in found["two"]} == {
        ("Alice", "Bob", "person and person"),
        ("Alice", "robot-1", "person and judge"),
        ("Bob", "robot-1", "person and judge"),
    }
    assert [one["annotator"] for one in found["annotators"]] == ["Alice", "Bob", "robot-1"]
    assert all({"auprc", "average_precision", "roc_auc"} <= one.keys() for one in found["annotators"])
    call_command("measure", "rationales", "--project", "everyday")
    said = capsys.readouterr().out
    assert "30 spans in 10 texts by 3 annotators" in said
    assert "Alice and Bob (person and person): token_f1 0.500 (n 10), iou_f1 0.000 (n 10)" in said


def test_without_marks_and_with_strange_settings_it_is_refused(project):
    with pytest.raises(Refused) as refusal:
        measured(project)
    assert str(refusal.value) == NO_SPANS
    for settings in ({"threshold": 0}, {"threshold": 1.5}, {"least_pairs": 0}):
        with pytest.raises(Refused):
            RationalesRequest(**settings)


def test_the_benchmarks_own_overlap_stands_beside_ours(project, make_pair, mark, alice, bob):
    """Two of Bob's marks lie in one of Alice's: the benchmark counts both as hits, one to one counts one."""
    for _ in range(10):
        pair = make_pair(slots=0, first=TEXT, second=TEXT)
        mark(alice, pair, (0, 10))
        mark(bob, pair, (0, 5), (5, 10))
    run = measured(project)
    ours, theirs = (run.measurements.get(metric=name) for name in ("iou_f1", "eraser_iou_f1"))
    assert ours.value == pytest.approx(2 / 3)
    assert theirs.value == pytest.approx(2 * 1 * 2 / (1 + 2))
