"""Pairs that several people marked, asked about without the best words of it, and with nothing but these."""

from __future__ import annotations

import re

import pytest

from annotation.models import Annotator, Rationale, Span
from curation import measuring
from curation.measuring import FaithfulnessRequest
from tests.workers import holding
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend
from workers import faithfulness
from workers.backends.primitives import CannotAnswer

pytestmark = pytest.mark.django_db

# Ten words each: a fifth of all are four.
GOOD = "one two three four five GOOD BETTER eight nine ten"
PLAIN = "11 12 13 14 15 16 17 18 19 20"


def responses(asked):
    return re.findall(r"## Response '[AB]':\n\"(.*?)\"(?=\n\n##)", asked, re.DOTALL)


def reads_good(asked):
    """Two good words are better than one, and one than none."""
    a, b = (0.4 * ("GOOD" in text) + 0.1 * ("BETTER" in text) for text in responses(asked))
    return (0.5 + a - b, 0.5 - a + b, 0.0)


def mark(who, pair, candidate, *words, source="human"):
    text = candidate.messages[0]["content"]
    said = Rationale.objects.create(pair=pair, annotator=who, source=source)
    for word in words:
        start = text.index(word)
        Span.objects.create(rationale=said, candidate=candidate, start=start, end=start + len(word))


@pytest.fixture
def carol(project):
    return Annotator.objects.create(project=project, name="Carol", external_id="carol")


@pytest.fixture
def marked(make_pair, alice, bob, carol):
    """Twelve pairs: all three mark the good word, two of them the better one, and one of them nothing of use."""
    pairs = []
    for place in range(12):
        texts = {"first": PLAIN, "second": GOOD} if place % 2 else {"first": GOOD, "second": PLAIN}
        pair = make_pair(slots=0, **texts)
        good, plain = (pair.second, pair.first) if place % 2 else (pair.first, pair.second)
        mark(alice, pair, good, "GOOD")
        mark(bob, pair, good, "GOOD", "BETTER")
        mark(carol, pair, good, "GOOD BETTER")
        mark(carol, pair, plain, "11 12 13")
        pairs.append(pair)
    return pairs


@pytest.fixture
def measured(project):
    def measure(answer=reads_good, **fields):
        asked = FaithfulnessRequest(**{"model": "stub", "bootstrap": 50, **fields})
        hold = holding.held(project, "measurement", asked.as_parameters())
        backend = StubBackend(answer=answer)
        result = faithfulness.execute(hold, open_model=Opener(backend))
        return hold, result, backend

    return measure


def of(hold, metric):
    return hold.run.measurements.get(metric=metric, annotator=None)


def test_the_best_words_go_first_and_each_share_has_its_change(measured, marked):
    hold, result, _ = measured()
    needs, enough = of(hold, "aopc_comprehensiveness"), of(hold, "aopc_sufficiency")
    # 1 and 5 % of twenty words are one: GOOD. 10 % are BETTER too; 20 and 50 % what one person marked besides.
    assert [one["share"] for one in needs.detail["at"]] == [0.01, 0.05, 0.1, 0.2, 0.5]
    assert [one["change"] for one in needs.detail["at"]] == pytest.approx([0.4, 0.4, 0.5, 0.5, 0.5])
    assert [one["change"] for one in enough.detail["at"]] == pytest.approx([0.1, 0.1, 0, 0, 0])
    assert (needs.value, enough.value) == (pytest.approx(0.46), pytest.approx(0.04))
    assert needs.n == enough.n == result["pairs_ranked"] == 12
    assert needs.low is not None
    assert needs.detail["marked_by_fewer"] == result["pairs_not_answered"] == 0
    hold.finish(result=result)
    hold.run.refresh_from_db()
    said = measuring.as_text(measuring.report(hold.run))
    assert "Comprehensiveness over growing rationales: 0.460" in said


def test_what_is_cut_out_and_shown_alone_are_the_words_themselves(measured, marked):
    _, _, backend = measured(thresholds="0.05,0.15,0.5", most=1)
    texts = {text for asked in backend.asked for text in responses(asked[-1]["content"])}
    for wanted in ("GOOD", "GOOD BETTER", "one two three four five BETTER eight nine ten"):
        assert wanted in texts
    assert "one two three four five eight nine ten" in texts
    # Of half of the words only what somebody marked.
    assert "11 12 13" in texts
    assert " 14 15 16 17 18 19 20" in texts
    assert not {text for text in texts if text.startswith("two")}


def test_pairs_that_fewer_marked_are_left_out_and_counted_and_models_do_not_count(
    measured, marked, make_pair, alice, project
):
    robot = Annotator.objects.create(project=project, kind="judge", name="robot", external_id="robot", model="m")
    pair = make_pair(slots=0, first=GOOD)
    mark(alice, pair, pair.first, "GOOD")
    mark(robot, pair, pair.first, "one", source="machine")
    mark(robot, marked[0], marked[0].first, "two", source="machine")
    hold, result, _ = measured()
    assert (of(hold, "aopc_sufficiency").detail["marked_by_fewer"], result["pairs_ranked"]) == (1, 12)
    assert of(hold, "aopc_sufficiency").value == pytest.approx(0.04)
    hold, result, _ = measured(least_markers=1)
    assert (of(hold, "aopc_sufficiency").detail["marked_by_fewer"], result["pairs_ranked"]) == (0, 13)
    hold, result, _ = measured(least_markers=4)
    assert of(hold, "aopc_sufficiency").reason == "Not enough data: 0 of at least 10 pairs that 4 people marked."


def test_without_thresholds_nothing_more_is_asked(measured, marked):
    hold, result, backend = measured(thresholds="")
    assert not hold.run.measurements.filter(metric__startswith="aopc").exists()
    assert result["pairs_ranked"] == 0
    most = len(backend.asked)
    assert len(measured()[2].asked) > most


def test_a_pair_that_cannot_be_read_costs_one(measured, marked):
    bad = marked[3].prompt.messages[0]["content"]

    def refuses(asked):
        # What stands alone is short: only the whole of this pair is refused.
        if bad in asked and GOOD in asked:
            raise CannotAnswer("The pair is too long for this model.")
        return reads_good(asked)

    hold, result, _ = measured(refuses)
    assert (result["pairs_ranked"], result["pairs_not_answered"]) == (12, 1)
    assert of(hold, "aopc_comprehensiveness").n == 11
    assert of(hold, "aopc_comprehensiveness").value == pytest.approx(0.46)


def test_run_again_it_finds_the_same(measured, marked, project):
    hold, result, backend = measured()
    columns = ("metric", "annotator", "value", "low", "detail")
    before = list(hold.run.measurements.order_by("metric", "annotator").values_list(*columns))
    again = holding.held(project, "measurement", None, run=hold.run)
    assert faithfulness.execute(again, open_model=Opener(backend)) == result
    assert list(hold.run.measurements.order_by("metric", "annotator").values_list(*columns)) == before
