"""Settings come from the environment; a wrong one stops the start and is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.conftest import ROOT

KEY = "k3y-" * 20
VALIDATORS: list[dict[str, Any]] = settings.AUTH_PASSWORD_VALIDATORS  # type: ignore[assignment]
SHOW = (
    "import json, sys; from config import settings as s;"
    "json.dump({n: getattr(s, n) for n in sys.argv[1:]}, sys.stdout, default=str)"
)


def start(folder: Path, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    for name in ("DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE"):
        clean.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", SHOW, *names],
        cwd=ROOT,
        env={**clean, "PLUMBLINE_VAR": os.fspath(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def read(folder: Path, *names: str, **environment: str) -> dict[str, object]:
    done = start(folder, *names, **environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PLUMBLINE_DEBG": "1"}, "Unknown setting PLUMBLINE_DEBG"),
        ({"PLUMBLINE_SECRET_KEY": "short"}, "PLUMBLINE_SECRET_KEY is too weak"),
        ({"PLUMBLINE_SECRET_KEY": "a" * 60}, "PLUMBLINE_SECRET_KEY is too weak"),
        ({"DATABASE_URL": "postgresql://u:p@h/d"}, "PLUMBLINE_SECRET_KEY is not set"),
        ({"PLUMBLINE_ENDPOINT_KEYS": "http://a/v1=k,http://b/v1"}, "must be address=key"),
        ({"DATABASE_URL": "sqlite:///x.db", "PLUMBLINE_SECRET_KEY": KEY + "xyz"}, "must name a PostgreSQL"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    done = start(tmp_path, "DEBUG", **environment)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_embedded_mode_makes_a_key_of_its_own_once(tmp_path: Path) -> None:
    first = read(tmp_path, "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "HTTPS", "LEADS_NEED_TOTP")
    assert len(str(first["SECRET_KEY"])) >= 50
    assert (first["DEBUG"], first["HTTPS"], first["LEADS_NEED_TOTP"]) == (False, False, False)
    assert first["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert read(tmp_path, "SECRET_KEY")["SECRET_KEY"] == first["SECRET_KEY"]
    assert read(tmp_path / "other", "SECRET_KEY")["SECRET_KEY"] != first["SECRET_KEY"]


def test_an_endpoints_key_belongs_to_its_address(tmp_path: Path) -> None:
    found = read(tmp_path, "ENDPOINT_KEYS", PLUMBLINE_ENDPOINT_KEYS="https://a.example/v1/=k1==, http://b:8000/v1=k2")
    assert found["ENDPOINT_KEYS"] == {"https://a.example/v1": "k1==", "http://b:8000/v1": "k2"}
    assert read(tmp_path, "ENDPOINT_KEYS")["ENDPOINT_KEYS"] == {}


def test_a_database_of_ones_own_means_production(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "HTTPS",
        "LEADS_NEED_TOTP",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_NAME",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        DATABASE_URL="postgresql://u:p@h/d",
        PLUMBLINE_SECRET_KEY=KEY + "xyz",
    )
    assert (found["SESSION_COOKIE_NAME"], found["CSRF_COOKIE_NAME"]) == ("__Host-plumbline", "__Host-csrf")
    assert int(str(found["SECURE_HSTS_SECONDS"])) >= 365 * 24 * 3600
    assert not (tmp_path / "secret_key").exists()


def test_no_key_lies_in_the_repository() -> None:
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("This is no git checkout.")
    found = [
        name
        for name in tracked.stdout.splitlines()
        if (ROOT / name).is_file() and settings.SECRET_KEY.encode() in (ROOT / name).read_bytes()
    ]
    assert found == []


def test_passwords_are_long_and_not_common() -> None:
    rules = {rule["NAME"].rsplit(".", 1)[-1]: rule.get("OPTIONS", {}) for rule in VALIDATORS}
    assert rules["MinimumLengthValidator"] == {"min_length": 12}
    assert "CommonPasswordValidator" in rules
