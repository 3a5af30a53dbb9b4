from __future__ import annotations

import hashlib
import json
import math

import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.models import Candidate, Pair, Prompt
from curation import measuring
from curation.measuring import DiversityRequest
from curation.measuring.diversity import NO_SUMS


@pytest.fixture
def prompt(project):
    """A prompt with candidates: `prompt("a b", "a c", model="m")`; further fields for all of them."""

    def make(*texts, **fields):
        n = Prompt.objects.count()
        messages = [{"role": "user", "content": f"Question {n}"}]
        asked = Prompt.objects.create(
            project=project, messages=messages, digest=hashlib.sha256(str(n).encode()).digest(), html=""
        )
        return asked, [
            Candidate.objects.create(
                prompt=asked,
                messages=[{"role": "assistant", "content": text}],
                digest=hashlib.sha256(f"{place}{text}".encode()).digest(),
                **fields,
            )
            for place, text in enumerate(texts)
        ]

    return make


def measured(project, **settings):
    return measuring.measure(project=project, asked=DiversityRequest(**{"bootstrap": 50, **settings}))


def of(run, metric):
    return run.measurements.get(metric=metric)


def test_words_are_counted_within_a_prompt_and_by_model(project, prompt):
    prompt("one two three", "one two three", model="same")
    prompt("one two three", "four five six", model="other")
    prompt("alone with itself")
    run = measured(project)
    row = of(run, "distinct_2")
    assert (row.value, row.n) == (0.75, 2)
    assert {name: one["value"] for name, one in row.detail["by_model"].items()} == {"same": 0.5, "other": 1.0}
    assert run.result == {"candidates": 5}


def test_near_duplicates_are_looked_for_among_all(project, prompt):
    text = "A long enough answer that somebody gave twice, with a full stop or without"
    prompt(text, "Something else altogether, and just as long as the other answers are here.")
    prompt(text + ".", "A fourth one that shares nothing at all with what stands above, we hope.")
    row = of(measured(project), "near_duplicate_share")
    assert (row.value, row.n) == (0.5, 4)
    few = of(measured(project, texts=2), "near_duplicate_share")
    assert (few.n, few.detail["of"]) == (2, 4)


def test_the_branching_factor_comes_from_stored_sums(project, prompt):
    prompt("a", "b", model="m", branching_share=math.log(2))
    prompt("a", "b", model="m", branching_share=math.log(4))
    prompt("a", "b", model="imported")
    row = of(measured(project), "branching_factor")
    assert (row.value, row.n) == (pytest.approx(3), 2)
    assert {*row.detail["by_model"]} == {"m"}
    Candidate.objects.update(branching_share=None)
    assert of(measured(project), "branching_factor").reason == NO_SUMS


def test_circles_of_preferences_are_found_by_prompt(project, prompt, say, alice):
    rank = 0
    for orders in (("01", "12", "20"), ("01", "12", "02")):
        asked, made = prompt("a", "b", "c")
        for winner, loser in orders:
            rank += 1
            first, second = sorted((made[int(winner)], made[int(loser)]), key=lambda one: one.pk)
            pair = Pair.objects.create(project=project, prompt=asked, first=first, second=second, rank=rank)
            say(alice, pair, "first" if first == made[int(winner)] else "second")
    row = of(measured(project), "cycle_share")
    assert (row.value, row.n) == (0.5, 2)


def test_an_empty_project_has_reasons(project):
    run = measured(project)
    assert [row.value for row in run.measurements.all()] == [None] * 4


def test_it_is_said_in_lines_and_as_json_and_the_same_seed_says_the_same(project, prompt, capsys):
    prompt("one two three", "four five six", model="m")
    call_command("measure", "diversity", "--project", "everyday", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["distinct_2"]["value"] == 1
    call_command("measure", "diversity", "--project", "everyday")
    said = capsys.readouterr().out
    assert "2 candidates" in said
    assert "distinct-2: 1.0000, n 1" in said
    rows = [list(measured(project).measurements.order_by("id").values_list("metric", "value")) for _ in range(2)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("asked", [{"threshold": 0}, {"threshold": 1.1}, {"texts": 1}])
def test_settings_out_of_range_are_refused(asked):
    with pytest.raises(Refused):
        DiversityRequest(**asked)
