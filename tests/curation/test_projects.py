"""The list of projects: what each sees, and that it stays quick however many there are."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.models import Annotator, Assignment, Project, Worker
from curation.adjudicating import waiting_counts
from curation.models import Adjudication, Measurement
from curation.settling import settle
from tests.curation.finished import finished
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


def page(client, **query) -> str:
    answer = client.get(reverse("projects"), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def queries(client) -> int:
    with CaptureQueriesContext(connection) as seen:
        page(client)
    return len(seen)


def another(lead: Annotator, n: int) -> Project:
    made = Project.objects.create(slug=f"more-{n}", name=f"More {n}")
    Annotator.objects.create(project=made, user=lead.user, role="lead", name="Lena")
    return made


def test_signed_out_is_led_to_the_sign_in(client):
    answer = client.get(reverse("projects"))
    assert answer.status_code == 302
    assert reverse("account_login") in answer["Location"]


def test_the_lead_sees_figures_bar_agreement_and_worker(project, lead, alice, make_pair, sign_in):
    judge(alice, make_pair())
    run = finished(project, parameters={"whole": True})
    Measurement.objects.create(run=run, metric="alpha_nominal", value=0.634, low=0.591, high=0.662, n=40)
    Worker.objects.create(name="cpu", queues=["cpu"], seen_at=timezone.now())
    text = page(sign_in(lead))
    assert "1 of 3" in text
    assert "1 done, 0 leased, 2 left" in text
    assert "0.63" in text
    assert "(0.59 to 0.66)" in text
    assert "1 alive" in text
    assert reverse("overview", args=[project.slug]) in text


def test_undefined_agreement_is_a_sentence_and_never_zero(project, lead, sign_in, make_pair):
    make_pair()
    run = finished(project, parameters={"whole": True})
    Measurement.objects.create(run=run, metric="alpha_nominal", reason="No pair has two labels.")
    text = page(sign_in(lead))
    assert "No pair has two labels." in text
    assert "0.00 " not in text


def test_a_stranger_sees_only_their_own(project, stranger, sign_in):
    text = page(sign_in(stranger))
    assert project.name not in text
    assert "Elsewhere" in text


def test_the_admin_sees_all(project, stranger, admin, sign_in):
    text = page(sign_in(admin))
    assert project.name in text
    assert "Elsewhere" in text


def test_an_annotator_sees_where_to_judge_and_no_figures_of_others(project, lead, alice, bob, make_pair, sign_in):
    judge(bob, make_pair())
    text = page(sign_in(alice))
    assert reverse("judge", args=[project.slug]) in text
    assert f'"{reverse("overview", args=[project.slug])}"' not in text
    assert "Active today" not in text
    assert "α" not in text


def test_an_adjudicator_sees_how_many_pairs_wait_for_them(project, lead, alice, adjudicator, make_pair, sign_in):
    judged, free, settled = make_pair(), make_pair(), make_pair()
    judge(adjudicator, judged)
    for pair, outcome in ((judged, ""), (free, ""), (settled, "")):
        Adjudication.objects.create(project=project, pair=pair, outcome=outcome, asked_by=lead.user)
    other = Project.objects.create(slug="other", name="Other")
    seat = Annotator.objects.create(project=other, user=adjudicator.user, role="adjudicator", name="Ada")
    settle(adjudication=settled.adjudications.get(), adjudicator=adjudicator, key=uuid.uuid4(), outcome="tie")
    assert waiting_counts([adjudicator, seat]) == {project.pk: 1, other.pk: 0}
    text = page(sign_in(adjudicator))
    assert f'href="{reverse("adjudication", args=[project.slug])}"' in text
    assert f"Adjudication in {project.name}, 1 pair waits" in text
    assert "Adjudication in Other, 0 pairs wait" in text
    assert "Adjudication" not in page(sign_in(alice))


def test_an_annotator_of_a_paused_project_has_no_button(project, alice, sign_in):
    Project.objects.filter(pk=project.pk).update(state="paused")
    text = page(sign_in(alice))
    assert reverse("judge", args=[project.slug]) not in text
    assert "Paused" in text


def test_somebody_who_left_sees_nothing_of_it(project, alice, sign_in):
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    text = page(sign_in(alice))
    assert project.name not in text
    assert "You are not a member of any project" in text


def test_search_and_state_narrow_the_list(project, lead, sign_in):
    another(lead, 1)
    Project.objects.filter(slug="more-1").update(state="paused")
    client = sign_in(lead)
    assert "More 1" not in page(client, q="everyday")
    assert "Everyday help" in page(client, q="EVERYDAY")
    assert "Everyday help" not in page(client, only="paused")
    assert "No project fits" in page(client, q="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page(client, q="<script>alert(1)</script>")
    assert "Everyday help" in page(client, only="nonsense")
    assert "No project fits" in page(client, only="released")


def test_the_latest_activity_comes_first(project, lead, alice, make_pair, sign_in):
    Project.objects.filter(pk=project.pk).update(created_at=timezone.now() - timedelta(days=9))
    another(lead, 1)
    client = sign_in(lead)
    text = page(client)
    assert text.index("More 1") < text.index("Everyday help")
    judge(alice, make_pair(), at=timezone.now() + timedelta(minutes=1))
    text = page(client)
    assert text.index("Everyday help") < text.index("More 1")


def test_too_few_people_is_said_in_the_list(project, lead, make_pair, sign_in):
    make_pair()
    assert "1 person can judge; each pair needs 3." in page(sign_in(lead))


def test_demo_projects_are_marked(project, lead, sign_in):
    assert "Example, simulated" not in page(sign_in(lead))
    Project.objects.filter(pk=project.pk).update(is_demo=True)
    assert "Example, simulated" in page(sign_in(lead))


def test_sixty_projects_take_as_many_queries_as_one(project, lead, alice, make_pair, sign_in):
    judge(alice, make_pair())
    client = sign_in(lead)
    page(client)
    one = queries(client)
    for n in range(59):
        pair = make_pair(into=another(lead, n), rank=1)
        Assignment.objects.filter(pair=pair, slot=1).update(annotator=lead, lease_until=timezone.now())
    assert queries(client) == one


def test_more_than_a_hundred_come_in_pages(project, lead, sign_in):
    for n in range(104):
        another(lead, n)
    client = sign_in(lead)
    assert "1 to 100 of 105 projects" in page(client)
    assert "101 to 105 of 105 projects" in page(client, page=2)


def test_only_reading_is_possible(project, lead, sign_in):
    assert sign_in(lead).post(reverse("projects")).status_code == 405
