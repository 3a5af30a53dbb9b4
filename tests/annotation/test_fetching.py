"""How an annotator's page is answered: what a refusal becomes for its script, and which numbers are numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory

from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.views.fetching import refused_as_json, status_of, whole


@pytest.mark.parametrize(
    ("error", "otherwise", "status", "field"),
    [
        (Unfit("Mend it.", field="text"), 409, 422, {"field": "text"}),
        (Unfit("Mend it.", field="text"), 423, 422, {"field": "text"}),
        (Stale("Mend it."), 409, 409, {}),
        (Refused("Mend it."), 423, 423, {}),
    ],
)
def test_a_refusal_names_the_field_that_has_to_be_mended(
    error: Refused, otherwise: int, status: int, field: dict[str, str]
) -> None:
    answer = refused_as_json(error, otherwise=otherwise, waiting=3)
    assert (answer.status_code, status_of(error, otherwise=otherwise)) == (status, status)
    assert json.loads(answer.content) == {"error": "Mend it.", "waiting": 3, **field}


@pytest.mark.parametrize("sent", ["", "-1", "1.0", "1e3", " 7", "٣", "²", "9" * 19])
def test_what_is_no_number_is_refused_by_its_field(sent: str) -> None:
    with pytest.raises(Unfit, match="“revision”") as refused:
        whole(RequestFactory().post("/", {"revision": sent}), "revision")
    assert refused.value.field == "revision"


def test_a_number_is_read(rf: Any) -> None:
    assert whole(rf.post("/", {"revision": "9" * 18}), "revision") == 10**18 - 1
