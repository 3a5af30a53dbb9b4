from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotation.errors import Refused
from curation import declaring, measuring
from curation.measuring import RepresentativenessRequest
from curation.voices import Voices

TARGET = {"age": {"young": 35, "middle": 40, "old": 25}}


@pytest.fixture
def target(tmp_path):
    def write(content):
        path = tmp_path / "target.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def measured(project, target, **settings):
    return measuring.measure(project=project, asked=RepresentativenessRequest(target=target, **settings))


def test_distance_groups_and_who_is_missing(pool, target):
    run = measured(pool, target(TARGET))
    row = run.measurements.get(metric="total_variation")
    assert (row.metric, row.n) == ("total_variation", 22)
    assert row.value == pytest.approx((abs(16 / 22 - 0.35) + abs(6 / 22 - 0.4) + 0.25) / 2)
    age = row.detail["attributes"]["age"]
    assert age["not_estimable"] == ["old"]
    young, middle, old = age["groups"]
    assert (young["people"], young["prefers_first"]["value"], young["prefers_first"]["n"]) == (16, 1.0, 24)
    assert middle["prefers_first"]["value"] == 0
    assert 0 < middle["half_width"] < 0.2
    assert (old["people"], old["half_width"]) == (0, None)
    assert old["prefers_first"]["reason"].startswith("Not estimable")
    # Without the young the majority is the other one; without the others it stays.
    assert (young["without_it"]["value"], middle["without_it"]["value"]) == (1.0, 0.0)


def test_small_groups_are_hidden_and_never_a_single_one(pool, target):
    run = measured(pool, target(TARGET), least_people=7)
    age = run.measurements.get(metric="total_variation").detail["attributes"]["age"]
    # Six of middle age are too few; alone, 22 less 16 would tell them.
    assert [one["people"] for one in age["groups"]] == [None, None, 0]
    assert "prefers_first" not in age["groups"][0]
    few = measured(pool, target(TARGET), least_people=30).measurements.get(metric="total_variation")
    assert few.reason == "Fewer than 30 people declared it."
    assert few.detail["attributes"]["age"]["groups"] == []


def test_an_attribute_that_nobody_declared_is_undefined(pool, target):
    row = measured(pool, target({"language": {"de": 1}})).measurements.get(metric="total_variation")
    assert row.reason == "Nobody in the pool declared a group."


def test_the_run_can_be_repeated_without_the_file(pool, target, tmp_path):
    run = measured(pool, target(TARGET))
    (tmp_path / "target.json").unlink()
    again = RepresentativenessRequest.from_parameters(run.parameters)
    assert again.populations == TARGET
    repeated = measuring.report(measuring.measure(project=pool, asked=again))
    assert repeated["value"] == run.measurements.get(metric="total_variation").value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "is no object"),
        ("{", "cannot be read as JSON"),
        ({"age": {}}, "has no sizes of groups"),
        ({"age": {"old": "many"}}, "has no sizes of groups"),
        ({"age": {"old": -1, "young": 2}}, "has no sizes of groups"),
        ({}, "The target has no attribute"),
        ({"age": {"o" * 61: 1}}, "over 60 characters"),
        ({" ": {"old": 1}}, "is empty or over"),
    ],
)
def test_a_target_that_cannot_be_read_is_refused(pool, target, content, says):
    with pytest.raises(Refused, match=says):
        measured(pool, target(content))


def test_no_target_judges_and_single_people_are_refused(pool, tmp_path):
    with pytest.raises(Refused, match="--set target=FILE"):
        measured(pool, "")
    with pytest.raises(Refused, match=r"nowhere\.json cannot be read"):
        measured(pool, str(tmp_path / "nowhere.json"))
    with pytest.raises(Refused, match="judges declare nothing"):
        RepresentativenessRequest(voices=Voices(kind="all"))
    with pytest.raises(Refused, match="2 to 1000 people"):
        RepresentativenessRequest(least_people=1)


def test_the_command_says_it(pool, target, capsys):
    path = target(TARGET)
    call_command("measure", "representativeness", "--project", "everyday", "--set", f"target={path}")
    said = capsys.readouterr().out
    assert "age: distance 0.377 to the target, 22 people declared it" in said
    assert "young (35 % of the target): 16 people, prefers the first 100 % ± 7, n 24" in said
    assert "Not estimable, nobody is there: old" in said
    call_command("measure", "representativeness", "--project", "everyday", "--set", f"target={path}", "--json")
    assert json.loads(capsys.readouterr().out)["target"] == TARGET
    with pytest.raises(CommandError, match="--set target=FILE"):
        call_command("measure", "representativeness", "--project", "everyday")


# ---- what the people would say if they were like the target ---------------------------------------------------------


def test_the_weighted_rate_is_that_of_the_target(pool, target):
    run = measured(pool, target({"age": {"young": 1, "middle": 3}}))
    row = run.measurements.get(metric="raked_rate")
    # All young people prefer the first and nobody of middle age does: a quarter of the target.
    assert (row.value, row.n) == (pytest.approx(0.25), 22)
    assert row.low < 0.25 < row.high
    together = row.detail["weighted"]
    assert together["raw"]["value"] == pytest.approx(16 / 22)
    weights = [16 * (5.5 / 16) ** 2, 6 * (16.5 / 6) ** 2]
    assert together["design_effect"] == pytest.approx(22 * sum(weights) / 22**2)
    assert together["rest"]["reason"] == "Every group is there."
    # On each pair two of middle age now outweigh three young ones.
    changes = run.measurements.get(metric="raked_winner_change")
    assert (changes.value, changes.n) == (1.0, 8)
    found = measuring.report(run)
    assert found["attributes"]["age"]["weighted"] == found["weighted"] == together


def test_a_group_of_nobody_leaves_the_rest_of_the_target(pool, target):
    row = measured(pool, target(TARGET)).measurements.get(metric="raked_rate")
    assert (row.value, row.reason) == (None, "Not estimable: nobody has the age 'old'.")
    together = row.detail["weighted"]
    assert (together["missing"], together["covers"]) == ({"age": ["old"]}, pytest.approx(0.75))
    assert together["rest"]["value"] == pytest.approx(35 / 75)


def test_a_group_too_small_to_be_shown_is_not_given_away_by_the_weights(pool, target):
    run = measured(pool, target({"age": {"young": 1, "middle": 3}}), least_people=7)
    row = run.measurements.get(metric="raked_rate")
    assert row.reason == "A group is too small to be shown, and the weighted rate would tell what it prefers."
    assert row.detail["weighted"]["raw"]["value"] is None
    assert "value" not in row.detail["weighted"]["changes"] or row.detail["weighted"]["changes"]["value"] is None


def test_only_people_of_the_targets_groups_who_declared_all_of_it_count(pool, target, tmp_path):
    declared = {f"y{n}": {"age": "young", "place": "north" if n % 2 else "south"} for n in range(16)}
    declared |= {f"m{n}": {"age": "middle"} for n in range(6)}
    path = tmp_path / "both.json"
    path.write_text(json.dumps(declared))
    declaring.declare(project=pool, path=path)
    run = measured(pool, target({"age": {"young": 1}, "place": {"north": 1, "south": 3}}))
    together = run.measurements.get(metric="raked_rate").detail["weighted"]
    assert (together["raked"]["value"], together["raked"]["n"]) == (1.0, 16)
    assert together["design_effect"] == pytest.approx(1.25)
    none = measured(pool, target({"age": {"middle": 1}, "place": {"north": 1}})).measurements.get(metric="raked_rate")
    assert none.reason == "Nobody who decided a pair declared every attribute of the target."


def test_a_run_from_before_there_were_weights_is_read(pool, target):
    run = measured(pool, target(TARGET))
    run.measurements.exclude(metric="total_variation").delete()
    row = run.measurements.get()
    del row.detail["attributes"]["age"]["weighted"]
    row.save()
    found = measuring.report(run)
    assert "weighted" not in found
    assert "Weighted" not in measuring.as_text(found)


def test_the_command_says_the_weighted_rate(pool, target, capsys):
    path = target({"age": {"young": 1, "middle": 3}, "place": {"north": 1}})
    call_command("measure", "representativeness", "--project", "everyday", "--set", f"target={path}")
    said = capsys.readouterr().out
    assert "  Weighted like the target: 25.0 % (" in said
    assert "  Majorities that change with the weights: 100.0 % of 8" in said
    assert "All together: Weighted like the target: undefined. Nobody who decided" in said
