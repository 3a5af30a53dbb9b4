"""Every number of the worked tables in docs/metrics.md is computed anew and found there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from curation.metrics import aggregation, agreement, difficulty, diversity, people, rationales, representativeness
from curation.metrics.aggregation import bradley_terry, dawid_skene, majority_vote
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.metrics.resemblance import near_duplicate_share

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")


def shown(value: float, digits: int = 4) -> str:
    """As the page writes numbers: without a zero before the mark."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def stands(*cells: str) -> None:
    assert f"| {' | '.join(cells)} |" in TEXT


def table(rows: str, *, values: str = "0123456789") -> Labels:
    """Items with blanks between, one character for each annotator; a dot is missing."""
    number = {character: float(place) for place, character in enumerate(values)}
    return Labels.from_matrix(np.array([[number.get(one, np.nan) for one in row] for row in rows.split()]))


TEN = "000 001 111 1.1 010 110 22. 000 111 020"


def test_agreement():
    labels = table(TEN)
    complete = table(" ".join(row for row in TEN.split() if "." not in row))
    stands("alpha, nominal", shown(agreement.krippendorff_alpha(labels, level="nominal").value))
    kappa = agreement.cohen_kappa(labels, annotators=(0, 2))
    stands("Cohen's kappa, first and third annotator (9 common items)", shown(kappa.value))
    assert kappa.n == 9
    stands("Fleiss' kappa, the 8 complete items", shown(agreement.fleiss_kappa(complete).value))
    stands("Gwet's AC1", shown(agreement.gwet_ac1(labels).value))
    stands("Brennan and Prediger's kappa", shown(agreement.brennan_prediger(labels).value))
    stands("Conger's kappa", shown(agreement.conger_kappa(labels).value))
    stands("item agreement of 001", shown(agreement.item_agreement(labels)[1]))
    stands("item entropy of 001", f"{shown(agreement.item_entropy(labels)[1])} nats")


def test_agreement_of_strengths():
    rows = ["-2,-2,-1", "2,1,2", "0,0,1", "1,2,.", "-1,-2,-2", "0,-1,0", "2,2,2", "-2,.,-1"]
    labels = Labels.from_matrix(np.array([[np.nan if v == "." else float(v) for v in row.split(",")] for row in rows]))
    nominal, ordinal, interval = (
        shown(agreement.krippendorff_alpha(labels, level=level).value) for level in ("nominal", "ordinal", "interval")
    )
    said = re.sub(r"\s+", " ", TEXT)
    assert f"alpha nominal {nominal}, ordinal {ordinal}, interval {interval}" in said
    plain, linear, quadratic = (
        shown(agreement.cohen_kappa(labels, weights=weights).value) for weights in ("none", "linear", "quadratic")
    )
    assert f"(7 common items) {plain}, with linear weights {linear}, with quadratic ones {quadratic}." in said


def test_aggregation():
    fourth = "1101012001"
    labels = table(" ".join(row + one for row, one in zip(TEN.split(), fourth, strict=True)))
    votes, learned = majority_vote(labels), dawid_skene(labels)
    for place, name in ((0, "first"), (1, "second"), (4, "fifth")):
        given = " ".join(TEN.split()[place] + fourth[place])
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| {name} | {given} |"))
        tied = ", tied" if votes.is_tied[place] else ""
        assert row.split("|")[3].strip().startswith(f"{votes.best[place]}{tied}")
        assert row.split("|")[4].strip().startswith(f"{learned.best[place]}")
    assert f"0 ({shown(votes.posterior[4].max(), 2)}) | 0 ({shown(learned.posterior[4].max())})" in TEXT


def test_scores_of_models():
    wins = np.array([[0, 20, 3], [5, 0, 12], [3, 4, 0]], dtype=float)
    scores = bradley_terry(wins, ridge=0.01)
    compared = (wins + wins.T).sum(axis=1)
    for name, score, n in zip(("big", "small", "tiny"), scores, compared, strict=True):
        stands(name, shown(score, 3), f"{n:.0f}")


@pytest.mark.parametrize(("chosen", "rejected"), [(-100, -120), (-90, -130), (-130, -100)])
def test_dpo_loss(chosen, rejected):
    loss = difficulty.dpo_loss([chosen], [rejected], [-100], [-120], beta=0.01)
    stands(f"{chosen}, {rejected}; -100, -120; .01", shown(float(np.ravel(loss)[0]), 6))


@pytest.mark.parametrize(
    ("one", "other", "cells"),
    [
        ([(2, 6)], [(3, 7)], ("2 to 6", "3 to 7")),
        ([(0, 10)], [(0, 6), (4, 10)], ("0 to 10", "0 to 6 and 4 to 10")),
    ],
)
def test_spans(one, other, cells):
    def plain(value: float) -> str:
        return f"{value:.4f}".rstrip("0").rstrip(".").removeprefix("0") if value != 1 else "1"

    truth, predicted = {"a": one}, {"a": other}
    measures = (rationales.token_f1, rationales.iou_f1, rationales.eraser_iou_f1)
    stands(*cells, *(plain(measure(truth, predicted).f1) for measure in measures))


def test_soft_scores():
    truth = [[1, 1, 0, 0, 0], [0, 1, 0, 1]]
    scores = [[0.9, 0.8, 0.3, 0.2, 0.7], [0.1, 0.6, 0.4, 0.35]]
    stands("area under the precision-recall curve, straight lines", shown(rationales.auprc(truth, scores).value))
    stands("average precision, the same in steps", shown(rationales.average_precision(truth, scores).value))
    stands("a marked token above an unmarked one", shown(rationales.roc_auc(truth, scores).value))


def test_diversity():
    stands(
        "two samples of entropies 1.0, .5 and 2.0 nats by token, up to 50 tokens",
        f"branching factor {shown(diversity.branching_factor([[1.0, 0.5], [2.0]], [[-1.0, -1.0], [-1.0]]).value)}",
    )
    long = diversity.branching_factor([[0.0] * 60], [[-0.7] * 60])
    stands("one sample of 60 tokens, each of log-probability -.7", f"branching factor {shown(long.value)}")
    words = [text.split() for text in ("a b c", "a b d")]
    stands('"a b c" and "a b d"', f"distinct-2 {shown(diversity.distinct_n(words).value)}")
    texts = ["The answer is yes.", "the  answer is YES.", "No."]
    share = near_duplicate_share(texts, rng=np.random.default_rng(0)).value
    stands('"The answer is yes.", "the  answer is YES." and "No."', f"near duplicates {shown(share)}")
    wins = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]])
    stands(
        "a beats b, b beats c, c beats a, and d loses to all", f"circles {shown(diversity.cycle_share([wins]).value)}"
    )


def ends(found: Estimate, digits: int = 4) -> str:
    assert found.low is not None
    assert found.high is not None
    return f"{shown(found.low, digits)} to {shown(found.high, digits)}"


def test_people():
    labels = table("000 001 111 1.1 010")
    agreeing = people.leave_one_out_agreement(labels, least=1)
    gold = people.gold_accuracy(labels, [0, -1, 1, 1, -1], least=1)
    for name, one, right in zip(("first", "second", "third"), agreeing, gold, strict=True):
        stands(name, shown(one.value), f"{one.n}", f"{right.value * right.n:.0f} of {right.n}")


def only(found: Iterable[Estimate]) -> Estimate:
    return next(iter(found))


def test_habits():
    sides = [1.0] * 6 + [0.0] * 3 + [np.nan]
    left = only(people.left_rate([0] * 10, sides, n_annotators=1, least=1))
    stands("left six times of nine decided pairs", f"left rate {shown(left.value)}", ends(left))
    verdicts = ["tie", "tie", *["first"] * 6]
    tie = only(people.verdict_rate([0] * 8, verdicts, of="tie", n_annotators=1, least=1))
    stands("two ties among eight judgements", f"tie rate {shown(tie.value)}", ends(tie))
    seconds = [4, 6, 7, 9, 10, 12, 15, 20, 31, 90]
    time = only(people.active_time([0] * 10, np.array(seconds) * 1000.0, n_annotators=1))
    stands(f"{' '.join(map(str, seconds))} seconds", f"active time {time.value:.1f} s", ends(time, 1))
    ratio = np.repeat([-1.0, 0.0, 1.0, 2.0], 100)
    chose = np.concatenate([np.arange(100) < k for k in (27, 50, 73, 88)]).astype(float)
    slope = only(people.length_slope([0] * 400, ratio, chose, n_annotators=1))
    stands(
        "of 100 pairs each at half, equal, double and four times the length, 27, 50, 73 and 88 chose the first",
        f"length slope {shown(slope.value)}",
        ends(slope),
    )
    labels = Labels.from_matrix(np.column_stack([np.zeros(40), np.arange(40) >= 33]).astype(float))
    drift = only(people.agreement_drift(labels, np.repeat(np.arange(4), 10)[labels.item]))
    stands(
        "four weeks of ten items, agreeing in all of the first three and in 3 of the last",
        f"drift {shown(drift.value)}",
        ends(drift),
    )


@pytest.mark.parametrize(("labels", "letters"), [("000", "a a a"), ("001", "a a b"), ("01.", "a b")])
def test_firmness(labels, letters):
    stands(letters, shown(representativeness.flip_fraction(table(f"{labels} 012"))[0]))


def test_the_shares_of_a_majority():
    rows = (("000", "all the same"), ("001", "two of three"), ("012", "all different"))
    for labels, name in rows:
        found = table(labels)
        shares = aggregation.majority_vote(found).posterior[0]
        cells = [f"{value:.4f}".removeprefix("0") for value in (agreement.item_agreement(found)[0], shares.max())]
        stands(name, *(cell.rstrip("0").rstrip(".") or "0" if cell.endswith("0000") else cell for cell in cells))
