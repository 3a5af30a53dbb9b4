"""Links that commands print lead to where the demo runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.management import call_command

from config import address


def test_a_demo_that_runs_is_where_links_lead_to(tmp_path):
    assert address.usual(state=tmp_path) == address.USUAL
    with address.served_at("http://localhost:8017", state=tmp_path):
        assert address.usual(state=tmp_path) == "http://localhost:8017"
    assert address.usual(state=tmp_path) == address.USUAL


def test_a_demo_that_was_killed_is_not(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / "address").write_text(f"{int(gone.stdout)} http://localhost:8017")
    assert address.usual(state=tmp_path) == address.USUAL


# Named: the processes of a run have numbers of their own, and must find the same tests.
@pytest.mark.parametrize("said", ["", "what is this", f"{os.getpid()}"], ids=["nothing", "words", "a number alone"])
def test_a_note_that_cannot_be_read_says_nothing(tmp_path, said):
    (tmp_path / "address").write_text(said)
    assert address.usual(state=tmp_path) == address.USUAL


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command", [["create_admin", "root@example.org"], ["invite", "everyday"]], ids=lambda one: one[0]
)
def test_commands_print_the_demos_own_address(tmp_path, settings, project, capsys, command):
    settings.VAR = tmp_path
    with address.served_at("http://localhost:8017", state=tmp_path):
        call_command(*command)
    assert "\nhttp://localhost:8017/" in "\n" + capsys.readouterr().out
