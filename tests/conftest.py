"""The small cast, and what tests need around them."""

from __future__ import annotations

import functools
import gc
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from config import embedded
from tests import databases

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SHARED_FOLDER", ROOT.parent / "shared"))

PASSWORD = "a-long-quiet-password-73"


# How long an example takes is the machine's affair: three processes draw at once.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    try:
        embedded.ensure_running()
    except embedded.EmbeddedError as error:
        pytest.exit(str(error), returncode=1)
    # WhiteNoise warns where the folder of collected files is missing; in the embedded mode nothing is collected.
    (embedded.var_folder() / "static").mkdir(parents=True, exist_ok=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was read until now stays: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("The real data (../shared/data) is not here.")
    return folder


@pytest.fixture
def few_texts_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of a real file sets the texts of its first pairs only: for tests that look at no HTML.

    To set 2,000 pairs takes many times as long as to import them.
    """
    monkeypatch.setattr("annotation.importing.storing.SET_AT_ONCE", 10)


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


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_listed_once() -> Iterator[None]:
    """Every test client builds the middleware anew, and WhiteNoise with it lists and looks at some hundred files."""
    from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

    listed: dict[str, Any] = {}
    listing = WhiteNoiseMiddleware.add_files_from_finders

    def once(self: Any) -> None:
        if not listed:
            listing(self)
            listed.update(self.files)
        self.files.update(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", once)
        yield


@pytest.fixture(autouse=True)
def _eager_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from config.celery import app

    was = app.conf.task_always_eager, app.conf.task_eager_propagates
    app.conf.task_always_eager, app.conf.task_eager_propagates = True, True
    yield
    app.conf.task_always_eager, app.conf.task_eager_propagates = was


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """No worker comes: whoever asks for one rings here, as (run, queue)."""
    from annotation import running

    rung: list[tuple[int, str]] = []
    monkeypatch.setattr(running, "ring", lambda run_id, *, queue: rung.append((run_id, queue)))
    return rung


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_test_environment: None, django_db_blocker: Any
) -> None:
    """Each process has a database of its own, a copy of the migrated one."""
    from django.db import connection

    with django_db_blocker.unblock():
        connection.settings_dict["TEST"]["TEMPLATE"] = databases.template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Emptied quickly after each test that commits, and dropped at the end: no thread of a server holds on to it."""
    from django.db import connection
    from django.test import TransactionTestCase

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: databases.empty())
        yield
    with django_db_blocker.unblock():
        databases.leave_alone(connection.settings_dict["NAME"])


# ---- the cast: a lead, two annotators, an adjudicator, an admin, and a stranger who gets 404 -----------------------


@pytest.fixture
def project(db: None) -> Any:
    from annotation.models import Project

    return Project.objects.create(slug="everyday", name="Everyday help", overlap=3, seed=7)


@pytest.fixture
def ranking_project(project: Any) -> Any:
    """The same project, where lineups are ranked, each by two people."""
    project.task, project.overlap = project.Task.RANKINGS, 2
    project.save()
    return project


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


# Most tests have the same texts: set once, not thousands of times.
@functools.lru_cache(maxsize=2_000)
def _prompt_html(text: str) -> str:
    from annotation import rendering

    return rendering.render_prompt([{"role": "user", "content": text}])


@functools.lru_cache(maxsize=2_000)
def _candidate_html(text: str) -> str:
    from annotation import rendering

    return rendering.render_candidate([{"role": "assistant", "content": text}])


@pytest.fixture
def make_pairs(project: Any) -> Callable[..., list[Any]]:
    """Make pairs of `project` (or of another) with open slots: plain rows, so that every test sees what is there.

    `make_pairs([{"source": "s1"}, {"prompt": "Why?", "tags": ["code"]}])` makes two in as many statements as one. Each
    takes `prompt`, `first`, `second`, `slots`, and any field of a pair.
    """
    import hashlib

    from annotation import rendering
    from annotation.models import Assignment, Candidate, Pair, Prompt

    counter = itertools.count(1)

    def make(wanted: Sequence[dict[str, Any]], *, into: Any = None) -> list[Any]:
        home = into or project
        # In this order: a number is taken for a pair only.
        numbered = [(n, dict(fields)) for fields, n in zip(wanted, counter, strict=False)]
        messages = {}
        for n, fields in numbered:
            asked = [{"role": "user", "content": fields.pop("prompt", "") or f"What is {n} plus {n}?"}]
            messages[n] = hashlib.sha256(str(asked).encode()).digest(), asked
        prompts = {one.digest: one for one in Prompt.objects.filter(project=home, digest__in=dict(messages.values()))}
        made = Prompt.objects.bulk_create(
            Prompt(
                project=home,
                digest=digest,
                messages=asked,
                html=_prompt_html(asked[0]["content"]),
                renderer=rendering.RENDERER,
            )
            for digest, asked in dict(messages.values()).items()
            if digest not in prompts
        )
        prompts |= {one.digest: one for one in made}
        candidates = iter(
            Candidate.objects.bulk_create(
                Candidate(
                    prompt=prompts[messages[n][0]],
                    messages=[{"role": "assistant", "content": text}],
                    digest=hashlib.sha256(f"{side}{n}{text}".encode()).digest(),
                    html=_candidate_html(text),
                    renderer=rendering.RENDERER,
                    model=f"canary-{side}",
                    characters=len(text),
                )
                for n, fields in numbered
                for side, text in (
                    ("first", fields.pop("first", "") or f"It is {2 * n}."),
                    ("second", fields.pop("second", "") or f"It is {2 * n + 1}, I think."),
                )
            )
        )
        slots = [fields.pop("slots", None) for _, fields in numbered]
        pairs = Pair.objects.bulk_create(
            Pair(
                project=home,
                prompt=prompts[messages[n][0]],
                first=next(candidates),
                second=next(candidates),
                rank=fields.pop("rank", n),
                **fields,
            )
            for n, fields in numbered
        )
        Assignment.objects.bulk_create(
            Assignment(project=home, pair=pair, slot=slot, priority=pair.rank * 1_000_000 + slot)
            for pair, count in zip(pairs, slots, strict=True)
            for slot in range(1, (home.overlap if count is None else count) + 1)
        )
        return pairs

    return make


@pytest.fixture
def make_pair(make_pairs: Callable[..., list[Any]]) -> Callable[..., Any]:
    """Make one pair: `make_pair(prompt="Why?", slots=2)`."""

    def make(*, into: Any = None, **fields: Any) -> Any:
        return make_pairs([fields], into=into)[0]

    return make
