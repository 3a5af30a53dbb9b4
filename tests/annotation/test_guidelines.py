"""The guideline's pages."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.guiding import Entry, publish_guideline
from annotation.models import Guideline, GuidelineReading


def sent(text: str, rows: list[tuple[str, str, str]], **more: str) -> dict[str, Any]:
    return {
        "text": text,
        "principle_number": [row[0] for row in rows],
        "principle_short": [row[1] for row in rows],
        "principle_text": [row[2] for row in rows],
        "priority_rules": "",
        **more,
    }


def test_without_a_guideline_each_is_told_what_to_do(sign_in: Any, lead: Any, alice: Any, project: Any) -> None:
    url = f"/p/{project.slug}/guideline"
    leads = sign_in(lead).get(url).content.decode()
    reads = sign_in(alice).get(url).content.decode()
    assert "Write the guideline" in leads
    assert f'href="/p/{project.slug}/settings"' in leads
    assert "The lead has not written one" in reads
    assert f'href="/p/{project.slug}/settings"' not in reads


def test_a_version_is_written_with_principles_in_the_order_of_their_numbers(
    sign_in: Any, lead: Any, alice: Any, project: Any
) -> None:
    rows = [
        ("2", "Kind", "It is friendly."),
        ("1", "Correct", "Claims are true."),
        ("3", "", ""),
        ("1.5", "Clear", "One reads it once."),
    ]
    answer = sign_in(lead).post(
        f"/p/{project.slug}/guideline/new", sent("Be **fair**.", rows, priority_rules="Correct first\n\n")
    )
    assert answer.status_code == 302
    guideline = Guideline.objects.get()
    assert [place.principle.short for place in guideline.places.all()] == ["Correct", "Clear", "Kind"]
    assert guideline.priority_rules == ["Correct first"]
    page = sign_in(alice).get(f"/p/{project.slug}/guideline").content.decode()
    assert "<strong>fair</strong>" in page
    assert page.index("Claims are true.") < page.index("One reads it once.") < page.index("It is friendly.")


def test_the_next_version_starts_from_the_one_in_force(sign_in: Any, lead: Any, project: Any) -> None:
    publish_guideline(project=project, text="Be fair.", principles=[Entry("Kind", "Be friendly.")], command="test")
    page = sign_in(lead).get(f"/p/{project.slug}/guideline/new").content.decode()
    assert "Be fair.</textarea>" in page
    assert 'value="Kind"' in page
    assert "Put version 2 in force" in page


def test_more_rows_keep_what_was_written_and_publish_nothing(sign_in: Any, lead: Any, project: Any) -> None:
    answer = sign_in(lead).post(
        f"/p/{project.slug}/guideline/new", {**sent("Half a sen", [("1", "Kind", "")]), "more": "1"}
    )
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Half a sen</textarea>" in page
    assert page.count('name="principle_short"') == 7
    assert 'role="alert"' not in page
    assert not Guideline.objects.exists()


def test_what_is_wrong_is_said_and_nothing_is_lost(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    for rows, sentence in (
        ([("1", "Kind", "")], "Principle 1 needs a short name and a text"),
        ([("x", "Kind", "Be kind.")], "Give a number"),
        ([("nan", "Kind", "Be kind.")], "Give a smaller one"),
        ([("1", "Kind", "a"), ("2", "kind", "b")], "have the same short name"),
    ):
        answer = client.post(f"/p/{project.slug}/guideline/new", sent("Kept text", rows))
        page = answer.content.decode()
        assert answer.status_code == 422
        assert sentence in page
        assert "Kept text</textarea>" in page
        assert 'value="Kind"' in page
    assert not Guideline.objects.exists()


def test_what_changed_is_shown_word_by_word(sign_in: Any, alice: Any, project: Any) -> None:
    publish_guideline(project=project, text="Judge the answer.", principles=[Entry("Kind", "Be kind.")], command="test")
    publish_guideline(project=project, text="Judge the <whole> answer.", change_note="The whole of it.", command="test")
    client = sign_in(alice)
    page = client.get(f"/p/{project.slug}/guideline/2").content.decode()
    assert "<ins>&lt;whole&gt; </ins>" in page
    assert "The whole of it." in page
    assert "<b>Removed:</b> Kind. Be kind." in page
    first = client.get(f"/p/{project.slug}/guideline/1").content.decode()
    assert "Version 2 is in force" in first
    assert "What changed" not in first
    backwards = client.get(f"/p/{project.slug}/guideline/1?against=2").content.decode()
    assert "<del>&lt;whole&gt; </del>" in backwards
    for query in ("against=9", "against=x", "against=²", "against=-1", f"against={2**70}"):
        assert client.get(f"/p/{project.slug}/guideline/1?{query}").status_code == 404, query


def test_acknowledging_by_button(sign_in: Any, alice: Any, admin: Any, project: Any) -> None:
    client = sign_in(alice)
    assert client.post(f"/p/{project.slug}/guideline/acknowledge").status_code == 404
    publish_guideline(project=project, text="Be fair.", command="test")
    assert b"I have read this" in client.get(f"/p/{project.slug}/guideline").content
    client.post(f"/p/{project.slug}/guideline/acknowledge")
    assert GuidelineReading.objects.get().annotator == alice
    assert b"I have read this" not in client.get(f"/p/{project.slug}/guideline").content
    assert b"I have read this" not in sign_in(admin).get(f"/p/{project.slug}/guideline").content


def test_many_versions_cost_no_more_queries(sign_in: Any, lead: Any, project: Any) -> None:
    client = sign_in(lead)
    publish_guideline(project=project, text="0", command="test")

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/p/{project.slug}/guideline")
        return len(queries)

    few = count()
    for n in range(1, 12):
        publish_guideline(project=project, text=str(n), principles=[Entry(f"P{n}", "x")], actor=lead.user)
    assert count() <= few
