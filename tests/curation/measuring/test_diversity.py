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


@pytest.fixture
def sample(prompt):
    """A prompt with samples, each (tokens, entropy at each, log-probability of each): `sample((10, 2.0, -2.0))`."""

    def make(*samples, **fields):
        asked, made = prompt(*("a" * (place + 1) for place in range(len(samples))), **({"model": "m"} | fields))
        for candidate, (tokens, entropy, log_probability) in zip(made, samples, strict=True):
            candidate.token_count = tokens
            candidate.truncated_entropies = [entropy] * min(tokens, 50)
            candidate.truncated_log_probability = tokens * log_probability
            candidate.branching_share = entropy if tokens <= 50 else -log_probability
            candidate.save()
        return asked

    return make


def test_short_samples_are_averaged_at_each_place_and_not_one_by_one(project, sample):
    """The figure that the mean of each one's own would miss: exp((2 + .5) / 2) = 3.49."""
    sample((10, 2.0, -1.0), (40, 0.5, -1.0))
    row = of(measured(project), "branching_factor")
    assert row.value == pytest.approx(math.exp((10 * 1.25 + 30 * 0.5) / 40))
    assert row.detail["regimes"] == {"entropy": 1}
    # Both have 16 tokens at first, of which the shorter has 10.
    assert row.detail["first_16"]["value"] == pytest.approx(math.exp((10 * 1.25 + 6 * 0.5) / 16))


def test_one_long_sample_makes_its_prompt_go_by_likelihood(project, sample):
    sample((45, 2.0, -1.0), (60, 2.0, -3.0))
    row = of(measured(project), "branching_factor")
    assert (row.value, row.n) == (pytest.approx(math.exp(2)), 1)
    assert row.detail["regimes"] == {"likelihood": 1}


def test_the_branching_factor_is_the_mean_of_prompts_by_model_and_strategy(project, prompt, sample):
    two, four = ((5, math.log(ways), -1.0) for ways in (2, 4))
    sample(two, two, strategy="plain")
    sample(four, strategy="plain")
    # What is asked in another way is drawn from another distribution.
    asked = sample(four, strategy="contrast")
    other = Candidate.objects.get(prompt=asked)
    other.pk, other.index, other.digest, other.model = None, 1, b"other", "n"
    other.save()
    prompt("a", "b", model="imported")
    row = of(measured(project), "branching_factor")
    assert (row.value, row.n) == (pytest.approx(3.5), 4)
    assert {name: (one["value"], one["n"]) for name, one in row.detail["by_model"].items()} == {
        "m": (pytest.approx(10 / 3), 3),
        "n": (pytest.approx(4), 1),
    }
    assert {name: one["n"] for name, one in row.detail["by_strategy"].items()} == {"plain": 2, "contrast": 2}


def test_what_an_earlier_version_kept_too_little_of_is_counted(project, prompt, sample):
    prompt("a", "b", model="m", branching_share=0.7)
    sample((5, math.log(3), -1.0))
    # Of a long one an earlier version's own figure is enough.
    long = sample((100, 0.0, -math.log(5)))
    Candidate.objects.filter(prompt=long).update(truncated_entropies=None)
    row = of(measured(project), "branching_factor")
    assert (row.value, row.n, row.detail["without_figures"]) == (pytest.approx(4), 2, 2)
    assert row.detail["first_16"]["n"] == 1
    Candidate.objects.update(truncated_log_probability=None)
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
