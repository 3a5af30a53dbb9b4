"""The import page: upload, check, mapping, refused lines, import, undo. Through the pages and the worker's own task."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from annotation import running
from annotation.errors import Refused
from annotation.importing import REASONS, check, uploads
from annotation.importing.guessing import guess_columns
from annotation.importing.options import Options
from annotation.importing.receiving import ReportLines, Upload, path_of
from annotation.models import Assignment, Event, Judgement, Pair, Run, Worker
from tests.annotation.importing.pressed import GOOD, MIXED, line, newest, page, press, send, worked
from workers import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quiet_telling")]


COLUMNS = b"frage;antwort_1;antwort_2;besser\n" + b"".join(
    f"Wie {n}?;So {n}.;Anders {n}.;{n % 3}\n".encode() for n in range(6)
)


@pytest.fixture
def client(lead: Any, sign_in: Any) -> Any:
    return sign_in(lead)


# ---- check -----------------------------------------------------------------------------------------------------------


def test_a_check_names_every_bad_line_and_keeps_nothing(project, client):
    send(client, project, MIXED)
    run = worked()
    assert run.state == "done"
    assert (run.result["good"], run.result["refused"], run.result["layout"]) == (2, 5, "plumbline")
    assert not Pair.objects.exists()
    text = page(client, run)
    assert "<b>2</b> good, <b>5</b> refused" in text
    assert "Import the 2 good ones" in text
    assert "Import nothing" in text
    assert [one["line"] for one in ReportLines(run.pk, 5)[0:5]] == [2, 3, 4, 5, 7]


def test_hostile_text_is_escaped_and_what_hides_is_written_out(project, client):
    send(client, project, MIXED, name="<img src=x onerror=alert(2)>.jsonl")
    text = page(client, worked())
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "<mark>‹U+202E›</mark>" in text
    assert "style=" not in text


def test_the_mending_is_what_the_page_can_do(project, client):
    send(client, project, MIXED)
    text = page(client, worked())
    assert "--allow" not in text
    assert "let empty answers in" in text


def test_the_refused_lines_come_as_csv_without_formulas(project, client):
    bad = line(1, item_id="=cmd()", response_a="").encode() + b"\n" + line(2, response_a="").encode()
    send(client, project, bad)
    run = worked()
    answer = client.get(reverse("import_refused", args=[project.slug, run.pk]))
    assert answer["Content-Disposition"] == f'attachment; filename="refused-{run.pk}.csv"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0][:2] == ["line", "reason"]
    assert [(row[0], row[1], row[3]) for row in rows[1:]] == [("1", "empty", "'=cmd()"), ("2", "empty", "i2")]


def test_many_refused_lines_come_in_pages(project, client, django_assert_max_num_queries):
    send(client, project, b"\n".join(line(n, response_a="").encode() for n in range(450)))
    run = worked()
    page(client, run)
    with django_assert_max_num_queries(20):
        text = page(client, run, page=3)
    assert "401 to 450 of 450 refused lines" in text
    assert text.count('data-l="Line"') == 50


def test_lines_can_be_let_in(project, client):
    send(client, project, MIXED)
    first = worked()
    press(client, first, do="again", layout="plumbline", allow=["empty", "identical"])
    run = worked()
    assert run.pk != first.pk
    assert (run.result["good"], run.result["refused"]) == (4, 3)
    assert run.parameters["allow"] == ["empty", "identical"]
    press(client, run, do="import")
    assert worked().state == "done"
    assert sorted(mark for pair in Pair.objects.all() for mark in pair.marks) == ["empty", "identical"]


def test_options_that_are_not_known_are_refused(project, client):
    send(client, project, GOOD)
    run = worked()
    assert press(client, run, do="again", layout="plumbline", allow=["anything"]).status_code == 422
    assert press(client, run, do="explode").status_code == 400
    press(client, run, do="again", layout="nonsense")
    run = worked()
    assert run.state == "failed"
    assert "There is no layout" in page(client, run)


def test_a_file_that_cannot_be_read_says_why(project, client):
    send(client, project, b"\x89PNG\r\n\x1a\n" + b"\0" * 400, name="picture.png")
    run = worked()
    assert run.state == "failed"
    text = page(client, run)
    assert "picture.png is an archive or a binary file" in text
    assert "Choose another file" in text


def test_a_file_of_broken_lines_only_is_named_line_by_line(project, client):
    send(client, project, b'{"a": 1\n{"b": 2\n{"c"')
    run = worked()
    assert (run.result["good"], run.result["refused"]) == (0, 3)
    assert "There is no good line in this file" in page(client, run)
    assert press(client, run, do="import").status_code == 422


# ---- mapping ---------------------------------------------------------------------------------------------------------


def test_unknown_columns_are_asked_for_with_guesses(project, client):
    send(client, project, COLUMNS, name="vergleiche.csv")
    run = worked()
    assert run.result["layout"] == ""
    text = page(client, run)
    assert "Name the columns." in text
    assert "<option selected>antwort_1</option>" in text
    assert "Wie 0?" in text
    assert 'value="import"' not in text


def test_named_columns_are_checked_and_imported(project, client):
    send(client, project, COLUMNS, name="vergleiche.csv")
    named = {"prompt": "frage", "response_a": "antwort_1", "response_b": "antwort_2", "label": "besser"}
    press(client, worked(), do="again", layout="mapping", **named)
    run = worked()
    assert (run.result["good"], run.result["refused"], run.result["is_mapped"]) == (6, 0, True)
    assert "Import all 6 pairs" in page(client, run)
    press(client, run, do="import")
    assert worked().result["added"] == 6
    assert sorted(Pair.objects.values_list("label", flat=True)) == ["first"] * 2 + ["second"] * 2 + ["tie"] * 2 or (
        set(Pair.objects.values_list("label", flat=True)) == {"first", "second", "tie"}
    )


def test_columns_named_before_are_offered_again(project, client):
    named = {"prompt": "besser", "response_a": "antwort_2", "response_b": "antwort_1"}
    send(client, project, COLUMNS, name="first.csv")
    assert "as for" not in page(client, worked())
    press(client, newest(), do="again", layout="mapping", **named)
    assert worked().result["good"] == 6
    send(client, project, COLUMNS, name="second.csv")
    text = page(client, worked())
    assert "as for <bdi>first.csv</bdi>" in text
    assert text.count("<option selected>besser</option>") == 1
    assert "<option selected>frage</option>" not in text
    # Other columns are guessed.
    send(client, project, COLUMNS.replace(b"besser", b"winner"), name="third.csv")
    text = page(client, worked())
    assert "as for" not in text
    assert "<option selected>frage</option>" in text


def test_refusals_of_the_engine_speak_of_what_the_page_offers(project, client, lead):
    """What the command mends by an option is mended on the page by a choice; what is wrong is said alike."""
    send(client, project, GOOD)
    upload = uploads.upload_of(worked())
    cases: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"layout": "mapping"}, "The layout mapping needs columns", "--map FIELD=COLUMN"),
        ({"layout": "mapping", "mapping": {"prompt": "prompt"}}, "The mapping lacks response_a", "--map response_a="),
        ({"layout": "trl", "mapping": {"prompt": "prompt"}}, "The layout trl names its columns itself.", "--map"),
    )
    for asked, wrong, option in cases:
        uploads.request_check(project=project, upload=upload, actor=lead.user, options=Options(**asked))
        text = page(client, worked())
        assert wrong in text
        assert "--map" not in text
        with pytest.raises(Refused, match=wrong) as refused:
            check(path_of(upload.name), asked["layout"], asked.get("mapping"))
        assert option in str(refused.value)


@pytest.mark.parametrize("reason", [reason for reason, (_, mend) in REASONS.items() if "--" in mend])
def test_every_line_that_an_option_mends_is_mended_on_the_page(reason):
    assert "--" not in uploads.MEND_HERE[reason]


def test_one_column_twice_is_said_at_its_field(project, client):
    send(client, project, COLUMNS)
    run = worked()
    answer = press(
        client, run, do="again", layout="mapping", prompt="frage", response_a="antwort_1", response_b="antwort_1"
    )
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "First and second answer are the same column." in text
    assert 'aria-invalid="true"' in text
    assert newest().pk == run.pk


def test_a_column_that_is_needed_is_asked_for_at_its_field(project, client):
    send(client, project, COLUMNS)
    run = worked()
    answer = press(client, run, do="again", layout="mapping", response_a="antwort_1", response_b="antwort_2")
    assert answer.status_code == 422
    assert "Choose its column." in answer.content.decode()


def test_columns_with_hostile_names_do_no_harm(project, client):
    rows = b'{"<b>x</b>": "1", "nul\\u0000": "2", "\xe2\x80\xaeturn": "3"}\n'
    send(client, project, rows * 2)
    run = worked()
    assert run.state == "done"
    assert run.result["columns"] == ["<b>x</b>"]
    assert "<b>x</b>" not in page(client, run)


def test_guesses_take_no_column_twice():
    assert guess_columns(["prompt", "chosen", "rejected"]) == {
        "prompt": "prompt",
        "response_a": "chosen",
        "response_b": "rejected",
    }
    assert guess_columns(["text"]) == {}
    found = guess_columns(["question", "answer", "model_a_answer", "model_b_answer"])
    assert len(set(found.values())) == len(found)


# ---- import ----------------------------------------------------------------------------------------------------------


def test_the_good_ones_come_in_once(project, client):
    send(client, project, MIXED)
    check = worked()
    press(client, check, do="import")
    again = press(client, check, do="import")
    run = newest()
    assert again["Location"] == reverse("import_run", args=[project.slug, run.pk])
    assert Run.objects.count() == 2
    assert run.parameters["on_error"] == "skip"
    run = worked()
    assert (run.state, run.result["added"], run.result["refused"]) == ("done", 2, 5)
    assert Pair.objects.filter(project=project, imported_by=run).count() == 2
    assert Assignment.objects.open().filter(project=project).count() == 2 * project.overlap
    text = page(client, run)
    assert "2 lines imported." in text
    assert reverse("import_run", args=[project.slug, check.pk]) in text
    assert "This file was imported from here." in page(client, check)


def test_the_same_file_again_adds_nothing(project, client):
    for _ in range(2):
        send(client, project, GOOD)
        press(client, worked(), do="import")
        run = worked()
    assert Pair.objects.count() == 20
    assert (run.result["added"], run.result["already"]) == (0, 20)
    assert "20 were already here" in page(client, run)


def test_with_nothing_refused_a_changed_file_keeps_nothing(project, client):
    send(client, project, GOOD)
    check = worked()
    press(client, check, do="import")
    path_of(check.parameters["upload"]).write_bytes(MIXED)
    run = worked()
    assert run.state == "failed"
    assert "Nothing was kept" in run.error
    assert not Pair.objects.exists()
    # A failed import does not stand in the way of another.
    press(client, check, do="import")
    assert newest().pk != run.pk


def test_import_nothing_deletes_the_file_and_says_so(project, client):
    send(client, project, MIXED)
    check = worked()
    answer = press(client, check, do="nothing")
    assert answer["Location"] == reverse("imports", args=[project.slug])
    assert not uploads.is_here(check)
    assert not Pair.objects.exists()
    assert Event.objects.filter(act="import.discard").count() == 1
    assert "The file itself was deleted." in page(client, check)
    assert press(client, check, do="import").status_code == 422
    assert "refused lines" in page(client, check)


def test_only_a_finished_check_can_be_imported(project, client):
    send(client, project, GOOD)
    assert press(client, newest(), do="import").status_code == 422
    assert Run.objects.count() == 1


def test_a_waiting_run_is_shown_polled_and_can_be_cancelled(project, client):
    send(client, project, GOOD)
    run = newest()
    text = page(client, run)
    assert 'hx-trigger="every 2s"' in text
    assert "No worker is alive." in text
    assert "worker --queues cpu --hostname cpu@%h --concurrency 2</code>" in text
    assert "<noscript>" in text
    Worker.objects.create(name="cpu", queues=["cpu"], seen_at=timezone.now())
    assert "No worker is alive." not in page(client, run)
    press(client, run, do="cancel")
    run.refresh_from_db()
    assert run.state == "cancelled"
    text = page(client, run)
    assert "hx-trigger" not in text
    assert "Cancelled." in text


def test_a_running_import_tells_its_speed_and_what_is_left(project, client):
    send(client, project, GOOD)
    run, now = newest(), timezone.now()
    Run.objects.filter(pk=run.pk).update(
        state="running", token=uuid.uuid4(), lease_until=now + timedelta(minutes=1), claimed_at=now
    )
    text = page(client, run)
    assert "Speed" not in text
    assert "Time left" not in text
    since = now - timedelta(seconds=1000)
    Run.objects.filter(pk=run.pk).update(total=100_000, progress=60_000, pace_since=since, claimed_at=since)
    text = page(client, run)
    assert "60 lines a second" in text
    assert "<dt>Time left</dt><dd>11 min" in text


def test_other_lines_of_the_same_file_can_be_drawn(project, client):
    send(client, project, COLUMNS + COLUMNS.split(b"\n", 1)[1].replace(b"Wie", b"Warum"), name="vergleiche.csv")
    fields = {"prompt": "frage", "response_a": "antwort_1", "response_b": "antwort_2"}
    press(client, worked(), do="again", layout="mapping", **fields)
    first = worked()
    text = page(client, first)
    assert "Draw others" in text
    form = text[: text.index("Draw others")].rpartition("<form")[2]
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    sent.pop("csrfmiddlewaretoken", None)
    assert sent == {"layout": "mapping", **fields}
    drawn = set()
    for _ in range(3):
        press(client, first, do="again", **sent)
        again = worked()
        drawn.add(tuple(one["line"] for one in again.result["preview"]))
        assert (again.result["good"], again.parameters["mapping"]) == (first.result["good"], fields)
    assert len(drawn) > 1
    send(client, project, line(1).encode())
    assert "Draw others" not in page(client, worked())


def test_the_last_poll_carries_the_result_and_stops(project, client):
    send(client, project, GOOD)
    run = worked()
    answer = client.get(reverse("import_run", args=[project.slug, run.pk]), headers={"HX-Request": "true"})
    text = answer.content.decode()
    assert "<html" not in text
    assert "hx-trigger" not in text
    assert "Import all 20 pairs" in text
    assert 'role="status"' in text


def test_the_list_shows_what_became_of_each_file(project, client, django_assert_max_num_queries):
    for _ in range(3):
        send(client, project, MIXED)
        worked()
    press(client, newest(), do="import")
    worked()
    client.get(reverse("imports", args=[project.slug]))
    with django_assert_max_num_queries(12):
        text = client.get(reverse("imports", args=[project.slug])).content.decode()
    assert "Checked: 2 good, 5 refused" in text
    assert "Imported: 2 new, 0 here before" in text


def test_old_judgements_are_checked_and_imported_with_their_judges(project, client):
    send(client, project, GOOD)
    press(client, worked(), do="import")
    worked()
    rows = [
        {"item_id": f"i{n}", "annotator_id": who, "task": "pairwise", "choice": "a"}
        for n in range(3)
        for who in ("ann", "gpt")
    ]
    said = "\n".join(json.dumps(row) for row in [*rows, {**rows[0], "item_id": "unknown"}]).encode()
    send(client, project, said, name="judgements.jsonl", holds="judgements", judges="gpt")
    check = worked()
    assert check.state == "done", check.error
    assert check.result["good"] == 6
    assert not Judgement.objects.exists()
    press(client, check, do="import")
    run = worked()
    assert run.result["added"] == 6
    assert Judgement.objects.filter(annotator__kind="judge").count() == 3
    assert "Undo" not in page(client, run)


# ---- progress and cancelling, on connections of their own ------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_from_outside_and_a_cancel_keeps_nothing(project, lead, monkeypatch):
    """While the import's transaction is open, others see how far it is, and their cancel stops it."""
    monkeypatch.setattr(uploads, "TELL_EVERY", 0.01)
    django_settings.UPLOADS.mkdir(parents=True)
    (django_settings.UPLOADS / "abc").write_bytes(GOOD)
    upload = Upload(name="abc", file="round3.jsonl", size=len(GOOD), sha256="")
    check = uploads.request_check(project=project, upload=upload, actor=lead.user)
    check.refresh_from_db()
    if check.state == "waiting":  # Where tasks run at once, it is done by now.
        tasks.run(check.pk)
        check.refresh_from_db()
    assert check.result["good"] == 20
    monkeypatch.setattr("annotation.running.ring", lambda *args, **kwargs: None)
    run = uploads.request_import(run=check, actor=lead.user)
    told, seen = threading.Event(), []
    beat = running.Hold.beat

    def told_beat(self: running.Hold, **changes: Any) -> None:
        try:
            beat(self, **changes)
        finally:
            if threading.current_thread() is not threading.main_thread() and changes.get("progress"):
                seen.append(changes["progress"])
                told.set()

    monkeypatch.setattr(running.Hold, "beat", told_beat)
    call = uploads._Telling.__call__

    def slow(self: uploads._Telling, rows: int) -> None:
        """The first call waits until the progress was told, then somebody cancels, and until that was heard."""
        self.rows = rows
        assert told.wait(60)
        somebody = threading.Thread(target=cancel)
        somebody.start()
        somebody.join(60)
        self._thread.join(60)
        call(self, rows)

    def cancel() -> None:
        Run.objects.filter(pk=run.pk).update(cancel_requested=True)
        connection.close()

    monkeypatch.setattr(uploads._Telling, "__call__", slow)
    tasks.run(run.pk)
    run.refresh_from_db()
    assert seen
    assert seen[0] == 20
    assert run.state == "cancelled"
    assert not Pair.objects.exists()
