"""The better answer, edited: stored with the revision that names it, of nothing else, and read back as it was typed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation import drafting, editing
from annotation.editing import LONGEST_EDIT, edits_of
from annotation.models import Annotator, Assignment, Edit, Event, Judgement, Pair, Project

MakePair = Callable[..., Pair]
JUDGE = "/p/everyday/judge"
FETCH = {"X-Plumbline": "1"}


# ---- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def editable(project: Project) -> Project:
    project.allow_edits = True
    project.save()
    return project


@pytest.fixture
def desk(sign_in: Any, alice: Annotator) -> Client:
    client: Client = sign_in(alice)
    return client


def opened(client: Client) -> dict[str, Any]:
    item: dict[str, Any] = client.get(JUDGE).context["item"]
    return item


def post(client: Client, item: dict[str, Any], verdict: str, path: str = JUDGE, **more: Any) -> Any:
    fields = {"assignment": item["assignment"], "key": item["key"], "verdict": verdict, **more}
    return client.post(path, fields, headers=FETCH)


def better_of(item: dict[str, Any], verdict: str) -> Any:
    seat = Assignment.objects.select_related("pair__first", "pair__second").get(pk=item["assignment"])
    a, b = (seat.pair.second, seat.pair.first) if seat.swapped else (seat.pair.first, seat.pair.second)
    return a if verdict[0] == "a" else b


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("verdict", ["a3", "b1"])
def test_the_better_candidates_edit_is_stored_with_the_judgement(
    make_pair: MakePair, editable: Project, desk: Client, verdict: str, swapped: bool
) -> None:
    make_pair()
    item = opened(desk)
    Assignment.objects.filter(pk=item["assignment"]).update(swapped=swapped)
    better = better_of(item, verdict)
    answer = post(desk, item, verdict, **{f"edit_{verdict[0]}": better.text + "\r\nAnd so on."})
    assert answer.status_code == 200, answer.content
    assert "answer edited" in answer.json()["saved"]["text"]
    edit = Edit.objects.get()
    assert (edit.candidate, edit.text) == (better, better.text + "\nAnd so on.")
    assert edit.edit_distance == len("\nAnd so on.")
    assert edit.judgement == Judgement.objects.get(is_current=True)


@pytest.mark.django_db
def test_the_same_key_stores_one_edit(make_pair: MakePair, editable: Project, desk: Client) -> None:
    make_pair()
    item = opened(desk)
    for _ in range(2):
        assert post(desk, item, "a2", edit_a="Better still.").status_code == 200
    assert Edit.objects.count() == Judgement.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("verdict", "edits", "sentence"),
    [
        ("a2", {"edit_b": "Mended."}, "not the better one"),
        ("a2", {"edit_a": "Mended.", "edit_b": "Mended."}, "not the better one"),
        ("same", {"edit_a": "Mended."}, "Only the better answer"),
        ("bad", {"edit_b": "Mended."}, "Only the better answer"),
        ("a2", {"edit_a": " \n "}, "is empty"),
        ("a2", {"edit_a": "Mended\0"}, "NUL"),
        ("a2", {"edit_a": "x" * (LONGEST_EDIT + 1)}, "100,000 characters"),
    ],
)
def test_other_edits_are_refused_with_a_sentence_and_nothing_is_stored(
    make_pair: MakePair, editable: Project, desk: Client, verdict: str, edits: dict[str, str], sentence: str
) -> None:
    make_pair()
    answer = post(desk, opened(desk), verdict, **edits)
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]
    assert answer.json()["field"] == "edit"
    assert not Judgement.objects.exists()


@pytest.mark.django_db
def test_where_edits_are_not_asked_they_are_refused_and_unchanged_texts_pass(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    item = opened(desk)
    refused = post(desk, item, "a2", edit_a="Mended.")
    assert refused.status_code == 422
    assert "takes no edits" in refused.json()["error"]
    both = {"edit_a": better_of(item, "a2").text, "edit_b": better_of(item, "b2").text}
    assert post(desk, item, "a2", **both).status_code == 200
    assert not Edit.objects.exists()


@pytest.mark.django_db
def test_line_ends_alone_are_no_edit_and_stay_as_the_candidate_has_them(
    make_pair: MakePair, editable: Project, desk: Client
) -> None:
    make_pair(first="one\r\ntwo", second="one\r\ntwo!")
    item = opened(desk)
    better = better_of(item, "a2")
    assert post(desk, item, "a2", edit_a=better.text.replace("\r\n", "\n")).status_code == 200
    assert not Edit.objects.exists()
    again = {**item, "key": str(uuid.uuid4())}
    path = f"/p/everyday/answers/{item['assignment']}"
    answer = post(desk, again, "a2", path=path, revision=1, edit_a="one\r\ntwo\r\nthree")
    assert answer.status_code == 200
    assert Edit.objects.get().text == "one\r\ntwo\r\nthree"


@pytest.mark.django_db
def test_every_revision_has_its_own_edit_and_an_undo_brings_it_back_as_a_draft(
    make_pair: MakePair, editable: Project, desk: Client, alice: Annotator
) -> None:
    make_pair()
    item = opened(desk)
    post(desk, item, "a2", edit_a="First try.")
    path = f"/p/everyday/answers/{item['assignment']}"
    page = desk.get(path)
    assert page.context["item"]["draft"]["edit"] == {"a": "First try."}
    assert post(desk, page.context["item"], "a3", path=path, revision=1, edit_a="Second try.").status_code == 200
    assert [edit.text for edit in Edit.objects.order_by("pk")] == ["First try.", "Second try."]
    assert [one.text for one in edits_of(editable)] == ["Second try."]
    reopened = desk.post(f"{JUDGE}/undo", headers=FETCH).json()["item"]
    assert reopened["draft"]["edit"] == {"a": "Second try."}
    assert list(edits_of(editable)) == []


@pytest.mark.django_db
def test_a_lost_lease_stores_neither_the_judgement_nor_the_edit(
    make_pair: MakePair, editable: Project, desk: Client
) -> None:
    make_pair()
    item = opened(desk)
    Assignment.objects.filter(pk=item["assignment"]).update(annotator=None, lease_until=None)
    assert post(desk, item, "a2", edit_a="Mended.").status_code == 409
    assert not Edit.objects.exists()
    assert not Judgement.objects.exists()


@pytest.mark.django_db
def test_nothing_edited_costs_no_query_more(make_pair: MakePair, project: Project, desk: Client) -> None:
    for _ in range(9):
        make_pair()
    post(desk, opened(desk), "a2")
    counts = []
    for allowed in (False, True):
        Project.objects.update(allow_edits=allowed)
        item = opened(desk)
        with CaptureQueriesContext(connection) as queries:
            assert post(desk, item, "b2").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_the_form_works_without_the_script(make_pair: MakePair, editable: Project, desk: Client) -> None:
    make_pair(first="\nBegins with an empty line.")
    page = desk.get(JUDGE)
    item = page.context["item"]
    texts = {side["name"]: side["text"] for side in page.context["raw_sides"]}
    fields = {"assignment": item["assignment"], "key": item["key"], "verdict": "b2"}
    sent = {"edit_a": texts["a"].replace("\n", "\r\n"), "edit_b": "Mended.\r\nTwice."}
    refused = desk.post(JUDGE, {**fields, **sent, "verdict": "same"})
    assert refused.status_code == 422
    assert "Mended." in refused.content.decode()
    assert desk.post(JUDGE, fields | sent).status_code == 303
    assert Edit.objects.get().text == "Mended.\nTwice."


@pytest.mark.django_db
def test_a_draft_holds_a_long_edit(make_pair: MakePair, editable: Project, desk: Client) -> None:
    make_pair()
    item = opened(desk)
    body = json.dumps({"verdict": "a2", "edit": {"a": "ü" * LONGEST_EDIT}}, ensure_ascii=False)
    sent = {"assignment": item["assignment"], "version": 1, "body": body}
    assert desk.post(f"{JUDGE}/draft", sent, headers=FETCH).status_code == 204
    assert opened(desk)["draft"]["edit"]["a"] == "ü" * LONGEST_EDIT


@pytest.mark.django_db
def test_the_api_takes_and_tells_edits(
    make_pair: MakePair, editable: Project, alice: Annotator, lead: Annotator, api: Any
) -> None:
    make_pair()
    client = api(alice)
    taken = client.post("/api/v1/projects/everyday/assignments").json()["assignments"][0]
    answer = {"assignment": taken["assignment"], "verdict": "b1", "edit": "Mended over the API."}
    assert client.post("/api/v1/projects/everyday/judgements", answer, format="json").status_code == 201
    rows = api(lead).get("/api/v1/projects/everyday/judgements").json()["results"]
    assert [row["edit"] for row in rows] == ["Mended over the API."]
    tie = {**answer, "verdict": "same"}
    assert client.post("/api/v1/projects/everyday/judgements", tie, format="json").status_code == 400


@pytest.mark.django_db
def test_the_lead_turns_it_on_and_open_pages_follow(
    make_pair: MakePair, project: Project, lead: Annotator, desk: Client, sign_in: Any
) -> None:
    make_pair()
    assert 'id="edit"' not in desk.get(JUDGE).content.decode()
    from annotation.founding import change_settings

    assert lead.user is not None
    change_settings(project=project, actor=lead.user, allow_edits=True)
    assert 'id="edit"' in desk.get(JUDGE).content.decode()
    assert Event.objects.filter(act="project.settings").exists()


# ---- what the database refuses ---------------------------------------------------------------------------------------


@pytest.fixture
def judged(make_pair: MakePair, editable: Project, alice: Annotator, desk: Client) -> Judgement:
    make_pair()
    post(desk, opened(desk), "a2")
    return Judgement.objects.select_related("assignment__pair__first", "assignment__pair__second").get()


def better_and_worse(judged: Judgement) -> tuple[Any, Any]:
    pair = judged.assignment.pair
    assert judged.strength
    return (pair.first, pair.second) if judged.strength > 0 else (pair.second, pair.first)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["worse", "same text", "empty", "no distance", "twice", "changed"])
def test_the_database_refuses_what_is_no_edit_of_the_better_candidate(judged: Judgement, wrong: str) -> None:
    better, worse = better_and_worse(judged)
    fields: dict[str, Any] = {"judgement": judged, "candidate": better, "text": "Mended.", "edit_distance": 3}
    name = {
        "worse": "edit_is_of_the_better",
        "same text": "edit_is_of_the_better",
        "empty": "edit_is_not_empty",
        "no distance": "edit_changes_something",
        "twice": "judgement_id",
        "changed": "edit_is_appended",
    }[wrong]
    fields |= {
        "worse": {"candidate": worse},
        "same text": {"text": better.text},
        "empty": {"text": " \n"},
        "no distance": {"edit_distance": 0},
    }.get(wrong, {})
    if wrong in ("twice", "changed"):
        edit = Edit.objects.create(**fields)

    def break_it() -> None:
        if wrong == "changed":
            Edit.objects.filter(pk=edit.pk).update(text="Another.")
        else:
            Edit.objects.create(**fields)

    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        break_it()


@pytest.mark.django_db
def test_a_tie_has_no_better_candidate(make_pair: MakePair, editable: Project, desk: Client) -> None:
    pair = make_pair()
    post(desk, opened(desk), "same")
    tie = Judgement.objects.get()
    with pytest.raises(IntegrityError, match="edit_is_of_the_better"), transaction.atomic():
        Edit.objects.create(judgement=tie, candidate=pair.first, text="Mended.", edit_distance=1)


@pytest.mark.django_db
def test_edits_are_read_with_what_they_are_about(judged: Judgement, editable: Project) -> None:
    better, _ = better_and_worse(judged)
    editing.store_edit(judgement_id=judged.pk, edited=editing.Edited(better.pk, "Mended.", 7))
    (found,) = edits_of(editable, pairs=[judged.assignment.pair_id])
    assert (found.original, found.text, found.candidate) == (better.text, "Mended.", better.pk)
    assert found.is_first == (judged.strength > 0)  # type: ignore[operator]
    assert list(edits_of(editable, pairs=[0])) == []
    assert drafting.LARGEST_DRAFT > 4 * LONGEST_EDIT
