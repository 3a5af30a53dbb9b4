from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def judged(make_pair, say, alice):
    for what in ("first", "second", "tie"):
        say(alice, make_pair(slots=0, tags=[what]), what)


def test_it_releases_and_says_what_was_dropped(project, judged, tmp_path, capsys):
    call_command("release", "v1", "--project", "everyday", "--out", str(tmp_path / "out"), "--where", "tag!=second")
    said = capsys.readouterr().out
    assert "Released v1." in said
    assert "3 pairs in the project" in said
    assert "1 removed: tag!=second" in said
    assert "1 removed: tie" in said
    assert "1 rows in" in said
    call_command("release", "v1", "--project", "everyday", "--out", str(tmp_path / "out"), "--where", "tag!=second")
    assert "was released already, with the same content" in capsys.readouterr().out


def test_it_prints_json(project, judged, tmp_path, capsys):
    call_command("release", "v1", "--project", "everyday", "--out", str(tmp_path / "out"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["release"], found["is_new"], found["pairs"], found["rows"]) == ("v1", True, 3, 2)
    assert [one["path"] for one in found["files"]] == ["trl_dpo/train-00000-of-00001.parquet", "README.md"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--project", "nowhere"], "There is no project 'nowhere'"),
        (["--project", "everyday", "--where", "mood=good"], "Unknown field 'mood'"),
        (["--project", "everyday", "--layout", "csv"], "Unknown layout 'csv'. Known are trl_dpo"),
        (["--project", "everyday", "--rule", "coin"], "Unknown rule 'coin'. Known are majority, dawid_skene, label"),
        (["--project", "everyday", "--annotators", "cats"], "Unknown annotators 'cats'"),
    ],
)
def test_what_it_does_not_know_is_refused_with_what_it_does(project, tmp_path, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("release", "v1", "--out", str(tmp_path / "out"), *arguments)
    assert not (tmp_path / "out").exists()
