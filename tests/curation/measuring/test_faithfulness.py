"""Texts without what was marked, and what a model's answers come to. The run itself: tests/workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotation.errors import Refused
from annotation.models import Rationale, Span
from curation.criteria import parse_all
from curation.measuring import FaithfulnessRequest
from curation.measuring.faithfulness import NO_RATIONALES, Answers, cut, figures, only, perturbed, standing
from curation.voices import Voices

NAN = float("nan")
TEXT = "It is short\n\nand  right."


@pytest.mark.parametrize(
    ("spans", "rest", "marked"),
    [
        ([], TEXT, ""),
        ([(6, 11)], "It is \n\nand  right.", "short"),
        ([(0, 5)], " short\n\nand  right.", "It is"),
        ([(18, 24), (3, 5)], "It short\n\nand  ", "is … right."),
        ([(3, 8), (5, 11)], "It \n\nand  right.", "is short"),
        ([(0, len(TEXT))], "", TEXT),
    ],
)
def test_what_is_marked_is_cut_out_or_is_all_that_stays(spans, rest, marked):
    assert cut(TEXT, spans) == rest
    assert only(TEXT, spans) == marked


def test_a_share_of_the_words_is_replaced_and_one_at_least():
    words = ["NEW"]
    rng = np.random.default_rng(0)
    text = "one two three four five six"
    assert perturbed(text, words=words, share=0.5, rng=rng).split().count("NEW") == 3
    assert perturbed(text, words=words, share=0.01, rng=rng).split().count("NEW") == 1
    assert perturbed(text, words=words, share=1, rng=rng) == " ".join(["NEW"] * 6)
    assert perturbed("  ", words=words, share=1, rng=rng) == ""


def answers(n, **columns):
    usual = {name: np.full(n, NAN) for name in ("full", "without", "only", "told", "untold")}
    usual |= {"perturbed": np.full((n, 2), NAN), "annotator": np.ones(n, dtype=np.int64)}
    return Answers(**(usual | {name: np.asarray(values, dtype=float) for name, values in columns.items()}))


def test_the_figures_are_those_of_the_papers():
    """The benchmark's example, V6; and a reason that makes its label e times as likely."""
    asked = FaithfulnessRequest(model="m", least_rationales=2, bootstrap=0)
    found = figures(
        answers(
            2,
            full=[0.9, 0.7],
            without=[0.4, 0.5],
            only=[0.85, 0.8],
            told=[0.5, 0.8],
            untold=[0.5 / np.e, 0.8 / np.e],
            perturbed=[[0.5, 0.3], [0.4, NAN]],
        ),
        np.array([True, True]),
        asked,
        seed=0,
    )
    assert found["comprehensiveness"].value == pytest.approx(0.35)
    assert found["sufficiency"].value == pytest.approx(-0.025)
    assert found["rationale_gain"].value == pytest.approx(1)
    # .5 - .4, and .8 - .4.
    assert found["perturbation_effect"].value == pytest.approx(0.25)
    assert {one.n for one in found.values()} == {2}


def test_few_reasons_are_not_enough_and_none_have_their_own_reason():
    asked = FaithfulnessRequest(model="m", bootstrap=50)
    some = answers(12, full=np.full(12, 0.9), without=[0.5] * 9 + [NAN] * 3, only=np.linspace(0.1, 0.8, 12))
    found = figures(some, np.ones(12, dtype=bool), asked, seed=0)
    assert found["comprehensiveness"].reason == "Not enough data: 9 of at least 10 rationales."
    assert found["sufficiency"].n == 12
    assert found["sufficiency"].interval is not None
    assert found["rationale_gain"].reason == "No rationale has both log-probabilities."


@pytest.fixture
def give(make_pair):
    """Let somebody give a reason: `give(alice, "It is short.")`, by marking: `give(alice, spans=[(0, 2)])`."""

    def made(who, text="", *, pair=None, spans=(), **fields):
        pair = pair or make_pair(slots=0)
        source = "machine" if who.is_judge else "human"
        rationale = Rationale.objects.create(pair=pair, annotator=who, text=text, source=source, **fields)
        for start, end in spans:
            Span.objects.create(rationale=rationale, candidate=pair.first, start=start, end=end)
        return rationale

    return made


def test_what_stands_is_asked_about(project, make_pair, say, give, alice, bob, robot):
    written, marked = give(alice, "Short."), give(bob, spans=[(0, 2), (3, 5)])
    by_machine = give(robot, "Right.")
    give(alice)
    pair = make_pair(slots=0)
    old = give(alice, "Taken back.", pair=pair, judgement=say(alice, pair, "first"))
    new = give(alice, "Said now.", pair=pair, judgement=say(alice, pair, "second"))
    asked = FaithfulnessRequest(model="m")
    assert standing(project, asked, seed=0) == [written.pk, marked.pk, by_machine.pk, new.pk]
    assert old.pk not in standing(project, asked, seed=0)
    people = FaithfulnessRequest(model="m", voices=Voices(kind="person", prefixes=("Al",)))
    assert standing(project, people, seed=0) == [written.pk, new.pk]
    one = FaithfulnessRequest(model="m", where=tuple(parse_all([f"pair={marked.pair_id}"])))
    assert standing(project, one, seed=0) == [marked.pk]


def test_of_more_than_asked_for_so_many_are_drawn_by_the_seed(project, give, alice):
    for place in range(9):
        give(alice, f"Reason {place}.")
    asked = FaithfulnessRequest(model="m", most=4)
    drawn = [standing(project, asked, seed=seed) for seed in (1, 1, 2)]
    assert [len(one) for one in drawn] == [4, 4, 4]
    assert drawn[0] == drawn[1] == sorted(drawn[0])
    assert drawn[0] != drawn[2]


def test_without_reasons_and_with_strange_settings_it_is_refused(project, alice, give):
    with pytest.raises(Refused) as refusal:
        standing(project, FaithfulnessRequest(model="m"), seed=0)
    assert str(refusal.value) == NO_RATIONALES
    wrong: list[dict[str, Any]] = [
        {"most": 0},
        {"perturbations": 0},
        {"share": 0.0},
        {"share": 1.1},
        {"least_rationales": 0},
    ]
    wrong += [{"thresholds": "0.1,some"}, {"thresholds": "0,0.1"}, {"thresholds": "2"}, {"least_markers": 0}]
    for settings in wrong:
        with pytest.raises(Refused):
            FaithfulnessRequest(model="m", **settings)
