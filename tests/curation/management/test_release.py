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


def test_a_saved_selection_is_released_by_its_name(project, judged, tmp_path, capsys):
    from curation.criteria import parse_all
    from curation.models import Release, Selection

    for version, text in ((1, "tag=first"), (2, "tag!=first")):
        criteria = [one.as_json() for one in parse_all([text])]
        Selection.objects.create(project=project, name="hard", version=version, criteria=criteria)
    for name, chosen, beside, told in (
        ("v1", "hard", [], ["tag!=first"]),
        ("v2", "hard@1", ["--where", "judgements>=1"], ["tag=first", "judgements>=1"]),
    ):
        out = str(tmp_path / name)
        call_command("release", name, "--project", "everyday", "--out", out, "--selection", chosen, *beside)
        made = Release.objects.get(version=name)
        assert made.manifest["criteria"] == told
        # It names the version that it used, whatever stands beside it, and stores none of its own.
        assert str(made.selection) == f"hard, version {1 if '@' in chosen else 2}"
    capsys.readouterr()
    with pytest.raises(CommandError, match=r"no saved selection 'hard@3'\. There are hard\."):
        call_command("release", "v3", "--project", "everyday", "--out", str(tmp_path / "c"), "--selection", "hard@3")


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
        (["--project", "everyday", "--most-harmful", "2"], "flagged as harmful is 0 to 1, not 2"),
        (["--project", "everyday", "--layout", "csv"], "Unknown layout 'csv'. Known are trl_dpo"),
        (["--project", "everyday", "--rule", "coin"], "Unknown rule 'coin'. Known are majority, dawid_skene, label"),
        (["--project", "everyday", "--annotators", "cats"], "Unknown annotators 'cats'"),
        (["--project", "everyday", "--quota", "code=²"], "'code=²' is not a quota"),
        (["--project", "everyday", "--quota", f"code={'9' * 5000}"], "is not a quota"),
    ],
)
def test_what_it_does_not_know_is_refused_with_what_it_does(project, tmp_path, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("release", "v1", "--out", str(tmp_path / "out"), *arguments)
    assert not (tmp_path / "out").exists()
