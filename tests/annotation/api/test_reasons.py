"""Machine reasons over the API: after the own judgement only, nothing of who wrote them, taken back like answers."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import offering
from annotation.models import Offer, Rationale, Reaction, TakenBack
from tests.machines import explain, turn_on
from tests.verdicts import judge

HOME = "/api/v1/projects/everyday"
pytestmark = pytest.mark.django_db


def show(client: Any) -> dict[str, Any]:
    told = client.post(f"{HOME}/reasons").json()
    assert isinstance(told, dict)
    return told


def put(client: Any, offer: int, **body: Any) -> Any:
    return client.put(f"{HOME}/reasons/{offer}/reaction", body, format="json")


def test_nothing_is_told_before_the_answer_and_never_by_whom(
    project: Any, api: Any, alice: Any, make_pair: Any
) -> None:
    turn_on(project)
    pair = make_pair(first="The first.", second="The second.")
    for side in ("first", "second"):
        explain(pair, side, f"canary-text for the {side}")
    client = api(alice)
    assert show(client) == {"offer": None, "waiting": 0}
    judge(alice, pair, 2, swapped=True)
    answer = client.post(f"{HOME}/reasons")
    told = answer.json()
    assert told["waiting"] == 1
    assert told["offer"]["reasons"] == [{"place": 0, "text": "canary-text for the first", "called": ""}]
    # The second candidate stood as A, and the first was preferred.
    assert told["offer"]["a"][0]["content"] == "The second."
    assert told["offer"]["preferred"] == "b"
    for secret in ("canary-model", "canary-judge", "general-", "control"):
        assert secret not in answer.content.decode()
    assert Offer.objects.get().shown_at is not None


def test_a_control_is_never_shown(project: Any, api: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, control_share=0.9)
    pair = make_pair()
    while offering.place_of(seed=project.seed, annotator_id=alice.pk, pair_id=pair.pk) >= 0.9:
        pair = make_pair()
    explain(pair)
    judge(alice, pair)
    assert show(api(alice)) == {"offer": None, "waiting": 0}
    control = Offer.objects.get()
    assert control.is_control
    assert put(api(alice), control.pk, choice="accepted").status_code == 400
    assert not Reaction.objects.exists()


def test_an_edit_is_stored_once_taken_back_and_given_anew(project: Any, api: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project)
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    client = api(alice)
    offer = show(client)["offer"]["offer"]
    for _ in range(2):
        answer = put(client, offer, choice="edited", text="It is short, and right.", active_ms=900)
        assert answer.json() == {"offer": offer, "choices": ["edited"], "waiting": 0}
    assert Rationale.objects.get(source="edited").text == "It is short, and right."
    assert put(client, offer, choice="rejected").status_code == 409
    taken = client.delete(f"{HOME}/reasons/{offer}/reaction")
    assert (taken.status_code, taken.json()) == (200, {"offer": offer, "choices": [], "waiting": 1})
    assert not Rationale.objects.filter(source="edited").exists()
    assert TakenBack.objects.get().active_ms == 900
    assert put(client, offer, choice="rejected").json()["choices"] == ["rejected"]


def test_several_are_ticked(project: Any, api: Any, alice: Any, make_pair: Any) -> None:
    turn_on(project, "several")
    pair = make_pair()
    for n in range(3):
        explain(pair, text=f"Reason {n}.")
    judge(alice, pair)
    client = api(alice)
    offer = show(client)["offer"]
    assert [one["place"] for one in offer["reasons"]] == [0, 1, 2]
    assert put(client, offer["offer"], choice="ticked", ticked=[3]).status_code == 400
    assert put(client, offer["offer"], choice="accepted").status_code == 400
    assert put(client, offer["offer"], choice="ticked", ticked=[2]).json()["choices"] == ["left", "left", "ticked"]


@pytest.mark.parametrize(
    "body", [{}, {"choice": "left"}, {"choice": "edited"}, {"choice": "edited", "text": "It is short and right."}]
)
def test_what_cannot_be_stored_is_refused(
    project: Any, api: Any, alice: Any, make_pair: Any, body: dict[str, Any]
) -> None:
    turn_on(project)
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    client = api(alice)
    answer = put(client, show(client)["offer"]["offer"], **body)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Reaction.objects.exists()


def test_others_reach_nothing(project: Any, api: Any, alice: Any, bob: Any, stranger: Any, make_pair: Any) -> None:
    turn_on(project)
    pair = make_pair()
    explain(pair)
    judge(alice, pair)
    offer = show(api(alice))["offer"]["offer"]
    assert put(api(bob), offer, choice="accepted").status_code == 400
    assert api(bob).delete(f"{HOME}/reasons/{offer}/reaction").status_code == 400
    assert show(api(bob)) == {"offer": None, "waiting": 0}
    assert put(api(stranger), offer, choice="accepted").status_code == 404
    assert api(stranger).post(f"{HOME}/reasons").status_code == 404
    assert not Reaction.objects.exists()
