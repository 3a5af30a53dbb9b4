"""Gold: explained examples, the round before judging begins, checks in between; and that nobody can tell them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import assigning, calibrating, judging, marking_gold, opening, revising
from annotation.answering import Shown
from annotation.calibrating import is_drawn, is_right, standing
from annotation.errors import Refused
from annotation.founding import change_settings
from annotation.marking_gold import Gold
from annotation.models import Annotator, Assignment, Candidate, Judgement, Pair, Project, Prompt

MakePair = Callable[..., Pair]


# ---- how it went -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "strength", "gold", "right"),
    [
        ("prefer", 3, "first", True),
        ("prefer", 1, "first", True),
        ("prefer", -1, "first", False),
        ("prefer", -2, "second", True),
        ("prefer", 2, "second", False),
        ("tie", 0, "tie", True),
        ("tie", 0, "first", False),
        ("prefer", 1, "tie", False),
        ("both_bad", None, "tie", False),
        ("skip", None, "first", False),
    ],
)
def test_what_is_right(verdict: str, strength: int | None, gold: str, right: bool) -> None:
    assert is_right(verdict=verdict, strength=strength, gold=gold) is right


def test_a_round_is_open_passed_or_failed_and_tried_twice() -> None:
    yes, no = [True], [False]

    def at(results: list[bool]) -> tuple[Any, ...]:
        now = standing(results, size=30, needed=24)
        return now.state, now.round, now.done, now.right

    assert at([]) == ("open", 1, 0, 0)
    assert at(yes * 29) == ("open", 1, 29, 29)
    assert at(yes * 24 + no * 6) == ("passed", 1, 30, 24)
    assert at(yes * 23 + no * 7) == ("open", 2, 0, 0)
    assert at(no * 30 + yes * 12) == ("open", 2, 12, 12)
    assert at(no * 30 + yes * 30) == ("passed", 2, 30, 30)
    assert at(no * 60) == ("failed", 2, 30, 0)
    assert at(no * 60 + yes * 90) == ("failed", 2, 30, 0)
    assert standing([], size=0, needed=0).state == "none"


@given(st.lists(st.booleans(), max_size=80), st.lists(st.booleans(), max_size=20), st.integers(1, 30))
def test_who_has_passed_stays_passed(results: list[bool], later: list[bool], size: int) -> None:
    now = standing(results, size=size, needed=size // 2)
    if now.state == "passed":
        assert standing(results + later, size=size, needed=size // 2) == now


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5])
def test_checks_are_drawn_at_the_rate(rate: float) -> None:
    n = 20_000
    drawn = sum(is_drawn(seed=7, annotator_id=3, last_judgement=one, held=one % 3, rate=rate) for one in range(n))
    assert abs(drawn - rate * n) <= 4 * (rate * (1 - rate) * n) ** 0.5


# ---- handing out -----------------------------------------------------------------------------------------------------


@pytest.fixture
def gold(project: Project, make_pair: MakePair) -> list[Pair]:
    """Ten checks (the first candidate is right), in a project whose round has four pairs, three to pass."""
    pairs = [make_pair(first=f"right {n}", second=f"wrong {n}") for n in range(10)]
    marking_gold.mark_gold(
        project=project, gold=[Gold(verdict="first", pair=pair.pk, why=f"Because {pair.pk}.") for pair in pairs]
    )
    for n in range(20):
        make_pair(first=f"plain {n}", second=f"simple {n}")
    Project.objects.update(gold_round=4, gold_pass=3)
    project.refresh_from_db()
    return pairs


def held(who: Annotator) -> list[int]:
    assert who.user_id is not None
    return [one.assignment_id for one in judging.hand_out(user_id=who.user_id, slug="everyday")]


def answer(who: Annotator, assignment: int, *, right: bool = True) -> judging.Outcome:
    """Prefer the first candidate (which is right) or the second."""
    assert who.user_id is not None
    swapped = Assignment.objects.get(pk=assignment).swapped
    control = "b2" if swapped == right else "a2"
    shown = Shown(assignment_id=assignment, key=uuid.uuid4(), control=control)
    return judging.submit_and_next(user_id=who.user_id, slug="everyday", shown=shown)


def uses(who: Annotator) -> list[str]:
    return list(Assignment.objects.filter(annotator=who).order_by("pk").values_list("pair__gold_use", flat=True))


def judge(who: Annotator, *rights: bool) -> None:
    for right in rights:
        answer(who, held(who)[0], right=right)


def test_the_round_comes_first_and_opens_the_queue(alice: Annotator, gold: list[Pair]) -> None:
    assert len(held(alice)) == 3
    judge(alice, True, True, False)
    assert uses(alice) == ["check"] * 4, "Until the last answer is there, nothing beyond the round is handed out."
    assert held(alice)
    assert calibrating.standing_of(alice).state == "open"
    outcome = answer(alice, held(alice)[0])
    assert outcome.next is not None
    assert Assignment.objects.get(pk=outcome.next.assignment_id).pair.gold_use == ""
    now = calibrating.standing_of(alice)
    assert (now.state, now.done, now.right) == ("passed", 4, 3)
    judge(alice, *[True] * 6)
    assert uses(alice).count("check") == 4, "The rate afterwards is 0 here."


def test_the_next_pair_is_found_by_results_alone_of_two_rounds_at_most(
    alice: Annotator, gold: list[Pair], django_assert_num_queries: Any
) -> None:
    """No text is read, and no answer of after the rounds: the cost would grow with the texts and with the sitting."""
    judge(alice, *[True] * 4)
    Project.objects.update(gold_rate=0.5)
    judge(alice, *[True] * 5)
    with django_assert_num_queries(1) as queries:
        assert calibrating.standing_of(alice).state == "passed"
    (asked,) = (query["sql"] for query in queries.captured_queries)
    assert "LIMIT 8" in asked
    for text in ("messages", "html", "text"):
        assert text not in asked


def test_who_fails_tries_other_pairs_once(alice: Annotator, gold: list[Pair]) -> None:
    judge(alice, *[False] * 4)
    assert calibrating.standing_of(alice).round == 2
    assert [one.assignment.pair.gold_why for one in calibrating.missed(alice)]
    judge(alice, True, False, False, False)
    assert calibrating.standing_of(alice).state == "failed"
    assert held(alice) == []
    pairs = Assignment.objects.filter(annotator=alice).values_list("pair", flat=True)
    assert len(set(pairs)) == 8
    assert len(calibrating.missed(alice)) == 3
    told = calibrating.why_nothing(alice)
    assert told is not None
    assert told["reason"] == "round_failed"


def test_an_answer_made_right_afterwards_counts_as_it_was_first(alice: Annotator, gold: list[Pair]) -> None:
    wrong = held(alice)[0]
    answer(alice, wrong, right=False)
    assert revising.undo(annotator=alice).pk == wrong
    answer(alice, wrong)
    assert Judgement.objects.current().get(assignment=wrong).strength == 2
    assert (calibrating.standing_of(alice).done, calibrating.standing_of(alice).right) == (1, 0)


def test_too_few_checks_are_said_and_nothing_else_is_handed_out(alice: Annotator, gold: list[Pair]) -> None:
    Project.objects.update(gold_round=12)
    alice.project.refresh_from_db()
    judge(alice, *[True] * 10)
    assert held(alice) == []
    told = calibrating.why_nothing(alice)
    assert told is not None
    assert told["reason"] == "round_open"


def test_checks_are_strewn_among_the_queue(alice: Annotator, gold: list[Pair]) -> None:
    Project.objects.update(gold_round=0, gold_pass=0, gold_rate=0.5)
    judge(alice, *[True] * 16)
    found = uses(alice)
    assert 1 <= found.count("check") <= 10, "Drawn with probability one half, of ten at most."
    assert "" in found


def test_two_annotators_get_the_checks_in_orders_of_their_own(
    alice: Annotator, bob: Annotator, gold: list[Pair]
) -> None:
    for who in (alice, bob):
        judge(who, *[True] * 4)
    slots = Assignment.objects.filter(pair__gold_use="check").values_list("pair", "slot")
    assert len(set(slots)) == len(slots) == 8
    orders = [
        list(
            Assignment.objects.filter(annotator=who, pair__gold_use="check")
            .order_by("pk")
            .values_list("pair", flat=True)
        )
        for who in (alice, bob)
    ]
    assert orders[0] != orders[1]


def test_a_check_whose_lease_runs_out_is_gone_and_the_round_goes_on(alice: Annotator, gold: list[Pair]) -> None:
    before = held(alice)
    Assignment.objects.filter(pk=before[0]).update(lease_until="2020-01-01T00:00Z")
    opening.sweep(project=alice.project)
    assert not Assignment.objects.filter(pk=before[0]).exists(), "Nobody else is handed it."
    assert len(held(alice)) == 3


def test_a_check_that_comes_again_stands_as_it_did(alice: Annotator, project: Project, make_pair: MakePair) -> None:
    """As a pair of the queue does: one that came back the other way round would be known for a check."""
    pairs = [make_pair() for _ in range(40)]
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="first", pair=pair.pk) for pair in pairs])
    Project.objects.update(gold_round=40, gold_pass=0)

    def sides() -> dict[int, bool]:
        return dict(Assignment.objects.filter(annotator=alice).values_list("pair", "swapped"))

    held(alice)
    before = sides()
    for _ in range(8):
        Assignment.objects.filter(annotator=alice).update(lease_until="2020-01-01T00:00Z")
        assert opening.sweep(project=project) == 3
        held(alice)
        assert sides() == before
    judge(alice, *[True] * 37)
    assert 5 < sum(sides().values()) < 35, "Either side is as likely."


def test_a_check_that_was_taken_back_stays_with_its_annotator(
    alice: Annotator, bob: Annotator, project: Project, gold: list[Pair]
) -> None:
    """In the queue it would be an ordinary pair of somebody else's, whose answer counts in no round."""
    first, *_ = held(alice)
    # Its number is remembered, so that a second slot of hers could not have it.
    Assignment.objects.leased().update(lease_until="2020-01-01T00:00Z")
    assert opening.sweep(project=project) == 3
    assert held(alice)[0] == first
    answer(alice, first, right=False)
    revising.undo(annotator=alice)
    others = held(bob)
    Assignment.objects.leased().update(lease_until="2020-01-01T00:00Z")
    opening.sweep(project=project)
    kept = Assignment.objects.get(pk=first)
    assert (kept.annotator, kept.done_at) == (alice, None)
    assert held(bob) == others
    # Nobody else waits for it, and nobody is told to.
    assert assigning.counts_of(annotator_id=bob.pk).elsewhere == 0
    # It comes first, with what she had said in the form; her first answer is the one that counts.
    assert held(alice)[0] == first
    answer(alice, first)
    assert Judgement.objects.current().get(assignment=first).strength == 2
    assert (calibrating.standing_of(alice).done, calibrating.standing_of(alice).right) == (1, 0)


def test_a_check_that_comes_again_has_its_number_by_which_the_browser_keeps_its_draft(
    alice: Annotator, bob: Annotator, project: Project, gold: list[Pair]
) -> None:
    """As a pair of the queue has: under another number its draft would be a kept text, and not in the form."""
    mine, theirs = held(alice), held(bob)
    assert len({*mine, *theirs}) == 6
    for _ in range(2):
        Assignment.objects.leased().update(lease_until="2020-01-01T00:00Z")
        assert opening.sweep(project=project) == 6
        assert not Assignment.objects.filter(pair__gold_use="check").exists(), "Nobody else is handed them."
        assert held(bob) == theirs
        assert held(alice) == mine
    fresh = answer(alice, mine[0])
    assert fresh.next is not None
    assert fresh.next.assignment_id > max(*mine, *theirs), "A check that is new to her has a new number."


# ---- nobody can tell -------------------------------------------------------------------------------------------------


def test_a_check_is_served_like_any_other_pair(
    alice: Annotator, gold: list[Pair], sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every other one, whatever numbers the rows have: by chance all of nine can be checks.
    turns = itertools.cycle((True, False))
    monkeypatch.setattr(calibrating, "is_drawn", lambda **_: next(turns))
    Pair.objects.exclude(gold_use="").update(gold_why="canary-why")
    Project.objects.update(gold_round=3, gold_pass=0, gold_rate=0.5)
    desk = sign_in(alice)
    seen, shapes, kinds = b"", set(), set()
    for _ in range(9):
        page = desk.get("/p/everyday/judge")
        [mine, *_] = held(alice)
        kinds.add(Assignment.objects.get(pk=mine).pair.gold_use)
        body = {"assignment": mine, "key": str(uuid.uuid4()), "verdict": "a2"}
        sent = desk.post("/p/everyday/judge", body, headers={"X-Plumbline": "1"})
        seen += page.content + sent.content + desk.get(f"/p/everyday/answers/{mine}").content
        shapes.add(tuple(sorted(sent.json()["item"] or {})))
    seen += desk.get("/p/everyday/answers").content + desk.get("/p/everyday/training").content
    assert kinds == {"check", ""}
    assert len(shapes - {()}) == 1
    for secret in (b"canary", b"gold", b"is_extra", b"check<"):
        assert secret not in seen, secret


def test_who_waits_for_more_checks_hears_of_them(
    alice: Annotator, project: Project, make_pair: MakePair, gold: list[Pair], sign_in: Any
) -> None:
    """The page at the end of the queue asks by itself; in an open round only a check ends the wait."""
    marking_gold.mark_gold(project=project, gold=[Gold(use="none", pair=pair.pk) for pair in gold[2:]])
    desk = sign_in(alice)

    def is_ready() -> bool:
        told: bool = desk.get("/p/everyday/judge/ready").json()["ready"]
        return told

    assert is_ready()
    judge(alice, True, True)
    assert held(alice) == []
    assert "add some before you can go on" in desk.get("/p/everyday/judge").content.decode()
    assert not is_ready()
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="first", pair=gold[5].pk)])
    assert is_ready()
    Pair.objects.filter(pk=gold[5].pk).update(excluded_at="2026-01-01T00:00Z")
    assert not is_ready()
    Project.objects.update(gold_round=1, gold_pass=1)
    assert is_ready(), "The round is passed, and the queue is open."
    Project.objects.update(state="paused")
    assert not is_ready()


# ---- training --------------------------------------------------------------------------------------------------------


def test_who_begins_is_led_to_the_examples_once(
    alice: Annotator, bob: Annotator, project: Project, make_pair: MakePair, sign_in: Any
) -> None:
    example = make_pair(prompt="How many?")
    for _ in range(4):
        make_pair()
    experienced, desk = sign_in(bob), sign_in(alice)
    judge(bob, True)
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="second", use="example", why="So.", pair=example.pk)])
    led = desk.get("/p/everyday/judge")
    assert (led.status_code, led["Location"]) == (302, "/p/everyday/training")
    assert not Assignment.objects.filter(annotator=alice).exists(), "Nothing is leased while somebody reads."
    page = desk.get(led["Location"]).content.decode()
    assert "Judge each of them before your first pair" in page
    assert desk.get("/p/everyday/judge").status_code == 200
    judge(alice, True)
    assert "Judge each of them before your first pair" not in desk.get(led["Location"]).content.decode()
    # Another browser, and who has judged before: nobody is led there in the middle of their work.
    assert sign_in(alice).get("/p/everyday/judge").status_code == 200
    assert experienced.get("/p/everyday/judge").status_code == 200


@pytest.mark.parametrize(("has_round", "has_examples"), [(True, False), (False, True), (False, False)])
def test_training_is_linked_where_there_is_something_to_read(
    alice: Annotator, project: Project, make_pair: MakePair, sign_in: Any, has_round: bool, has_examples: bool
) -> None:
    pair = make_pair()
    judge(alice, True)
    if has_examples:
        marking_gold.mark_gold(project=project, gold=[Gold(verdict="second", use="example", why="So.", pair=pair.pk)])
    Project.objects.update(gold_round=int(has_round))
    desk, link = sign_in(alice), 'href="/p/everyday/training"'
    end = desk.get("/p/everyday/judge")
    assert end.context["item"] is None
    # In the menu of every page; on a page where nothing is left, among what to do instead.
    linked = 2 * (has_round or has_examples)
    assert (end.content.decode().count(link), desk.get("/p/everyday/answers").content.decode().count(link)) == (
        linked,
        linked // 2,
    )


def test_examples_are_explained_and_results_shown_where_the_project_allows(
    alice: Annotator, gold: list[Pair], make_pair: MakePair, sign_in: Any
) -> None:
    example = make_pair(prompt="How many?", first="Three.", second="Four <b>of</b> them.")
    why = "There are four. <script>alert(1)</script>"
    marking_gold.mark_gold(
        project=alice.project, gold=[Gold(verdict="second", use="example", why=why, pair=example.pk)]
    )
    desk = sign_in(alice)
    page = desk.get("/p/everyday/training").content.decode()
    assert 'data-example="second"' in page
    assert "<b>B is better</b>" in page
    assert "There are four. &lt;script&gt;" in page
    judge(alice, False, False, False, False)
    assert "Because" not in desk.get("/p/everyday/training").content.decode()
    Project.objects.update(shows_results=True)
    page = desk.get("/p/everyday/training").content.decode()
    assert page.count("Because") == 4
    assert "The first round did not reach 3 of 4" in page


def test_checks_in_between_are_told_of_later_and_by_the_ten(
    alice: Annotator, project: Project, make_pair: MakePair, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one by one, nor while they are fresh: a single pair would be known for a check."""
    monkeypatch.setattr(calibrating, "is_drawn", lambda **_: True)
    pairs = [make_pair() for _ in range(16)]
    given = [Gold(verdict="first", pair=pair.pk, why=f"Because {pair.pk}.") for pair in pairs]
    marking_gold.mark_gold(project=project, gold=given)
    Project.objects.update(gold_round=2, gold_pass=1, gold_rate=0.5, shows_results=True)
    alice.project.refresh_from_db()
    desk = sign_in(alice)
    judge(alice, True, False, *[True] * 6, *[False] * 3)
    assert calibrating.told(alice).since == 0
    assert [one.assignment.pair.gold_use for one in calibrating.missed(alice)] == ["check"], "Of the round."
    judge(alice, True)
    now = calibrating.told(alice)
    assert (now.since, now.right, len(now.missed)) == (10, 7, 1 + 3)
    page = desk.get("/p/everyday/training").content.decode()
    assert "Since then 10 more of your pairs had a known answer. You judged 7 of them as expected." in page
    assert page.count("Because") == 4
    judge(alice, False)
    assert calibrating.told(alice) == now
    # When judging has ended there is nothing left to keep.
    Project.objects.update(state="closed")
    alice.project.refresh_from_db()
    assert (calibrating.told(alice).since, calibrating.told(alice).right) == (11, 7)
    Project.objects.update(shows_results=False)
    assert b"Because" not in desk.get("/p/everyday/training").content


def test_texts_of_training_are_set_where_an_import_left_them(
    alice: Annotator, project: Project, make_pair: MakePair, gold: list[Pair], sign_in: Any
) -> None:
    """The rest of a big import is set by a worker, later, along the queue."""
    example = make_pair(prompt="Which of them?", first="The **one**.", second="The *other*.")
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="tie", use="example", why="So.", pair=example.pk)])
    judge(alice, *[False] * 4)
    Project.objects.update(shows_results=True)
    Prompt.objects.update(html="", renderer=0)
    Candidate.objects.update(html="", renderer=0)
    page = sign_in(alice).get("/p/everyday/training").content.decode()
    assert "<strong>one</strong>" in page
    assert "<em>other</em>" in page
    missed = calibrating.missed(alice)
    assert len(missed) == 4
    for one in missed:
        assert one.assignment.pair.first.html in page


def test_settings_of_the_round_are_checked(lead: Annotator, sign_in: Any, project: Project) -> None:
    desk = sign_in(lead)
    form = desk.get("/p/everyday/settings").context["form"]
    body = {name: value for name, value in form.initial.items() if value is not None and value is not False}
    answer = desk.post("/p/everyday/settings", {**body, "gold_round": 30, "gold_pass": 31})
    assert answer.status_code == 422
    assert "No more can be right" in answer.content.decode()
    assert desk.post(
        "/p/everyday/settings", {**body, "gold_round": 30, "gold_pass": 24, "gold_rate": 0.05}
    ).status_code in (302, 303)
    project.refresh_from_db()
    assert (project.gold_round, project.gold_pass, project.gold_rate) == (30, 24, 0.05)
    assert lead.user is not None
    with pytest.raises(Refused):
        change_settings(project=project, actor=lead.user, gold_rate=0.9)
