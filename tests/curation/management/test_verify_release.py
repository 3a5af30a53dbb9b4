from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from curation.releasing import release

pytestmark = pytest.mark.usefixtures("same_connection")


def test_a_sound_release_is_said_to_be_sound_and_a_changed_one_is_not(project, make_pair, say, alice, tmp_path, capsys):
    say(alice, make_pair(slots=0), "first")
    release(project=project, version="v1", out=tmp_path / "out")
    call_command("verify_release", str(tmp_path / "out"))
    assert "every row follows from the judgements" in capsys.readouterr().out
    (tmp_path / "out" / "README.md").write_text("# Better than it is")
    with pytest.raises(CommandError, match=r"README\.md was changed after the release\."):
        call_command("verify_release", str(tmp_path / "out"))


def test_a_folder_without_a_release_is_named(db, tmp_path):
    with pytest.raises(CommandError, match="holds no manifest of a release"):
        call_command("verify_release", str(tmp_path))
