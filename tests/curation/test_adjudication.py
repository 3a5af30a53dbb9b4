"""Adjudication: who settles what, in which order, what is kept, and what becomes of it in a release."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from annotation.errors import Refused, Stale
from annotation.models import Disagreement, Event, Judgement
from curation import docket, gathering, settling
from curation.adjudicating import waiting_for
from curation.choosing import choose
from curation.docket import letter
from curation.models import Adjudication, Ruling
from curation.planning import plan

ADDRESS = "/p/everyday/adjudication"


@pytest.fixture
def waiting(project: Any, make_pair: Any) -> Any:
    """Let a pair wait: `waiting()` makes one, `waiting(pair)` sends one."""

    def send(pair: Any = None) -> Adjudication:
        return Adjudication.objects.create(project=project, pair=pair or make_pair())

    return send


def settle(one: Adjudication, who: Any, outcome: str, **more: Any) -> Ruling:
    key = more.pop("key", None) or uuid.uuid4()
    return settling.settle(adjudication=one, adjudicator=who, key=key, outcome=outcome, **more)


# ---- verbs ----


@pytest.mark.parametrize("outcome", settling.OUTCOMES)
def test_every_outcome_is_kept_with_who_and_when(waiting: Any, adjudicator: Any, outcome: str) -> None:
    one = waiting()
    said = {"reason": "  Both say it. ", "note": "Is a joke harmful?"}
    ruling = settle(one, adjudicator, outcome, **said)
    one.refresh_from_db()
    assert (one.outcome, one.adjudicator, one.settled_at) == (outcome, adjudicator, ruling.created_at)
    assert (ruling.revision, ruling.reason) == (1, "Both say it.")
    assert ruling.note == ("Is a joke harmful?" if outcome == "unclear" else "")
    event = Event.objects.get(act="adjudication.settle")
    assert (event.actor, event.after) == (adjudicator.user.email, {"outcome": outcome, "revision": 1})
    assert "joke" not in str(event.after), "The record holds no texts."


def test_the_same_key_settles_once_and_a_second_adjudicator_comes_too_late(
    waiting: Any, adjudicator: Any, lead: Any
) -> None:
    one, other, key = waiting(), waiting(), uuid.uuid4()
    first = settle(one, adjudicator, "tie", key=key)
    assert settle(one, adjudicator, "first", key=key) == first
    assert Ruling.objects.count() == 1
    with pytest.raises(Stale, match="settled meanwhile"):
        settle(one, lead, "second")
    with pytest.raises(Refused, match="another decision"):
        settle(other, adjudicator, "tie", key=key)


def test_what_cannot_be_settled_says_why(waiting: Any, adjudicator: Any, alice: Any, say: Any, make_pair: Any) -> None:
    mine = make_pair()
    say(adjudicator, mine, "first")
    with pytest.raises(Refused, match="You have judged this pair"):
        settle(waiting(mine), adjudicator, "first")
    one = waiting()
    with pytest.raises(Refused, match="Only adjudicators"):
        settle(one, alice, "first")
    with pytest.raises(Refused, match="Choose one of the outcomes"):
        settle(one, adjudicator, "")
    with pytest.raises(Refused, match="what the guideline leaves unclear"):
        settle(one, adjudicator, "unclear", reason="It is", note="  ")
    with pytest.raises(Refused, match="NUL"):
        settle(one, adjudicator, "first", reason="a\0b")
    assert not Ruling.objects.exists()


def test_who_settled_a_pair_is_not_handed_it_and_who_began_to_judge_does_not_settle_it(
    waiting: Any, adjudicator: Any, make_pair: Any
) -> None:
    from django.utils import timezone

    from annotation.assigning import claim
    from annotation.models import Assignment, Draft

    settled, begun = make_pair(slots=1), make_pair(slots=1)
    one, other = waiting(settled), waiting(begun)
    settle(one, adjudicator, "first")
    taken = claim(user_id=adjudicator.user_id, slug="everyday")
    assert taken is not None
    assert taken.pair_id == begun.pk
    Draft.objects.create(assignment_id=taken.assignment_id, body={}, saved_at=timezone.now())
    assert list(waiting_for(adjudicator)) == []
    with pytest.raises(Refused, match="You have begun to judge this pair"):
        settle(other, adjudicator, "first")
    settling.take_back(adjudication=one, adjudicator=adjudicator)
    assert claim(user_id=adjudicator.user_id, slug="everyday") is None, "What they read they have read."
    assert Assignment.objects.filter(pair=settled, annotator=adjudicator, is_recused=True).count() == 1
    settle(one, adjudicator, "second")


def test_taking_back_appends_and_the_pair_waits_for_anybody(waiting: Any, adjudicator: Any, lead: Any) -> None:
    one = waiting()
    settle(one, adjudicator, "first", reason="Shorter.")
    with pytest.raises(Refused, match="what you decided yourself"):
        settling.take_back(adjudication=one, adjudicator=lead)
    for _ in range(2):
        settling.take_back(adjudication=one, adjudicator=adjudicator)
    one.refresh_from_db()
    assert (one.outcome, one.adjudicator, one.settled_at) == ("", None, None)
    assert [each.outcome for each in one.rulings.order_by("revision")] == ["first", ""]
    assert list(waiting_for(lead)) == [one]
    settle(one, lead, "second")
    assert [each.revision for each in one.rulings.order_by("revision")] == [1, 2, 3]
    assert docket.decisions_of(adjudicator) == []
    assert [each.outcome for each in docket.decisions_of(lead)] == ["second"]
    assert Event.objects.filter(act="adjudication.take_back").count() == 1


def test_a_pair_that_was_sent_again_cannot_be_reopened_beside_it(waiting: Any, adjudicator: Any) -> None:
    one = waiting()
    settle(one, adjudicator, "first")
    waiting(one.pair)
    with pytest.raises(Refused, match="sent to adjudication again"):
        settling.take_back(adjudication=one, adjudicator=adjudicator)


def test_the_database_keeps_rulings_as_they_are(waiting: Any, adjudicator: Any, lead: Any) -> None:
    ruling = settle(waiting(), adjudicator, "tie")
    with pytest.raises(IntegrityError, match="ruling_is_appended"), transaction.atomic():
        Ruling.objects.filter(pk=ruling.pk).update(outcome="first")
    held = {"adjudication": ruling.adjudication, "adjudicator": adjudicator, "revision": 2}
    with pytest.raises(IntegrityError, match="settler_is_recused"), transaction.atomic():
        Ruling.objects.create(**{**held, "adjudicator": lead, "key": uuid.uuid4(), "outcome": "tie"})
    for wrong, name in (
        ({"key": uuid.uuid4(), "outcome": "first", "revision": 1}, "one_ruling_per_revision"),
        ({"key": ruling.key, "outcome": "first"}, "ruled_once"),
        ({"key": uuid.uuid4(), "outcome": "left"}, "ruling_is_known"),
        ({"key": uuid.uuid4(), "outcome": "unclear"}, "unclear_says_what"),
        ({"key": uuid.uuid4(), "outcome": "tie", "note": "x"}, "unclear_says_what"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Ruling.objects.create(**{**held, **wrong})


def test_disagreement_comes_first_then_what_waits_longest(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any
) -> None:
    agreed, divided, torn, unknown = (make_pair() for _ in range(4))
    for pair, verdicts in (
        (agreed, ("first",) * 3),
        (divided, ("first", "first", "second")),
        (torn, ("first", "second", "tie")),
    ):
        for who, what in zip(crowd, verdicts, strict=True):
            say(who, pair, what)
    gathering.gather_facts(project=project)
    later = make_pair()
    for pair in (unknown, agreed, divided, torn, later):
        waiting(pair)
    assert [one.pair for one in waiting_for(adjudicator)] == [torn, divided, agreed, unknown, later]


def test_a_letter_stays_with_its_annotator(alice: Any, bob: Any, robot: Any, make_pair: Any, say: Any) -> None:
    pair = make_pair()
    say(bob, pair, "first")
    say(robot, pair, "tie")
    say(alice, pair, "second")
    say(bob, pair, "second", 3)
    Judgement.objects.filter(annotator=robot).update(is_current=False)
    voices = docket.voices_of(pair)
    assert [(one.name, one.judgement.annotator, one.judgement.strength) for one in voices] == [
        ("A", bob, -3),
        ("C", alice, -1),
    ]
    assert [letter(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# ---- the page ----


@pytest.mark.parametrize("who", ["alice", "stranger"])
def test_the_page_is_for_adjudicators_and_leads(request: Any, project: Any, sign_in: Any, who: str) -> None:
    assert sign_in(request.getfixturevalue(who)).get(ADDRESS).status_code == 404


def test_names_and_models_are_hidden(
    adjudicator: Any, alice: Any, bob: Any, make_pair: Any, say: Any, waiting: Any, sign_in: Any
) -> None:
    from annotation.models import Rationale, Span

    pair = make_pair(prompt="What is zażółć?", first="A Polish phrase.", second="A city.")
    one = say(alice, pair, "first", 2)
    say(bob, pair, "second", 3)
    why = Rationale.objects.create(
        pair=pair, annotator=alice, judgement=one, text="It says <b>why</b>.", tags=["correct"]
    )
    Span.objects.create(rationale=why, candidate=pair.first, start=2, end=8)
    waiting(pair)
    text = sign_in(adjudicator).get(ADDRESS).content.decode()
    for there in (
        "Annotator A",
        "Annotator B",
        "It says &lt;b&gt;why&lt;/b&gt;.",
        '<q dir="auto">Polish</q>',
        "first, 2 of 3",
        "second, 3 of 3",
    ):
        assert there in text, there
    for hidden in ("Alice", "Bob", "canary-first", "canary-second", 'example.org">Al'):
        assert hidden not in text, hidden
    assert reverse("board", args=["everyday"]) not in text, "The lead's pages are no use to an adjudicator."


def test_a_form_settles_and_undo_brings_the_words_back(adjudicator: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(adjudicator)
    page = client.get(ADDRESS)
    form = {
        "adjudication": one.pk,
        "key": page.context["key"],
        "outcome": "unclear",
        "reason": "Both could do.",
        "note": "Length is not mentioned.",
    }
    answer = client.post(ADDRESS, {**form, "note": ""})
    assert answer.status_code == 422
    assert b"what the guideline leaves unclear" in answer.content
    assert b"Both could do." in answer.content, "No word is lost."
    answer = client.post(ADDRESS, form, follow=True)
    assert "the guideline is unclear" in answer.content.decode()
    assert "Nothing to settle" in answer.content.decode()
    late = client.post(ADDRESS, {**form, "key": uuid.uuid4(), "reason": "Once more."})
    assert (late.status_code, b"settled meanwhile" in late.content, b"Once more." in late.content) == (422, True, True)
    answer = client.post(f"{ADDRESS}/undo", {"adjudication": one.pk}, follow=True)
    text = answer.content.decode()
    assert "waits again" in text
    assert "Both could do." in text
    assert "Length is not mentioned." in text
    assert client.post(ADDRESS, {**form, "key": "x"}).status_code == 422
    assert client.post(ADDRESS, {**form, "adjudication": 987654321}).status_code == 404


def test_who_judged_everything_that_waits_reads_why(
    adjudicator: Any, lead: Any, make_pair: Any, say: Any, waiting: Any, sign_in: Any
) -> None:
    pair = make_pair()
    say(adjudicator, pair, "first")
    waiting(pair)
    client = sign_in(adjudicator)
    assert "Other adjudicators of this project can." in client.get(ADDRESS).content.decode()
    lead.is_active = False
    lead.save()
    assert "There is no other adjudicator" in client.get(ADDRESS).content.decode()


def test_an_admin_without_a_seat_looks_and_does_not_settle(admin: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(admin)
    assert b"Settling needs a seat of your own" in client.get(ADDRESS).content
    answer = client.post(ADDRESS, {"adjudication": one.pk, "key": uuid.uuid4(), "outcome": "tie"})
    assert answer.status_code == 422
    assert not Ruling.objects.exists()


def test_another_projects_adjudications_are_not_there(stranger: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(stranger)
    for path in ("", "/undo"):
        assert client.post(f"/p/elsewhere/adjudication{path}", {"adjudication": one.pk}).status_code == 404


def test_the_page_asks_the_same_questions_for_few_and_many(
    adjudicator: Any,
    crowd: Any,
    make_pair: Any,
    say: Any,
    waiting: Any,
    sign_in: Any,
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(30):
        pair = make_pair()
        for who in crowd:
            say(who, pair, "first")
        waiting(pair)
    client = sign_in(adjudicator)
    with django_assert_max_num_queries(32):
        assert client.get(ADDRESS).status_code == 200


def test_a_lead_sends_the_most_divided_with_a_number_to_confirm(
    project: Any, lead: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, sign_in: Any
) -> None:
    pairs = [make_pair() for _ in range(4)]
    for n, pair in enumerate(pairs):
        for place, who in enumerate(crowd):
            say(who, pair, "second" if place < n else "first")
    gathering.gather_facts(project=project)
    client = sign_in(lead)
    text = client.get(f"{ADDRESS}?send=1").content.decode()
    assert "1 pair would wait for an adjudicator" in text
    assert not Adjudication.objects.exists(), "Looking sends nothing."
    client.post(f"{ADDRESS}/send", {"n": 5, "expected": 5})
    assert not Adjudication.objects.exists(), "The number that was confirmed is not the number that is found."
    for _ in range(2):
        client.post(f"{ADDRESS}/send", {"n": 5, "expected": 2})
    assert {one.pair for one in Adjudication.objects.all()} == set(pairs[1:3]), "Pairs that agree are none."
    assert Event.objects.filter(act="adjudication.send").count() == 1
    assert sign_in(adjudicator).post(f"{ADDRESS}/send", {"n": 5, "expected": 0}).status_code == 404


def test_what_is_unclear_reaches_the_lead(
    project: Any, lead: Any, adjudicator: Any, waiting: Any, sign_in: Any
) -> None:
    settle(waiting(), adjudicator, "unclear", note="Is a joke harmful?")
    waiting()
    text = sign_in(lead).get(ADDRESS).content.decode()
    assert "Is a joke harmful?" in text
    overview = sign_in(lead).get("/p/everyday/").content.decode()
    assert "1 pair waits for an adjudicator" in overview
    assert "The guideline is unclear on 1 pair" in overview
    assert "Is a joke harmful?" not in sign_in(adjudicator).get(ADDRESS).content.decode().split("Your decisions")[0]


# ---- the API ----


def test_the_api_lists_settles_and_takes_back(
    project: Any, adjudicator: Any, alice: Any, waiting: Any, make_pair: Any, say: Any, api: Any
) -> None:
    pair = make_pair()
    say(alice, pair, "first", 2)
    one = waiting(pair)
    client, base = api(adjudicator), "/api/v1/projects/everyday/adjudications"
    listed = client.get(base).json()["results"]
    assert [(row["id"], row["pair"]) for row in listed] == [(one.pk, pair.pk)]
    said = {"verdict": "prefer", "strength": 2, "reasons": [], "cause": ""}
    assert listed[0]["voices"] == [{"name": "A", "is_judge": False, **said}]
    assert "Alice" not in str(listed)
    address, key = f"{base}/{one.pk}/ruling", str(uuid.uuid4())
    assert client.put(address, {"outcome": "left"}, format="json").status_code == 400
    for _ in range(2):
        answer = client.put(address, {"outcome": "ambiguous", "reason": "It depends.", "key": key}, format="json")
        assert (answer.status_code, answer.json()["revision"]) == (200, 1)
    assert client.put(address, {"outcome": "tie"}, format="json").status_code == 409
    assert client.get(base).json()["results"] == []
    assert client.delete(address).json()["outcome"] == ""
    assert len(client.get(base).json()["results"]) == 1
    assert api(alice).get(base).status_code == 404


# ---- releases ----


def _taken(project: Any, rule: str, through: int | None = None) -> tuple[dict[int, bool], dict[str, int], int]:
    from dataclasses import replace

    from django.db import connection

    asked = plan(project=project, version="1", rule=rule, layout="soft" if rule == "soft" else "trl_dpo")
    found = choose(replace(asked, rulings_through=through), using=connection)
    wins = dict(zip(found.facts.pair[found.rows].tolist(), found.first_wins.tolist(), strict=True))
    return wins, {step.name: step.removed for step in found.sieve.steps if step.removed}, found.rulings_through


def test_an_adjudicator_decides_instead_of_the_majority(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any
) -> None:
    plain, turned, torn, tied, open_ = (make_pair() for _ in range(5))
    for pair in (plain, turned, tied, open_):
        for who in crowd:
            say(who, pair, "first", 2)
    for who, what in zip(crowd, ("first", "second", "tie"), strict=True):
        say(who, torn, what, 1)
    before = _taken(project, "majority")
    settle(waiting(turned), adjudicator, "second")
    settle(waiting(torn), adjudicator, "first")
    settle(waiting(tied), adjudicator, "ambiguous")
    taken_back = waiting(open_)
    settle(taken_back, adjudicator, "second")
    settling.take_back(adjudication=taken_back, adjudicator=adjudicator)
    for rule in ("majority", "strength"):
        wins, removed, last = _taken(project, rule)
        assert wins == {plain.pk: True, turned.pk: False, torn.pk: True, open_.pk: True}, rule
        assert removed == {"adjudicated: ambiguous": 1}
        assert last == Ruling.objects.latest("pk").pk
    assert set(_taken(project, "soft")[0]) == {one.pk for one in (plain, turned, torn, tied, open_)}
    assert _taken(project, "majority", through=0)[:2] == before[:2], "What was ruled later changes no earlier release."
    assert before[1] == {"no majority": 1}


@pytest.mark.usefixtures("same_connection")
def test_of_an_overruled_pair_no_margin_points_the_wrong_way(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any, tmp_path: Any
) -> None:
    import pyarrow.parquet as pq

    from curation.releasing import release

    upheld, overruled, plain = (make_pair(slots=0) for _ in range(3))
    for pair in (upheld, overruled, plain):
        for who in crowd:
            say(who, pair, "first", 2)
    settle(waiting(upheld), adjudicator, "first")
    settle(waiting(overruled), adjudicator, "second")
    done = release(project=project, version="v1", layout="trl_reward", rule="dawid_skene", out=tmp_path / "out").release
    rows = {row["pair_id"]: row for row in pq.read_table(tmp_path / "out" / "trl_reward").to_pylist()}
    found = {pair: (row["chosen_side"], row["margin"], row["strength_mean"]) for pair, row in rows.items()}
    assert found == {
        upheld.pk: ("first", 2.0, 2.0),
        overruled.pk: ("second", 0.0, -2.0),
        plain.pk: ("first", 2.0, 2.0),
    }
    # The rule's probability is of what the rule says, and here an adjudicator said it.
    assert [rows[pair.pk]["probability"] is None for pair in (upheld, overruled, plain)] == [True, True, False]
    assert done.manifest["adjudicated"]["pairs"] == 2
    assert "decided 2 of these pairs" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.usefixtures("same_connection")
def test_no_layout_says_the_other_of_what_an_adjudicator_decided(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any, tmp_path: Any
) -> None:
    import pyarrow.parquet as pq

    from curation.export.layouts import LAYOUTS
    from curation.releasing import release
    from curation.verifying import verify

    pair = make_pair(slots=0)
    for who in crowd:
        say(who, pair, "first", 3)
    settle(waiting(pair), adjudicator, "second")
    second = "Second."
    pair.second.messages = [{"role": "assistant", "content": second}]
    pair.second.save()

    def row(layout: str) -> Any:
        release(project=project, version=layout, layout=layout, out=tmp_path / layout)
        assert verify(tmp_path / layout) == []
        (only,) = pq.read_table(tmp_path / layout / layout, schema=LAYOUTS[layout].schema).to_pylist()
        return only

    helpsteer = row("helpsteer3")
    assert (helpsteer["overall_preference"], helpsteer["adjudicated"]) == (1, True)
    assert {one["score"] for one in helpsteer["individual_preference"]} == {-3}, "What each said stays what they said."
    scored = row("ultrafeedback_binarized")
    assert (scored["score_chosen"], scored["score_rejected"], scored["adjudicated"]) == (1.0, 0.0, True)
    assert scored["chosen"][-1]["content"] == second
    listed = row("listwise")
    assert (listed["scores"], listed["adjudicated"]) == ([1.0, 0.0], [True])
    assert listed["completions"][0][0]["content"] == second
    assert row("pku_saferlhf")["better_response_id"] == 1
    assert row("trl_dpo")["adjudicated"] is True


# ---- why people differ ----


def test_a_cause_is_kept_with_the_ruling_and_counted(
    waiting: Any, adjudicator: Any, lead: Any, alice: Any, bob: Any, say: Any, make_pair: Any, sign_in: Any, api: Any
) -> None:
    pair = make_pair()
    mine = say(alice, pair, "first")
    say(bob, pair, "second")
    Disagreement.objects.create(judgement=mine, cause="error")
    Disagreement.objects.create(judgement=mine, cause="style", note="A matter of taste.")
    one = waiting(pair)
    desk = sign_in(adjudicator)
    page = desk.get(ADDRESS).content.decode()
    assert "It is a matter of style" in page
    assert "A matter of taste." in page
    sent = {"adjudication": one.pk, "key": uuid.uuid4(), "outcome": "ambiguous", "cause": "task"}
    assert desk.post(ADDRESS, sent).status_code == 302
    assert Ruling.objects.get().cause == "task"
    counted = {row.cause: (row.by_adjudicators, row.by_annotators) for row in docket.causes_of(one.project)}
    assert counted == {"task": (1, 0), "style": (0, 1)}
    for address in (ADDRESS, "/p/everyday/reports/agreement"):
        assert "Why people differ" in sign_in(lead).get(address).content.decode(), address
    settling.take_back(adjudication=one, adjudicator=adjudicator)
    assert {row.cause for row in docket.causes_of(one.project)} == {"style"}
    put = {"outcome": "tie", "cause": "refusal"}
    answer = api(adjudicator).put(f"/api/v1/projects/everyday/adjudications/{one.pk}/ruling", put, format="json")
    assert (answer.status_code, answer.json()["cause"]) == (200, "refusal")


def test_a_cause_that_nobody_knows_is_refused(waiting: Any, adjudicator: Any) -> None:
    one = waiting()
    with pytest.raises(Refused, match="one of the causes"):
        settle(one, adjudicator, "tie", cause="mood")
    made = settle(one, adjudicator, "tie")
    assert made.cause == ""
    fields = {"adjudication": one, "adjudicator": adjudicator, "revision": 2, "key": uuid.uuid4(), "outcome": "tie"}
    with pytest.raises(IntegrityError, match="ruling_cause_is_known"), transaction.atomic():
        Ruling.objects.create(**fields, cause="mood")
