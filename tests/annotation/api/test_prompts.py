"""Prompts and pairs over the API: for leads, by key, filtered by allow-listed fields."""

from __future__ import annotations

import pytest


def test_pairs_come_by_key_with_their_origin(api, lead, make_pair):
    made = [make_pair() for _ in range(5)]
    client = api(lead)
    first = client.get("/api/v1/projects/everyday/pairs?limit=3").json()
    second = client.get(f"/api/v1/projects/everyday/pairs?limit=3&after={first['next']}").json()
    assert [pair["id"] for pair in first["results"] + second["results"]] == [pair.pk for pair in made]
    assert second["next"] is None
    assert first["results"][0]["first"]["model"] == "canary-first"
    assert first["results"][0]["second"]["messages"][0]["role"] == "assistant"


def test_one_pair_and_its_prompt(api, lead, make_pair):
    pair = make_pair(prompt="Why is the sky blue?")
    client = api(lead)
    assert client.get(f"/api/v1/projects/everyday/pairs/{pair.pk}").json()["prompt"] == pair.prompt_id
    prompt = client.get(f"/api/v1/projects/everyday/prompts/{pair.prompt_id}").json()
    assert prompt["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]
    assert len(client.get("/api/v1/projects/everyday/prompts").json()["results"]) == 1


def test_a_filter_is_for_equality_of_listed_fields(api, lead, make_pair):
    make_pair(source="one", external_id="x")
    make_pair(source="two", external_id="x")
    client = api(lead)
    assert len(client.get("/api/v1/projects/everyday/pairs?source=one&external_id=x").json()["results"]) == 1
    assert client.get("/api/v1/projects/everyday/pairs?source=%00").json()["results"] == []


@pytest.mark.parametrize(
    "query", ["project__slug=everyday", "first__model=canary-first", "source__startswith=o", "ordering=-id"]
)
def test_no_other_path_reaches_a_column(api, lead, make_pair, query):
    make_pair(source="one")
    answer = api(lead).get(f"/api/v1/projects/everyday/pairs?{query}")
    assert answer.status_code == 400


@pytest.mark.parametrize("part", ["after=-1", "limit=0", "limit=1001", "after=x", "after=99999999999999999999"])
def test_an_impossible_page_is_refused(api, lead, part):
    assert api(lead).get(f"/api/v1/projects/everyday/pairs?{part}").status_code == 400


def test_pairs_are_for_leads(api, alice, adjudicator, stranger, make_pair):
    """An annotator must not learn which model wrote what."""
    pair = make_pair()
    for who in (alice, adjudicator, stranger):
        for path in ("pairs", f"pairs/{pair.pk}", "prompts", f"prompts/{pair.prompt_id}", "judgements"):
            assert api(who).get(f"/api/v1/projects/everyday/{path}").status_code == 404


def test_a_number_larger_than_any_key_names_nothing(api, lead):
    assert api(lead).get("/api/v1/projects/everyday/pairs/99999999999999999999").status_code == 404


def test_the_number_of_queries_does_not_grow(api, lead, make_pair, django_assert_max_num_queries):
    for _ in range(30):
        make_pair()
    client = api(lead)
    client.get("/api/v1/projects/everyday/pairs?limit=1")
    with django_assert_max_num_queries(6):
        client.get("/api/v1/projects/everyday/pairs?limit=30")
