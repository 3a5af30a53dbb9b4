"""What a lead does over the API: settings, state, guideline, invitations. And what everybody has answered."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import revising
from annotation.inviting import accept
from annotation.models import Annotator, Event, Guideline, Invitation, Project
from tests.verdicts import MakePair, claim, send, shown

pytestmark = pytest.mark.django_db

BASE = "/api/v1/projects/everyday"


def test_a_project_is_set_up_and_started_without_a_page(api: Any, lead: Any, stranger: Any) -> None:
    client = api(lead)
    slug = client.post("/api/v1/projects", {"name": "By machine"}, format="json").json()["slug"]
    base = f"/api/v1/projects/{slug}"
    changed = client.post(f"{base}/settings", {"overlap": 2, "allow_both_bad": False}, format="json")
    assert changed.status_code == 200, changed.json()
    assert (changed.status_code, changed.json()["overlap"], changed.json()["allow_both_bad"]) == (200, 2, False)
    written = {"text": "# Judge well", "principles": [{"short": "True", "text": "It is true."}]}
    first = client.post(f"{base}/guidelines", written, format="json")
    assert (first.status_code, first.json()["version"]) == (201, 1)
    started = client.post(f"{base}/state", {"act": "start"}, format="json").json()
    assert (started["state"], started["guideline_version"]) == ("judging", 1)
    made = client.post(f"{base}/invitations", {"places": 3}, format="json").json()
    assert (made["role"], made["places"]) == ("annotator", 3)
    accept(token=made["link"].rstrip("/").rsplit("/", 1)[1], user=stranger.user)
    assert Annotator.objects.filter(project__slug=slug, user=stranger.user).exists()
    assert client.post(f"{base}/state", {"act": "pause"}, format="json").json()["state"] == "paused"
    acts = ["project.settings", "project.start", "invitation.make", "project.pause"]
    assert {*acts} <= set(Event.objects.filter(project=slug).values_list("act", flat=True))


@pytest.mark.parametrize(
    ("place", "body", "said"),
    [
        ("settings", {"overlapp": 2}, "overlapp: Unknown field."),
        ("settings", {"overlap": 0}, "overlap"),
        ("state", {"act": "resume"}, "is not possible"),
        ("state", {"act": "delete"}, "act"),
        ("guidelines", {"text": " "}, "text"),
        ("guidelines", {"text": "x", "principles": [{"short": "only"}]}, "text"),
        ("invitations", {"role": "lead"}, "role"),
        ("invitations", {"email": "a@example.org", "places": 2}, "has one place"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    api: Any, lead: Any, project: Project, place: str, body: dict[str, Any], said: str
) -> None:
    answer = api(lead).post(f"{BASE}/{place}", body, format="json")
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert not Event.objects.filter(project=project.slug).exists()


@pytest.mark.parametrize("place", ["settings", "state", "guidelines", "invitations"])
def test_only_leads_do_it(api: Any, alice: Any, stranger: Any, place: str) -> None:
    for who in (alice, stranger):
        assert api(who).post(f"{BASE}/{place}", {"text": "x", "act": "pause"}, format="json").status_code == 404
    assert not Guideline.objects.exists()
    assert not Invitation.objects.exists()


def test_my_answers_are_mine_by_my_sides_with_those_taken_back(
    api: Any, make_pair: MakePair, alice: Annotator, bob: Annotator, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        make_pair()
    for said in ("a2", "b3"):
        send(alice, shown(claim(alice), said, text=f"said {said}"))
    send(bob, shown(claim(bob), "a1", text="bobs words"))
    revising.undo(annotator=alice)
    with django_assert_max_num_queries(8):
        answer = api(alice).get(f"{BASE}/judgements/mine")
    found = [(one["verdict"], one["text"], one["taken_back"]) for one in answer.json()["results"]]
    assert found == [("a2", "said a2", False), ("b3", "said b3", True)]
    assert "bobs words" not in answer.content.decode()
    assert len(api(alice).get(f"{BASE}/judgements/mine?limit=1").json()["results"]) == 1
