"""What a lead does over the API: settings, state, guideline, invitations. And what everybody has answered."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import revising
from annotation.founding import SETTINGS
from annotation.inviting import accept
from annotation.models import Annotator, Event, Guideline, Invitation, PrincipleVote, Project
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


def test_every_setting_of_the_page_is_one_of_the_api(api: Any, lead: Any, project: Project, alice: Any) -> None:
    client = api(lead)
    before = client.get(f"{BASE}/settings").json()
    assert {*before} == {"slug", "state", *SETTINGS}
    wanted: dict[str, Any] = {
        "name": "Renamed", "description": "For a test.", "question": "Which?", "task": "rankings", "scale": 6,
        "allow_tie": False, "allow_both_bad": False, "allow_edits": True, "overlap": 2, "rationale_policy": "required",
        "shortest_reason": 20, "votes_policy": "sample", "machine_reasons": "one", "control_share": 0.5,
        "lease_minutes": 5, "gold_round": 30, "gold_pass": 24, "gold_rate": 0.05, "shows_results": True,
    }  # fmt: skip
    tags = ["Correctness", "Cites its sources"]
    changed = client.post(f"{BASE}/settings", {**wanted, "tags": tags}, format="json")
    assert changed.status_code == 200, changed.json()
    told = [{"key": "correct", "label": "Correctness"}, {"key": "cites_its_sources", "label": "Cites its sources"}]
    assert {**changed.json(), "state": ""} == {**wanted, "tags": told, "slug": project.slug, "state": ""}
    assert client.get(f"{BASE}/settings").json() == changed.json()
    # Which share is gold is nothing for those who are given it.
    assert api(alice).get(f"{BASE}/settings").status_code == 404
    assert not {"gold_rate", "gold_round", "control_share"} & {*api(alice).get(BASE).json()}


def test_whoever_votes_over_the_api_reads_there_by_what(
    api: Any, lead: Any, project: Project, make_pair: MakePair, alice: Annotator, stranger: Any
) -> None:
    client = api(lead)
    client.post(f"{BASE}/settings", {"votes_policy": "all"}, format="json")
    written = [{"short": "True", "text": "It is true."}, {"short": "Kind", "text": "It is kind."}]
    sent = {"text": "# Judge well", "principles": written, "priority_rules": ["True before kind."]}
    client.post(f"{BASE}/guidelines", sent, format="json")
    assert api(stranger).get(f"{BASE}/guidelines").status_code == 404
    (told,) = api(alice).get(f"{BASE}/guidelines").json()["results"]
    assert (told["version"], told["text"], told["priority_rules"]) == (1, "# Judge well", ["True before kind."])
    assert [{key: one[key] for key in ("short", "text")} for one in told["principles"]] == written
    make_pair()
    mine = api(alice).post(f"{BASE}/assignments").json()["assignments"][0]["assignment"]
    votes = [{"principle": one["id"], "vote": vote} for one, vote in zip(told["principles"], "ab", strict=True)]
    said = {"assignment": mine, "verdict": "a2", "votes": votes, "deciding": told["principles"][0]["id"]}
    answer = api(alice).post(f"{BASE}/judgements", said, format="json")
    assert answer.status_code == 201, answer.json()
    stored = PrincipleVote.objects.order_by("principle__short").values_list("principle__short", flat=True)
    assert list(stored) == ["Kind", "True"]


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
