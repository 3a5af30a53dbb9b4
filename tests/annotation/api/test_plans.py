"""The schema says of every parameter what it is: none is missing, none is made up."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import pytest
from rest_framework import serializers

from annotation.api.plans import GenerationParameters, JudgingParameters
from annotation.asking import JudgingPlan
from annotation.generating import GenerationPlan

PLANS: list[tuple[type[Any], type[serializers.Serializer[Any]]]] = [
    (GenerationPlan, GenerationParameters),
    (JudgingPlan, JudgingParameters),
]
KINDS: dict[Any, type[serializers.Field[Any, Any, Any, Any]]] = {
    str: serializers.CharField,
    int: serializers.IntegerField,
    int | None: serializers.IntegerField,
    float: serializers.FloatField,
    bool: serializers.BooleanField,
    tuple[str, ...]: serializers.ListField,
    tuple[int, ...]: serializers.ListField,
}


@pytest.mark.parametrize(("plan", "told"), PLANS)
def test_the_schema_has_the_parameters_of_the_plan(plan, told):
    known = told().fields
    assert list(known) == [field.name for field in fields(plan)]
    hints = get_type_hints(plan)
    for field in fields(plan):
        assert isinstance(known[field.name], KINDS[hints[field.name]]), field.name
        assert known[field.name].required == (field.default is MISSING), field.name
        assert known[field.name].allow_null == (hints[field.name] == int | None), field.name


@pytest.mark.parametrize(("plan", "told"), PLANS)
def test_the_bounds_that_it_names_are_those_of_the_plan(plan, told):
    least = {"models": ["m"]} if plan is GenerationPlan else {"model": "m"}
    for name, field in told().fields.items():
        for bound in ("min_value", "max_value"):
            edge = getattr(field, bound, None)
            # What a request sets itself, and numbers of rows, have no bound of their own.
            if edge is None or name in ("up_to", "generation"):
                continue
            plan.from_parameters({**least, name: edge})
            beyond = edge + (1 if bound == "max_value" else -1)
            with pytest.raises(Exception, match="must lie from"):
                plan.from_parameters({**least, name: beyond})


def test_the_schema_offers_both_kinds(api, lead):
    schema = api(lead).get("/api/v1/schema.json").json()
    body = schema["paths"]["/api/v1/projects/{slug}/runs"]["post"]["requestBody"]["content"]["application/json"]
    parts = schema["components"]["schemas"]
    plan = parts[body["schema"]["$ref"].rpartition("/")[2]]
    kinds = {name: ref.rpartition("/")[2] for name, ref in plan["discriminator"]["mapping"].items()}
    assert set(kinds) == {"generation", "judging"}
    told = parts[kinds["generation"]]["properties"]["parameters"]
    reference = told["allOf"][0]["$ref"] if "allOf" in told else told["$ref"]
    assert parts[reference.rpartition("/")[2]]["properties"]["near"]["maximum"] == 1
