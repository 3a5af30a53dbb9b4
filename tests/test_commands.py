"""The command line: every command says what it does."""

from __future__ import annotations

import pytest
from django.core.management import get_commands, load_command_class

OURS = sorted((app, name) for name, app in get_commands().items() if app in ("annotation", "curation", "workers"))


@pytest.mark.parametrize(("app", "name"), OURS)
def test_every_command_explains_itself(app: str, name: str) -> None:
    command = load_command_class(app, name)
    told = command.create_parser("manage.py", name).format_help()
    assert command.help.split()[0] in told
    assert "%(" not in told
