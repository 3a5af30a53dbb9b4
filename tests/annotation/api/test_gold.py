"""Gold over the API: leads say what is right, all or none."""

from __future__ import annotations

import pytest

from annotation.models import Event, Pair

GOLD = "/api/v1/projects/everyday/pairs/gold"


def test_a_lead_marks_checks_and_examples(api, lead, make_pair):
    one, two = make_pair(external_id="q17"), make_pair()
    gold = [
        {"external_id": "q17", "verdict": "first"},
        {"pair": two.pk, "verdict": "tie", "use": "example", "why": "Both say the same."},
    ]
    for _ in range(2):
        answer = api(lead).post(GOLD, {"gold": gold}, format="json")
        assert (answer.status_code, answer.json()) == (200, {"pairs": 2})
    marked = Pair.objects.order_by("pk").values_list("pk", "gold_use", "gold_verdict", "gold_why")
    assert list(marked) == [(one.pk, "check", "first", ""), (two.pk, "example", "tie", "Both say the same.")]
    assert set(Event.objects.filter(act="pairs.gold").values_list("actor", flat=True)) == {lead.user.email}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"verdict": "first"}, "Name the pair once"),
        ({"verdict": "first", "external_id": "no such"}, "There is no pair"),
        ({"verdict": "first", "external_id": "q17", "use": "example"}, "explained"),
        ({"verdict": "better", "external_id": "q17"}, "better"),
        ({"verdict": "first", "external_id": "q17", "why": "x" * 5001}, "5000"),
    ],
)
def test_a_bad_one_is_named_and_nothing_is_marked(api, lead, make_pair, wrong, told):
    right = make_pair()
    make_pair(external_id="q17")
    gold = [{"pair": right.pk, "verdict": "first"}, wrong]
    answer = api(lead).post(GOLD, {"gold": gold}, format="json")
    assert (answer.status_code, told in answer.content.decode()) == (400, True), answer.content
    assert not Pair.objects.filter(is_gold=True).exists()


def test_a_pair_is_gold_no_longer(api, lead, make_pair):
    pair = make_pair()
    for one in ({"verdict": "first"}, {"use": "none"}):
        answer = api(lead).post(GOLD, {"gold": [{"pair": pair.pk, **one}]}, format="json")
        assert (answer.status_code, answer.json()) == (200, {"pairs": 1})
    pair.refresh_from_db()
    assert (pair.is_gold, pair.gold_use) == (False, "")
    # Without a verdict and without saying so it is a slip.
    slip = api(lead).post(GOLD, {"gold": [{"pair": pair.pk}]}, format="json")
    assert (slip.status_code, "first, second or tie" in slip.json()["detail"]) == (400, True)


def test_only_leads_mark_and_only_in_their_projects(api, alice, stranger, make_pair):
    pair = make_pair()
    gold = {"gold": [{"pair": pair.pk, "verdict": "first"}]}
    assert api(alice).post(GOLD, gold, format="json").status_code == 404
    assert api(stranger).post(GOLD, gold, format="json").status_code == 404
    assert not Pair.objects.filter(is_gold=True).exists()
