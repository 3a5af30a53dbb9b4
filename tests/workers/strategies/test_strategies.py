"""Strategies lay out requests: the same for the same seed, both polarities on the same prompt, no seed twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.errors import Refused
from annotation.generating import STRATEGIES as FACTS
from annotation.generating import GenerationPlan
from annotation.values import JANUS, read
from workers.strategies import STRATEGIES, Asked
from workers.strategies.janus import draw_sets
from workers.strategies.requests import BETTER, WORSE, generator_of

PROMPT = Asked(7, ({"role": "user", "content": "Why is the sky blue?"},), system="Answer in English.")
TALK = Asked(
    8,
    (
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello! What can I do?"},
        {"role": "user", "content": "Why is the sky blue?"},
    ),
)
CONTRASTING = [name for name, facts in FACTS.items() if facts.candidates == 2]


def plan_of(name, **fields):
    fields.setdefault("models", ("one", "two") if FACTS[name].models == 2 else ("one",))
    if FACTS[name].scorer:
        fields.setdefault("scorer", "likelihood")
    return GenerationPlan(strategy=name, **fields)


def requests(name, prompt=PROMPT, seed=3, **fields):
    return STRATEGIES[name].requests(prompt, plan_of(name, **fields), seed=seed)


def candidates(name, **fields):
    return [one for one in requests(name, **fields) if one.index is not None]


def sent(one):
    """Everything that is sent, were the earlier text "EARLIER"."""
    return one.conversation("EARLIER")


def test_pages_and_workers_know_the_same_strategies():
    assert list(STRATEGIES) == list(FACTS)
    assert all(name == one.name and one.version for name, one in STRATEGIES.items())
    assert len({one.version for one in STRATEGIES.values()}) == len(STRATEGIES)


@pytest.mark.parametrize("name", FACTS)
def test_the_same_seed_gives_the_same_requests_and_another_seed_others(name):
    assert requests(name) == requests(name)
    assert [one.seed for one in requests(name)] != [one.seed for one in requests(name, seed=4)]
    other = Asked(9, PROMPT.messages, PROMPT.system)
    assert [one.seed for one in requests(name)] != [one.seed for one in requests(name, prompt=other)]


@pytest.mark.parametrize("name", FACTS)
def test_places_are_dense_and_seeds_are_all_different(name):
    n, models = 3, ("one", "two")
    plan = plan_of(name, n=n, models=models)
    made = STRATEGIES[name].requests(PROMPT, plan, seed=3)
    assert sorted(one.index for one in made if one.index is not None) == list(range(plan.per_prompt_count))
    assert len({one.seed for one in made}) == len(made)
    assert {one.model for one in made} == {0, 1}
    assert all(0 <= one.seed < 2**31 for one in made)


@pytest.mark.parametrize("name", FACTS)
def test_a_text_that_is_needed_comes_earlier_and_is_of_the_same_model(name):
    made = requests(name, models=("one", "two"), n=2)
    for place, one in enumerate(made):
        if one.after is not None:
            assert one.after < place
            assert made[one.after].model == one.model


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("prompt", [PROMPT, TALK])
def test_the_prompt_is_in_every_request_to_the_letter(name, prompt):
    for one in requests(name, prompt=prompt):
        said = "\n".join(turn["content"] for turn in sent(one))
        for turn in prompt.messages:
            assert turn["content"] in said
        assert prompt.system in said


@pytest.mark.parametrize("name", CONTRASTING)
def test_contrasting_candidates_come_in_pairs_of_both_polarities(name):
    made = sorted(candidates(name, n=2), key=lambda one: one.index)
    assert [one.polarity for one in made] == [BETTER, WORSE] * 2
    better, worse = made[0], made[1]
    assert sent(better) != sent(worse) or better.model != worse.model


def test_each_strategy_says_to_the_two_sides_what_makes_them_differ():
    def side(name, polarity):
        return next(sent(one) for one in candidates(name, n=1) if one.polarity == polarity)

    assert side("prefix", BETTER)[-1]["content"] == "(helpful, harmless) Why is the sky blue?"
    assert side("prefix", WORSE)[-1]["content"] == "(unhelpful, harmful) Why is the sky blue?"
    assert [turn["role"] for turn in side("demon", BETTER)] == ["system", *["user", "assistant"] * 3, "user"]
    assert side("demon", BETTER)[-1] == side("demon", WORSE)[-1] == PROMPT.messages[-1]
    assert side("demon", BETTER)[2] != side("demon", WORSE)[2]
    assert "excellent answer" in side("elicitive", BETTER)[1]["content"]
    assert "poor answer" in side("elicitive", WORSE)[1]["content"]
    assert side("elicitive", WORSE)[2] == {"role": "assistant", "content": "EARLIER"}
    assert side("refine", WORSE) == list(PROMPT.conversation)
    assert [turn["content"] for turn in side("refine", BETTER)][-2] == "EARLIER"
    assert side("leaderboard", BETTER) == side("leaderboard", WORSE) == list(PROMPT.conversation)


def test_the_first_model_of_two_is_the_one_meant_to_be_better():
    assert {one.polarity: one.model for one in requests("nparam")} == {BETTER: 0, WORSE: 1}


def test_the_refined_answer_follows_the_plain_one_of_its_own_pair():
    made = requests("refine", n=3)
    for one in made:
        if one.polarity == BETTER:
            assert made[one.after].index == one.index + 1


# ---- system messages ------------------------------------------------------------------------------------------------


def test_a_set_has_one_value_of_each_dimension():
    dimensions = read(JANUS)
    assert list(dimensions) == ["style", "background knowledge", "informativeness", "harmlessness"]
    for drawn in draw_sets(dimensions, n=50, rng=generator_of(1, 1)):
        assert [value.dimension for value in drawn] == list(dimensions)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200))
def test_no_two_sets_of_a_prompt_are_equal(seed, n):
    sets = draw_sets(read(JANUS), n=n, rng=generator_of(seed, 1))
    assert len({tuple(value.name for value in drawn) for drawn in sets}) == n


def test_every_value_is_drawn_about_equally_often():
    dimensions = read(JANUS)
    drawn = [one for prompt in range(400) for one in draw_sets(dimensions, n=4, rng=generator_of(5, prompt))]
    for at, values in enumerate(dimensions.values()):
        expected = len(drawn) / len(values)
        for value in values:
            seen = sum(one[at] == value for one in drawn)
            # Five standard deviations of a binomial count.
            assert abs(seen - expected) < 5 * (expected * (1 - 1 / len(values))) ** 0.5


def test_more_sets_than_there_are_is_refused():
    small = {"one": read(JANUS)["style"][:2]}
    with pytest.raises(Refused, match="has 2 sets of values, and 3 were asked for"):
        draw_sets(small, n=3, rng=generator_of(1, 1))


def test_a_system_message_keeps_the_prompts_own_and_says_where_it_comes_from():
    made = requests("janus", n=3)
    for one in made:
        system = one.messages[0]["content"]
        assert system.startswith("Answer in English.\n\nYou are an assistant")
        assert one.provenance["system"] in system
        assert one.provenance["written_by"] == "template"
        assert list(one.provenance["values"]) == list(read(JANUS))
    assert len({one.provenance["system"] for one in made}) == 3


# ---- base models ----------------------------------------------------------------------------------------------------


def test_urial_is_one_text_that_ends_where_the_answer_begins():
    [one] = requests("urial", prompt=TALK, n=1)
    [turn] = one.messages
    assert turn["role"] == "text"
    assert turn["content"].count("# Query:\n```\n") == 5
    assert turn["content"].endswith("# Query:\n```\nWhy is the sky blue?\n```\n\n# Answer:\n```\n")
    assert one.stop == ("# Query:",)


@pytest.mark.parametrize(
    ("made", "stored"),
    [
        ("It scatters.\n```\n\n", "It scatters."),
        ("It scatters.", "It scatters."),
        ("```py\nx = 1\n```\nDone.\n```", "```py\nx = 1\n```\nDone."),
        ("```py\nx = 1\n```", "```py\nx = 1\n```"),
    ],
)
def test_urial_drops_the_fence_that_closes_the_answer_and_no_other(made, stored):
    assert STRATEGIES["urial"].tidied(made) == stored
