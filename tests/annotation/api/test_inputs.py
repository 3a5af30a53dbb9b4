"""What is sent to the API: a field that nobody reads is refused, wherever it stands."""

from __future__ import annotations

from django.urls import get_resolver
from rest_framework import serializers

from annotation.api.inputs import Input
from annotation.api.judgements import SubmitInput
from annotation.models import Judgement

HOME = "/api/v1/projects/everyday"


def test_a_field_that_nobody_reads_is_named_with_those_that_are_known():
    given = SubmitInput(data={"assignment": 1, "verdict": "a1", "txet": "It is right."})
    assert not given.is_valid()
    assert list(given.errors) == ["txet"]
    assert given.errors["txet"][0].startswith("Unknown field. Known are: active_ms, assignment, ")


def test_so_is_one_within_a_part():
    span = {"place": "a", "start": 0, "end": 4, "colour": "blue"}
    given = SubmitInput(data={"assignment": 1, "verdict": "a1", "spans": [span]})
    assert not given.is_valid()
    assert list(given.errors["spans"][0]) == ["colour"]


def test_nothing_is_stored_of_an_answer_with_one(api, alice, make_pair):
    make_pair()
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    body = {"assignment": taken, "verdict": "a1", "reason": "It is right."}
    answer = client.post(f"{HOME}/judgements", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("reason: Unknown field. Known are: ")
    assert not Judgement.objects.exists()


def _forms(under: type[serializers.Serializer]) -> set[type[serializers.Serializer]]:
    return {one for form in under.__subclasses__() for one in {form, *_forms(form)}}


# What an address asks for is checked by `refuse_unknown`; what a run's plan may say, by the plan.
ELSEWHERE = {"PageInput", "SelectionsInput", "CompareInput", "GenerationInput", "JudgingInput"}


def test_every_body_is_read_strictly():
    assert get_resolver().url_patterns  # The addresses bring the forms of the whole API with them.
    ours = [form for form in _forms(serializers.Serializer) if form.__module__.startswith(("annotation", "curation"))]
    bodies = [form for form in ours if form.__name__.endswith("Input") and form.__name__ not in ELSEWHERE]
    assert len(bodies) > 20
    assert [form.__name__ for form in bodies if not issubclass(form, Input)] == []
