"""Files over the API: the options of the commands, a run to read, its refused lines as a file."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.importing import receiving
from annotation.models import Annotator, Event, Judgement, Pair, Run
from tests.annotation.importing.pressed import GOOD, MIXED, line, page, worked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quiet_telling")]

HERE = "/api/v1/projects/everyday"
COLUMNS = b"frage,eins,zwei\n" + b"".join(f"Wie {n}?,So {n}.,Anders {n}.\n".encode() for n in range(4))


@pytest.fixture
def client(lead: Any, api: Any) -> Any:
    return api(lead)


def send(client: Any, data: bytes = GOOD, name: str = "pairs.jsonl", **fields: Any) -> Any:
    return client.post(f"{HERE}/imports", {"file": SimpleUploadedFile(name, data), **fields}, format="multipart")


def read(client: Any, run: Any) -> dict[str, Any]:
    """The run, as a script polls it."""
    answer = client.get(f"{HERE}/runs/{run['id']}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def refused(client: Any, run: Any) -> list[tuple[str, str]]:
    """Line and reason of each refused line, from the file."""
    answer = client.get(f"{HERE}/imports/{run['id']}/refused.csv", HTTP_ACCEPT="text/csv")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="refused-{run["id"]}.csv"'
    header, *rows = csv.reader(io.StringIO(b"".join(answer.streaming_content).decode()))
    assert header[:2] == ["line", "reason"]
    return [(row[0], row[1]) for row in rows]


def test_a_file_that_is_sent_comes_in(project, lead, client):
    answer = send(client)
    assert answer.status_code == 202
    assert (answer.json()["kind"], answer.json()["state"]) == ("import", "waiting")
    assert not Pair.objects.exists()
    worked()
    run = read(client, answer.json())
    assert (run["state"], run["result"]["layout"]) == ("done", "plumbline")
    assert (run["result"]["read"], run["result"]["added"], run["result"]["refused"]) == (20, 20, 0)
    assert Pair.objects.filter(project=project, imported_by=run["id"]).count() == 20
    assert Event.objects.get(act="import.pairs", project=project.slug).actor == lead.user.email
    send(client)
    assert worked().result["already"] == 20
    assert Pair.objects.count() == 20


def test_with_a_bad_line_nothing_comes_in_and_every_one_is_named(project, lead, client, sign_in):
    run = send(client, MIXED).json()
    worked()
    found = read(client, run)
    assert found["state"] == "failed"
    assert found["error"].startswith("5 refused: ")
    assert "Nothing was kept." in found["error"]
    assert not Pair.objects.exists()
    bad = refused(client, run)
    assert [line for line, _ in bad] == ["2", "3", "4", "5", "7"]
    assert bad[:2] == [("2", "empty"), ("3", "identical")]
    # The page of the run leads to the same file.
    assert f"/p/everyday/import/{run['id']}/refused.csv" in page(sign_in(lead), Run.objects.get(pk=run["id"]))


def test_bad_lines_are_skipped_where_that_is_asked_for(client, lead, sign_in):
    run = send(client, MIXED, on_error="skip").json()
    worked()
    found = read(client, run)
    assert (found["state"], found["result"]["added"], found["result"]["refused"]) == ("done", 2, 5)
    assert len(refused(client, run)) == 5
    assert Pair.objects.count() == 2
    shown = page(sign_in(lead), Run.objects.get(pk=run["id"]))
    assert f"/p/everyday/import/{run['id']}/refused.csv" in shown


def test_kinds_of_lines_are_let_in(client):
    send(client, MIXED, on_error="skip", allow=["empty", "identical"])
    assert worked().result["added"] == 4
    assert sorted(mark for pair in Pair.objects.all() for mark in pair.marks) == ["empty", "identical"]


def test_columns_are_named_as_the_command_takes_them(client):
    named = ["prompt=frage", "response_a=eins", "response_b=zwei"]
    send(client, COLUMNS, name="fragen.csv", map=named)
    assert worked().result["added"] == 4
    assert {pair.prompt.messages[0]["content"] for pair in Pair.objects.all()} == {f"Wie {n}?" for n in range(4)}


def test_one_source_is_taken_from_a_file_of_several(client):
    both = "\n".join(line(n, source="here" if n % 2 else "there") for n in range(6)).encode()
    send(client, both, source="here")
    run = worked()
    assert (run.result["added"], run.result["left_out"]) == (3, [["not of the source here", 3]])
    # A check and the import of what it found keep to it.
    send(client, both, source="there", only_check="true")
    check = worked()
    client.post(f"{HERE}/imports/{check.pk}/import")
    assert worked().result["added"] == 3


def test_judgements_come_in_with_their_judges(project, client):
    send(client)
    worked()
    said = '{"item_id": "i1", "annotator_id": "%s", "task": "pairwise", "choice": "a"}\n'
    send(client, (said % "ann" + said % "gpt").encode(), holds="judgements", judges=["gpt"])
    run = worked()
    assert (run.state, run.result["added"]) == ("done", 2)
    kinds = dict(Annotator.objects.filter(judgements__isnull=False).values_list("name", "kind"))
    assert kinds == {"ann": "person", "gpt": "judge"}
    assert Judgement.objects.count() == 2


def test_a_check_keeps_nothing_until_it_is_asked_to(client):
    check = send(client, MIXED, only_check="true").json()
    worked()
    found = read(client, check)
    assert (found["state"], found["result"]["good"], found["result"]["refused"]) == ("done", 2, 5)
    assert len(refused(client, check)) == 5
    assert not Pair.objects.exists()
    first = client.post(f"{HERE}/imports/{check['id']}/import")
    again = client.post(f"{HERE}/imports/{check['id']}/import")
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"] != check["id"]
    assert worked().result["added"] == 2
    # What is no finished check cannot be imported from.
    answer = client.post(f"{HERE}/imports/{first.json()['id']}/import")
    assert (answer.status_code, answer.json()["detail"][:40]) == (400, "Only a file that was checked can be impo")


def test_an_import_is_undone(client, alice, make_pair):
    run = send(client).json()
    assert client.post(f"{HERE}/imports/{run['id']}/undo").status_code == 400
    worked()
    answer = client.post(f"{HERE}/imports/{run['id']}/undo")
    assert (answer.status_code, answer.json()["result"]["undone"]) == (200, True)
    assert not Pair.objects.exists()
    answer = client.post(f"{HERE}/imports/{run['id']}/undo")
    assert (answer.status_code, answer.json()["detail"][:27]) == (400, "This import was undone befo")


WRONG = {
    "no such content": ({"holds": "everything"}, "holds: "),
    "no such layout": ({"layout": "nonsense"}, "There is no layout 'nonsense'. Known are: auto, "),
    "no such layout of judgements": ({"holds": "judgements", "layout": "pku"}, "There is no layout 'pku' for jud"),
    "a layout and columns": ({"layout": "plumbline", "map": ["prompt=p"]}, "The layout plumbline names its columns"),
    "no column": ({"layout": "mapping"}, "The layout mapping needs columns"),
    "a column is missing": ({"map": ["prompt=p", "response_a=a"]}, "The mapping lacks response_b. Choose its column."),
    "one column twice": ({"map": ["prompt=p", "response_a=a", "response_b=a"]}, "First and second answer are the same"),
    "no such field": ({"map": ["promt=p"]}, "'promt' cannot be mapped. Known are: "),
    "no mapping": ({"map": ["prompt"]}, "'prompt' is no mapping. Write FIELD=COLUMN"),
    "mapped twice": ({"map": ["prompt=p", "prompt=q"]}, "prompt is mapped twice."),
    "no such kind": ({"allow": ["anything"]}, "allow: "),
    "no such way": ({"on_error": "explode"}, "on_error: "),
    "judges of pairs": ({"judges": ["gpt"]}, "judges are for files of judgements."),
    "judgements let in": ({"holds": "judgements", "allow": ["empty"]}, "allow is for files of pairs."),
    "judgements mapped": ({"holds": "judgements", "map": ["prompt=p"]}, "map is for files of pairs."),
    "judgements of a source": ({"holds": "judgements", "source": "here"}, "source is for files of pairs."),
    "misspelt": ({"onerror": "skip"}, "onerror: Unknown field. Known are: "),
}


@pytest.mark.parametrize(("fields", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_400_with_a_sentence_and_no_file_stays(client, fields, sentence):
    answer = send(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(sentence)
    assert "--" not in answer.json()["detail"]
    assert not Run.objects.exists()
    assert list(django_settings.UPLOADS.iterdir()) == []


def test_without_a_file_or_with_an_empty_one_nothing_is_asked_for(client):
    for answer in (client.post(f"{HERE}/imports", {"holds": "pairs"}, format="multipart"), send(client, b"")):
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("file: ")
    assert client.post(f"{HERE}/imports", {"file": "text"}, format="json").status_code == 415
    assert not Run.objects.exists()


def test_a_file_over_the_limit_is_refused_before_it_is_read(client, settings):
    settings.UPLOAD_MAX_BYTES = 10
    answer = send(client, b"x" * (receiving.FORM_BYTES + 11))
    assert answer.status_code == 413
    assert "import_pairs" in answer.json()["detail"]
    assert not settings.UPLOADS.exists()


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_come_in(project, client, api, who, request):
    run = send(client, MIXED, only_check="true").json()
    worked()
    other = api(request.getfixturevalue(who))
    before = sorted(django_settings.UPLOADS.iterdir())
    assert send(other).status_code == 404
    assert other.post(f"{HERE}/imports/{run['id']}/import").status_code == 404
    assert other.post(f"{HERE}/imports/{run['id']}/undo").status_code == 404
    assert other.get(f"{HERE}/imports/{run['id']}/refused.csv").status_code == 404
    assert sorted(django_settings.UPLOADS.iterdir()) == before
    assert not Pair.objects.filter(project=project).exists()


def test_another_run_is_no_import(project, client):
    run = Run.objects.create(project=project, kind="measurement", code_version="test")
    for act in ("import", "undo"):
        assert client.post(f"{HERE}/imports/{run.pk}/{act}").status_code == 404
    assert client.get(f"{HERE}/imports/{run.pk}/refused.csv").status_code == 404


def test_the_schema_says_what_is_sent(client):
    schema = client.get("/api/v1/schema.json").json()
    body = schema["paths"]["/api/v1/projects/{slug}/imports"]["post"]["requestBody"]["content"]
    assert list(body) == ["multipart/form-data"]
    fields = schema["components"]["schemas"][body["multipart/form-data"]["schema"]["$ref"].rsplit("/", 1)[1]]
    assert fields["properties"]["file"]["format"] == "binary"
    assert fields["required"] == ["file"]
    lines = schema["paths"]["/api/v1/projects/{slug}/imports/{run_id}/refused.csv"]["get"]["responses"]["200"]
    assert list(lines["content"]) == ["text/csv"]
