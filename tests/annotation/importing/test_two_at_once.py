"""Two imports at the same time: the second waits for the first, and finds everything here already. So does an undo."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing import (
    import_judgements,
    import_pairs,
    import_principle_votes,
    import_prompts,
    import_rationales,
    placing,
    undoing,
)
from annotation.importing.reporting import Report
from annotation.models import Annotator, Pair, Project, Run

pytestmark = pytest.mark.django_db(transaction=True)

ROWS: dict[str, list[dict[str, Any]]] = {
    "pairs": [
        {"item_id": f"i{n}", "source": "made", "prompt": f"q{n}", "response_a": f"a{n}", "response_b": f"b{n}"}
        for n in range(3)
    ],
    "prompts": [{"id": f"p{n}", "prompt": f"Why {n}?"} for n in range(3)],
    "judgements": [
        {"item_id": f"i{n}", "source": "made", "annotator_id": "ann", "task": "pairwise", "choice": "a"}
        for n in range(3)
    ],
    "votes": [{"item_id": f"i{n}", "oracle": "gpt", "principle_list": "ours", "votes": [1]} for n in range(3)],
    "rationales": [
        {
            "item_id": f"i{n}",
            "source": "made",
            "annotator_id": "ann",
            "target": "prediction 1",
            "text": f"a{n}",
            "spans": [{"start": 0, "end": 1, "label": "evidence"}],
            "explanation": "So.",
        }
        for n in range(3)
    ],
    "principles": [{"list": "ours", "principle_id": 0, "text": "The answer is true.", "short": "True"}],
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.jsonl" for name in ROWS}
    for name, path in paths.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
    return paths


Import = Callable[[], Report]


def the_import(kind: str, project: Project, files: dict[str, Path]) -> Import:
    if kind == "votes":
        return partial(
            import_principle_votes, project=project, path=files[kind], principles=files["principles"], judges={"gpt"}
        )
    verbs: dict[str, Callable[..., Report]] = {
        "pairs": import_pairs,
        "prompts": import_prompts,
        "judgements": import_judgements,
        "rationales": import_rationales,
    }
    return partial(verbs[kind], project=project, path=files[kind])


def waits_for_the_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        (found,) = cursor.fetchone()
    return bool(found)


def beside(act: Callable[[], Any], first: Callable[[], Any], project: Project) -> tuple[Any, Any]:
    """What `first` returns, and what `act` returns or raises that came while it was under way."""
    second: list[Any] = []

    def try_it() -> None:
        try:
            second.append(act())
        except Exception as error:
            second.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=try_it)
    with transaction.atomic():
        with connection.cursor() as cursor:
            placing.one_at_a_time(cursor, project.pk)
        thread.start()
        deadline = time.monotonic() + 30
        while not waits_for_the_lock() and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        done = first()
    thread.join()
    return done, second[0]


@pytest.mark.parametrize("kind", ["pairs", "prompts", "judgements", "votes", "rationales"])
def test_the_second_waits_and_adds_nothing(project: Project, files: dict[str, Path], kind: str) -> None:
    if kind not in ("pairs", "prompts"):
        import_pairs(project=project, path=files["pairs"])
    run = the_import(kind, project, files)
    first, second = beside(run, run, project)
    assert (first.added, first.already, first.stored) == (3, 0, True)
    assert isinstance(second, Report), second
    assert (second.added, second.already, second.stored, len(second.refusals)) == (0, 3, True, 0)


def test_an_undo_waits_for_the_import_that_speaks_of_its_pairs(
    project: Project, files: dict[str, Path], lead: Annotator
) -> None:
    """Deleted under it, they would take it with them; behind it, somebody has judged them, and they stay."""
    parameters = {"phase": "import", "holds": "pairs", "file": "pairs.jsonl"}
    brought = Run.objects.create(
        project=project,
        kind="import",
        state="done",
        parameters=parameters,
        finished_at=timezone.now(),
        code_version="t",
    )
    import_pairs(project=project, path=files["pairs"], run=brought)
    assert lead.user is not None
    undo = partial(undoing.undo_import, run=brought, actor=lead.user)
    first, second = beside(undo, the_import("judgements", project, files), project)
    assert first.added == 3
    assert isinstance(second, Refused)
    assert "Somebody has judged a pair of this import" in str(second)
    assert Pair.objects.count() == 3
