"""The drawer: whatever makes a pair's category is seen there, with whose it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from annotation.models import Principle, PrincipleVote, Rationale, Span
from curation import gathering, inspecting
from curation.models import Measurement, PairFact
from tests.curation.finished import finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def principles(project: Any) -> list[Principle]:
    return [Principle.objects.create(project=project, key=key, short=f"Be {key}", text=".") for key in ("kind", "true")]


def vote(pair: Any, who: Any, principle: Principle, what: str) -> None:
    PrincipleVote.objects.create(pair=pair, annotator=who, principle=principle, vote=what)


def test_votes_without_a_judgement_are_shown_by_who_gave_them(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, alice: Any, robot: Any, principles: list[Principle]
) -> None:
    pair, other = make_pair(slots=0), make_pair(slots=0)
    say(alice, pair, "first")
    vote(pair, robot, principles[1], "second")
    vote(pair, robot, principles[0], "irrelevant")
    vote(pair, alice, principles[0], "first")
    vote(other, alice, principles[0], "same")
    gathering.gather_facts(project=project)
    found = inspecting.asides_of(pair)
    assert [(one.annotator, [str(each) for each in one.votes]) for one in found] == [
        (alice, ["Be kind: first"]),
        (robot, ["Be kind: irrelevant", "Be true: second"]),
    ]
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    table = page[page.index("Said without a judgement") :]
    table = re.sub(r"<[^>]+>|\s+", " ", table[: table.index("</table>")])
    said = " ".join(table.split())
    assert "Alice Be kind: first" in said
    assert f"{robot.name} judge Be kind: not relevant Be true: second" in said
    assert "consensus, 1 relevant principle" in page


def test_imported_reasons_without_a_judgement_are_shown_with_what_they_mark(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, alice: Any
) -> None:
    pair = make_pair(slots=0, first="It is <b>four</b>.")
    why = Rationale.objects.create(pair=pair, annotator=alice, text="Right & short", source="imported")
    Span.objects.create(rationale=why, candidate=pair.first, start=6, end=13)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert "Right &amp; short" in page
    assert '<q dir="auto">&lt;b&gt;four</q>' in page


def test_the_drawer_asks_as_often_for_many_voters_as_for_one(
    project: Any,
    make_pair: Any,
    alice: Any,
    bob: Any,
    robot: Any,
    principles: list[Principle],
    django_assert_num_queries: Any,
) -> None:
    pair = make_pair(slots=0)
    for who in (alice, bob, robot):
        for principle in principles:
            vote(pair, who, principle, "same")
    with django_assert_num_queries(2):
        told = [(one.annotator.name, len(one.votes)) for one in inspecting.asides_of(pair)]
    assert (len(told), told[0]) == (3, ("Alice", 2))


def test_a_pair_of_which_nobody_said_anything_aside_has_no_such_table(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, alice: Any, principles: list[Principle]
) -> None:
    pair = make_pair(slots=0)
    said = say(alice, pair, "first")
    PrincipleVote.objects.create(pair=pair, annotator=alice, principle=principles[0], vote="first", judgement=said)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert "Said without a judgement" not in page
    assert "Be kind: first" in page


def test_numbers_below_zero_have_a_minus_and_no_hyphen(project: Any, lead: Any, sign_in: Any, make_pair: Any) -> None:
    """As in the table above the drawer."""
    pair = make_pair(slots=0)
    gathering.gather_facts(project=project)
    PairFact.objects.update(margin=-0.593, reward_margin=-1.25)
    run = finished(project, parameters={"measure": "difficulty", "model": "tiny"})
    Measurement.objects.create(run=run, metric="log_likelihood_margin", pair=pair, value=-0.0625)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    facts = page[page.index('<dl class="facts">') : page.index("</dl>", page.index('<dl class="facts">'))]
    assert re.findall(r"[-−]\d+\.\d+", facts) == ["−0.593", "−1.250", "−0.0625"]
