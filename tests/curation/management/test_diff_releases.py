from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from curation.criteria import parse_all
from curation.releasing import release

pytestmark = pytest.mark.usefixtures("same_connection")


def test_it_says_what_came_what_went_and_why(project, make_pair, say, alice, tmp_path, capsys):
    made = [make_pair(slots=0, tags=["code"][: n % 2]) for n in range(3)]
    for pair in made:
        say(alice, pair, "first")
    release(project=project, version="v1", out=tmp_path / "v1")
    release(project=project, version="v2", where=parse_all(["tag=code"]), out=tmp_path / "v2")
    call_command("diff_releases", str(tmp_path / "v1"), str(tmp_path / "v2"))
    said = capsys.readouterr().out
    assert "1 pairs are the same in both." in said
    assert f"2 tag=code: {made[0].pk}, {made[2].pk}" in said
    call_command("diff_releases", str(tmp_path / "v1"), str(tmp_path / "v2"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["went"] == {"pairs": [made[0].pk, made[2].pk], "reasons": {"tag=code": 2}}


def test_a_folder_without_a_release_is_named(db, tmp_path):
    with pytest.raises(CommandError, match="holds no manifest of a release"):
        call_command("diff_releases", str(tmp_path), str(tmp_path))
