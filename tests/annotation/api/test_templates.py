"""Templates by API: the same versions and refusals as on the pages."""

from __future__ import annotations

import pytest

from annotation.models import JudgeTemplate
from tests.annotation.test_phrasing import GIVEN, PARTS, WARM

pytestmark = pytest.mark.django_db

URL = "/api/v1/projects/everyday/templates"


def test_every_version_can_be_read_and_the_next_one_written(lead, api):
    client = api(lead)
    listed = client.get(URL).json()["results"]
    assert [(one["kind"], one["label"]) for one in listed] == [
        ("judge", "oracle-1"),
        ("judge", "principle-last-1"),
        ("rationale", "general-1"),
        ("rationale", "specific-1"),
        ("rationale", "unaided-1"),
        ("value", "janus-1"),
    ]
    assert all(one["is_built_in"] and one["created_at"] is None for one in listed)
    assert [one["is_open"] for one in listed] == [False, False, False, False, True, False]
    made = client.post(URL, {"kind": "judge", "name": "oracle", "parts": PARTS}, format="json")
    assert made.status_code == 201
    assert (made.json()["label"], made.json()["parts"]) == ("oracle-2", PARTS)
    assert JudgeTemplate.objects.get().created_by == lead.user
    found = client.get(URL, {"kind": "judge", "name": "oracle"}).json()["results"]
    assert [one["version"] for one in found] == [2, 1]
    made = client.post(URL, {"kind": "rationale", "name": "short", "parts": GIVEN}, format="json")
    assert (made.json()["version"], made.json()["is_open"]) == (1, False)
    made = client.post(URL, {"kind": "value", "name": "house", "parts": WARM}, format="json")
    assert (made.status_code, made.json()["label"]) == (201, "house-1")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "judge", "name": "mine", "parts": PARTS | {"user": "{x}"}}, "has no place {a}"),
        ({"kind": "judge", "name": "mine", "parts": GIVEN}, "A judge template has the parts system, user"),
        ({"kind": "mood", "name": "mine", "parts": PARTS}, '"mood" is not a valid choice'),
        ({"kind": "rationale", "name": "mine-2", "parts": GIVEN}, "does not end in a hyphen and a number"),
        ({"kind": "rationale", "name": "mine"}, "parts"),
        ({"kind": "value", "name": "mine", "parts": GIVEN}, "Line 1 of the values is not written as"),
    ],
)
def test_what_is_refused_says_why(lead, api, given, sentence):
    answer = api(lead).post(URL, given, format="json")
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert not JudgeTemplate.objects.exists()


def test_a_filter_that_is_not_known_is_an_error(lead, api):
    assert api(lead).get(URL, {"names": "oracle"}).status_code == 400
    assert api(lead).get(URL, {"kind": "mood"}).status_code == 400
