"""A filter of the board that is saved, released and compared."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict

from annotation.models import Pair
from curation import browsing
from curation.filters import LONGEST, Filter, parse
from curation.gathering import gather_facts
from curation.models import FactsState, Selection
from tests.curation.conftest import random_filter

pytestmark = pytest.mark.django_db


def test_a_selection_is_saved_with_owner_and_version(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, address = sign_in(lead), f"/p/{project.slug}/board/save"
    for query in ("difficulty=0.5..1", "difficulty=0.5..1", "difficulty=0.6..1"):
        client.post(address, {"name": "Hard ones", "filter": f"{query}&sort=-agreement"})
    saved = list(Selection.objects.order_by("version"))
    assert [(one.version, one.query, one.owner) for one in saved] == [
        (1, "difficulty=0.5..1", lead.user),
        (2, "difficulty=0.6..1", lead.user),
    ]
    assert saved[0].criteria == [{"field": "difficulty", "operator": ">=", "value": 0.5}]
    client.post(address, {"name": " ", "filter": ""})
    assert Selection.objects.count() == 2
    assert "Hard ones, version 2" in client.get(f"/p/{project.slug}/board").content.decode()


def test_a_filter_that_is_longer_as_it_is_kept_is_kept_whole_or_refused(
    project: Any, lead: Any, sign_in: Any, many: Any
) -> None:
    """Browsers send a parenthesis as it is; an address of ours has three characters for it."""
    names = [f"{n}{'(' * 190}" for n in range(8)]
    for place, pair in enumerate(many):
        Pair.objects.filter(pk=pair.pk).update(source=names[place % 8])
    gather_facts(project=project)
    client, address = sign_in(lead), f"/p/{project.slug}/board/save"
    assert client.post(address, {"name": "Some", "filter": f"source={','.join(names[:4])}"}).status_code == 302
    saved = Selection.objects.get()
    assert 2000 < len(saved.query) < LONGEST
    assert {*QueryDict(saved.query)["source"].split(",")} == {*names[:4]}
    refused = client.post(address, {"name": "More", "filter": f"source={','.join(names[:7])}"})
    assert (refused.status_code, refused.content.decode()[:22]) == (400, "The filter is too long")
    assert Selection.objects.count() == 1


def test_the_criteria_of_a_selection_find_the_boards_pairs(project: Any, many: Any) -> None:
    """What a release reads of a saved selection is what the board counted, in random filters."""
    from curation.criteria import from_json, in_play
    from curation.keeping import criteria_of
    from curation.selecting import pairs_sql
    from curation.voices import Voices

    dims = browsing.dims_of(FactsState.objects.get(project=project))
    draw = random.Random(5)
    for _ in range(40):
        asked = random_filter(draw, dims)
        # A hand makes no interval of numbers together with the unknown.
        asked = Filter({
            one.key: slots for one in dims if (slots := asked.passing.get(one.key)) is not None
            and (one.kind == "category" or slots[-1] < one.bins or slots == (one.bins,))
        })  # fmt: skip
        stored = json.loads(json.dumps([one.as_json() for one in criteria_of(asked, dims)]))
        source, params = pairs_sql(project=project.pk, voices=Voices())
        tried = [one.sql() for one in in_play(from_json(stored))]
        condition = " AND ".join(sql for sql, _ in tried)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT p.id {source} AND {condition}", [*params, *(value for _, each in tried for value in each)]
            )
            found = {pair for (pair,) in cursor.fetchall()}
        sql, values = browsing.pairs_sql(project=project, asked=asked, dims=dims)
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            assert {pair for (pair,) in cursor.fetchall()} == found, stored


def test_the_board_leads_to_a_release_of_what_it_shows(
    project: Any, lead: Any, alice: Any, sign_in: Any, many: Any, same_connection: None
) -> None:
    """Any filter becomes the criteria of a draft, which counts the pairs that the board counted."""
    client = sign_in(lead)
    address = f"/p/{project.slug}/board/release"
    page = client.get(f"/p/{project.slug}/board?difficulty=0.3..0.9&source=s1,s2&sort=-agreement").content.decode()
    (href,) = re.findall(r'id="release"\s+href="([^"]+)"', page)
    assert href.startswith(f"{address}?filter=difficulty%3D0.3..0.9")
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    for query in ("difficulty=0.3..0.9&source=s1,s2&sort=-agreement", "judgements=2..3", "discretion=unknown", ""):
        way = client.get(address, {"filter": query})
        assert way.status_code == 302
        draft = client.get(way.url)
        asked = parse(QueryDict(query).dict(), dims)
        assert draft.context["counted"].selected == browsing.count(project=project, asked=asked, dims=dims) > 0
    assert client.get(address, {"filter": "smell=sweet"}).status_code == 400
    assert sign_in(alice).get(address).status_code == 404


def test_a_saved_selection_is_one_link_from_its_release(
    project: Any, lead: Any, sign_in: Any, many: Any, same_connection: None
) -> None:
    client = sign_in(lead)
    client.post(f"/p/{project.slug}/board/save", {"name": "Judged", "filter": "judgements=2..3"})
    saved = Selection.objects.get()
    way = f"/p/{project.slug}/releases/new?selection={saved.pk}"
    assert f'href="{way}"' in client.get(f"/p/{project.slug}/board").content.decode()
    assert client.get(way).context["counted"].selected == 20


def test_two_selections_are_compared_with_intervals(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client = sign_in(lead)
    client.post(f"/p/{project.slug}/board/save", {"name": "Judged", "filter": "judgements=2..3"})
    one = Selection.objects.get()
    page = client.get(f"/p/{project.slug}/board/compare?first={one.pk}&second=0").content.decode()
    assert "20 against 40 pairs; 20 are in both" in page
    assert "Newcombe" in page
    assert "points" in page
    assert client.get(f"/p/{project.slug}/board/compare?first=x").status_code == 400
    assert client.get(f"/p/{project.slug}/board/compare?first=999").status_code == 404


def test_what_a_release_was_asked_for_in_criteria_is_no_filter_of_the_board(
    project: Any, lead: Any, sign_in: Any, many: Any, same_connection: None, tmp_path: Any
) -> None:
    """Shown as one, it would be a link to all pairs, and compared as all pairs under its name."""
    from curation.criteria import parse_all
    from curation.releasing import release

    made = release(project=project, version="v1", where=parse_all(["judgements>=2"]), out=tmp_path / "v1").release
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    client.post(f"{home}/save", {"name": "Judged", "filter": "judgements=2..3"})
    client.post(f"{home}/save", {"name": "Everything", "filter": ""})
    for page in (home, f"{home}/compare"):
        text = client.get(page).content.decode()
        assert "Judged, version 1" in text
        assert "Everything, version 1" in text
        assert "v1, version 1" not in text
    answer = client.get(f"{home}/compare?first={made.selection_id}&second=0")
    assert (answer.status_code, answer.content.decode()[:41]) == (400, "v1, version 1 was stored by a release tha")
    # The draft of a release goes by criteria: there it is offered.
    assert "v1, version 1" in client.get(f"/p/{project.slug}/releases/new").content.decode()
