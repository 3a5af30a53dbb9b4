"""The judging page over HTTP: its protocol, its doors, and that it shows nothing but the pair."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotation import assigning, guiding, opening
from annotation.models import (
    Annotator,
    Assignment,
    Draft,
    Judgement,
    Project,
    Rationale,
)
from tests.annotation.desks import FETCH, JUDGE, KEYS, MakePair, SignIn, answered, fields, opened, post

pytestmark = pytest.mark.django_db


# ---- the page --------------------------------------------------------------------------------------------------------


def test_the_page_holds_three_pairs_and_no_more_than_may_be_seen(make_pair: MakePair, desk: Client) -> None:
    for _ in range(5):
        make_pair()
    answer = desk.get(JUDGE)
    assert answer.status_code == 200
    assert [set(item) for item in (answer.context["item"], *answer.context["upcoming"])] == [KEYS] * 3
    assert [item["position"] for item in opened(desk)] == [1, 2, 3]
    counts = answer.context["counts"]
    assert (counts["done_today"], counts["done"], counts["left"], counts["goal"]) == (0, 0, 5, 5)
    assert answer.context["queue"] is None
    assert Assignment.objects.leased().count() == 3


def test_the_sides_on_the_page_are_the_sides_that_are_stored(make_pair: MakePair, desk: Client) -> None:
    pair = make_pair(first="From the first.", second="From the second.")
    item = opened(desk)[0]
    for swapped in (False, True):
        Assignment.objects.filter(pk=item["assignment"]).update(swapped=swapped)
        again = opened(desk)[0]
        first_stands = "b" if swapped else "a"
        assert "From the first." in again[first_stands]
    answered = post(desk, JUDGE, fields(item, "a3")).json()
    assert answered["saved"]["text"] == "A much better"
    assert Judgement.objects.get().strength == -3, "A was the second candidate."
    assert pair.assignments.done().count() == 1


def test_an_empty_queue_says_why(desk: Client, project: Project) -> None:
    answer = desk.get(JUDGE)
    assert answer.context["item"] is None
    assert answer.context["queue"]["reason"] == "no_pairs"
    Project.objects.update(state="paused")
    assert desk.get(JUDGE).context["queue"]["title"] == "This project is paused."


def test_where_nothing_is_left_the_page_says_whom_to_ask(desk: Client, sign_in: Any, lead: Annotator) -> None:
    told = f"{lead.name} leads this project"
    assert told in desk.get("/p/everyday/judge").content.decode()
    assert told not in sign_in(lead).get("/p/everyday/judge").content.decode(), "Who leads asks somebody else."
    Annotator.objects.filter(pk=lead.pk).update(is_active=False)
    assert b"Is something wrong here?" not in desk.get("/p/everyday/judge").content


def test_the_queries_of_the_page_do_not_grow(
    make_pair: MakePair, desk: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        make_pair()
    for item in opened(desk):
        post(desk, JUDGE, fields(item))
    desk.get(JUDGE)
    with django_assert_max_num_queries(9):
        assert desk.get(JUDGE).status_code == 200


# ---- submitting ------------------------------------------------------------------------------------------------------


def test_a_submit_answers_with_the_stored_row_and_one_new_item(make_pair: MakePair, desk: Client) -> None:
    for _ in range(5):
        make_pair()
    held = opened(desk)
    said = {"note": "B is shorter,\r\nand right.", "tag": ["tone", "clear"], "flag": "personal", "active_ms": "5100"}
    sent = fields(held[0], "b1", **said)
    answer = post(desk, JUDGE, sent)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"saved", "item", "counts", "queue", "guideline"}
    assert body["saved"]["assignment"] == held[0]["assignment"]
    assert body["saved"]["text"] == "B slightly better · 5 words · 2 reasons · flagged: personal data"
    assert set(body["item"]) == KEYS
    assert body["item"]["assignment"] not in [item["assignment"] for item in held]
    assert body["item"]["position"] == 4
    assert body["counts"] == {"done_today": 1, "done": None, "left": None, "goal": None}
    assert body["queue"] is None
    assert Rationale.objects.get().text == "B is shorter,\nand right."
    assert Judgement.objects.get().active_ms == 5100
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"


def test_the_hot_path_is_session_account_and_one_statement(
    make_pair: MakePair, desk: Client, django_assert_num_queries: Any
) -> None:
    for _ in range(6):
        make_pair()
    one, two, _ = opened(desk)
    post(desk, JUDGE, fields(one))  # Reads the project's terms, once per process and version.
    with django_assert_num_queries(5) as queries:
        post(desk, JUDGE, fields(two, note="why", guideline="0"))
    savepoints = [query for query in queries.captured_queries if "SAVEPOINT" in query["sql"]]
    assert len(savepoints) == 2, "Of the test's own transaction; outside it there is none."


def test_the_last_submit_says_why_the_queue_is_empty(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    body = post(desk, JUDGE, fields(opened(desk)[0])).json()
    assert body["item"] is None
    assert body["queue"]["reason"] == "yours_done"
    assert body["queue"]["facts"] == [[1, "answer is yours, and saved."]]


def test_a_repeated_submit_is_saved_once(make_pair: MakePair, desk: Client) -> None:
    for _ in range(5):
        make_pair()
    held = opened(desk)
    sent = fields(held[0], held=[item["assignment"] for item in held[1:]])
    first, again = post(desk, JUDGE, sent).json(), post(desk, JUDGE, sent).json()
    assert again["saved"] == first["saved"]
    assert again["item"]["assignment"] == first["item"]["assignment"], "The very item whose message was lost."
    assert Judgement.objects.count() == 1


def test_a_lost_lease_is_409_and_brings_another_pair(make_pair: MakePair, desk: Client, bob: Annotator) -> None:
    for _ in range(4):
        make_pair(slots=1)
    Project.objects.update(overlap=1)
    held = opened(desk)
    Assignment.objects.filter(pk=held[0]["assignment"]).update(lease_until=timezone.now() - timedelta(days=1))
    opening.sweep()
    sent = fields(held[0], held=[item["assignment"] for item in held[1:]])
    answer = post(desk, JUDGE, sent)
    assert answer.status_code == 409
    assert "ran out" in answer.json()["error"]
    assert answer.json()["item"]["assignment"] == held[0]["assignment"], "Nobody has taken it: the same pair again."
    assert answer.json()["item"]["key"] != held[0]["key"]
    assert not Judgement.objects.exists()


def test_a_pair_that_went_to_somebody_else_is_replaced(make_pair: MakePair, desk: Client, bob: Annotator) -> None:
    for _ in range(4):
        make_pair(slots=1)
    Project.objects.update(overlap=1)
    held = opened(desk)
    lost = Assignment.objects.filter(pk=held[0]["assignment"])
    lost.update(annotator=bob)
    sent = fields(held[0], held=[item["assignment"] for item in held[1:]])
    answer = post(desk, JUDGE, sent)
    assert answer.status_code == 409
    assert answer.json()["item"]["assignment"] not in [item["assignment"] for item in held]
    assert lost.get().annotator_id == bob.pk


def test_what_does_not_fit_is_422_with_its_field(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    item = opened(desk)[0]
    for wrong, field in [
        ({"verdict": ""}, "verdict"),
        ({"verdict": "a9"}, "verdict"),
        ({"verdict": "skip"}, "skip_reason"),
        ({"key": "1"}, "key"),
        ({"assignment": "one"}, "assignment"),
        ({"assignment": "9" * 30}, "assignment"),
        ({"note": "a\0b"}, "note"),
        ({"tag": "wit"}, "tag"),
        ({"flag": "rude"}, "flag"),
    ]:
        answer = post(desk, JUDGE, {**fields(item), **wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert answer.json()["error"].endswith(".") or "0" in answer.json()["error"]
    assert not Judgement.objects.exists()
    odd = {"active_ms": "soon", "first_key_ms": "1e9", "coverage_a": "all", "coverage_b": "NaN", "client": "v1"}
    assert post(desk, JUDGE, fields(item, **odd)).status_code == 200


@pytest.mark.parametrize("by_script", [True, False], ids=["script", "plain form"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"held": "9" * 5000}, 200),
        ({"assignment": "9" * 5000}, 422),
        ({"assignment": "٣"}, 422),
        ({"deciding": "9" * 5000}, 422),
        ({f"vote-{'9' * 500}": "a"}, 422),
        ({"active_ms": "9" * 5000, "coverage_a": "nan"}, 200),
        *(
            ({"span": json.dumps({"place": "a", "message": 0, "start": 0, "end": 1, name: "\ud800"})}, 422)
            for name in ("tag", "place", "polarity")
        ),
    ],
    ids=lambda one: next(iter(one)).split("9")[0] if isinstance(one, dict) else str(one),
)
def test_no_page_of_ours_sends_this_and_it_is_answered_all_the_same(
    make_pair: MakePair, desk: Client, sent: dict[str, Any], status: int, by_script: bool
) -> None:
    make_pair()
    answer = {**fields(opened(desk)[0]), **sent}
    status = 303 if status == 200 and not by_script else status
    assert desk.post(JUDGE, answer, headers=FETCH if by_script else {}).status_code == status
    assert Judgement.objects.count() == (status != 422)
    assert desk.get(JUDGE).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "answers?verdict=%00",
        "answers?verdict=nonsense",
        "answers?q=%00",
        "answers?page=%00",
        f"judge/guideline?assignment={'9' * 5000}",
        f"judge/reasons?offer={'9' * 5000}",
    ],
)
def test_links_that_nobody_made_lead_to_a_page(project: Project, desk: Client, path: str) -> None:
    guiding.publish_guideline(project=project, text="Be kind.")
    assert desk.get(f"/p/everyday/{path}").status_code == 200


@pytest.mark.parametrize("offer", ["9" * 5000, "٣", "9" * 18])
def test_a_reaction_to_no_offer_leads_back(project: Project, desk: Client, offer: str) -> None:
    answer = desk.post("/p/everyday/judge/reasons", {"offer": offer, "choice": "accepted"})
    assert answer.status_code == 303


def test_signed_out_the_script_gets_401_and_a_browser_the_sign_in_page(make_pair: MakePair, project: Project) -> None:
    make_pair()
    for path in (JUDGE, f"{JUDGE}/draft", f"{JUDGE}/undo", f"{JUDGE}/beat"):
        answer = post(Client(), path, {})
        assert answer.status_code == 401
        assert answer.json()["sign_in"] == "/accounts/login/"
        assert answer.json()["error"]
    assert Client().get(JUDGE)["Location"] == f"/accounts/login/?next={JUDGE}"


def test_strangers_and_admins_without_a_seat_get_404(
    make_pair: MakePair, sign_in: SignIn, stranger: Annotator, admin: Any, alice: Annotator
) -> None:
    make_pair()
    mine = assigning.hand_out(user_id=alice.user_id, slug="everyday")[0]  # type: ignore[arg-type]
    for who in (stranger, admin):
        client = sign_in(who)
        for path in (JUDGE, "/p/everyday/answers", f"/p/everyday/answers/{mine.assignment_id}", f"{JUDGE}/guideline"):
            assert client.get(path).status_code == 404
        sent = {"assignment": mine.assignment_id, "key": uuid.uuid4(), "verdict": "a1", "version": 1, "body": "{}"}
        for path in (JUDGE, f"{JUDGE}/draft", f"{JUDGE}/undo", f"{JUDGE}/beat"):
            assert post(client, path, sent).status_code == 404
            assert post(client, path, {}).status_code == 404
            assert client.post(path, sent).status_code == 404
    assert not Judgement.objects.exists()


def test_a_membership_that_ends_counts_at_once(make_pair: MakePair, desk: Client, alice: Annotator) -> None:
    make_pair()
    item = opened(desk)[0]
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    assert post(desk, JUDGE, fields(item)).status_code == 404
    assert desk.get(JUDGE).status_code == 404


# ---- without JavaScript ----------------------------------------------------------------------------------------------


def test_a_plain_form_is_stored_and_leads_back(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    make_pair()
    item = opened(desk)[0]
    answer = desk.post(JUDGE, fields(item, "same"))
    assert (answer.status_code, answer["Location"]) == (303, JUDGE)
    page = desk.get(JUDGE)
    assert "Saved: About the same" in page.content.decode()
    assert page.context["item"]["assignment"] != item["assignment"]


def test_a_refused_plain_form_keeps_everything_that_was_entered(make_pair: MakePair, desk: Client) -> None:
    for _ in range(3):
        make_pair()
    item = opened(desk)[2]
    answer = desk.post(JUDGE, fields(item, "skip", note="too <hard>", tag=["tone"]))
    assert answer.status_code == 422
    assert answer.context["item"]["assignment"] == item["assignment"], "The pair that was answered stays on the page."
    assert answer.context["error_field"] == "skip_reason"
    assert answer.context["item"]["draft"]["note"] == "too <hard>"
    html = answer.content.decode()
    assert "too &lt;hard&gt;" in html
    assert "Say why you skip this pair" in html


def test_an_answer_without_a_verdict_is_refused_in_the_readers_language(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    answer = {**fields(opened(desk)[0]), "verdict": ""}
    page = desk.post(JUDGE, answer, headers={"Accept-Language": "de"})
    assert "Wählen Sie zuerst eine Antwort." in page.content.decode()


# ---- while judging ---------------------------------------------------------------------------------------------------


def test_drafts_come_back_with_the_page(make_pair: MakePair, desk: Client) -> None:
    for _ in range(4):
        make_pair()
    second = opened(desk)[1]
    sent = {"assignment": second["assignment"], "version": 3, "body": json.dumps({"note": "half a thou"})}
    assert post(desk, f"{JUDGE}/draft", sent).status_code == 204
    assert post(desk, f"{JUDGE}/draft", {**sent, "version": 2, "body": '{"note": "older"}'}).status_code == 409
    late = post(desk, f"{JUDGE}/draft", {**sent, "version": 2, "body": '{"note": "older"}'})
    assert (late.status_code, late.json()["version"]) == (409, 3), "It is not called saved."
    first = opened(desk)[0]
    assert first["assignment"] == second["assignment"], "What was written in comes first."
    assert first["draft"] == {"note": "half a thou", "version": 3}
    assert post(desk, f"{JUDGE}/draft", {**sent, "version": 4, "body": "nonsense"}).status_code == 422
    assert post(desk, f"{JUDGE}/draft", {**sent, "version": "x"}).status_code == 422
    post(desk, JUDGE, fields(first))
    assert post(desk, f"{JUDGE}/draft", {**sent, "version": 5}).status_code == 409


def test_a_beat_renews_the_leases(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    item = opened(desk)[0]
    Assignment.objects.leased().update(lease_until=timezone.now())
    assert post(desk, f"{JUDGE}/beat", {}).status_code == 204
    renewed = Assignment.objects.get(pk=item["assignment"]).lease_until
    assert renewed
    assert renewed > timezone.now() + timedelta(minutes=29)


def test_undo_returns_the_item_with_its_answer(make_pair: MakePair, desk: Client) -> None:
    for _ in range(5):
        make_pair()
    assert post(desk, f"{JUDGE}/undo", {}).status_code == 409
    item = opened(desk)[0]
    Assignment.objects.filter(pk=item["assignment"]).update(swapped=True)
    post(desk, JUDGE, fields(item, "b2", note="why", tag="tone"))
    body = post(desk, f"{JUDGE}/undo", {}).json()
    assert body["item"]["assignment"] == item["assignment"]
    assert body["item"]["key"] != item["key"]
    draft = body["item"]["draft"]
    assert (draft["verdict"], draft["note"], draft["tag"]) == ("b2", "why", ["tone"])
    assert body["counts"]["done"] == 0
    assert opened(desk)[0]["assignment"] == item["assignment"], "A reload shows it first, too."
    assert post(desk, JUDGE, fields(body["item"], "a1")).json()["saved"]["text"] == "A slightly better"
    assert desk.post(f"{JUDGE}/undo").status_code == 303


# ---- blindness -------------------------------------------------------------------------------------------------------


def test_no_byte_tells_what_an_annotator_must_not_know(
    make_pair: MakePair, desk: Client, sign_in: SignIn, bob: Annotator, lead: Annotator
) -> None:
    """Canaries in everything that is not the pair: none reaches the page, the script, a header or the history."""
    hidden = {
        "external_id": "canary-external",
        "source": "canary-source",
        "tags": ["canary-tag"],
        "marks": ["canary-mark"],
        "label": "second",
        "label_kind": "canary-kind",
        "meta": {"canary": "canary-meta"},
        "split": "canary-split",
        "is_gold": True,
    }
    for n in range(8):
        pair = make_pair(**{**hidden, "external_id": f"canary-external-{n}"})
        pair.prompt.tags, pair.prompt.source = ["canary-prompt-tag"], "canary-prompt-source"
        pair.prompt.external_id, pair.prompt.meta = "canary-prompt-id", {"x": "canary-prompt-meta"}
        pair.prompt.save()
        for candidate in (pair.first, pair.second):
            candidate.strategy, candidate.polarity, candidate.revision = "canary-strategy", "worse", "canary-revision"
            candidate.template_version, candidate.sampling = "canary-template", {"t": "canary-sampling"}
            candidate.provenance = {"thought": "canary-thought", "system": "canary-system", "score": "canary-score"}
            candidate.save()
        robot, _ = Annotator.objects.get_or_create(project=pair.project, kind="judge", name="canary-judge")
        Rationale.objects.create(
            pair=pair,
            annotator=robot,
            text="canary-machine",
            source="machine",
            template="canary-general",
            is_hinted=True,
        )
    Annotator.objects.filter(pk=bob.pk).update(name="canary-bob")
    other = sign_in(bob)
    answered(other, "a1", "b3", note="canary-rationale", tag=["tone"], flag="identity")
    theirs = opened(other)[0]["assignment"]
    post(other, f"{JUDGE}/draft", {"assignment": theirs, "version": 1, "body": '{"note": "canary-draft"}'})

    seen = bytearray()

    def see(answer: Any) -> Any:
        seen.extend(answer.content + repr(sorted(answer.headers.items())).encode() + repr(answer.cookies).encode())
        return answer

    see(desk.get(JUDGE))
    for verdict in ("a1", "bad", "b2"):
        item = opened(desk)[0]
        body = see(post(desk, JUDGE, fields(item, verdict, note="mine"))).json()
        assert body["item"] is None or set(body["item"]) == KEYS
    see(post(desk, f"{JUDGE}/undo", {}))
    see(post(desk, JUDGE, {"verdict": "a1"}))
    see(post(desk, JUDGE, fields(item, "a1", key="x")))
    mine = answered(desk, "a2")[0]
    see(desk.get("/p/everyday/answers"))
    see(desk.get(f"/p/everyday/answers/{mine}"))
    see(desk.post(f"/p/everyday/answers/{mine}", {"verdict": "a1", "revision": "7", "key": str(uuid.uuid4())}))
    see(desk.get(JUDGE))
    text = seen.decode()
    assert "It is" in text, "The candidates themselves are there."
    assert re.findall(r"canary[-\w]*", text) == []
    for word in ("swapped", "is_gold", "priority", "excluded", "strength", "external"):
        assert word not in text.replace("X-Frame", ""), word


def test_the_number_of_an_assignment_does_not_tell_the_side(make_pair: MakePair, alice: Annotator) -> None:
    """The side is drawn when the slot is claimed, so nothing made before (ids, priorities) can know it."""
    for _ in range(3):
        make_pair()
    assert not Assignment.objects.open().filter(swapped=True).exists()
    assert not Draft.objects.exists()


def test_the_list_of_keys_has_those_that_do_something_in_this_project(
    desk: Client, project: Any, make_pair: Any
) -> None:
    make_pair()

    def listed() -> set[str]:
        page = desk.get(JUDGE).content.decode()
        shown = page[page.index('<dialog class="overlay" id="shortcuts"') :]
        keys = ("tags", "note", "highlight", "principles", "edit", "reasons")
        return {key for key in keys if f'<kbd data-key-of="{key}"' in shown[: shown.index("</dialog>")]}

    Project.objects.update(rationale_policy="off", votes_policy="off")
    assert listed() == set()
    Project.objects.update(rationale_policy="optional", votes_policy="all", allow_edits=True, machine_reasons="one")
    assert listed() == {"tags", "note", "highlight", "principles", "edit", "reasons"}
