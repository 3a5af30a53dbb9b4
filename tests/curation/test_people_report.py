"""The people report: a table that can be sorted, a grid of kappas, two side by side."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Guideline, Principle, PrincipleVote, Run
from curation import measuring
from curation.measuring import PeopleRequest

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(project, lead, sign_in):
    client = sign_in(lead)

    def fetch(query="", status=200):
        answer = client.get(reverse("people_report", args=[project.slug]) + query)
        assert answer.status_code == status
        return re.sub(r"\s+", " ", unescape(answer.content.decode()))

    return fetch


@pytest.fixture
def measured(project, make_pairs, say_all, alice, bob, adjudicator, robot, lead):
    """40 pairs under two guidelines: Ada always says as Bob does, Alice goes against them on the last 36."""
    versions = [Guideline.objects.create(project=project, version=n, text="…", html="…") for n in (1, 2)]
    told = []
    for place, pair in enumerate(make_pairs([{"slots": 0, "is_gold": n < 20, "label": "first"} for n in range(40)])):
        said, other = ("first", "second") if place % 2 else ("second", "first")
        fields: dict[str, Any] = {"guideline": versions[place >= 4]}
        told.append((bob, pair, said, {"active_ms": 1000 * (place + 1), **fields}))
        told.append((adjudicator, pair, said, fields))
        told.append((alice, pair, said if place < 4 else other, fields))
        if place < 35:
            told.append((robot, pair, "first", fields))
    say_all(told)
    return measuring.measure(project=project, asked=PeopleRequest(bootstrap=200))


def rows(shown):
    """The names in the order of the table."""
    return re.findall(r'aria-label="Compare ([^"]+)"', shown)


def heading(shown):
    return re.sub(r"<[^>]+>", "", shown[shown.index("<h1") : shown.index("</h1>")])


def row_of(shown, name):
    start = shown.index(f'aria-label="Compare {name}"')
    return shown[start : shown.index("</tr>", start)]


def test_the_finding_comes_first_and_names_who_differs(page, measured):
    said = heading(page())
    assert "3 people made 120 judgements. Nobody has enough data in every column." in said
    assert re.search(r"Alice differs most: agreement 0\.10 \(0\.0\d–0\.\d\d\)", said)


def test_nobody_is_named_where_nobody_stands_out(page, project, make_pair, say, alice, bob):
    for place in range(40):
        pair = make_pair(slots=0)
        say(alice, pair, "first")
        say(bob, pair, "second" if place % 4 == 0 else "first")
    measuring.measure(project=project, asked=PeopleRequest(bootstrap=200))
    assert "Nobody’s agreement is further from the median, 0.75, than chance allows." in heading(page())


def test_people_stand_before_judges_and_everything_has_its_n(page, measured):
    shown = page()
    assert rows(shown) == ["Ada", "Alice", "Bob", "robot-1"]
    assert shown.index("Judges, compared with people") > shown.index("Compare Bob")
    bob = row_of(shown, "Bob")
    assert "10/20" in bob
    assert "20 s" in bob or "21 s" in bob
    assert "40 decided" in bob
    assert "40 of 300" in bob
    assert "1 of 4 weeks" in bob
    assert "0 of 10" in row_of(shown, "Ada")


def test_columns_sort_both_ways_and_what_is_empty_comes_last(page, measured):
    assert rows(page("?sort=agreement&dir=desc"))[:3] == ["Ada", "Bob", "Alice"]
    assert rows(page("?sort=agreement&dir=asc"))[0] == "Alice"
    assert rows(page("?sort=name&dir=desc")) == ["Bob", "Alice", "Ada", "robot-1"]
    shown = page("?sort=gold&dir=asc")
    assert 'aria-sort="ascending"' in shown
    assert "sort=gold&dir=desc" in shown


def test_empty_values_are_last_both_ways(page, measured, say, make_pair, project):
    from annotation.models import Annotator

    late = Annotator.objects.create(project=project, name="Zoe", external_id="z")
    say(late, make_pair(slots=0), "first")
    measuring.measure(project=project, asked=PeopleRequest(bootstrap=0))
    for way in ("asc", "desc"):
        assert rows(page(f"?sort=agreement&dir={way}"))[3] == "Zoe"


def test_seconds_have_no_sort(page, measured):
    assert "sort=seconds" not in page()
    assert "not whole: sort" in page("?sort=seconds", 400)


def test_a_round_shows_what_was_judged_under_one_guideline(page, measured):
    shown = page("?round=2")
    assert "3 people made 108 judgements" in heading(shown)
    assert "0.00" in row_of(shown, "Alice")
    assert "4 of 30" in row_of(page("?round=1"), "Alice")
    assert "No person has judged here under guideline 9" in heading(page("?round=9"))


def test_only_enough_data_leaves_out_who_lacks_a_figure(page, measured):
    assert "Nobody has enough data in every column." in page("?enough=1").split("Only enough data")[1]


def test_pseudonyms_hide_people_and_not_judges(page, measured):
    shown = page("?names=hidden")
    assert "Alice" not in shown
    assert "Ada" not in shown
    assert "robot-1" in shown
    assert re.search(r"Compare Person \d", shown)


def test_two_are_compared_with_difference_and_interval(page, measured, alice, bob, adjudicator):
    shown = page(f"?who={alice.pk}&who={bob.pk}")
    drawer = shown[shown.index('id="drawer"') :]
    assert "judged <b>40</b> pairs in common and agree at kappa <b>−0.80</b>" in drawer
    assert re.search(r"Agreement with people <span>difference 0\.45 ± 0\.\d\d<", drawer)
    # 40 decided pairs say nothing about a side.
    assert re.search(r"Left rate <span>not enough data<", drawer)
    same = page(f"?who={adjudicator.pk}&who={bob.pk}")
    assert re.search(r"Gold <span>difference 0 ± \d+ points, within noise<", same)


@pytest.fixture
def ordered(project, make_pair, say, alice, bob, robot, lead):
    """On 60 pairs help and kindness ask for different answers: Alice goes by help, Bob by kindness."""
    help, kind = (
        Principle.objects.create(project=project, source="ours", key=key, text=f"Be {key}.", short=key)
        for key in ("helpful", "kind")
    )
    for place in range(60):
        pair = make_pair(slots=0)
        PrincipleVote.objects.create(annotator=robot, pair=pair, principle=help, vote="first")
        PrincipleVote.objects.create(annotator=robot, pair=pair, principle=kind, vote="second")
        say(alice, pair, "first" if place else "second")
        say(bob, pair, "second" if place < 40 else "first")
    return measuring.measure(project=project, asked=PeopleRequest(bootstrap=0, resamples=20))


def test_everybody_has_a_distance_to_the_order_of_all_and_two_have_their_ranks(page, ordered, alice, bob):
    shown = page()
    assert "Order of principles" in shown
    assert "<b>0.00</b>" in row_of(shown, "Alice"), "Together they follow help in 79 of 120."
    assert "<b>1.00</b>" in row_of(shown, "Bob")
    drawer = page(f"?who={alice.pk}&who={bob.pk}")
    drawer = drawer[drawer.index("Order of principles <span>apart 1.00 of 1<") :]
    first, second = re.findall(r"<bdi>(helpful|kind)</bdi>.*?>(\d) <small>.*?>(\d) <small>", drawer)
    assert (first, second) == (("helpful", "1", "2"), ("kind", "2", "1"))


def test_without_votes_there_is_no_order(page, measured, alice, bob):
    assert "Order of principles <span>" not in page(f"?who={alice.pk}&who={bob.pk}")


@pytest.mark.parametrize("query", ["?who={0}", "?who={0}&who={0}", "?who={0}&who=99999", "?who={0}&who={1}&who={2}"])
def test_without_exactly_two_that_are_there_nothing_is_compared(page, measured, alice, bob, adjudicator, query):
    shown = page(query.format(alice.pk, bob.pk, adjudicator.pk))
    assert 'id="drawer"' not in shown
    assert "Choose two to compare" in shown


def test_the_grid_pins_who_agrees_least_or_who_is_asked_for(page, measured, alice, bob, adjudicator):
    said = re.sub(r"<[^>]+>", "", page()[page().index('id="am-say"') :].split("</p>")[0])
    assert re.search(r"agree at kappa −0\.80 on 40 common pairs", said)
    shown = page(f"?pin={bob.pk},{adjudicator.pk}")
    assert 'aria-label="Bob and Ada: kappa 1.00 on 40 common pairs"' in shown
    said = re.sub(r"<[^>]+>", "", shown[shown.index('id="am-say"') :].split("</p>")[0])
    assert "Bob and Ada agree at kappa 1.00" in said


def test_who_has_too_little_in_common_is_told_though_only_counted(
    page, project, make_pair, measured, alice, bob, robot, lead, monkeypatch
):
    monkeypatch.setattr("curation.measuring.kappas.MOST_DRAWN", 1)
    measuring.measure(project=project, asked=PeopleRequest(bootstrap=0, least_common=39))
    # The robot has 35 pairs in common with each of the others.
    shown = page(f"?who={alice.pk}&who={robot.pk}")
    assert "3 pairs of annotators with under 39 common pairs were counted only" in shown
    assert 'aria-label="Alice and robot-1: kappa undefined, fewer than 39 common pairs"' in shown
    assert re.search(r'<td class="few" [^>]*data-n="" data-kappa=""', shown)
    assert "have fewer than 39 pairs in common: not enough data" in shown[shown.index('id="drawer"') :]
    assert "−0.80" in page(f"?who={alice.pk}&who={bob.pk}")


def test_without_a_measurement_a_button_asks_for_one_run(page, project, lead, sign_in):
    assert "People have not been measured here yet." in page()
    client = sign_in(lead)
    for _ in range(2):
        assert client.post(reverse("people_report", args=[project.slug])).status_code == 302
    run = Run.objects.get()
    assert (run.kind, run.parameters["measure"], run.state) == ("measurement", "people", "waiting")
    assert f"Run {run.pk} measures it" in page()


@pytest.mark.parametrize("query", ["?sort=mood", "?dir=up", "?names=all", "?pin=a,b", "?round=old"])
def test_an_address_that_is_not_whole_is_refused(page, measured, query):
    assert "not whole" in page(query, 400)


def test_annotators_do_not_see_it(project, alice, stranger, sign_in):
    for who in (alice, stranger):
        assert sign_in(who).get(reverse("people_report", args=[project.slug])).status_code == 404


def test_queries_do_not_grow_with_people_and_pages_hold_fifty(
    page, project, make_pair, say, django_assert_max_num_queries
):
    from annotation.models import Annotator

    pair = make_pair(slots=0)
    for n in range(60):
        say(Annotator.objects.create(project=project, name=f"P{n:02}", external_id=str(n)), pair, "first")
    measuring.measure(project=project, asked=PeopleRequest(bootstrap=0))
    with django_assert_max_num_queries(14):
        shown = page()
    assert len(rows(shown)) == 50
    assert "the 24 with the most judgements, 36 left out" in shown
    assert len(rows(page("?page=2"))) == 10
