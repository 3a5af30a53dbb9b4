from __future__ import annotations

import datetime as dt
import json

import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.models import Event, Guideline, Run
from curation import arrays, measuring
from curation.criteria import parse_all
from curation.measuring.kappas import OF_TWO
from curation.models import Measurement
from curation.voices import Voices


@pytest.fixture
def judged(make_pair, say, alice, bob, robot):
    """Forty pairs on which Alice and Bob agree but for ten; the robot always says the second is better."""
    pairs = [make_pair(slots=0) for _ in range(40)]
    for place, pair in enumerate(pairs):
        say(alice, pair, "first" if place % 2 else "tie", 2)
        say(bob, pair, "second" if place % 4 == 3 else "first" if place % 2 else "tie", 1)
        say(robot, pair, "second", 3)
    return pairs


def test_agreement_is_measured_and_stored_as_a_finished_run(project, judged, lead):
    run = measuring.measure_agreement(project=project, actor=lead.user)
    assert (run.kind, run.state, run.started_by) == (Run.Kind.MEASUREMENT, Run.State.DONE, lead.user)
    weeks = run.result.pop("weeks")
    assert [(one["version"], one["alpha"]["n"]) for one in weeks] == [(0, 40)], "For the overview."
    assert run.result == {
        "pairs": 40,
        "judgements": 80,
        "counted": 2,
        "by": {"guideline": [], "week": [], "tag": [], "source": []},
        "kappas_left_out": {},
    }
    found = {row.metric: row for row in run.measurements.filter(pair=None)}
    assert {*found} == {
        "alpha_nominal",
        "alpha_ordinal",
        "alpha_interval",
        "gwet_ac1",
        "fleiss_kappa",
        "brennan_prediger",
        "conger_kappa",
        "percent_agreement",
        "percent_agreement_without_ties",
        "cohen_kappa",
        "cohen_kappa_linear",
        "cohen_kappa_quadratic",
    }
    assert found["percent_agreement"].value == 0.75
    assert found["percent_agreement"].detail == {"agreeing": 30, "total": 40}
    assert found["percent_agreement_without_ties"].value == 0.5
    alpha = found["alpha_nominal"]
    ends = [end for end in (alpha.low, alpha.value, alpha.high) if end is not None]
    assert len(ends) == 3
    assert ends == sorted(ends)
    assert alpha.n == 40
    per_pair = run.measurements.exclude(pair=None)
    assert per_pair.filter(metric="item_agreement", value=1).count() == 30
    assert per_pair.filter(metric="item_agreement", value=0).count() == 10
    assert per_pair.filter(metric="item_entropy", value__gt=0.69).count() == 10
    assert Event.objects.filter(act="measure", actor=lead.user.email).count() == 1


def test_strengths_give_the_worked_figures_of_interval_and_weighted_kappas(
    project, make_pair, say, alice, bob, adjudicator, capsys
):
    """The eight items of docs/metrics.md."""
    table = "-2,-2,-1 2,1,2 0,0,1 1,2,. -1,-2,-2 0,-1,0 2,2,2 -2,.,-1"
    for row in table.split():
        pair = make_pair(slots=0)
        for who, strength in zip((alice, bob, adjudicator), row.split(","), strict=True):
            if strength != ".":
                n = int(strength)
                say(who, pair, "first" if n > 0 else "second" if n < 0 else "tie", abs(n))
    run = measuring.measure_agreement(project=project, least_common=7, bootstrap=0)
    alone = {
        row.metric: round(row.value, 4)
        for row in run.measurements.filter(pair=None, annotator=None, value__isnull=False)
    }
    assert (alone["alpha_ordinal"], alone["alpha_interval"]) == (0.8539, 0.8689)
    two = {row.metric: round(row.value, 4) for row in run.measurements.filter(annotator=alice, other=bob)}
    assert (two["cohen_kappa_linear"], two["cohen_kappa_quadratic"]) == (0.6667, 0.875)
    assert run.measurements.get(metric="fleiss_kappa").reason.startswith("The items have from 2 to 3 labels")
    found = measuring.report(run)
    # Alice and Ada have six pairs in common: the reason is kept once.
    assert [len(found[metric]) for metric in OF_TWO] == [3, 2, 2]
    assert "Cohen's kappa, linear weights, Alice and Bob: 0.6667, n 7" in measuring.as_text(found)


def test_the_same_seed_measures_the_same_and_another_another(project, judged):
    def figures(seed):
        run = measuring.measure_agreement(project=project, seed=seed)
        return list(run.measurements.order_by("metric", "pair").values_list("metric", "value", "low", "high", "n"))

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_kappa_below_the_least_number_of_common_pairs_is_undefined(project, judged):
    run = measuring.measure_agreement(project=project, least_common=41)
    kappa = run.measurements.get(metric="cohen_kappa")
    assert (kappa.value, kappa.reason, kappa.n) == (None, "Fewer than 41 common pairs.", 40)


def test_who_has_too_little_in_common_is_counted_in_the_result(project, judged, monkeypatch, capsys):
    monkeypatch.setattr("curation.measuring.kappas.MOST_DRAWN", 1)
    run = measuring.measure_agreement(project=project, least_common=41)
    assert not run.measurements.filter(metric="cohen_kappa").exists()
    assert run.result["kappas_left_out"] == {"Fewer than 41 common pairs.": 1}
    call_command("measure", "agreement", "--project", project.slug, "--set", "least_common=41", "--json")
    assert json.loads(capsys.readouterr().out)["kappas_left_out"] == {"Fewer than 41 common pairs.": 1}
    call_command("measure", "agreement", "--project", project.slug, "--set", "least_common=41")
    assert "undefined for 1 pairs of annotators: Fewer than 41 common pairs." in capsys.readouterr().out


def test_people_and_judges_are_counted_together_only_when_asked(project, judged):
    run = measuring.measure_agreement(project=project, people_only=False)
    assert run.result["counted"] == 3
    assert run.measurements.filter(metric="cohen_kappa").count() == 3


def test_strengths_that_nobody_knows_are_no_ordinal_agreement(project, make_pair, say, alice, bob):
    for place in range(4):
        pair = make_pair(slots=0)
        say(alice, pair, "first" if place else "tie", None)
        say(bob, pair, "first" if place else "tie", None)
    run = measuring.measure_agreement(project=project)
    assert run.measurements.get(metric="alpha_ordinal").reason == measuring.NO_STRENGTHS
    assert run.measurements.get(metric="alpha_nominal").value == 1


def test_a_project_without_judgements_is_measured_as_undefined(project):
    run = measuring.measure_agreement(project=project)
    found = measuring.report(run)
    assert found["metrics"]["alpha_nominal"] == {"value": None, "reason": "There are no labels.", "n": 0}
    assert found["cohen_kappa"] == []


def test_the_latest_is_the_last_whole_measurement_and_no_part_of_it(project, judged, say, alice):
    assert measuring.latest(project, "alpha_nominal") is None
    first = measuring.measure_agreement(project=project)
    measuring.measure_agreement(project=project, where=parse_all(["judgements>=9"]))
    measuring.measure_agreement(project=project, voices=Voices(prefixes=("Al",)))
    measuring.measure_agreement(project=project, people_only=False)
    assert [row.run for row in [measuring.latest(project, "alpha_nominal")] if row] == [first]
    again = measuring.measure_agreement(project=project)
    assert [row.run for row in [measuring.latest(project, "alpha_nominal")] if row] == [again]
    with pytest.raises(KeyError):
        measuring.latest(project, "alpha")


def test_what_a_run_asks_for_can_be_read_from_its_parameters():
    asked = measuring.AgreementRequest(
        voices=Voices(kind="all", prefixes=("e",)), where=tuple(parse_all(["tag=x"])), bootstrap=7, least_common=2
    )
    assert measuring.AgreementRequest.from_parameters(asked.as_parameters()) == asked
    assert measuring.AgreementRequest.from_parameters({"measure": "agreement"}) == measuring.AgreementRequest()


@pytest.mark.parametrize("option", [{"bootstrap": -1}, {"bootstrap": 100_001}, {"least_common": 0}, {"seed": -1}])
def test_options_out_of_range_are_refused_before_anything_runs(project, option):
    with pytest.raises(Refused):
        measuring.measure_agreement(project=project, **option)
    assert not Run.objects.exists()


def test_an_unexpected_error_ends_the_run_as_failed_and_stores_nothing(project, judged, monkeypatch):
    def break_down(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(arrays, "store_pair_values", break_down)
    with pytest.raises(ZeroDivisionError):
        measuring.measure_agreement(project=project)
    run = Run.objects.get()
    assert (run.state, run.error) == (Run.State.FAILED, "An unexpected error stopped the run: ZeroDivisionError.")
    assert not Measurement.objects.exists()


def test_a_run_that_is_done_again_after_its_worker_died_stores_its_values_once(project, judged):
    from annotation.running import claim, request_run

    asked = measuring.AgreementRequest(bootstrap=0).as_parameters()
    run = request_run(project=project, kind=Run.Kind.MEASUREMENT, parameters=asked, actor=None)
    hold = claim(run_id=run.pk, worker="first")
    assert hold is not None
    measuring.execute(hold)
    before = run.measurements.count()
    measuring.execute(hold)
    assert run.measurements.count() == before > 80


def test_parts_are_measured_apart(project, make_pair, say, alice, bob, lead):
    """Under version 2, a week later, Bob says "first" of the last ten pairs, five times against Alice."""
    monday = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    versions = [Guideline.objects.create(project=project, version=n, text="…", html="…") for n in (1, 2)]
    for place in range(40):
        late = place >= 20
        pair = make_pair(slots=0, tags=["prose" if late else "code"], source="new" if late else "old")
        fields = {"guideline": versions[late], "created_at": monday + dt.timedelta(days=7 * late)}
        said = "first" if place % 2 else "second"
        say(alice, pair, said, **fields)
        say(bob, pair, "first" if late and place >= 30 else said, **fields)
    by = measuring.measure_agreement(project=project, bootstrap=100).result["by"]
    assert [(one["key"], one["judgements"], one["percent"]["value"]) for one in by["guideline"]] == [
        (1, 40, 1.0),
        (2, 40, 0.75),
    ]
    weeks = [one["key"] for one in by["week"]]
    assert weeks[1] - weeks[0] == 1
    assert [one["alpha"]["value"] for one in by["week"]] == [one["alpha"]["value"] for one in by["guideline"]]
    assert {one["key"]: one["percent"]["value"] for one in by["tag"]} == {"code": 1.0, "prose": 0.75}
    assert {one["key"]: one["alpha"]["n"] for one in by["source"]} == {"old": 20, "new": 20}
