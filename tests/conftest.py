"""The small cast, and what tests need around them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config import embedded

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SHARED_FOLDER", ROOT.parent / "shared"))

PASSWORD = "a-long-quiet-password-73"


def pytest_configure(config: pytest.Config) -> None:
    embedded.ensure_running()
    # WhiteNoise warns where the folder of collected files is missing; in the embedded mode nothing is collected.
    (embedded.var_folder() / "static").mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("The real data (../shared/data) is not here.")
    return folder


@pytest.fixture(scope="session")
def shared_payloads() -> Path:
    folder = SHARED / "payloads"
    if not folder.is_dir():
        pytest.skip("The hostile payloads (../shared/payloads) are not here.")
    return folder


@pytest.fixture(autouse=True)
def _own_state(settings: Any, tmp_path: Path) -> None:
    """Uploads and releases of a test go to its own folder; tasks run at once; passwords are hashed quickly."""
    settings.UPLOADS = tmp_path / "uploads"
    settings.RELEASES = tmp_path / "releases"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _eager_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from config.celery import app

    was = app.conf.task_always_eager, app.conf.task_eager_propagates
    app.conf.task_always_eager, app.conf.task_eager_propagates = True, True
    yield
    app.conf.task_always_eager, app.conf.task_eager_propagates = was


def leave_alone(database: str) -> None:
    """End every connection to a database but those of this thread, which are closed: threads of live servers stay on.

    Asked for from another database, so that nothing here can end the connection that asks.
    """
    import psycopg
    from django.db import connection, connections

    parameters = connection.get_connection_params()
    reach = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    connections.close_all()
    with psycopg.connect(**reach, dbname="postgres", autocommit=True) as server:
        server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database is dropped at the end: threads of live servers must not hold on to it."""
    yield
    from django.db import connection

    with django_db_blocker.unblock():
        leave_alone(connection.settings_dict["NAME"])


# ---- the cast: a lead, two annotators, an adjudicator, an admin, and a stranger who gets 404 -----------------------


@pytest.fixture
def project(db: None) -> Any:
    from annotation.models import Project

    return Project.objects.create(slug="everyday", name="Everyday help", overlap=3, seed=7)


def _member(project: Any, name: str, role: str) -> Any:
    from annotation.models import Annotator, User

    user = User.objects.create_user(f"{name.lower()}@example.org", PASSWORD, name=name)
    return Annotator.objects.create(project=project, user=user, role=role, name=name)


@pytest.fixture
def lead(project: Any) -> Any:
    return _member(project, "Lena", "lead")


@pytest.fixture
def alice(project: Any) -> Any:
    return _member(project, "Alice", "annotator")


@pytest.fixture
def bob(project: Any) -> Any:
    return _member(project, "Bob", "annotator")


@pytest.fixture
def adjudicator(project: Any) -> Any:
    return _member(project, "Ada", "adjudicator")


@pytest.fixture
def admin(db: None) -> Any:
    from annotation.models import User

    return User.objects.create_superuser("admin@example.org", PASSWORD, name="Root")


@pytest.fixture
def stranger(db: None) -> Any:
    """Somebody with an account and a project of their own, and no business in `project`."""
    from annotation.models import Project, User

    other = Project.objects.create(slug="elsewhere", name="Elsewhere")
    user = User.objects.create_user("charlie@example.org", PASSWORD, name="Charlie")
    from annotation.models import Annotator

    return Annotator.objects.create(project=other, user=user, role="lead", name="Charlie")


@pytest.fixture
def sign_in() -> Callable[[Any], Any]:
    """A signed-in test client of a member or an account."""
    from django.test import Client

    def enter(who: Any) -> Client:
        client = Client()
        client.force_login(getattr(who, "user", who), backend="annotation.signing_in.Backend")
        return client

    return enter


@pytest.fixture
def api() -> Callable[[Any], Any]:
    """A client of the API that carries the token of a member or an account."""
    from rest_framework.authtoken.models import Token
    from rest_framework.test import APIClient

    def enter(who: Any) -> APIClient:
        token, _ = Token.objects.get_or_create(user=getattr(who, "user", who))
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
        return client

    return enter


@pytest.fixture
def make_pair(project: Any) -> Callable[..., Any]:
    """Make a pair of `project` (or of another) with open slots: plain rows, so that every test sees what is there."""
    import hashlib

    from annotation import rendering
    from annotation.models import Assignment, Candidate, Pair, Prompt

    counter = itertools.count(1)

    def make(
        *,
        prompt: str = "",
        first: str = "",
        second: str = "",
        into: Any = None,
        slots: int | None = None,
        **fields: Any,
    ) -> Any:
        n = next(counter)
        home = into or project
        messages = [{"role": "user", "content": prompt or f"What is {n} plus {n}?"}]
        asked, _ = Prompt.objects.get_or_create(
            project=home,
            digest=hashlib.sha256(str(messages).encode()).digest(),
            defaults={
                "messages": messages,
                "html": rendering.render_prompt(messages),
                "renderer": rendering.RENDERER,
            },
        )
        made = []
        for side, text in (("first", first or f"It is {2 * n}."), ("second", second or f"It is {2 * n + 1}, I think.")):
            made.append(
                Candidate.objects.create(
                    prompt=asked,
                    messages=[{"role": "assistant", "content": text}],
                    digest=hashlib.sha256(f"{side}{n}{text}".encode()).digest(),
                    html=rendering.render_candidate([{"role": "assistant", "content": text}]),
                    renderer=rendering.RENDERER,
                    model=f"canary-{side}",
                    characters=len(text),
                )
            )
        rank = fields.pop("rank", n)
        pair = Pair.objects.create(project=home, prompt=asked, first=made[0], second=made[1], rank=rank, **fields)
        for slot in range(1, (home.overlap if slots is None else slots) + 1):
            Assignment.objects.create(project=home, pair=pair, slot=slot, priority=rank * 1_000_000 + slot)
        return pair

    return make
