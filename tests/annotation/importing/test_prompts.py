"""Prompts without answers: what comes in, what is refused, twice, and that models are asked to answer them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from annotation import starting
from annotation.errors import Refused
from annotation.importing import import_pairs, import_prompts
from annotation.models import Event, Pair, Project, Prompt
from tests.annotation.importing.pressed import line, page, press, send, worked
from tests.annotation.importing.test_commands import command

pytestmark = pytest.mark.django_db


def to_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Any:
    return lambda *rows, name="asked.jsonl": to_file(tmp_path / name, list(rows))


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def test_a_row_becomes_a_prompt_without_candidates(project: Project, write: Any) -> None:
    talk = [user("Hello"), {"role": "assistant", "content": "Hi"}, user("Why?")]
    path = write(
        {"prompt": "How?", "item_id": "q1", "source": "ours", "language": "en", "tags": ["code"], "meta": {"n": 1}},
        {"prompt": [{"role": "system", "content": "Be brief."}, *talk]},
        {"messages": talk, "system": "Be kind.", "prompt": None},
    )
    report = import_prompts(project=project, path=path)
    assert (report.read, report.added, report.already, report.stored) == (3, 3, 0, True)
    how, brief, kind = Prompt.objects.order_by("id")
    assert (how.messages, how.external_id, how.source, how.language) == ([user("How?")], "q1", "ours", "en")
    assert (how.tags, how.meta, how.system) == (["code"], {"n": 1}, "")
    assert (brief.messages, brief.system, brief.source) == (talk, "Be brief.", "asked")
    assert (kind.messages, kind.system) == (talk, "Be kind.")
    assert not Pair.objects.exists()
    # What `generate` takes where nothing else is said.
    assert set(starting.without_candidates(project)) == {how, brief, kind}
    event = Event.objects.get(act="import.prompts")
    assert event.after is not None
    assert (event.after["added"], event.actor) == (3, "import_prompts")


def test_the_same_file_twice_adds_nothing(project: Project, write: Any) -> None:
    path = write({"prompt": "How?", "item_id": "q1"}, {"prompt": "Why?"}, {"prompt": "How?"})
    assert (import_prompts(project=project, path=path).added, Prompt.objects.count()) == (2, 2)
    again = import_prompts(project=project, path=path)
    assert (again.added, again.already, len(again.refusals)) == (0, 3, 0)
    assert Prompt.objects.count() == 2


def test_the_prompt_of_a_pair_is_the_same_prompt(project: Project, write: Any) -> None:
    first = import_prompts(project=project, path=write({"prompt": "What is 1?"}, {"prompt": "What is 2?"}))
    assert first.added == 2
    pairs = write(*[json.loads(line(n)) for n in (1, 3)], name="pairs.jsonl")
    assert import_pairs(project=project, path=pairs).added == 2
    assert Prompt.objects.count() == 3
    assert [prompt.last for prompt in starting.without_candidates(project)] == ["What is 2?"]
    # Of a file of pairs only the prompts come in.
    again = import_prompts(project=project, path=pairs)
    assert (again.added, again.already, Pair.objects.count()) == (0, 2, 2)


BAD: list[tuple[bytes, str]] = [
    (b'{"prompt": "brok', "not_json"),
    (b'["prompt"]', "not_an_object"),
    (b'{"question": "x"}', "missing_key"),
    (b'{"prompt": true}', "wrong_type"),
    (b'{"prompt": "x", "meta": 5}', "wrong_type"),
    (b'{"prompt": "x", "tags": "code"}', "wrong_type"),
    (b'{"prompt": " "}', "empty_prompt"),
    (b'{"prompt": []}', "empty_prompt"),
    (b'{"prompt": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}', "roles_out_of_order"),
    (b'{"prompt": [{"role": "narrator", "content": "x"}]}', "unknown_role"),
    (b'{"prompt": "Perh\xe4ps"}', "invalid_utf8"),
    (b'{"prompt": "half \\ud83d"}', "lone_surrogate"),
    (b'{"prompt": "x", "tags": ["half \\ud83d"]}', "lone_surrogate"),
    (b'{"prompt": "a\\u0000b"}', "nul"),
    (b'{"prompt": "x", "meta": {"a": ["\\u0000"]}}', "nul"),
    (b'{"prompt": "x", "meta": {"a": NaN}}', "not_finite"),
    (b'{"prompt": "x", "language": "the one of Goethe"}', "bad_value"),
    (b'{"prompt": "x", "item_id": "' + b"i" * 301 + b'"}', "bad_value"),
    (b'{"prompt": "' + b"x" * 1_000_001 + b'"}', "text_too_long"),
    (b'{"prompt": "' + b"x" * 10_000_000 + b'"}', "line_too_long"),
    (b'{"prompt": "Other words?", "item_id": "good"}', "duplicate_id"),
    (b'{"prompt": "Other words?", "item_id": "here", "source": "before"}', "other_text"),
]


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_every_bad_row_is_named(project: Project, write: Any, tmp_path: Path, on_error: str) -> None:
    import_prompts(project=project, path=write({"prompt": "Here?", "item_id": "here", "source": "before"}))
    path = tmp_path / "dirty.jsonl"
    good = [b'{"prompt": "Good?", "item_id": "good"}', b'{"prompt": "Better?"}']
    path.write_bytes(b"\n".join([good[0], *(row for row, _ in BAD), good[1]]) + b"\n")
    report = import_prompts(project=project, path=path, on_error=on_error)
    assert [(one.line, one.reason) for one in report.refusals] == [(n, why) for n, (_, why) in enumerate(BAD, 2)]
    assert (report.read, report.stored) == (len(BAD) + 2, on_error == "skip")
    assert {prompt.last for prompt in Prompt.objects.all()} == (
        {"Here?", "Good?", "Better?"} if on_error == "skip" else {"Here?"}
    )


def test_columns_are_named_by_hand(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "fragen.csv"
    path.write_text("nr,frage,sprache\n7,Wie?,de\n8,Warum?,de\n")
    with pytest.raises(Refused, match=r"has no column prompt or messages\. .*--map prompt=COLUMN"):
        import_prompts(project=project, path=path)
    mapping = {"prompt": "frage", "id": "nr", "language": "sprache"}
    assert import_prompts(project=project, path=path, mapping=mapping).added == 2
    stored = list(Prompt.objects.order_by("id").values_list("external_id", "language", "source"))
    assert stored == [("7", "de", "fragen"), ("8", "de", "fragen")]
    with pytest.raises(Refused, match="'response_a' cannot be mapped for prompts"):
        import_prompts(project=project, path=path, mapping={"response_a": "frage"})
    with pytest.raises(Refused, match="no column 'fragge' "):
        import_prompts(project=project, path=path, mapping={"prompt": "fragge"})


def test_the_command_founds_a_project_for_its_prompts(write: Any) -> None:
    path = write({"prompt": "How?"}, {"prompt": ""})
    assert command("import_prompts", path, "--project", "round-4", "--create")[0] == 1
    assert not Project.objects.exists()
    options = ["--project", "round-4", "--create", "--overlap", "2", "--on-error", "skip"]
    status, said = command("import_prompts", path, *options)
    assert (status, "1 prompts added, 0 were already here." in said) == (0, True)
    assert "Line 2: The prompt is empty." in said
    project = Project.objects.get(slug="round-4")
    assert (project.name, project.overlap, project.prompts.count()) == ("Round 4", 2, 1)
    acts = Event.objects.order_by("id").values_list("act", "actor")
    assert list(acts) == [("import.prompts", "import_prompts"), ("project.found", "import_prompts")]
    with pytest.raises(CommandError, match="'promt' cannot be mapped"):
        call_command("import_prompts", str(path), "--project", "round-4", "--map", "promt=prompt")


ASKED = b'{"prompt": "How?"}\n{"prompt": "Why?"}\n{"prompt": ""}\n'


@pytest.mark.usefixtures("quiet_telling")
def test_on_the_page_they_are_checked_and_taken_in(project: Project, lead: Any, sign_in: Any) -> None:
    client = sign_in(lead)
    send(client, project, ASKED, name="asked.jsonl", holds="prompts")
    run = worked()
    text = page(client, run)
    assert not Prompt.objects.exists()
    assert "<b>2</b> good, <b>1</b> refused" in text
    assert "The prompt is empty." in text
    press(client, run, do="import")
    text = page(client, worked())
    assert sorted(prompt.last for prompt in Prompt.objects.all()) == ["How?", "Why?"]
    assert "Let models answer them" in text
    assert "Undo this import: delete 2 prompts" in text
    send(client, project, b"frage\nWie?\n", name="fragen.csv", holds="prompts")
    assert "upload the file again" in page(client, worked())


@pytest.mark.usefixtures("quiet_telling")
def test_over_the_api_they_come_in_at_once(project: Project, lead: Any, api: Any) -> None:
    def sent(**fields: Any) -> Any:
        file = SimpleUploadedFile("fragen.csv", b"frage\nWie?\n")
        return api(lead).post(f"/api/v1/projects/{project.slug}/imports", {"file": file, **fields}, format="multipart")

    for fields, said in (
        ({"map": "promt=frage"}, "'promt' cannot be mapped for prompts."),
        ({"layout": "trl"}, "layout is for files of pairs."),
        ({"judges": "gpt"}, "judges are for files of judgements."),
    ):
        refused = sent(holds="prompts", **fields)
        assert (refused.status_code, refused.json()["detail"].startswith(said)) == (400, True), refused.json()
    assert sent(holds="prompts", map="prompt=frage").status_code == 202
    assert (worked().result["added"], Prompt.objects.get().last) == (1, "Wie?")
