"""The report of representativeness: the finding, the weighted rate, what cannot be estimated; and asking for it."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from django.urls import reverse

from annotation.models import Run
from curation import measuring
from curation.measuring import RepresentativenessRequest
from curation.reports import representativeness as report

pytestmark = pytest.mark.django_db

TARGET = {"age": {"young": 1, "middle": 2, "old": 1}}


def measured(project, target, **settings):
    asked = RepresentativenessRequest(target=json.dumps(target), **settings)
    return measuring.measure(project=project, asked=asked)


@pytest.fixture
def shown(project, lead, sign_in):
    def fetch():
        answer = sign_in(lead).get(reverse("representativeness", args=[project.slug]))
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", re.sub(r"</?(b|bdi|span|strong)\b[^>]*>", "", unescape(answer.content.decode())))

    return fetch


def heading(page):
    return page[page.index("<h1") : page.index("</h1>")]


def test_the_finding_comes_first_in_words(pool, shown):
    measured(pool, TARGET)
    page = shown()
    # |16/22 - 1/4| + |6/22 - 1/2| + 1/4, halved.
    assert "The people are 0.48 away from the target by age: 48 of 100 would have to be others." in heading(page)
    assert "22 people made 40 judgements" in page


def test_the_weighted_rate_stands_beside_the_unweighted_with_what_it_costs(pool, shown):
    measured(pool, {"age": {"young": 1, "middle": 3}})
    page = shown()
    assert "72.7 %" in page
    assert "25.0 %" in page
    assert re.search(r"Design effect 2\.15", page)
    assert "the majority is another on 100.0 %" in page
    assert "Not estimable" not in page


def test_groups_of_nobody_are_named_and_the_rest_of_the_target_is_told(pool, shown):
    measured(pool, TARGET)
    page = shown()
    assert "Nobody is there of age: old. No weights help." in page
    assert "Not estimable: nobody has the age 'old'." in page
    assert "75 % of the target" in page
    # A third of what is there.
    assert "33.3 %" in page


def test_several_attributes_are_raked_together(pool, shown):
    measured(pool, {"age": {"young": 1, "middle": 3}, "place": {"here": 1}})
    page = shown()
    assert "All attributes together" in page
    assert page.count("Weighted like the target") == 1


def test_what_is_too_small_is_not_shown_and_says_so(pool, shown):
    measured(pool, {"age": {"young": 1, "middle": 3}}, least_people=7)
    page = shown()
    assert page.count("too few to be shown") == 2
    assert "A group is too small to be shown, and the weighted rate would tell what it prefers." in page
    assert "72.7 %" not in page


def test_what_cannot_be_said_has_its_reason(pool, shown):
    measured(pool, {"language": {"de": 1}})
    assert "Whom the people stand for cannot be said yet: Nobody in the pool declared a group." in heading(shown())


def test_a_run_from_before_there_were_weights_is_shown(pool, shown):
    run = measured(pool, TARGET)
    run.measurements.exclude(metric="total_variation").delete()
    row = run.measurements.get()
    del row.detail["attributes"]["age"]["weighted"]
    row.save()
    assert "The people are 0.48 away" in heading(shown())
    assert report.report(run=run).together is None


def test_a_lead_gives_a_target_and_asks_for_one_run(pool, lead, sign_in, shown):
    assert "Whom the people stand for has not been measured here yet." in shown()
    client, address = sign_in(lead), reverse("representativeness", args=[pool.slug])
    for _ in range(2):
        assert client.post(address, {"target": json.dumps(TARGET)}).status_code == 302
    run = Run.objects.get()
    assert run.parameters["measure"] == "representativeness"
    assert json.loads(run.parameters["target"]) == TARGET
    assert run.started_by == lead.user
    assert f"Run {run.pk} measures it" in shown()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "This field is required."),
        ("/etc/passwd", "Write a JSON object"),
        ("{", "The target cannot be read as JSON"),
        ("{}", "The target has no attribute"),
        ('{"age": {"old": -1}}', "has no sizes of groups"),
        ('{"age": 1}', "has no sizes of groups"),
    ],
)
def test_what_is_no_target_is_refused_and_no_file_is_read(pool, lead, sign_in, typed, says):
    answer = sign_in(lead).post(reverse("representativeness", args=[pool.slug]), {"target": typed})
    assert answer.status_code == 422
    page = unescape(answer.content.decode())
    assert says in page
    assert typed in page
    assert not Run.objects.exists()


@pytest.mark.parametrize("who", ["alice", "stranger"])
def test_nobody_else_sees_it(project, sign_in, who, request):
    client, address = sign_in(request.getfixturevalue(who)), reverse("representativeness", args=[project.slug])
    assert client.get(address).status_code in (403, 404)
    assert client.post(address, {"target": json.dumps(TARGET)}).status_code in (403, 404)
    assert not Run.objects.exists()


def test_the_reports_page_tells_it(pool, lead, sign_in):
    measured(pool, TARGET)
    page = sign_in(lead).get(reverse("reports", args=[pool.slug])).content.decode()
    assert "The people are 0.48 away from the target" in page


def test_the_number_of_queries_hangs_on_no_number_of_groups(pool, lead, sign_in, django_assert_max_num_queries):
    measured(pool, {"age": {f"g{n}": 1 for n in range(60)} | {"young": 3}, "place": {"here": 1}})
    client = sign_in(lead)
    with django_assert_max_num_queries(14):
        assert client.get(reverse("representativeness", args=[pool.slug])).status_code == 200
