"""The import page as a lead presses it, files for it, and the worker's own task behind it."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotation.models import Run
from workers import tasks


def line(n: int, **fields: Any) -> str:
    row = {"item_id": f"i{n}", "prompt": f"What is {n}?", "response_a": f"It is {n}.", "response_b": f"Not {n}."}
    return json.dumps({**row, **fields})


GOOD = "\n".join(line(n) for n in range(20)).encode()
MIXED = "\n".join(
    [
        line(1),
        line(2, response_a=""),
        line(3, response_a="same", response_b="same"),
        '{"item_id": "4", "prompt": "brok',
        line(5, label="invoice\u202efdp.exe"),
        line(6, prompt="<script>alert(1)</script>"),
        line(7, response_a=["<img src=x onerror=alert(1)>\u202e"]),
    ]
).encode()


def send(client: Client, project: Any, data: bytes, name: str = "round3.jsonl", **fields: str) -> Any:
    file = SimpleUploadedFile(name, data)
    return client.post(reverse("imports", args=[project.slug]), {"file": file, "holds": "pairs", **fields})


def press(client: Client, run: Run, **fields: Any) -> Any:
    assert run.project is not None
    return client.post(reverse("import_run", args=[run.project.slug, run.pk]), fields)


def page(client: Client, run: Run, **query: Any) -> str:
    assert run.project is not None
    answer = client.get(reverse("import_run", args=[run.project.slug, run.pk]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def newest() -> Run:
    run = Run.objects.order_by("-id").first()
    assert run is not None
    return run


def worked() -> Run:
    """Let the worker's task do the newest run."""
    tasks.run(newest().pk)
    return newest()
