"""Reasons after the lock over HTTP: with the script, and as plain forms without it."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from annotation.models import Judgement, Offer, Project, Rationale, Reaction
from tests.machines import explain, turn_on
from tests.verdicts import judge

pytestmark = pytest.mark.django_db

JUDGE = "/p/everyday/judge"
REASONS = f"{JUDGE}/reasons"
FETCH = {"X-Plumbline": "1"}


def saved(desk: Any, **more: Any) -> dict[str, Any]:
    """The pair on the screen, answered with “A better” through the script's way."""
    item = desk.get(JUDGE).context["item"]
    fields = {"assignment": item["assignment"], "key": item["key"], "verdict": "a2", **more}
    answer = desk.post(JUDGE, fields, headers=FETCH)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def test_a_submit_takes_the_same_queries_whether_reasons_are_shown_or_not(
    project: Any, make_pair: Any, desk: Any, django_assert_num_queries: Any
) -> None:
    for _ in range(6):
        for side in ("first", "second"):
            explain(make_pair(), side)
    desk.get(JUDGE)
    spent = []
    for way in ("off", "one"):
        turn_on(project, way)
        item = desk.get(JUDGE).context["item"]
        fields = {"assignment": item["assignment"], "key": item["key"], "verdict": "a2"}
        # The first submit after a change of the settings reads them anew.
        desk.post(JUDGE, fields, headers=FETCH)
        item = desk.get(JUDGE).context["item"]
        fields = {"assignment": item["assignment"], "key": item["key"], "verdict": "a2"}
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            desk.post(JUDGE, fields, headers=FETCH)
        spent.append(len(queries))
        assert not any("offer" in one["sql"].split("FROM")[0] for one in queries.captured_queries)
    assert spent[0] == spent[1] <= 5


def test_nothing_is_told_before_the_answer_and_only_a_number_when_it_is_drawn(
    project: Any, make_pair: Any, desk: Any
) -> None:
    turn_on(project)
    for _ in range(4):
        pair = make_pair()
        explain(pair, "first", "canary-reason one")
        explain(pair, "second", "canary-reason two")
    page = text_of(desk.get(JUDGE))
    assert "data-after" in page
    assert "canary" not in page
    reply = saved(desk)
    assert set(reply) == {"saved", "item", "counts", "queue", "guideline"}
    assert "canary" not in str(reply)
    assert not Offer.objects.exists()
    drawn = desk.post(f"{REASONS}/draw", headers=FETCH)
    assert drawn.json() == {"waiting": 1}
    assert Offer.objects.get().shown_at is None
    shown = text_of(desk.get(REASONS, headers=FETCH))
    assert "canary-reason" in shown
    assert "Written by a machine" in shown
    assert "canary-model" not in shown
    assert "canary-judge" not in shown
    assert "general-" not in shown
    assert "<html" not in shown
    assert Offer.objects.get().shown_at is not None


def test_the_three_choices_are_buttons_of_one_kind_and_none_is_chosen(project: Any, make_pair: Any, desk: Any) -> None:
    import re

    turn_on(project)
    pair = make_pair()
    explain(pair, "first")
    explain(pair, "second")
    saved(desk)
    desk.post(f"{REASONS}/draw", headers=FETCH)
    shown = text_of(desk.get(REASONS, headers=FETCH))
    group = shown[shown.index('class="after__acts"') : shown.index("</div>", shown.index('class="after__acts"'))]
    buttons = re.findall(r"<button ([^>]*)>", group)
    assert [re.search(r'value="(\w+)"', one)[1] for one in buttons] == ["accepted", "edit", "rejected"]  # type: ignore[index]
    assert [re.search(r'aria-keyshortcuts="(\w)"', one)[1] for one in buttons] == ["1", "2", "3"]  # type: ignore[index]
    assert {re.search(r'class="([^"]*)"', one)[1] for one in buttons} == {"btn"}  # type: ignore[index]
    assert "autofocus" not in shown


def test_a_reaction_by_script_is_stored_once_and_says_what_waits(project: Any, make_pair: Any, desk: Any) -> None:
    turn_on(project)
    for _ in range(2):
        pair = make_pair()
        explain(pair, "first")
        explain(pair, "second")
    for _ in range(2):
        saved(desk)
    desk.post(f"{REASONS}/draw", headers=FETCH)
    desk.get(REASONS, headers=FETCH)
    offer = Offer.objects.get(shown_at__isnull=False)
    fields = {"offer": offer.pk, "choice": "accepted", "active_ms": "3100"}
    for _ in range(2):
        answer = desk.post(REASONS, fields, headers=FETCH)
        assert (answer.status_code, answer.json()) == (200, {"said": "Saved: accepted.", "waiting": 1})
    assert Reaction.objects.get().active_ms == 3100
    refused = desk.post(REASONS, {**fields, "choice": "rejected"}, headers=FETCH)
    assert refused.status_code == 409
    assert "answered this already" in refused.json()["error"]
    assert refused.json()["waiting"] == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"choice": "edited", "text": ""}, 422),
        ({"choice": "maybe"}, 422),
        ({"choice": "ticked"}, 409),
        ({"offer": "x", "choice": "accepted"}, 422),
        ({"offer": "999999", "choice": "accepted"}, 409),
        ({"offer": "", "choice": "edit"}, 422),
    ],
)
def test_what_cannot_be_stored_is_said_in_a_sentence(
    project: Any, make_pair: Any, desk: Any, fields: dict[str, str], status: int
) -> None:
    turn_on(project)
    pair = make_pair()
    explain(pair, "first")
    explain(pair, "second")
    saved(desk)
    desk.get(JUDGE)
    desk.get(REASONS, headers=FETCH)
    answer = desk.post(REASONS, {"offer": Offer.objects.get().pk, **fields}, headers=FETCH)
    assert answer.status_code == status
    assert answer.json()["error"].endswith((".", "again."))
    assert not Reaction.objects.exists()


def test_without_a_session_the_script_is_told_and_the_form_is_led_to_sign_in(project: Any, client: Any) -> None:
    for path in (REASONS, f"{REASONS}/draw"):
        assert client.post(path, headers=FETCH).status_code == 401
    assert client.get(REASONS).headers["Location"].startswith("/accounts/login/")


# ---- without JavaScript ----------------------------------------------------------------------------------------------


def plain_answer(desk: Any) -> None:
    item = desk.get(JUDGE).context["item"]
    desk.post(JUDGE, {"assignment": item["assignment"], "key": item["key"], "verdict": "a2"})


def test_plain_forms_accept_edit_and_reject(project: Any, make_pair: Any, desk: Any) -> None:
    turn_on(project)
    for n in range(3):
        pair = make_pair()
        explain(pair, "first", f"Because of {n}.")
        explain(pair, "second", f"Because of {n}.")
    for _ in range(3):
        plain_answer(desk)
    page = text_of(desk.get(JUDGE))
    assert 'href="/p/everyday/judge/reasons"' in page
    assert '<b class="after-tool__n" data-after-count>3</b>' in page

    shown = desk.get(REASONS)
    assert "3 wait" in text_of(shown)
    first = shown.context["offer"].pk
    done = desk.post(REASONS, {"offer": first, "choice": "accepted"}, follow=True)
    assert done.redirect_chain == [(REASONS, 303)]
    assert "Saved: accepted." in text_of(done)

    second = done.context["offer"].pk
    assert 'id="after-edit" data-edit hidden' in text_of(done)
    opened = desk.post(REASONS, {"offer": second, "choice": "edit"})
    assert opened.status_code == 200
    assert 'id="after-edit" data-edit>' in text_of(opened)
    assert not Reaction.objects.filter(offer=second).exists()
    empty = desk.post(REASONS, {"offer": second, "choice": "edited", "text": " "})
    assert empty.status_code == 422
    assert "There is no text left" in text_of(empty)
    desk.post(REASONS, {"offer": second, "choice": "edited", "text": "My own words."})
    assert Rationale.objects.get(source="edited").text == "My own words."

    third = desk.get(REASONS).context["offer"].pk
    done = desk.post(REASONS, {"offer": third, "choice": "rejected"}, follow=True)
    assert "No machine reasons wait" in text_of(done)
    assert dict(Reaction.objects.values_list("offer_id", "choice")) == {
        first: "accepted",
        second: "edited",
        third: "rejected",
    }


def test_plain_forms_tick(project: Any, make_pair: Any, desk: Any) -> None:
    turn_on(project, "several")
    pair = make_pair()
    for n in range(3):
        for side in ("first", "second"):
            explain(pair, side, f"Because of {n}.")
    plain_answer(desk)
    desk.get(JUDGE)
    shown = desk.get(REASONS)
    assert text_of(shown).count('name="tick"') == 3
    desk.post(REASONS, {"offer": shown.context["offer"].pk, "choice": "ticked", "tick": ["0", "2"]})
    offer = Offer.objects.get()
    said = dict(Reaction.objects.values_list("rationale_id", "choice"))
    assert [said[one] for one in offer.rationales] == ["ticked", "left", "ticked"]


def test_what_the_machine_wrote_is_shown_as_text(project: Any, make_pair: Any, desk: Any) -> None:
    turn_on(project)
    pair = make_pair()
    for side in ("first", "second"):
        explain(pair, side, '<img src=x onerror="alert(1)"> & so on')
    plain_answer(desk)
    desk.get(JUDGE)
    page = desk.get(REASONS).content.decode()
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_my_answers_lead_there_and_say_which_came_after_a_reason(
    project: Any, alice: Any, make_pair: Any, desk: Any
) -> None:
    turn_on(project)
    pair = make_pair()
    explain(pair, "first")
    judge(alice, pair)
    desk.get(JUDGE)
    page = text_of(desk.get("/p/everyday/answers"))
    assert "1 machine reason to look at" in page
    assert "After a machine" not in page
    desk.get(REASONS)
    judgement = Judgement.objects.get()
    desk.post(
        f"/p/everyday/answers/{judgement.assignment_id}",
        {"key": "00000000-0000-4000-8000-000000000001", "verdict": "a3", "revision": "1"},
    )
    assert "After a machine’s reason" in text_of(desk.get("/p/everyday/answers"))


def test_a_project_that_shows_none_has_no_trace_of_it(project: Any, make_pair: Any, desk: Any) -> None:
    explain(make_pair(), "first")
    page = text_of(desk.get(JUDGE))
    assert "data-after" not in page
    assert "after.js" not in page
    assert "No machine reasons wait" in text_of(desk.get(REASONS))
    assert Project.objects.get(slug="everyday").machine_reasons == "off"


# ---- taking back -----------------------------------------------------------------------------------------------------

UNDO = f"{REASONS}/undo"


def answered(project: Any, make_pair: Any, desk: Any, way: str = "one", n: int = 2) -> int:
    """Answers with a reason for each, of which the latest was accepted (of a list: none fits). Returns its number."""
    turn_on(project, way)
    for _ in range(n):
        pair = make_pair()
        for side in ("first", "second"):
            for k in range(1 if way == "one" else 3):
                explain(pair, side, f"Because of {k}.")
    for _ in range(n):
        plain_answer(desk)
    desk.get(JUDGE)
    number = desk.get(REASONS).context["offer"].pk
    desk.post(REASONS, {"offer": number, "choice": "accepted" if way == "one" else "ticked", "tick": ["1"]})
    assert isinstance(number, int)
    return number


def test_a_plain_form_takes_back_and_shows_the_reason_as_it_was_left(project: Any, make_pair: Any, desk: Any) -> None:
    number = answered(project, make_pair, desk)
    page = text_of(desk.get(REASONS))
    assert "The one before: <b>accepted</b>" in page
    done = desk.post(UNDO, {"offer": number}, follow=True)
    assert done.redirect_chain == [(f"{REASONS}?offer={number}", 303)]
    assert "Taken back. The reason is as you left it." in text_of(done)
    assert done.context["offer"].pk == number
    assert not Reaction.objects.exists()
    desk.post(REASONS, {"offer": number, "choice": "edited", "text": "My own words."})
    shown = desk.post(UNDO, {"offer": number}, follow=True)
    assert 'id="after-edit" data-edit>' in text_of(shown)
    assert ">My own words.</textarea>" in text_of(shown)
    assert not Rationale.objects.filter(source="edited").exists()


def test_a_list_is_shown_with_the_ticks_that_were_taken_back(project: Any, make_pair: Any, desk: Any) -> None:
    number = answered(project, make_pair, desk, "several", n=1)
    page = text_of(desk.get(REASONS))
    assert "The last one: <b>1 of 3 fit</b>" in page
    shown = text_of(desk.post(UNDO, {"offer": number}, follow=True))
    assert shown.count(" checked") == 1
    assert 'name="tick" value="1" checked' in shown


def test_the_script_is_told_what_waits_and_which_it_was(project: Any, make_pair: Any, desk: Any) -> None:
    number = answered(project, make_pair, desk)
    for _ in range(2):
        told = desk.post(UNDO, {"offer": number}, headers=FETCH)
        assert told.status_code == 200
        assert told.json() == {"said": "Taken back. The reason is as you left it.", "offer": number, "waiting": 2}
    for wrong, status in (("999999", 409), ("x", 422)):
        refused = desk.post(UNDO, {"offer": wrong}, headers=FETCH)
        assert refused.status_code == status
        assert refused.json()["error"].endswith(".")
    # Asked for by a number that is none of mine, or no number: the latest that waits.
    for asked in ("x", "999999", "9" * 30):
        assert desk.get(f"{REASONS}?offer={asked}").context["offer"].pk == number


def test_others_take_nothing_back(
    project: Any, make_pair: Any, desk: Any, sign_in: Any, bob: Any, stranger: Any, client: Any
) -> None:
    number = answered(project, make_pair, desk)
    assert sign_in(bob).post(UNDO, {"offer": number}, headers=FETCH).status_code == 409
    assert "The one before" not in text_of(sign_in(bob).get(REASONS))
    assert sign_in(stranger).post(UNDO, {"offer": number}, headers=FETCH).status_code == 404
    assert client.post(UNDO, {"offer": number}, headers=FETCH).status_code == 401
    assert Reaction.objects.get().choice == "accepted"
