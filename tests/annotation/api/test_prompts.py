"""Prompts and pairs over the API: for leads, by key, filtered by allow-listed fields."""

from __future__ import annotations

import hashlib

import pytest

from annotation.models import Candidate, Prompt, Run


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
        for path in ("candidates", "pairs", f"pairs/{pair.pk}", "prompts", f"prompts/{pair.prompt_id}", "judgements"):
            assert api(who).get(f"/api/v1/projects/everyday/{path}").status_code == 404


def test_a_number_larger_than_any_key_names_nothing(api, lead):
    assert api(lead).get("/api/v1/projects/everyday/pairs/99999999999999999999").status_code == 404


def test_the_number_of_queries_does_not_grow(api, lead, make_pair, django_assert_max_num_queries):
    for _ in range(30):
        make_pair()
    client = api(lead)
    client.get("/api/v1/projects/everyday/pairs?limit=1")
    with django_assert_max_num_queries(6):
        assert client.get("/api/v1/projects/everyday/pairs?limit=30").status_code == 200


ORIGIN = {
    "model": "m",
    "revision": "r1",
    "strategy": "best_worst_of_n",
    "polarity": "better",
    "template_version": "best_worst_of_n-1",
    "seed": 2**62,
    "sampling": {"temperature": 0.7, "stop": ["END"]},
    "token_count": 7,
    "log_probability": -8.5,
    "log_probability_quantiles": [-3.0, -2.0, -1.5, -1.2, -1.0, -0.9, -0.8, -0.5, -0.2, -0.1, 0.0],
    "mean_entropy": 1.25,
    "branching_share": 0.5,
    "provenance": {"thought": "Hm.", "rank": 1, "score": 0.9, "n": 4},
}


@pytest.fixture
def generated(project):
    """A run that was stopped before anything was paired: three candidates of two prompts."""
    run = Run.objects.create(project=project, kind="generation", code_version="t")
    for number, indexes in enumerate([(0, 1), (0,)]):
        digest = hashlib.sha256(bytes([number])).digest()
        prompt = Prompt.objects.create(project=project, messages=[{"role": "user", "content": "?"}], digest=digest)
        for index in indexes:
            said = [{"role": "assistant", "content": f"{number}.{index}"}]
            origin = ORIGIN if index == 0 else {"model": "other"}
            Candidate.objects.create(
                prompt=prompt, run=run, index=index, messages=said, digest=bytes([number, index]), **origin
            )
    return run


def test_a_candidate_tells_all_that_is_known_of_its_origin(api, lead, generated, make_pair):
    make_pair()
    listed = api(lead).get(f"/api/v1/projects/everyday/candidates?run={generated.pk}").json()["results"]
    assert [one["messages"][0]["content"] for one in listed] == ["0.0", "0.1", "1.0"]
    first = Candidate.objects.get(pk=listed[0]["id"])
    assert {name: listed[0][name] for name in ORIGIN} == ORIGIN
    assert (listed[0]["run"], listed[0]["prompt"], listed[0]["index"]) == (generated.pk, first.prompt_id, 0)
    assert [listed[1][name] for name in ("sampling", "log_probability_quantiles", "provenance")] == [None] * 3
    # Those of pairs tell the same.
    assert api(lead).get("/api/v1/projects/everyday/pairs").json()["results"][0]["first"].keys() == listed[0].keys()


def test_what_json_cannot_say_is_null(api, lead, generated):
    low = float("-inf")
    Candidate.objects.update(log_probability=low, log_probability_quantiles=[low] + [-1.0] * 10, mean_entropy=low)
    one = api(lead).get("/api/v1/projects/everyday/candidates").json()["results"][0]
    assert (one["log_probability"], one["mean_entropy"]) == (None, None)
    assert one["log_probability_quantiles"] == [None] + [-1.0] * 10


def test_candidates_come_by_page_and_filter(api, lead, generated, make_pair):
    make_pair()
    client, url = api(lead), "/api/v1/projects/everyday/candidates"
    page = client.get(f"{url}?run={generated.pk}&limit=2").json()
    rest = client.get(f"{url}?run={generated.pk}&limit=2&after={page['next']}").json()
    assert (len(page["results"]), len(rest["results"]), rest["next"]) == (2, 1, None)
    prompt = page["results"][0]["prompt"]
    counts = {
        "": 5,
        "model=other": 1,
        "polarity=better": 2,
        "polarity=worse": 0,
        f"prompt={prompt}": 2,
        "run=999999": 0,
    }
    counts |= {"strategy=best_worst_of_n": 2, "strategy=plain": 0, f"run={generated.pk}&model=m&prompt={prompt}": 1}
    assert {query: len(client.get(f"{url}?{query}").json()["results"]) for query in counts} == counts


@pytest.mark.parametrize(
    "query",
    [
        "runs=1",
        "run=x",
        "run=0",
        "run=99999999999999999999",
        "model=%00",
        "polarity=good",
        "strategy=magic",
        "run__kind=x",
    ],
)
def test_a_filter_of_candidates_that_does_not_fit_is_refused(api, lead, generated, query):
    assert api(lead).get(f"/api/v1/projects/everyday/candidates?{query}").status_code == 400


def test_the_number_of_queries_for_candidates_does_not_grow(api, lead, make_pair, django_assert_max_num_queries):
    for _ in range(30):
        make_pair()
    client = api(lead)
    client.get("/api/v1/projects/everyday/candidates?limit=1")
    with django_assert_max_num_queries(6):
        assert len(client.get("/api/v1/projects/everyday/candidates?limit=60").json()["results"]) == 60
