"""The board's pages over HTTP: what it shows and what it refuses. What its buttons do: test_board_acts.py."""

from __future__ import annotations

import gzip
import json
import random
import re
import struct
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from annotation.models import Annotator, Judgement, Pair, Principle, Project, Run
from curation import browsing, gathering, measuring, settling
from curation.filters import LONGEST, Order, parse
from curation.metrics import METRICS
from curation.models import Adjudication, FactsState, PairFact, Selection
from tests.curation.conftest import random_filter

pytestmark = pytest.mark.django_db


def unpacked(client: Any, project: Any, query: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    answer = client.get(f"/p/{project.slug}/board/columns?{query}")
    raw = gzip.decompress(answer.content)
    assert raw[:4] == b"PLB1"
    (length,) = struct.unpack("<I", raw[4:8])
    header = json.loads(raw[8 : 8 + length])
    n = header["rows"]
    body = np.frombuffer(raw, dtype=np.uint8, offset=8 + length).reshape(len(header["dims"]), n)
    return header, {one["key"]: body[place] for place, one in enumerate(header["dims"])}


def test_counts_of_columns_sql_and_table_are_the_same(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    header, columns = unpacked(sign_in(lead), project)
    state = FactsState.objects.get(project=project)
    dims = browsing.dims_of(state)
    draw = random.Random(11)
    seen = set()
    for _ in range(50):
        asked = random_filter(draw, dims)
        passing = np.ones(header["rows"], dtype=bool)
        for key, slots in asked.passing.items():
            passing &= np.isin(columns[key], slots)
        expected = int(passing.sum())
        seen.add(expected)
        assert browsing.count(project=project, asked=asked, dims=dims) == expected, asked
        page = browsing.page(state=state, asked=asked, order=Order(), dims=dims, size=100)
        assert len(page.rows) == page.found == expected
    assert len(seen) > 5, "The filters must cut in many ways."


def test_the_summary_counts_what_the_columns_hold(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client = sign_in(lead)
    _, columns = unpacked(client, project)
    summary = json.loads(gzip.decompress(client.get(f"/p/{project.slug}/board/summary").content))
    dims = summary["header"]["dims"]
    assert [one["key"] for one in dims[:3]] == ["difficulty", "agreement", "discretion"]
    for one in dims:
        counted = np.bincount(columns[one["key"]], minlength=one["slots"]).tolist()
        assert summary["totals"][one["key"]] == counted
    assert sum(summary["plane"]) == 40
    assert len(summary["plane"]) == 4 * 101 * 76


def test_without_difficulty_the_plane_stands_on_strength(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, crowd: Any
) -> None:
    for who in crowd:
        say(who, make_pair(), "first")
    gathering.gather_facts(project=project)
    client = sign_in(lead)
    header, _ = unpacked(client, project)
    assert header["dims"][0]["key"] == "strength"
    page = client.get(f"/p/{project.slug}/board").content.decode()
    assert "No difficulty is measured yet" in page


def test_a_version_is_kept_for_ever_and_asked_for_once(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client = sign_in(lead)
    version = FactsState.objects.get(project=project).version
    answer = client.get(f"/p/{project.slug}/board/columns?v={version}")
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer["Content-Encoding"] == "gzip"
    again = client.get(f"/p/{project.slug}/board/columns", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Cache-Control"] == "private, no-cache"
    gathering.gather_facts(project=project)
    assert client.get(f"/p/{project.slug}/board/columns")["ETag"] != answer["ETag"]


def test_nothing_and_nothing_gathered_have_their_sentences(
    project: Any, lead: Any, sign_in: Any, make_pair: Any
) -> None:
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    assert "There are no pairs yet." in client.get(home).content.decode()
    make_pair()
    assert "The facts of 1 pair have not been gathered yet." in client.get(home).content.decode()
    assert client.get(f"{home}/columns").status_code == 409
    assert client.post(f"{home}/gather").status_code == 302
    assert "First 1 of 1" in client.get(home).content.decode()


@pytest.mark.parametrize(
    "query",
    ["x=1", "difficulty=1", "discretion=chaos", "sort=prompt", "sort=-pair_id", "after=zz", "project=2",
     "difficulty=0..1&difficulty=0..1", "is_excluded=true", "dissents=%27;--", "annotator=x", "annotator=0",
     "annotator=999999999", "annotator=7-8", "conflict=3", "conflict=3-3", "conflict=1-999999999", "conflict=a-b",
     "run=x", "run=999999999",
      "colour=red", "scale=all", "page=2", "pair=x", "pair=0", "v=1", "source=%00", "sort=%00"],
)  # fmt: skip
def test_what_the_board_does_not_know_is_400_with_a_sentence(
    project: Any, lead: Any, sign_in: Any, many: Any, query: str
) -> None:
    client = sign_in(lead)
    answer = client.get(f"/p/{project.slug}/board/rows?{query}")
    assert answer.status_code == 400
    assert answer.content.decode().endswith(".")
    assert answer["Content-Type"].startswith("text/plain")
    # The page says the same, and shows the board of what it knows: an old link is no dead end.
    page = client.get(
        f"/p/{project.slug}/board?{query}&dissents=0..1"
        if "dissents" not in query
        else f"/p/{project.slug}/board?{query}"
    )
    assert page.status_code == 400
    assert page.context["problem"] == answer.content.decode()
    assert escape(page.context["problem"]) in page.content.decode()
    assert set(page.context["asked"].passing) <= {"dissents"}
    assert f'data-asked="{page.context["filter"]}"' in page.content.decode()


def test_bad_input_is_answered_with_a_sentence(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, home = sign_in(lead), f"/p/{project.slug}"
    saved = client.post(f"{home}/board/save", {"name": "a\0b", "filter": ""}, follow=True)
    assert "no NUL character" in saved.content.decode()
    assert not Selection.objects.exists()
    gathered = client.post(f"{home}/board/gather", {"model": "a\0b"})
    assert (gathered.status_code, gathered.content.decode()[:28]) == (400, "No model has such a name. Go")


def test_a_filter_that_is_too_long_is_refused_and_never_cut(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    # Cut, it would be a filter that is known, and wider.
    long = f"dissents=0..1{'&'.join([''] + ['agreement=known'] * 1)}&discretion={','.join(['conflict'] * 450)},unknown"
    assert len(long) > LONGEST
    answers = [
        client.post(f"{home}/save", {"name": "x", "filter": long}),
        client.post(f"{home}/send", {"do": "adjudicate", "filter": long, "expected": "1"}),
        client.post(f"{home}/gather", {"filter": long}),
        client.get(f"{home}/release", {"filter": long}),
        client.get(f"{home}/compare", {"filter": long}),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.content.decode().startswith("The filter is too long: at most 4,000 characters")
    assert not Selection.objects.exists()
    assert not Adjudication.objects.exists()


def test_the_table_costs_the_same_queries_for_few_and_many_rows(
    project: Any, lead: Any, sign_in: Any, many: Any
) -> None:
    client = sign_in(lead)
    # Once, so that this process holds the columns.
    client.get(f"/p/{project.slug}/board?dissents=0..1")
    numbers = []
    for query in ("dissents=2..3", "judgements=0..7"):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            client.get(f"/p/{project.slug}/board/rows?{query}")
        numbers.append(len(seen))
    assert numbers[0] == numbers[1] <= 12


def test_the_drawer_says_why_line_by_line_and_what_was_said(
    project: Any, lead: Any, sign_in: Any, many: Any, say: Any
) -> None:
    pair = many[3]
    client = sign_in(lead)
    fact = PairFact.objects.get(pair=pair)
    query = f"judgements=3..3&discretion={fact.discretion or 'unknown'}&dissents=0..0"
    page = client.get(f"/p/{project.slug}/board/pairs/{pair.pk}?{query}", headers={"X-Fragment": "1"}).content.decode()
    assert "Why is this pair here" in page
    assert "Judgements per pair" in page
    assert page.count('class="ok"') + page.count('class="no"') == 3
    judged = page[: page.index("Said without a judgement")]
    assert judged.count("<tr>") == 1 + 3
    whole = client.get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert "Back to the board" in whole
    assert "No filter is set" in whole
    # What was measured is called as in the reports.
    assert f"<dt>{METRICS['held_out_loss'].title}</dt>" in whole


def test_later_pages_lead_back_to_the_first(project: Any, lead: Any, sign_in: Any, make_pair: Any) -> None:
    for n in range(browsing.PAGE + 5):
        make_pair(slots=0, external_id=f"p-{n}")
    gathering.gather_facts(project=project)
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    first = client.get(f"{home}/rows?judgements=0..1")
    assert "First 50</a>" not in first.content.decode()
    assert "Next 50" in first.content.decode()
    later = client.get(f"{home}/rows?{first.context['next']}").content.decode()
    assert "5 more of 55" in later
    assert f'href="{home}?judgements=0..1"' in later
    assert "First 50</a>" in later


@pytest.mark.parametrize(
    ("query", "before"),
    [
        ("", 'FROM "pair" INNER JOIN "prompt"'),
        ("judgements=0..0", 'FROM "pair" INNER JOIN "prompt"'),
        ("judgements=0..0", "FROM pair_facts f"),
    ],
)
def test_a_pair_that_goes_while_the_table_is_read_is_passed_over(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, query: str, before: str
) -> None:
    """An import is undone between two statements of one page. The rest of the page stands, and the next one follows."""
    for n in range(browsing.PAGE + 5):
        make_pair(slots=0, external_id=f"p-{n}")
    gathering.gather_facts(project=project)
    client, rows = sign_in(lead), f"/p/{project.slug}/board/rows"
    gone = client.get(f"{rows}?{query}").context["page"].rows[7]["pair_id"]

    undone: list[str] = []

    def undo_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if before in sql and not undone:
            undone.append(sql)
            Pair.objects.filter(pk=gone).delete()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(undo_first):
        page = client.get(f"{rows}?{query}")
    assert not Pair.objects.filter(pk=gone).exists()
    assert len(page.context["page"].rows) == browsing.PAGE - 1
    assert "Next 50" in page.content.decode()


def test_the_timeline_keeps_what_was_changed_or_taken_back(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, alice: Any
) -> None:
    pair = make_pair(slots=0)
    say(alice, pair, "second", 1)
    last = say(alice, pair, "first", 3)
    gathering.gather_facts(project=project)
    address = f"/p/{project.slug}/board/pairs/{pair.pk}"
    told = [what for _, what in sign_in(lead).get(address).context["opened"].timeline]
    assert told == ["Made", "Alice: second, 1; changed since", "Alice: first, 3"]
    Judgement.objects.filter(pk=last.pk).update(is_current=False)
    told = [what for _, what in sign_in(lead).get(address).context["opened"].timeline]
    assert told[1:] == ["Alice: second, 1; changed since", "Alice: first, 3; taken back since"]


def test_spans_are_quoted_from_the_raw_text(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, alice: Any
) -> None:
    from annotation.models import Rationale, Span

    pair = make_pair(first="It is <b>four</b>.")
    why = Rationale.objects.create(
        pair=pair, annotator=alice, judgement=say(alice, pair, "first"), text="Right & short"
    )
    Span.objects.create(rationale=why, candidate=pair.first, start=6, end=13)
    gathering.gather_facts(project=project)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert "Right &amp; short" in page
    assert '<q dir="auto">&lt;b&gt;four</q>' in page


def test_what_machines_wrote_is_shown_with_its_template_and_hinted_stays_marked(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, robot: Any
) -> None:
    from annotation.models import Rationale, Run

    pair = make_pair()
    run = Run.objects.create(project=project, kind="judging", code_version="t")
    told = {"pair": pair, "annotator": robot, "source": "machine", "run": run, "explains": "second"}
    Rationale.objects.create(text="Because <b>it</b> is.", template="general-2", **told)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert "Because &lt;b&gt;it&lt;/b&gt; is." in page
    assert "template general-2, why the second" in page
    assert ">hinted<" not in page
    Rationale.objects.create(text="It was marked.", template="unaided-1", is_hinted=True, **told)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    assert page.count(">hinted<") == 1


# ---- scopes ----


def test_a_board_of_what_one_annotator_judged_counts_nothing_else(
    project: Any, lead: Any, sign_in: Any, many: Any, crowd: Any
) -> None:
    client, who = sign_in(lead), crowd[2]
    judged = set(Judgement.objects.filter(annotator=who).values_list("assignment__pair", flat=True))
    assert 0 < len(judged) < len(many)
    query = f"annotator={who.pk}"
    summary = json.loads(gzip.decompress(client.get(f"/p/{project.slug}/board/summary?{query}").content))
    assert summary["header"]["rows"] == sum(summary["totals"]["judgements"]) == len(judged)
    header, columns = unpacked(client, project, query)
    assert header["rows"] == len(judged)
    assert columns["judgements"].min() == 3
    page = client.get(f"/p/{project.slug}/board?{query}&dissents=0..0").content.decode()
    assert f"Only pairs <bdi>that {who.name} judged</bdi>, of 40." in page
    assert f"selected of {len(judged)}" in page
    assert f'href="/p/{project.slug}/board?dissents=0..0">Show all pairs' in page
    rows = client.get(f"/p/{project.slug}/board/rows?{query}").content.decode()
    assert rows.count("<tr data-pair") == len(judged)
    drawer = client.get(f"/p/{project.slug}/board/pairs/{min(judged)}?{query}").content.decode()
    assert f"Only pairs <bdi>that {who.name} judged</bdi> are looked at." in drawer


def test_a_board_of_a_conflict_holds_the_pairs_on_which_two_principles_part(
    project: Any, lead: Any, sign_in: Any, many: Any
) -> None:
    client = sign_in(lead)
    one, other = Principle.objects.order_by("pk").values_list("pk", flat=True)
    parted = {
        fact.pk
        for fact in PairFact.objects.all()
        if {one, other} == {*fact.favour_first, *fact.favour_second} and fact.favour_first and fact.favour_second
    }
    assert parted
    for query in (f"conflict={one}-{other}", f"conflict={other}-{one}"):
        header, columns = unpacked(client, project, query)
        assert header["rows"] == len(parted)
        assert set(columns["discretion"].tolist()) == {1}
    page = client.get(f"/p/{project.slug}/board?{query}").content.decode()
    assert "on which “k0” and “k1” ask for different candidates" in page


def test_a_board_of_what_one_run_made(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    from curation.criteria import from_json

    client = sign_in(lead)
    run, judged = (
        Run.objects.create(project=project, kind=kind, code_version="t") for kind in ("generation", "judging")
    )
    made = [pair.pk for pair in many[:3]]
    Pair.objects.filter(pk__in=made).update(source=f"run {run.pk}")
    client.post(f"/p/{project.slug}/board/gather")
    header, _ = unpacked(client, project, f"run={run.pk}")
    assert header["rows"] == 3
    page = client.get(f"/p/{project.slug}/board?run={run.pk}").content.decode()
    assert f"Only pairs <bdi>that run {run.pk} made</bdi>, of 40." in page
    rows = client.get(f"/p/{project.slug}/board/rows?run={run.pk}").content.decode()
    assert rows.count("<tr data-pair") == 3
    client.post(f"/p/{project.slug}/board/save", {"name": "Made", "filter": f"run={run.pk}"})
    assert [one.text for one in from_json(Selection.objects.get().criteria)] == [f"source=run {run.pk}"]
    assert client.get(f"/p/{project.slug}/board?run={judged.pk}").status_code == 400


def test_another_projects_people_and_principles_are_not_there(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    other = Project.objects.create(slug="other", name="Other")
    stranger = Annotator.objects.create(project=other, name="Secret name", external_id="s")
    theirs = [Principle.objects.create(project=other, key=f"k{n}", short="Secret", text=".").pk for n in range(2)]
    client = sign_in(lead)
    run = Run.objects.create(project=other, kind="generation", code_version="t")
    beyond = [f"annotator={stranger.pk}", "conflict={}-{}".format(*theirs), f"run={run.pk}"]
    for query in (*beyond, "dissents=1..1", "x=1"):
        for part in ("summary", "columns"):
            answer = client.get(f"/p/{project.slug}/board/{part}?{query}")
            assert answer.status_code == 400
            assert b"Secret" not in answer.content


def test_a_selection_within_a_scope_is_what_a_release_takes(
    project: Any, lead: Any, sign_in: Any, many: Any, crowd: Any
) -> None:
    from curation.arrays import pair_facts
    from curation.criteria import from_json
    from curation.voices import Voices

    one, other = Principle.objects.order_by("pk").values_list("pk", flat=True)
    query = f"annotator={crowd[0].pk}&conflict={one}-{other}&dissents=0..2"
    sign_in(lead).post(f"/p/{project.slug}/board/save", {"name": "Parted", "filter": query})
    saved = Selection.objects.get()
    assert saved.query == query
    facts = pair_facts(project=project, voices=Voices(), where=from_json(saved.criteria))
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    asked = parse(dict(part.split("=") for part in query.split("&")), dims)
    assert facts.passes.all(axis=0).sum() == browsing.count(project=project, asked=asked, dims=dims) > 0


def test_an_answer_that_is_there_already_is_not_read_again(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, address = sign_in(lead), f"/p/{project.slug}/board/columns"
    etag = client.get(address)["ETag"]
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert not any('"columns"' in one["sql"] for one in seen.captured_queries)


# ---- what was adjudicated ----


def test_the_drawer_says_how_and_when_a_pair_was_settled(
    project: Any, lead: Any, adjudicator: Any, sign_in: Any, many: Any
) -> None:
    import uuid

    one = Adjudication.objects.create(project=project, pair=many[3], asked_by=lead.user)
    client, address = sign_in(lead), f"/p/{project.slug}/board/pairs/{many[3].pk}"
    assert "Waits for an adjudicator since" in client.get(address).content.decode()
    settling.settle(
        adjudication=one, adjudicator=adjudicator, key=uuid.uuid4(), outcome="unclear", reason="Both.", note="A joke?"
    )
    page = client.get(address).content.decode()
    assert "Adjudicated: the guideline is unclear" in page
    assert "by <bdi>Ada</bdi>" in page
    assert "A joke?" in page
    assert "Waits for an adjudicator" not in page
    settling.take_back(adjudication=one, adjudicator=adjudicator)
    page = client.get(address).content.decode()
    assert "Adjudicated:" not in page
    assert "The decision was taken back" in page


def test_the_drawer_says_in_words_what_was_measured_in_codes(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, vote: Any, alice: Any
) -> None:
    """Category, direction and counts of discretion are stored as numbers."""
    pair = make_pair()
    vote(alice, pair, "first", "same")
    measuring.measure(project=project, asked=measuring.MEASURES["discretion"].request())
    gathering.gather_facts(project=project)
    page = sign_in(lead).get(f"/p/{project.slug}/board/pairs/{pair.pk}").content.decode()
    facts = " ".join(page[page.index("<h3>Facts</h3>") : page.index("<h3>Gold</h3>")].split())
    assert "<dt>Category of discretion</dt><dd>consensus" in facts
    assert "<dt>Principles agree on</dt><dd>the first" in facts
    assert "<dt>Relevant principles</dt><dd>1 " in facts
    assert "_" not in re.sub(r"<[^>]*>", "", facts)
