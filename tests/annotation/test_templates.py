"""The pages of templates: both kinds, their versions, what changed, and writing the next one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models import JudgeTemplate, RationaleTemplate, Run
from annotation.phrasing import JUDGE, publish, publish_template
from tests.annotation.test_phrasing import GIVEN, OPEN, PARTS, WARM

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(lead, sign_in):
    return sign_in(lead)


def page(client, name, *arguments, query="", status=200):
    answer = client.get(reverse(name, args=["everyday", *arguments]) + query)
    assert answer.status_code == status
    return answer.content.decode()


def write(client, kind, name, parts):
    return client.post(reverse("template", args=["everyday", kind, name]), parts)


def test_the_list_names_each_with_its_newest_version_and_its_use(client, project, lead):
    publish(project=project, kind=JUDGE, name="oracle", parts=PARTS, actor=lead.user)
    text = page(client, "templates")
    for name in ("oracle", "principle-last", "general", "specific", "unaided"):
        assert f"<bdi>{name}</bdi>" in text
    assert "Lena" in text
    assert text.count("built in") == 5
    assert text.count("they are read once for all principles") == 2
    assert "what needed it is marked as hinted" in text


def test_the_runs_page_leads_there(client, project):
    assert reverse("templates", args=[project.slug]) in page(client, "runs")


def test_a_template_is_edited_into_a_new_version_that_shows_what_changed(client, project, lead):
    first = page(client, "template", "judge", "oracle")
    assert "Which AI Response adheres to the Principle" in first
    assert "What changed" not in first
    assert "Write version 2" in first
    answer = write(client, "judge", "oracle", PARTS)
    assert answer.status_code == 302
    row = JudgeTemplate.objects.get()
    assert (row.name, row.version, row.created_by) == ("oracle", 2, lead.user)
    assert {part: getattr(row, part) for part in PARTS} == PARTS
    second = page(client, "template", "judge", "oracle")
    assert "What changed from version 1" in second
    assert "<ins>" in second
    assert "<del>" in second
    assert "Write version 3" in second
    earlier = page(client, "template", "judge", "oracle", query="?version=1")
    assert "An earlier version. New runs use version 2." in earlier
    assert "You are a helpful assistant that simply responds" in earlier


@pytest.mark.parametrize(
    ("kind", "name", "parts", "sentence"),
    [
        ("judge", "oracle", PARTS | {"user": PARTS["user"] + "{label}"}, "has a place {label} that nothing fills"),
        ("judge", "oracle", PARTS | {"user_overall": ""}, "This field is required"),
        ("rationale", "general", {"text": "{prompt} {chosen}"}, "has no place {rejected}"),
        ("rationale", "general", {"text": "<script>alert(1)</script>"}, "has no place {a}"),
    ],
)
def test_what_is_refused_says_why_and_keeps_what_was_written(client, project, kind, name, parts, sentence):
    answer = write(client, kind, name, parts)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in text
    assert next(iter(parts.values())).replace("<", "&lt;").replace(">", "&gt;")[:20] in text
    assert "<script>alert" not in text
    assert not JudgeTemplate.objects.exists()
    assert not RationaleTemplate.objects.exists()


def test_a_template_under_a_new_name(client, project):
    url = reverse("template_new", args=[project.slug, "rationale"])
    assert "New request for reasons" in page(client, "template_new", "rationale")
    answer = client.post(url, {"name": "think", **OPEN})
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("template", args=[project.slug, "rationale", "think"])
    shown = page(client, "template", "rationale", "think")
    assert "It may give the verdict away." in shown
    assert "can hint" in shown
    again = client.post(url, {"name": "think", **GIVEN})
    assert again.status_code == 422
    assert "There is a template think already" in again.content.decode()
    assert RationaleTemplate.objects.count() == 1


def test_a_list_of_values_is_written_and_read(client, project):
    text = page(client, "templates")
    assert "1,620 sets of 4 values: style, background knowledge, informativeness, harmlessness" in text
    assert "New list of values" in page(client, "template_new", "value")
    url = reverse("template_new", args=[project.slug, "value"])
    refused = client.post(url, {"name": "house", "text": "tone > warm: Be warm."})
    assert refused.status_code == 422
    assert "Line 1 of the values is not written as dimension &gt; subdimension &gt; value" in refused.content.decode()
    assert client.post(url, {"name": "house", **WARM}).status_code == 302
    Run.objects.create(
        project=project, kind="generation", code_version="t", parameters={"strategy": "janus", "values": "house-1"}
    )
    shown = page(client, "template", "value", "house")
    assert "tone &gt; manner &gt; warm: Be warm." in shown
    assert "1 run draws from it." in shown
    assert "2 sets of 1 values: tone" in page(client, "templates")


def test_what_is_not_there_is_not_there(client, project, stranger):
    publish(project=stranger.project, kind=JUDGE, name="theirs", parts=PARTS)
    for arguments in (("judge", "theirs"), ("mood", "oracle"), ("rationale", "oracle")):
        page(client, "template", *arguments, status=404)
    for query in ("?version=2", "?version=x", "?version=²", f"?version={2**70}"):
        page(client, "template", "judge", "oracle", query=query, status=404)
    page(client, "template_new", "mood", status=404)


def test_the_form_of_a_run_offers_them(client, project):
    publish(project=project, kind=JUDGE, name="strict", parts=PARTS)
    publish_template(project=project, name="short", text=GIVEN["text"])
    text = page(client, "runs", query="?kind=judge")
    assert "strict, version 1" in text
    assert "short, version 1" in text


def test_many_versions_cost_no_more_queries(client, project, lead):
    def count(name, *arguments):
        with CaptureQueriesContext(connection) as queries:
            page(client, name, *arguments)
        return len(queries)

    publish(project=project, kind=JUDGE, name="oracle", parts=PARTS, actor=lead.user)
    few = count("templates"), count("template", "judge", "oracle")
    for n in range(10):
        publish(project=project, kind=JUDGE, name="oracle", parts=PARTS | {"system": str(n)}, actor=lead.user)
        publish(project=project, kind=JUDGE, name=f"other{n}", parts=PARTS, actor=lead.user)
    assert (count("templates"), count("template", "judge", "oracle")) == few
