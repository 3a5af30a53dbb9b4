"""The three commands: what they print, what they exit with, and options that are wrong."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotation.importing.commanding import ImportCommand
from annotation.models import Event, Judgement, Pair, PrincipleVote, Project
from annotation.recording import CHAIN_LOCK

pytestmark = pytest.mark.django_db


def command(name: str, *arguments: object) -> tuple[int, str]:
    """(exit status, what was printed)."""
    out = io.StringIO()
    try:
        call_command(name, *map(str, arguments), stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def row(n: int, **changes: Any) -> dict[str, Any]:
    return {"item_id": f"i{n}", "source": "s", "prompt": f"q{n}", "response_a": "=1+1", "response_b": "b"} | changes


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.jsonl"
    path.write_text("".join(json.dumps(row(n)) + "\n" for n in range(3)))
    return path


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Three good rows and thirty bad ones."""
    path = tmp_path / "dirty.jsonl"
    rows = [row(n, response_b="=1+1" if n >= 3 else "b") for n in range(32)] + [row(99, prompt="@x\u202e", label="+")]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_it_says_what_it_did(project: Project, good: Path) -> None:
    status, said = command("import_pairs", good, "--project", "everyday")
    assert status == 0
    assert "good.jsonl: 3 rows read, layout plumbline.\n3 pairs added, 0 were already here." in said
    assert "9 slots opened" in said
    status, said = command("import_pairs", good, "--project", "everyday")
    assert (status, "0 pairs added, 3 were already here." in said) == (0, True)


def test_stop_names_the_first_rows_and_exits_with_one(project: Project, dirty: Path, tmp_path: Path) -> None:
    status, said = command("import_pairs", dirty, "--project", "everyday", "--report", tmp_path / "all.csv")
    assert status == 1
    assert "Line 4 (i3): Both answers are the same text. A pair needs two different answers" in said
    assert "… and 10 more; see" in said
    assert "30 refused: 29 × twice the same answer, 1 × an unknown label." in said
    assert "Nothing was stored." in said
    assert not Pair.objects.exists()
    rows = list(csv.reader(io.StringIO((tmp_path / "all.csv").read_bytes().decode(), newline="")))
    assert rows[0] == ["line", "reason", "what is wrong and how to mend it", "id", "excerpt"]
    assert len(rows) == 31
    # A spreadsheet takes no cell for a formula.
    assert rows[1][4] == "'=1+1"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in rows for cell in line)


def test_skip_imports_the_rest(project: Project, dirty: Path, tmp_path: Path) -> None:
    report = tmp_path / "all.json"
    status, said = command("import_pairs", dirty, "--project", "everyday", "--on-error", "skip", "--report", report)
    assert (status, "3 pairs added" in said) == (0, True)
    told = json.loads(report.read_text())
    assert (told["added"], told["refused"], len(told["rows"])) == (3, 30, 30)
    assert told["rows"][0]["excerpt"] == "=1+1"
    assert told["reasons"] == {"identical": 29, "unknown_label": 1}


def test_json(project: Project, dirty: Path) -> None:
    status, said = command("import_pairs", dirty, "--project", "everyday", "--json")
    told = json.loads(said)
    assert (status, told["stored"], told["refused"], len(told["rows"])) == (1, False, 30, 20)


def test_create_founds_the_project_with_its_settings(good: Path) -> None:
    options = ["--project", "round-3", "--create", "--overlap", "2", "--scale", "6"]
    assert command("import_pairs", good, *options)[0] == 0
    project = Project.objects.get(slug="round-3")
    assert (project.name, project.overlap, project.scale, project.state) == ("Round 3", 2, 6, "judging")
    assert command("import_pairs", good, *options)[0] == 0
    with pytest.raises(CommandError, match=r"is here already, with overlap 2. Leave out --overlap"):
        command("import_pairs", good, "--project", "round-3", "--create", "--overlap", "5")


def test_create_leaves_no_project_behind_a_refused_file(dirty: Path) -> None:
    assert command("import_pairs", dirty, "--project", "round-3", "--create")[0] == 1
    assert not Project.objects.exists()


def test_nobody_is_kept_from_the_record_while_a_file_comes_in(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file takes minutes; whoever changes an answer meanwhile adds to the record, and would wait for it."""
    held: list[int] = []

    def look(read: int) -> None:
        with connection.cursor() as cursor:
            # Of this connection: other processes have tests of their own in databases beside this one.
            of_ours = "locktype = 'advisory' AND pid = pg_backend_pid()"
            cursor.execute(f"SELECT count(*) FROM pg_locks WHERE {of_ours} AND objid = %s", [CHAIN_LOCK])
            held.append(cursor.fetchone()[0])

    monkeypatch.setattr(ImportCommand, "progress", lambda self, options: look)
    assert command("import_pairs", good, "--project", "round-3", "--create")[0] == 0
    assert held
    assert set(held) == {0}
    look(0)
    assert held[-1] == 1
    acts = Event.objects.order_by("id").values_list("act", "project", "actor")
    assert list(acts) == [("import.pairs", "round-3", "import_pairs"), ("project.found", "round-3", "import_pairs")]


def test_allow_and_map(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("q,x,y\nwhy,,\n")
    mapping = ["--map", "prompt=q", "--map", "response_a=x", "--map", "response_b=y"]
    assert command("import_pairs", path, "--project", "everyday", *mapping)[0] == 1
    assert command("import_pairs", path, "--project", "everyday", *mapping, "--allow", "empty,identical")[0] == 0
    assert Pair.objects.get().marks == ["empty", "identical"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layout", "hhh"], "no layout 'hhh'"),
        (["--on-error", "ignore"], "Say stop or skip"),
        (["--allow", "empty,everything"], "'everything' cannot be allowed"),
        (["--map", "prompt"], "Write FIELD=COLUMN"),
        (["--map", "prompt=a", "--map", "prompt=b"], "mapped twice"),
        (["--report", "report.txt"], "must end in .csv or .json"),
        (["--report", "/no/such/folder/x.csv"], "no folder"),
        (["--overlap", "2"], "--overlap is for --create"),
        (["--project", "nowhere"], "no project 'nowhere'"),
        (["--create", "--project", "new", "--scale", "5"], "cannot be founded. Scale"),
        (["--create", "--project", "new", "--overlap", "99"], "cannot be founded"),
        (["--create", "--project", "a b"], "cannot be founded. Slug"),
        (["--split", "train"], "has no splits"),
        (["--nonsense"], "unrecognized arguments"),
        (["--overlap", "many"], "invalid int value"),
    ],
)
def test_what_is_not_known_fails_with_a_sentence(project: Project, good: Path, options: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("import_pairs", str(good), "--project", "everyday", *options)
    assert not Pair.objects.exists()


def test_judgements_and_votes(project: Project, good: Path, tmp_path: Path) -> None:
    command("import_pairs", good, "--project", "everyday")
    judgements = tmp_path / "judgements.jsonl"
    said = {"item_id": "i0", "source": "s", "task": "pairwise"}
    judgements.write_text(
        json.dumps(said | {"annotator_id": "p", "choice": "a"})
        + "\n"
        + json.dumps(said | {"annotator_id": "gpt", "choice": "b"})
    )
    status, told = command("import_judgements", judgements, "--project", "everyday", "--judge", "gpt")
    assert (status, "2 judgements added" in told, "2 annotators made" in told) == (0, True, True)
    assert Judgement.objects.by_people().count() == 1
    principles, votes = tmp_path / "principles.jsonl", tmp_path / "votes.jsonl"
    principles.write_text(json.dumps({"list": "l", "principle_id": 0, "text": "Be kind.", "short": "Kind"}))
    votes.write_text(json.dumps({"item_id": "i0", "oracle": "gpt", "principle_list": "l", "votes": [1]}))
    options = ["--project", "everyday", "--principles", principles, "--judge", "gpt"]
    status, told = command("import_principle_votes", votes, *options)
    assert (status, "1 rows added" in told, "1 votes" in told) == (0, True, True)
    assert PrincipleVote.objects.count() == 1
    with pytest.raises(CommandError, match="no file"):
        command("import_principle_votes", tmp_path / "none.jsonl", *options)


def test_render_sets_what_is_not_set(project: Project, good: Path) -> None:
    from annotation.models import Candidate

    command("import_pairs", good, "--project", "everyday")
    Candidate.objects.update(renderer=0, html="")
    assert command("render", "--project", "everyday", "--limit", "1")[1].startswith("2 texts set")
    assert command("render", "--project", "everyday")[1].startswith("4 texts set")
    assert command("render", "--project", "everyday")[1].startswith("0 texts set")
    assert not Candidate.objects.filter(html="").exists()
    with pytest.raises(CommandError, match="no project"):
        command("render", "--project", "nowhere")
    with pytest.raises(CommandError, match="at least 1"):
        command("render", "--project", "everyday", "--limit", "0")
