"""From offers and judgements in the database to the figures of anchoring."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from annotation import offering, reacting
from annotation.errors import Refused
from annotation.models import Annotator, Judgement, Offer, Rationale
from curation import measuring
from curation.measuring import AnchoringRequest, anchoring
from tests.machines import explain, turn_on
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def seat(project, alice):
    turn_on(project, control_share=0.5)
    return Annotator.objects.select_related("project").get(pk=alice.pk)


def later(row, minutes):
    """Say that a judgement was given some minutes after the first."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE judgement DISABLE TRIGGER judgement_is_appended")
    Judgement.objects.filter(pk=row.pk).update(created_at=START + timedelta(minutes=minutes))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE judgement ENABLE TRIGGER judgement_is_appended")


START = timezone.now() - timedelta(hours=2)


def offer_of(judgement, *, is_control, minutes):
    pair = judgement.assignment.pair
    return Offer.objects.create(
        annotator=judgement.annotator,
        pair=pair,
        judgement=judgement,
        side="first",
        draw=0.1 if is_control else 0.9,
        control_share=0.5,
        is_control=is_control,
        rationales=[Rationale.objects.filter(pair=pair, source="machine").latest("pk").pk],
        drawn_at=START + timedelta(minutes=minutes),
    )


def test_each_case_is_read_with_what_came_after_it(project, seat, make_pair, robot, say):
    """Three pairs in a row: the first is changed later, the second is next with a reason, the third is a skip."""
    pairs = [make_pair() for _ in range(4)]
    for pair in pairs:
        explain(pair)
        say(robot, pair, "second")
    judged = []
    for n, (pair, strength) in enumerate(zip(pairs, (2, -1, None, 3), strict=True)):
        verdict = "skip" if strength is None else "prefer"
        skipped: dict[str, Any] = {"skip_reason": "cannot_judge"} if strength is None else {}
        judged.append(judge(seat, pair, strength, verdict, at=START + timedelta(minutes=10 * n), **skipped))
    first = offer_of(judged[0], is_control=False, minutes=1)
    last = offer_of(judged[3], is_control=True, minutes=31)
    Offer.objects.filter(pk=first.pk).update(shown_at=START + timedelta(minutes=5))
    Rationale.objects.create(pair=pairs[1], annotator=seat, judgement=judged[1], text="Twelve chars")

    found = anchoring.read(project, AnchoringRequest())
    assert found.number.tolist() == [first.pk, last.pk]
    assert found.is_control.tolist() == [False, True]
    assert found.opened.tolist() == found.opened_first.tolist() == [True, False]
    assert found.changed.tolist() == [0, 0]
    # The judge says second, and so did the next judgement; after the last pair there is none.
    assert found.agrees[0] == 1
    assert found.length[0] == 12
    assert np.isnan([found.agrees[1], found.length[1]]).all()

    # Changed in strength, and back again: it was changed all the same.
    say(seat, pairs[0], "first", 1)
    say(seat, pairs[0], "first", 2)
    assert anchoring.read(project, AnchoringRequest()).changed.tolist() == [1, 0]
    # Changed, and only in its reason: that is no other judgement.
    say(seat, pairs[3], "first", 3)
    assert anchoring.read(project, AnchoringRequest()).changed.tolist() == [1, 0]


def test_the_next_judgement_is_that_of_the_same_person_after_the_draw(project, seat, bob, make_pair, robot, say):
    pairs = [make_pair() for _ in range(3)]
    for pair in pairs:
        explain(pair)
        say(robot, pair, "first")
    mine = judge(seat, pairs[0], 2, at=START)
    judge(bob, pairs[1], 2, at=START + timedelta(minutes=2))
    judge(seat, pairs[1], 2, at=START + timedelta(minutes=3))
    # Drawn late, as after a time without connection: the one in between is not "next".
    offer_of(mine, is_control=False, minutes=4)
    assert np.isnan(anchoring.read(project, AnchoringRequest()).agrees).all()
    judge(seat, pairs[2], -2, at=START + timedelta(minutes=5))
    assert anchoring.read(project, AnchoringRequest()).agrees.tolist() == [0]


def test_machines_that_say_nothing_or_contradict_each_other_count_for_nothing(project, seat, make_pair, robot, say):
    other = Annotator.objects.create(project=project, kind="judge", name="robot-2", model="robot")
    pairs = [make_pair() for _ in range(2)]
    explain(pairs[0])
    offer_of(judge(seat, pairs[0], 2, at=START), is_control=False, minutes=1)
    judge(seat, pairs[1], 2, at=START + timedelta(minutes=2))
    for says in (None, "tie", "first"):
        if says:
            say(robot, pairs[1], says)
        agrees = anchoring.read(project, AnchoringRequest()).agrees
        assert np.isnan(agrees).all() if says in (None, "tie") else agrees.tolist() == [1]
    say(other, pairs[1], "second")
    assert np.isnan(anchoring.read(project, AnchoringRequest()).agrees).all()


@pytest.fixture
def measured(project, seat, make_pair, robot, say):
    """80 answers with a reason each, half of them controls by draw; of the offered every second is changed."""
    for _ in range(80):
        explain(make_pair())
    for pair in project.pairs.order_by("pk"):
        say(robot, pair, "first")
        judge(seat, pair)
        offering.draw(annotator=seat)
    offers = list(Offer.objects.filter(is_control=False).order_by("pk"))
    for n, offer in enumerate(offers):
        shown = offering.show(annotator=seat, number=offer.pk)
        assert shown is not None
        if n % 4 == 0:
            reacting.react(annotator=seat, number=offer.pk, choice="edited", text=shown_text(offer) + "!")
        else:
            reacting.react(annotator=seat, number=offer.pk, choice="accepted" if n % 2 else "rejected", active_ms=2000)
        if n % 2:
            say(seat, offer.pair, "first", 3)
    return measuring.measure(project=project, asked=AnchoringRequest(bootstrap=100, least_in_arm=20))


def shown_text(offer):
    return Rationale.objects.get(pk=offer.rationales[0]).text


def test_what_is_stored(project, seat, measured):
    offered = Offer.objects.filter(is_control=False).count()
    assert 20 <= offered <= 60
    result = measured.result
    assert (result["offers"], result["controls"], result["opened"]) == (80, 80 - offered, offered)
    assert result["judgements_after_a_reason"] == offered // 2
    effect = measured.measurements.get(metric="anchoring_revision")
    assert effect.value == pytest.approx(offered // 2 / offered)
    assert effect.low > 0.2
    assert effect.detail["control"]["value"] == 0
    agreement = measured.measurements.get(metric="anchoring_agreement")
    # Everybody says first, the machine too.
    assert (agreement.value, agreement.detail["offered"]["value"]) == (0, 1)
    rate = measured.measurements.get(metric="reaction_rate", annotator=None)
    counts = {name: one["count"] for name, one in rate.detail["choices"].items()}
    assert counts == {
        "accepted": offered // 2,
        "edited": -(-offered // 4),
        "rejected": offered - offered // 2 - -(-offered // 4),
    }
    assert rate.detail["median_seconds"] == 2
    assert measured.measurements.filter(metric="reaction_rate", annotator=seat).count() == 1
    assert measured.measurements.get(metric="edit_size").value == pytest.approx(1 / 23)
    assert measured.measurements.filter(metric="agreed_share", value=1).count() == offered // 2
    [source] = {(one["model"]) for one in result["sources"]}
    assert source == "canary-model"


def test_the_command_prints_it_as_json_and_in_words(project, measured, capsys):
    call_command("measure", "anchoring", "--project", project.slug, "--set", "least_in_arm=20", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["measure"] == "anchoring"
    assert set(found["anchoring_revision"]) == {"value", "low", "high", "n", "offered", "control"}
    call_command("measure", "anchoring", "--project", project.slug, "--set", "least_in_arm=20")
    assert "80 offers" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_figures(project, measured):
    again = measuring.measure(project=project, asked=AnchoringRequest(bootstrap=100, least_in_arm=20))
    rows = [
        list(run.measurements.order_by("id").values_list("metric", "value", "low", "high")) for run in (measured, again)
    ]
    assert rows[0] == rows[1]


def test_a_project_without_offers_is_measured_and_says_so(project):
    run = measuring.measure(project=project, asked=AnchoringRequest(bootstrap=10))
    row = run.measurements.get(metric="anchoring_revision")
    assert (row.value, row.reason) == (None, "There is no case in this arm.")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"least_in_arm": 0}, "at least 1 case"),
        ({"bootstrap": 0}, "needs resamples"),
        ({"voices": measuring.AnchoringRequest().voices.__class__(kind="judge")}, "judges are offered nothing"),
    ],
)
def test_what_cannot_be_asked(options, sentence):
    with pytest.raises(Refused, match=sentence):
        AnchoringRequest(**options)
