"""The discretion report: words, tables and charts from one finished run."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse

from annotation.models import Principle, PrincipleVote, Run
from curation import measuring
from curation.measuring import DiscretionRequest

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown_at(project, lead, sign_in):
    def fetch(query=""):
        answer = sign_in(lead).get(reverse("discretion", args=[project.slug]) + query)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", unescape(answer.content.decode()))

    return fetch


@pytest.fixture
def measured(project, make_pair, say, alice, robot):
    """30 pairs of consensus, of which Alice goes against 6; 30 conflicts, in which she sides with the first."""
    principles = [
        Principle.objects.create(project=project, key=name, short=name, text="…")
        for name in ("Help", "Harmless", "Brief")
    ]
    votes = []
    for place in range(60):
        pair = make_pair(slots=0)
        for principle, vote in zip(
            principles, ("first", "first" if place < 30 else "second", "irrelevant"), strict=True
        ):
            votes.append(PrincipleVote(annotator=robot, pair=pair, principle=principle, vote=vote))
        say(alice, pair, "second" if place < 6 else "first")
        say(robot, pair, "first" if place < 30 else "second")
    PrincipleVote.objects.bulk_create(votes)
    asked = DiscretionRequest(bootstrap=100, resamples=10)
    return measuring.measure(project=project, asked=asked)


def test_the_finding_comes_first_in_words(shown_at, measured):
    shown = shown_at()
    heading = re.sub(r"<[^>]+>", "", shown[shown.index("<h1") : shown.index("</h1>")])
    assert "On 50.0 % of pairs every relevant principle points the same way" in heading
    assert "people still chose against it 20.0 % of the time" in heading
    assert re.search(r"\(\d+\.\d–\d+\.\d\)", heading)
    assert "60 pairs · 3 principles · 2.00 relevant per pair" in shown


def test_everybody_has_a_row_and_people_stand_apart_from_judges(shown_at, measured):
    shown = shown_at()
    people, judges = shown.split("Judges and reward models", 1)
    assert re.search(r"Alice.*?20\.0 %", people)
    assert re.search(r"robot-1.*?0\.0 %", judges)
    assert "robot-1" not in people.split("<tbody")[1]


def test_more_relevant_principles_leave_people_out_with_a_reason(shown_at, measured):
    shown = shown_at("?min=3")
    assert "not enough data" in shown
    assert "With 3 or more relevant principles" in shown


def test_the_conflict_that_is_pinned_stands_in_words(shown_at, measured):
    assert "When Harmless and Help conflict, people follow Help in 100 % of 30 choices." in shown_at("?pin=0,1")
    # The other way round it says the same: the sentence names the winner, never the row.
    assert "When Harmless and Help conflict, people follow Help in 100 % of 30 choices." in shown_at("?pin=1,0")
    assert re.search(r"Help and Brief never conflict here|Brief and Help never conflict here", shown_at("?pin=0,2"))


def test_a_judges_supremacy_can_be_looked_at(shown_at, measured, robot):
    shown = shown_at(f"?of={robot.pk}&pin=0,1")
    assert "When Help and Harmless conflict, robot-1 follows Harmless in 100 % of 30 choices." in shown


def test_priorities_name_what_moved_furthest(shown_at, measured):
    shown = shown_at()
    assert re.search(r"(Help|Harmless) is rank [12] for people and rank [12] for robot-1", shown)
    assert "1.000" in shown  # The discrepancy of two orders that are turned round.


def test_without_a_measurement_there_is_a_button_and_it_asks_for_one_run(shown_at, project, lead, sign_in):
    assert "Discretion has not been measured here yet." in shown_at()
    client = sign_in(lead)
    for _ in range(2):
        assert client.post(reverse("discretion", args=[project.slug])).status_code == 302
    run = Run.objects.get()
    assert (run.kind, run.parameters["measure"], run.state) == ("measurement", "discretion", "waiting")
    assert f"Run {run.pk} measures it" in shown_at()


def test_a_failed_run_says_why(shown_at, project):
    with pytest.raises(Exception, match="Nobody has voted"):
        measuring.measure(project=project, asked=DiscretionRequest())
    assert "The last run failed: Nobody has voted by principle here." in shown_at()


@pytest.mark.parametrize("query", ["?min=9", "?min=x", "?pin=a,b", "?principle=x"])
def test_an_address_that_is_not_whole_is_refused(project, lead, sign_in, query):
    answer = sign_in(lead).get(reverse("discretion", args=[project.slug]) + query)
    assert answer.status_code == 400
    assert "not whole" in answer.content.decode()


def test_a_place_that_is_not_there_shows_the_page_without_it(shown_at, measured):
    assert "people follow" in shown_at("?pin=7,9&principle=99&of=nobody")


def test_the_number_of_queries_does_not_grow_with_annotators(
    measured, project, lead, sign_in, make_pair, say, bob, crowd, django_assert_max_num_queries
):
    client, address = sign_in(lead), reverse("discretion", args=[project.slug])
    for who in (bob, *crowd):
        for pair in project.pairs.all()[:30]:
            say(who, pair, "first")
    measuring.measure(project=project, asked=DiscretionRequest(bootstrap=0, resamples=2))
    with django_assert_max_num_queries(14):
        assert client.get(address).status_code == 200
