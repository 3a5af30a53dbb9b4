"""The command line: every command says what it does, and an empty database is met with a sentence."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
OURS = sorted((app, name) for name, app in get_commands().items() if app in ("annotation", "curation", "workers"))


@pytest.mark.parametrize(("app", "name"), OURS)
def test_every_command_explains_itself(app: str, name: str) -> None:
    command = load_command_class(app, name)
    told = command.create_parser("manage.py", name).format_help()
    assert command.help.split()[0] in told
    assert "%(" not in told


def test_a_database_without_tables_is_met_with_a_sentence(db: None) -> None:
    parameters = connection.get_connection_params()
    reach = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    name = f"empty_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(**reach, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            user, host, port = (reach.get(key, "") for key in ("user", "host", "port"))
            address = f"postgresql://{user}@/{name}?host={host}&port={port}"
            server_settings = {
                "DATABASE_URL": address,
                "BROKER_URL": "redis://localhost",
                "PLUMBLINE_HOSTS": "plumbline.example.org",
                "PLUMBLINE_SECRET_KEY": secrets.token_urlsafe(64),
            }
            done = subprocess.run(
                [sys.executable, "manage.py", "runs", "--project", "none"],
                cwd=ROOT,
                env={**os.environ, **server_settings},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("The database is not of this version: relation")
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr
