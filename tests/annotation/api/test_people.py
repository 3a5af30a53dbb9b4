"""People over the API: who is there, places closed and opened, invitations seen and withdrawn."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.inviting import find_invitation
from annotation.models import Annotator, Assignment, Event, Project
from tests.verdicts import MakePair, claim

pytestmark = pytest.mark.django_db

BASE = "/api/v1/projects/everyday"


@pytest.fixture
def client(lead: Any, api: Any) -> Any:
    return api(lead)


def test_everybody_is_listed_with_what_they_are(
    client: Any, project: Project, alice: Annotator, django_assert_max_num_queries: Any
) -> None:
    Annotator.objects.bulk_create(
        Annotator(project=project, name=f"n{n}", external_id=f"n{n}", kind="judge" if n % 2 else "person", model="m")
        for n in range(20)
    )
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    with django_assert_max_num_queries(8):
        found = client.get(f"{BASE}/people").json()["results"]
    assert {one["id"] for one in found} == {*Annotator.objects.values_list("pk", flat=True)}
    told = {one["name"]: one for one in found}
    assert (told["n1"]["kind"], told["n1"]["email"], told["n2"]["kind"]) == ("judge", None, "person")
    assert alice.user is not None
    assert (told[alice.name]["email"], told[alice.name]["is_active"]) == (alice.user.email, False)
    assert len(client.get(f"{BASE}/people?limit=2").json()["results"]) == 2


def test_a_place_is_closed_and_opened(client: Any, api: Any, make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    held = claim(alice)
    assert held is not None
    closed = client.post(f"{BASE}/people/{alice.pk}/close")
    assert (closed.status_code, closed.json()["is_active"]) == (200, False)
    assert not Assignment.objects.filter(annotator=alice).exists()
    assert api(alice).get(BASE).status_code == 404
    assert client.post(f"{BASE}/people/{alice.pk}/open").json()["is_active"] is True
    assert api(alice).get(BASE).status_code == 200
    acts = list(Event.objects.order_by("id").values_list("act", flat=True))
    assert acts == ["member.deactivate", "member.reactivate"]


def test_who_cannot_be_closed_is_said(client: Any, project: Project, lead: Annotator) -> None:
    answer = client.post(f"{BASE}/people/{lead.pk}/close")
    assert (answer.status_code, "is the only lead" in answer.json()["detail"]) == (400, True)
    imported = Annotator.objects.create(project=project, name="theirs", external_id="theirs")
    answer = client.post(f"{BASE}/people/{imported.pk}/close")
    assert (answer.status_code, "has no account here" in answer.json()["detail"]) == (400, True)


def test_an_invitation_is_seen_without_its_link_and_withdrawn(client: Any) -> None:
    made = client.post(f"{BASE}/invitations", {"places": 3}, format="json").json()
    answer = client.get(f"{BASE}/invitations")
    (seen,) = answer.json()["results"]
    token = made["link"].rstrip("/").rsplit("/", 1)[1]
    assert (seen["id"], seen["places"], seen["taken"], seen["withdrawn_at"]) == (made["id"], 3, 0, None)
    assert token not in answer.content.decode()
    assert find_invitation(token=token).pk == made["id"]
    assert client.delete(f"{BASE}/invitations/{made['id']}").status_code == 204
    (seen,) = client.get(f"{BASE}/invitations").json()["results"]
    assert seen["withdrawn_at"] is not None
    again = client.delete(f"{BASE}/invitations/{made['id']}")
    assert (again.status_code, again.json()["detail"]) == (400, "This invitation has ended already.")


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_do_it(client: Any, api: Any, lead: Any, who: str, request: pytest.FixtureRequest) -> None:
    made = client.post(f"{BASE}/invitations", {"places": 3}, format="json").json()
    other = api(request.getfixturevalue(who))
    assert other.get(f"{BASE}/people").status_code == 404
    assert other.get(f"{BASE}/invitations").status_code == 404
    assert other.post(f"{BASE}/people/{lead.pk}/close").status_code == 404
    assert other.delete(f"{BASE}/invitations/{made['id']}").status_code == 404
