"""A run's parameters are read strictly: what is not known or not possible is refused with a sentence."""

from __future__ import annotations

import json

import pytest

from annotation.asking import JudgingPlan
from annotation.errors import Refused
from annotation.generating import STRATEGIES, GenerationPlan

GENERATIONS = [
    GenerationPlan(models=("m",)),
    GenerationPlan(models=("m", "k"), strategy="nparam", n=3, stop=("END",), limit=5, tag="easy"),
    GenerationPlan(models=("m",), strategy="best_worst_of_n", scorer="judge", scorer_model="k", near=1.0),
]
JUDGINGS = [
    JudgingPlan(model="m"),
    JudgingPlan(model="m", template="principle-last", asks=("rationales",), about="unaided", judged_only=True),
    JudgingPlan(model="m", principles=(3, 4), generation=7, limit=2),
]


@pytest.mark.parametrize("plan", [*GENERATIONS, *JUDGINGS])
def test_a_plan_comes_back_from_its_parameters_as_json(plan):
    parameters = json.loads(json.dumps(plan.as_parameters()))
    assert type(plan).from_parameters(parameters) == plan


def test_a_key_that_is_missing_has_its_default():
    assert GenerationPlan.from_parameters({"models": ["m"]}) == GenerationPlan(models=("m",))
    assert JudgingPlan.from_parameters({"model": "m"}) == JudgingPlan(model="m")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "No model is named"),
        ({"models": ["m"], "temprature": 1}, "A generation run has no parameter 'temprature'. Known are: limit,"),
        ({"models": "m"}, "models of a generation run must be a list of texts, not 'm'"),
        ({"models": ["m"], "n": "4"}, "n of a generation run must be a whole number"),
        ({"models": ["m"], "n": True}, "n of a generation run must be a whole number"),
        ({"models": ["m"], "temperature": "hot"}, "temperature of a generation run must be a number"),
        ({"models": ["m"], "prompts": ["1"]}, "prompts of a generation run must be a list of whole numbers"),
        ({"models": ["m"], "limit": 1.5}, "limit of a generation run must be a whole number or nothing"),
        ({"models": ["m"], "strategy": "magic"}, "There is no strategy 'magic'. Known are: plain, prefix"),
        ({"models": ["m", "m"]}, "named twice"),
        ({"models": ["m"], "strategy": "nparam"}, "takes 2 models, the one meant to be better first; 1 is named"),
        ({"models": ["m"], "n": 0}, "number of candidates n is 0. It must lie from 1 to 64"),
        ({"models": ["m"], "temperature": float("nan")}, "temperature is nan"),
        ({"models": ["m"], "top_p": 0}, "top p is 0"),
        ({"models": ["m"], "stop": [""]}, "none of them is empty"),
        ({"models": ["m"], "pairing": "some"}, "There is no pairing 'some'. Known are: all, sampled"),
        ({"models": ["m"], "pairing": "best_worst"}, "gives no scores"),
        ({"models": ["m"], "pairing": "contrast"}, "makes no contrasting candidates"),
        ({"models": ["m"], "scorer": "judge"}, "does not score"),
        ({"models": ["m"], "strategy": "best_worst_of_n"}, "There is no scorer ''. Known are: likelihood, judge"),
        ({"models": ["m"], "strategy": "best_worst_of_n", "scorer": "judge", "n": 1}, "from 2 to 64"),
        ({"models": ["m"], "strategy": "plain", "values": "janus"}, "Plain sampling draws no values"),
    ],
)
def test_what_a_generation_cannot_be(given, sentence):
    with pytest.raises(Refused) as refused:
        GenerationPlan.from_parameters(given)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "No model is named"),
        ({"model": "m", "models": ["m"]}, "A judging run has no parameter 'models'"),
        ({"model": "m", "template": ""}, "No template is named"),
        ({"model": "m", "asks": []}, "asked nothing"),
        ({"model": "m", "asks": ["mood"]}, "There is no question 'mood'"),
        ({"model": "m", "asks": ["overall", "overall"]}, "A question is named twice"),
        ({"model": "m", "rationales": ["general", "general"]}, "A template of reasons is named twice"),
        ({"model": "m", "about": "me"}, "There is no kind of rationale 'me'"),
        ({"model": "m", "judged_only": 1}, "must be true or false"),
        ({"model": "m", "limit": 0}, "number of pairs is 0"),
    ],
)
def test_what_a_judging_cannot_be(given, sentence):
    with pytest.raises(Refused) as refused:
        JudgingPlan.from_parameters(given)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_a_plan_with_little_said(name):
    facts = STRATEGIES[name]
    models = ("m", "k") if facts.models == 2 else ("m",)
    plan = GenerationPlan(models=models, strategy=name, scorer="likelihood" if facts.scorer else "")
    assert plan.rule == facts.pairing
    assert plan.per_prompt_count == 2 * facts.candidates
