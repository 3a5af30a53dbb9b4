from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotation.errors import Refused
from annotation.models import Annotator
from curation import declaring, measuring
from curation.measuring import RepresentativenessRequest
from curation.selecting import Voices

TARGET = {"age": {"young": 35, "middle": 40, "old": 25}}


@pytest.fixture
def pool(project, make_pair, say, tmp_path):
    """Sixteen young people and six of middle age; nobody is old. On each pair three young outvote two of middle age."""
    young = [Annotator.objects.create(project=project, name=f"Y{n}", external_id=f"y{n}") for n in range(16)]
    middle = [Annotator.objects.create(project=project, name=f"M{n}", external_id=f"m{n}") for n in range(6)]
    for n in range(8):
        pair = make_pair(slots=0)
        for k in range(3):
            say(young[(3 * n + k) % 16], pair, "first")
        for k in range(2):
            say(middle[(2 * n + k) % 6], pair, "second")
    path = tmp_path / "declared.json"
    path.write_text(
        json.dumps(
            {one.external_id: {"age": "young"} for one in young} | {f"M{n}": {"age": "middle"} for n in range(6)}
        )
    )
    declaring.declare(project=project, path=path)
    return project


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
    row = run.measurements.get()
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
    age = measured(pool, target(TARGET), least_people=7).measurements.get().detail["attributes"]["age"]
    # Six of middle age are too few; alone, 22 less 16 would tell them.
    assert [one["people"] for one in age["groups"]] == [None, None, 0]
    assert "prefers_first" not in age["groups"][0]
    few = measured(pool, target(TARGET), least_people=30).measurements.get()
    assert few.reason == "Fewer than 30 people declared it."
    assert few.detail["attributes"]["age"]["groups"] == []


def test_an_attribute_that_nobody_declared_is_undefined(pool, target):
    row = measured(pool, target({"language": {"de": 1}})).measurements.get()
    assert row.reason == "Nobody in the pool declared a group."


def test_the_run_can_be_repeated_without_the_file(pool, target, tmp_path):
    run = measured(pool, target(TARGET))
    (tmp_path / "target.json").unlink()
    again = RepresentativenessRequest.from_parameters(run.parameters)
    assert again.populations == TARGET
    assert measuring.report(measuring.measure(project=pool, asked=again))["value"] == run.measurements.get().value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "is no object"),
        ("{", "cannot be read as JSON"),
        ({"age": {}}, "has no sizes of groups"),
        ({"age": {"old": "many"}}, "has no sizes of groups"),
        ({"age": {"old": -1, "young": 2}}, "has no sizes of groups"),
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
