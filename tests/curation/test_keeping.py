"""A saved selection says by which model it was saved, and is not taken for another's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from annotation.errors import Refused
from annotation.models import Run
from curation import browsing, gathering, keeping
from curation.arrays import pair_facts
from curation.models import FactsState, Measurement, Release, Selection
from curation.voices import Voices
from tests.curation.finished import finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def of_other(project: Any, many: list[Any]) -> Run:
    """Difficulty for another model, which finds other pairs hard."""
    run = finished(project, parameters={"measure": "difficulty", "model": "other"})
    Measurement.objects.bulk_create(
        Measurement(run=run, metric="held_out_loss", pair=pair, value=float(-place)) for place, pair in enumerate(many)
    )
    return run


@pytest.fixture
def save(project: Any, lead: Any) -> Any:
    def saved(name: str, text: str) -> Selection:
        state = FactsState.objects.get(project=project)
        asked = keeping.filter_of(state, keeping.query_of(text))
        dims = browsing.dims_of(state)
        return keeping.save_selection(project=project, name=name, asked=asked, dims=dims, query=text, actor=lead.user)

    return saved


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("difficulty=0.75..1", ["difficulty"]),
        ("difficulty=unknown", ["difficulty"]),
        ("reading=hard", ["difficulty"]),
        ("reading=none", ["difficulty"]),
        ("reading=ambiguous", []),
        ("judgements=2..3", []),
    ],
)
def test_it_keeps_whose_difficulty_it_read(project: Any, many: Any, save: Any, text: str, read: list[str]) -> None:
    run = Run.objects.get(kind="measurement")
    told = {"model": "tiny", "run": run.pk, "metric": "held_out_loss"}
    assert save("one", text).measures == dict.fromkeys(read, told)


def test_for_another_model_it_is_refused_until_it_is_saved_anew(project: Any, of_other: Run, save: Any) -> None:
    gathering.gather_facts(project=project, model="tiny")
    hard, agreed = save("hard", "difficulty=0.75..1"), save("agreed", "judgements=2..3")
    assert keeping.criteria_in(hard)
    gathering.gather_facts(project=project, model="other")
    with pytest.raises(Refused, match="hard, version 1 was saved by difficulty for tiny, and the board now has it for"):
        keeping.criteria_in(hard)
    assert keeping.criteria_in(agreed), "It reads nothing that a model measured."
    again = save("hard", "difficulty=0.75..1")
    assert (again.version, again.measures["difficulty"]["model"]) == (2, "other")
    assert keeping.criteria_in(again)
    gathering.gather_facts(project=project, model="tiny")
    assert keeping.criteria_in(hard)
    with pytest.raises(Refused, match="for other, and the board now has it for tiny"):
        keeping.criteria_in(again)


@pytest.mark.usefixtures("same_connection")
def test_neither_wizard_nor_command_release_it_as_another_models(
    project: Any, lead: Any, sign_in: Any, of_other: Run, save: Any, tmp_path: Any
) -> None:
    gathering.gather_facts(project=project, model="tiny")
    hard = save("hard", "difficulty=0.75..1")
    client = sign_in(lead)
    way = f"/p/{project.slug}/releases/new?selection={hard.pk}"
    assert not client.get(way).context["form"].errors
    gathering.gather_facts(project=project, model="other")
    assert "was saved by difficulty for tiny" in str(client.get(way).context["form"].errors["selection"])
    with pytest.raises(CommandError, match="was saved by difficulty for tiny"):
        call_command("release", "v1", "--project", project.slug, "--selection", "hard", "--out", str(tmp_path / "v1"))
    assert not Release.objects.exists()
    page = client.get(f"/p/{project.slug}/board").content.decode()
    assert "difficulty for tiny" in page


def test_selections_from_before_they_said_it_are_taken_as_they_are(project: Any, many: Any, lead: Any) -> None:
    old = Selection.objects.create(
        project=project, name="old", criteria=[{"field": "difficulty", "operator": ">=", "value": 0.5}], owner=lead.user
    )
    assert [one.text for one in keeping.criteria_in(old)] == ["difficulty>=0.5"]


@pytest.fixture
def marked(project: Any, make_pair: Any, say: Any, alice: Any) -> dict[str, int]:
    """Pairs by what is true of them; their facts are gathered."""
    same = {"prompt": "Same?", "first": "yes", "second": "no"}
    found = {
        "plain": make_pair(),
        "flagged": make_pair(),
        "gold": make_pair(is_gold=True),
        "flagged gold": make_pair(is_gold=True),
        "flagged duplicate": make_pair(**same),
        "gold duplicate": make_pair(**same, is_gold=True),
    }
    for name, pair in found.items():
        say(alice, pair, "first", flags=["harmful"] if "flagged" in name else [])
    gathering.gather_facts(project=project)
    return {name: pair.pk for name, pair in found.items()}


FOUND = [
    ("gold", {"gold", "flagged gold", "gold duplicate"}),
    ("flagged", {"flagged", "flagged gold", "flagged duplicate"}),
    ("duplicate", {"flagged duplicate", "gold duplicate"}),
    ("plain,duplicate", {"plain", "flagged duplicate", "gold duplicate"}),
    ("flagged and gold", {"flagged gold"}),
]


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_gold_is_found_though_it_is_flagged_too(
    project: Any, marked: dict[str, int], save: Any, text: str, names: set[str]
) -> None:
    """On the board, and by what a release reads of a saved selection."""
    state = FactsState.objects.get(project=project)
    dims, query = browsing.dims_of(state), f"marked={text}"
    asked = keeping.filter_of(state, keeping.query_of(query))
    assert on_the_board(project, asked, dims) == {marked[name] for name in names}
    criteria = keeping.criteria_in(save("one", query))
    assert pairs_of(project, criteria) == {marked[name] for name in names}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gold", {"gold", "gold duplicate"}),
        ("plain,flagged", {"plain", "flagged", "flagged gold", "flagged duplicate"}),
        ("duplicate", set()),
    ],
)
def test_a_selection_from_when_only_the_first_mark_counted_means_the_same_pairs(
    project: Any, lead: Any, marked: dict[str, int], text: str, names: set[str]
) -> None:
    old = Selection.objects.create(
        project=project, name="old", version=1, owner=lead.user, query=f"marked={text}",
        criteria=[{"field": "marked", "operator": "|=", "value": text.replace(",", "|")}],
    )  # fmt: skip
    assert pairs_of(project, keeping.criteria_in(old)) == {marked[name] for name in names}
    state = FactsState.objects.get(project=project)
    dims = browsing.dims_of(state)
    asked = keeping.filter_of(state, keeping.query_of(keeping.address_of(old, dims)))
    assert on_the_board(project, asked, dims) == {marked[name] for name in names}


def on_the_board(project: Any, asked: Any, dims: Any) -> set[int]:
    sql, params = browsing.pairs_sql(project=project, asked=asked, dims=dims)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return {pair for (pair,) in cursor.fetchall()}


def pairs_of(project: Any, criteria: Any) -> set[int]:
    """The pairs that a release takes by these criteria."""
    facts = pair_facts(project=project, voices=Voices(), where=criteria)
    return set(facts.pair[np.logical_and.reduce(facts.passes)].tolist())
