"""Pairs of a file in their place: identity, order, idempotence, one transaction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection

from annotation import rendering
from annotation.errors import Refused
from annotation.importing import batching, check, import_pairs, placing, storing
from annotation.models import Assignment, Candidate, Event, Pair, Project, Prompt, Run
from annotation.pairing import as_json, prompt_digest
from annotation.recording import broken_links

pytestmark = pytest.mark.django_db


def row(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "item_id": f"row-{n}",
        "source": "made",
        "prompt": f"Question {n}?",
        "response_a": f"Answer {n}.",
        "response_b": f"Other answer {n}.",
        "label": "a",
        "label_kind": "expert",
        "meta": {"models": ["one", "two"], "topic": "sums"},
    } | changes


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(*content: dict[str, Any], name: str = "pairs.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(one) + "\n" for one in content))
        return path

    return to_file


def text_of(pair: Pair, which: str) -> str:
    return (pair.first if which == "first" else pair.second).text


# ---- what is stored ------------------------------------------------------------------------------------------------


def test_a_row_becomes_prompt_candidates_and_pair(project: Project, write: Any) -> None:
    path = write(row(1, system="Be brief.", language="en", tags=["sums", 'odd " \\ tag']))
    report = import_pairs(project=project, path=path)
    assert (report.read, report.added, report.stored, report.layout) == (1, 1, True, "plumbline")
    pair = Pair.objects.select_related("prompt", "first", "second").get(project=project)
    assert pair.prompt.messages == [{"role": "user", "content": "Question 1?"}]
    assert (pair.prompt.system, pair.prompt.language, pair.prompt.source) == ("Be brief.", "en", "made")
    by_model = {candidate.model: candidate.text for candidate in (pair.first, pair.second)}
    assert by_model == {"one": "Answer 1.", "two": "Other answer 1."}
    assert {c.text: c.characters for c in (pair.first, pair.second)} == {"Answer 1.": 9, "Other answer 1.": 15}
    assert (pair.source, pair.external_id, pair.label_kind) == ("made", "row-1", "expert")
    assert (pair.tags, pair.marks) == (["sums", 'odd " \\ tag'], [])
    # The label is turned to first and second; meta says which of them was a.
    assert text_of(pair, pair.label) == "Answer 1."
    assert pair.meta == {"topic": "sums", "imported": {"a": pair.label}}


def test_a_small_file_is_ready_to_be_judged_at_once(project: Project, write: Any) -> None:
    import_pairs(project=project, path=write(row(1), row(2)))
    assert Assignment.objects.filter(project=project, annotator=None).count() == 2 * project.overlap
    assert (
        {c.renderer for c in Candidate.objects.all()}
        == {p.renderer for p in Prompt.objects.all()}
        == {rendering.RENDERER}
    )
    assert (
        "Answer 1."
        in Candidate.objects.get(model="one", prompt__digest=Pair.objects.get(external_id="row-1").prompt.digest).html
    )


def test_labels_and_strengths_follow_their_candidate(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "helpsteer.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "context": [{"role": "user", "content": f"q{n}"}],
                    "response1": f"one {n}",
                    "response2": f"two {n}",
                    "overall_preference": n % 7 - 3,
                }
            )
            + "\n"
            for n in range(70)
        )
    )
    import_pairs(project=project, path=path)
    for pair in Pair.objects.select_related("prompt", "first", "second"):
        preference = int(pair.prompt.last[1:]) % 7 - 3
        wanted = {"tie": "", "first": pair.first.text[:3], "second": pair.second.text[:3]}[pair.label]
        assert wanted == ("" if preference == 0 else "one" if preference < 0 else "two")
        toward_one = pair.label_strength if pair.first.text.startswith("one") else -(pair.label_strength or 0)
        assert toward_one == -preference


def test_the_same_prompt_and_candidate_are_stored_once(project: Project, write: Any) -> None:
    shared = {"prompt": "Q?", "response_a": "shared"}
    models = [{"models": ["one", name]} for name in ("two", "three")]
    import_pairs(project=project, path=write(row(1, **shared, meta=models[0]), row(2, **shared, meta=models[1])))
    assert Prompt.objects.count() == 1
    assert Candidate.objects.filter(model="one").count() == 1
    assert Candidate.objects.count() == 3


def test_the_same_text_of_two_models_is_two_candidates(project: Project, write: Any) -> None:
    path = write(row(1, response_b="Answer 1."))
    report = import_pairs(project=project, path=path, allow={"identical"})
    assert report.added == 1
    assert sorted(Candidate.objects.values_list("model", flat=True)) == ["one", "two"]
    assert Pair.objects.get().marks == ["identical"]


def test_the_same_text_of_the_same_model_is_two_candidates_too(project: Project, write: Any) -> None:
    path = write(row(1, response_b="Answer 1.", meta={"models": ["one", "one"]}))
    import_pairs(project=project, path=path, allow={"identical"})
    assert Candidate.objects.count() == 2
    assert import_pairs(project=project, path=path, allow={"identical"}).already == 1


def test_first_and_second_say_nothing_about_a_and_b(project: Project, write: Any) -> None:
    import_pairs(project=project, path=write(*(row(n) for n in range(1_000))))
    first = Pair.objects.filter(meta__imported__a="first").count()
    # 1,000 fair draws lie in this range with probability .9999.
    assert 438 <= first <= 562


def test_pairs_stand_in_a_drawn_order_that_the_seed_decides(project: Project, write: Any) -> None:
    path = write(*(row(n) for n in range(200)))
    orders = []
    for slug, seed in (("s1", 1), ("s1-again", 1), ("s2", 2)):
        home = Project.objects.create(slug=slug, name=slug, seed=seed)
        import_pairs(project=home, path=path)
        pairs = home.pairs.order_by("rank")
        assert [pair.rank for pair in pairs] == list(range(200))
        # Numbers follow the file, as their texts do: who reads by numbers reads texts that lie side by side.
        assert [pair.external_id for pair in home.pairs.order_by("pk")] == [f"row-{n}" for n in range(200)]
        orders.append([pair.external_id for pair in pairs])
    assert orders[0] == orders[1] != orders[2]
    places = [int(item.removeprefix("row-")) for item in orders[0]]
    assert abs(float(np.corrcoef(places, range(200))[0, 1])) < 0.3


def test_a_second_file_is_appended(project: Project, write: Any) -> None:
    import_pairs(project=project, path=write(row(1), row(2)))
    import_pairs(project=project, path=write(row(3), row(4), name="more.jsonl"))
    ranks = dict(project.pairs.values_list("external_id", "rank"))
    assert sorted(ranks.values()) == [0, 1, 2, 3]
    assert {ranks["row-1"], ranks["row-2"]} == {0, 1}
    assert Assignment.objects.filter(project=project).count() == 4 * project.overlap


def test_a_row_without_a_source_is_filed_under_the_file(project: Project, write: Any) -> None:
    import_pairs(project=project, path=write(row(1, source=None), name="round3.jsonl"))
    assert Pair.objects.get().source == "round3"


def test_meta_that_uses_our_name_is_refused(project: Project, write: Any) -> None:
    report = import_pairs(project=project, path=write(row(1, meta={"imported": 1})))
    assert report.counts == {"bad_value": 1}


def test_hostile_text_is_stored_as_it_is(project: Project, write: Any, shared_payloads: Path) -> None:
    strings = [s for s in json.loads((shared_payloads / "blns.json").read_text()) if s.strip() and "\x00" not in s]
    rows = [
        row(n, response_a=text, meta={"models": [text[:300], "two"], "raw": text}) for n, text in enumerate(strings)
    ]
    report = import_pairs(project=project, path=write(*rows), on_error="skip")
    assert report.added == len(strings), report.counts
    for pair in Pair.objects.select_related("first", "second"):
        text = strings[int(pair.external_id.removeprefix("row-"))]
        assert text_of(pair, pair.label) == pair.meta["raw"] == text


# ---- twice, changed, linked ----------------------------------------------------------------------------------------


def counted() -> list[int]:
    return [model.objects.count() for model in (Prompt, Candidate, Pair, Assignment)]


def test_the_same_file_twice_adds_nothing(project: Project, write: Any) -> None:
    path = write(*(row(n) for n in range(50)))
    import_pairs(project=project, path=path)
    before = counted()
    report = import_pairs(project=project, path=path)
    assert (report.stored, report.added, report.already, report.linked) == (True, 0, 50, 0)
    assert counted() == before


def test_the_same_file_without_ids_twice_adds_nothing(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "trl.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"q{n}", "chosen": "x", "rejected": "y"}) + "\n" for n in range(20)))
    assert import_pairs(project=project, path=path).added == 20
    before = counted()
    report = import_pairs(project=project, path=path)
    assert (report.added, report.already) == (0, 20)
    assert counted() == before


def test_rows_without_ids_that_say_the_same_are_one_pair(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "trl.jsonl"
    rows = [{"prompt": "q", "chosen": "x", "rejected": "y"}, {"prompt": "q", "chosen": "y", "rejected": "x"}]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    report = import_pairs(project=project, path=path)
    assert (report.read, report.added, report.already) == (2, 1, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"response_b": "Changed."}, "other_text"),
        ({"prompt": "Changed?"}, "other_text"),
        ({"meta": {"models": ["one", "three"]}}, "other_text"),
        ({"label": "b"}, "other_label"),
        ({"label": None}, "other_label"),
    ],
)
def test_a_row_that_changed_under_its_id_is_refused(
    project: Project, write: Any, changes: dict[str, Any], reason: str
) -> None:
    import_pairs(project=project, path=write(row(1), row(2)))
    before = counted()
    report = import_pairs(project=project, path=write(row(1, **changes), row(2), row(3)), on_error="skip")
    assert [(refusal.line, refusal.reason) for refusal in report.refusals] == [(1, reason)]
    assert (report.already, report.added) == (1, 1)
    assert counted() == [before[0] + 1, before[1] + 2, before[2] + 1, before[3] + project.overlap]
    assert Pair.objects.get(external_id="row-1").first.text in ("Answer 1.", "Other answer 1.")


def test_two_ids_for_the_same_two_answers_are_linked(project: Project, write: Any) -> None:
    same = {"prompt": "Q?", "response_a": "x", "response_b": "y"}
    turned = {"prompt": "Q?", "response_a": "y", "response_b": "x", "meta": {"models": ["two", "one"]}}
    path = write(row(1, **same), row(2, **same), row(3, **turned))
    report = import_pairs(project=project, path=path)
    assert (report.added, report.linked) == (1, 2)
    pair = Pair.objects.get()
    assert [(one["id"], one["a"] == pair.meta["imported"]["a"]) for one in pair.meta["imported"]["also"]] == [
        ("row-2", True),
        ("row-3", False),
    ]
    again = import_pairs(project=project, path=path)
    assert (again.added, again.linked, again.already) == (0, 0, 3)
    changed = import_pairs(project=project, path=write(row(3, prompt="Other?"), name="changed.jsonl"))
    assert changed.counts == {"other_text": 1}


def test_an_id_twice_in_a_file_is_refused_across_batches(
    project: Project, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", 2)
    path = write(row(1), row(2), row(3), row(1), row(4), row(4, prompt="x"), row(5))
    report = import_pairs(project=project, path=path, on_error="skip")
    assert [(r.line, r.reason, r.item) for r in report.refusals] == [
        (4, "duplicate_id", "row-1"),
        (6, "duplicate_id", "row-4"),
    ]
    assert "stands in line 1 already" in report.refused[0].sentence
    assert report.added == 5
    assert not Candidate.objects.filter(pairs_as_first=None, pairs_as_second=None).exists()


def test_the_same_id_in_another_project_is_another_pair(project: Project, write: Any) -> None:
    other = Project.objects.create(slug="other", name="Other")
    path = write(row(1))
    import_pairs(project=project, path=path)
    assert import_pairs(project=other, path=path).added == 1
    assert Prompt.objects.count() == 2


# ---- options -------------------------------------------------------------------------------------------------------


def test_only_rows_of_one_source(project: Project, write: Any) -> None:
    path = write(row(1), row(2, source="else"), row(3, source="else", response_a=True))
    report = import_pairs(project=project, path=path, source="made")
    assert (report.added, report.left_out, len(report.refusals)) == (1, 2, 0)
    with pytest.raises(Refused, match=r"No row of pairs.jsonl is of the source 'typo'. It has: made, else"):
        import_pairs(project=project, path=path, source="typo")


def test_a_source_cannot_be_asked_of_a_layout_without_one(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"prompt": "q", "chosen": "x", "rejected": "y"}))
    with pytest.raises(Refused, match="do not name a source"):
        import_pairs(project=project, path=path, source="s")


def test_csv_with_a_mapping(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "vergleiche.csv"
    path.write_text("frage;eins;zwei;besser;nr\nWie?;So.;Anders.;2;7\nWo?;Hier.;;1;8\n", encoding="utf-8")
    mapping = {"prompt": "frage", "response_a": "eins", "response_b": "zwei", "label": "besser", "id": "nr"}
    report = import_pairs(project=project, path=path, mapping=mapping, on_error="skip")
    assert [(r.line, r.reason, r.item) for r in report.refusals] == [(3, "empty", "8")]
    pair = Pair.objects.get()
    assert (pair.external_id, pair.source, text_of(pair, pair.label)) == ("7", "vergleiche", "Anders.")


def test_the_run_is_named_as_the_origin(project: Project, write: Any) -> None:
    run = Run.objects.create(project=project, kind="import", code_version="test")
    import_pairs(project=project, path=write(row(1)), run=run)
    assert {Pair.objects.get().imported_by, *(c.imported_by for c in Candidate.objects.all())} == {run}


def test_an_import_leaves_one_event_without_texts(project: Project, lead: Any, write: Any) -> None:
    import_pairs(project=project, path=write(row(1)), actor=lead.user)
    event = Event.objects.get(act="import.pairs")
    assert event.after is not None
    assert (event.actor, event.subject) == ("lena@example.org", "file pairs.jsonl")
    assert (event.after["added"], len(event.after["sha256"])) == (1, 64)
    assert "Answer" not in json.dumps(event.after)
    assert list(broken_links()) == []


def test_check_stores_nothing_and_draws_a_preview(project: Project, write: Any) -> None:
    path = write(*(row(n) for n in range(100)), row(100, response_a=""))
    before = counted()
    drawn = [check(path, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert counted() == before
    lines = [[line for line, _ in report.preview] for report in drawn]
    assert lines[0] == lines[1] != lines[2]
    assert lines[0] == sorted(lines[0])
    assert len(lines[0]) == 5
    assert (drawn[0].good, drawn[0].counts, drawn[0].stored) == (100, {"empty": 1}, False)
    import_pairs(project=project, path=path, on_error="skip")
    assert check(path, project=project).already == 100


def test_progress_may_stop_the_import(project: Project, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", 2)
    usual, seen, turns = sys.getswitchinterval(), [], []

    def cancel(read: int) -> None:
        seen.append(read)
        turns.append(sys.getswitchinterval())
        # The connection is free for the caller.
        assert Project.objects.filter(pk=project.pk).exists()
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_pairs(project=project, path=write(*(row(n) for n in range(10))), progress=cancel)
    assert counted() == [0, 0, 0, 0]
    # Reader and database take short turns at Python, and nobody after them.
    assert max(turns) < usual == sys.getswitchinterval()


def test_the_settings_of_the_surrounding_transaction_come_back(project: Project, write: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        usual = cursor.fetchone()
        import_pairs(project=project, path=write(row(1)))
        check(write(row(2)))
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == usual
        # Keys are checked at the end of the transaction again: a pair may come before its candidates.
        cursor.execute("INSERT INTO guideline_reading (annotator_id, guideline_id, read_at) VALUES (-1, -1, now())")
        cursor.execute("DELETE FROM guideline_reading WHERE annotator_id = -1")


# ---- others at the same moment -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_prompt_that_somebody_makes_meanwhile_is_found(
    project: Project, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for a batch's prompts and their COPY another transaction commits one of them."""
    usual, tries = placing._numbers, []

    def meanwhile(cursor: Any, table: str, count: int) -> list[int]:
        if table == "prompt":
            tries.append(count)
        if tries == [2]:
            with closing(connection.copy()) as other, other.cursor() as elsewhere:
                elsewhere.execute(
                    "INSERT INTO prompt (project_id, messages, system, language, tags, source, external_id, meta, "
                    "digest, html, renderer, created_at) VALUES (%s, %s, '', '', '{}', '', '', '{}', %s, '', 0, now())",
                    [project.pk, json.dumps(asked), prompt_digest(as_json(asked))],
                )
        return usual(cursor, table, count)

    asked = [{"role": "user", "content": "Question 1?"}]
    monkeypatch.setattr(placing, "_numbers", meanwhile)
    report = import_pairs(project=project, path=write(row(1), row(2)))
    assert (report.added, tries) == (2, [2, 1])
    assert counted()[:3] == [2, 4, 2]


def test_ids_that_share_a_key_are_still_two(project: Project, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key by which an id is found is a digest: where two ids have the same one, the ids themselves decide."""
    monkeypatch.setattr(batching, "shuffle_key", lambda *parts: 7)
    monkeypatch.setattr(batching, "BATCH_ROWS", 2)
    path = write(row(1), row(2), row(3), row(1, prompt="Else?"))
    report = import_pairs(project=project, path=path, on_error="skip")
    assert (report.added, report.counts) == (3, {"duplicate_id": 1})
    assert [(refusal.line, refusal.reason) for refusal in report.refusals] == [(4, "duplicate_id")]


# ---- memory, and the end of the process ----------------------------------------------------------------------------


def test_reading_takes_no_more_memory_for_a_longer_file(
    project: Project, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good rows, bad rows, and what is kept of them for the report."""
    monkeypatch.setattr(batching, "BATCH_ROWS", 250)

    def peak(rows: int) -> int:
        path = write(*(row(n, response_b="" if n % 2 else "x") for n in range(rows)))
        job = storing._Job.prepare(path, "plumbline", None, set(), source="", split="", name="", project=project)
        tracemalloc.start()
        for batch in job.batches():
            job.report.refusals.add(batch.refusals)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert job.report.read == rows
        assert len(job.report.refusals) == rows // 2
        return most

    # Refusals go to a file beyond IN_MEMORY; both runs are beyond it.
    monkeypatch.setattr("annotation.importing.reporting.IN_MEMORY", 10_000)
    short, long = peak(2_000), peak(8_000)
    # Four times the rows: what was held of each would be three times as much and more.
    assert long < 1.8 * short


KILLED = """
    import os, sys
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    django.setup()
    from django.db import connection
    connection.settings_dict["NAME"] = sys.argv[1]
    from annotation.importing import batching, import_pairs
    from annotation.models import Project
    batching.BATCH_ROWS = 100

    def wait(read):
        print(read, flush=True)
        sys.stdin.readline()

    import_pairs(project=Project.objects.get(slug="everyday"), path=sys.argv[2], progress=wait)
    print("done", flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_kill_nine_in_the_middle_leaves_nothing_and_the_next_run_does_it_all(project: Project, write: Any) -> None:
    after = 2
    path = write(*(row(n) for n in range(400)))
    root = Path(storing.__file__).resolve().parents[2]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), connection.settings_dict["NAME"], os.fspath(path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for n in range(1, after + 1):
            # Each batch is in the database before the next is asked for.
            assert child.stdout.readline() == f"{(n + 1) * 100}\n", n
            if n < after:
                child.stdin.write("\n")
                child.stdin.flush()
        child.kill()
    assert counted() == [0, 0, 0, 0]
    assert not Event.objects.exists()
    report = import_pairs(project=project, path=path)
    assert (report.added, report.already) == (400, 0)
    assert Assignment.objects.filter(project=project).count() == 400 * project.overlap
