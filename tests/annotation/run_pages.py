"""A model that can be used, prompts, and the page of runs: what its tests and those of its forms begin with."""

from __future__ import annotations

import hashlib

from django.urls import reverse
from django.utils import timezone

from annotation.models import LanguageModel, Prompt, Run


def sound_model(admin, name="House model"):
    return LanguageModel.objects.create(
        name=name,
        backend="openai_compatible",
        location="http://gpu-1:8000/v1",
        allowed_by=admin,
        allowed_at=timezone.now(),
        is_sound=True,
        checked_at=timezone.now(),
        check_said="Loaded.",
    )


def five_prompts(project):
    return [
        Prompt.objects.create(
            project=project,
            messages=[{"role": "user", "content": f"What is {n}?"}],
            digest=hashlib.sha256(str(n).encode()).digest(),
            tags=["sums"] if n < 2 else [],
        )
        for n in range(5)
    ]


def make(project, **fields):
    return Run.objects.create(**{"kind": "generation", "code_version": "t", "project": project, **fields})


def ended(state, **fields):
    return {"state": state, "finished_at": timezone.now(), **fields}


def page(client, project, query=""):
    answer = client.get(reverse("runs", args=[project.slug]) + query)
    assert answer.status_code == 200
    return answer.content.decode()


def asked(**fields):
    entered = {"kind": "generate", "which": "all", "models": ["House model"], "strategy": "plain", "n": 4}
    return entered | {"max_tokens": 512, "temperature": 1, "top_p": 1, "seed": 3, "do": "start"} | fields


def post(client, project, **fields):
    return client.post(reverse("runs", args=[project.slug]), asked(**fields))
