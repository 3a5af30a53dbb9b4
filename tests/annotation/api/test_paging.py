"""Pages by key: every list of the API takes `after` and `limit`, its own filters, and nothing that is misspelt."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from annotation.models import Run

pytestmark = pytest.mark.django_db


# Filters that take none but their own values.
CHOSEN = {"strategy": "plain", "polarity": "better"}


def lists() -> dict[str, list[str]]:
    """The addresses that answer in pages, with the parameters of each."""
    found = {}
    for path, operations in SchemaGenerator().get_schema(request=None, public=True)["paths"].items():
        names = [one["name"] for one in operations.get("get", {}).get("parameters", ()) if one["in"] == "query"]
        # The board pages by the place in an order, not by key.
        if {"after", "limit"} <= set(names):
            found[path] = names
    return found


def test_a_misspelt_parameter_never_answers_with_everything(api: Any, project: Any, lead: Any, admin: Any) -> None:
    run = Run.objects.create(project=project, kind="measurement", code_version="test")
    found = lists()
    assert len(found) >= 9
    for path, names in found.items():
        address = path.format(slug=project.slug, run_id=run.pk)
        # The register of models is for site admins.
        client = api(admin if path.endswith("/models") else lead)
        asked = {name: CHOSEN.get(name, "1") for name in names}
        assert client.get(address, asked).status_code == 200, path
        for wrong in ("aftr", "Source", "external"):
            answer = client.get(address, {"limit": "1", wrong: "x"})
            assert answer.status_code == 400, path
            assert answer.json()["detail"].startswith(f"Unknown parameter {wrong}. Known are: after, "), path


def test_pages_follow_one_another_without_a_gap(api: Any, project: Any, lead: Any, make_pair: Any) -> None:
    made = [make_pair().pk for _ in range(5)]
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = api(lead).get(f"/api/v1/projects/{project.slug}/pairs", {"after": after, "limit": 2}).json()
        assert len(page["results"]) <= 2
        seen += [one["id"] for one in page["results"]]
        after = page["next"]
    assert seen == sorted(made)
