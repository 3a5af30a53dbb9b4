"""Runs of the engine, held as a worker holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.workers.stub import StubBackend


@pytest.fixture
def make_prompts(project: Any) -> Callable[..., list[Any]]:
    """So many prompts of `project`."""
    from annotation.models import Prompt
    from annotation.pairing import as_json, prompt_digest

    def make(number: int, **fields: Any) -> list[Any]:
        made = []
        for n in range(number):
            messages = [{"role": "user", "content": f"What is {n} plus {n}?"}]
            digest = prompt_digest(as_json(messages))
            made.append(Prompt.objects.create(project=project, messages=messages, digest=digest, **fields))
        return made

    return make


@pytest.fixture
def held(project: Any) -> Callable[..., Any]:
    """A run with these parameters, claimed: what a handler gets. Claimed again after it was lost."""
    from annotation.models import Run
    from annotation.running import claim

    def hold(kind: str, parameters: dict[str, Any], *, run: Any = None, seed: int = 5) -> Any:
        if run is None:
            run = Run.objects.create(project=project, kind=kind, parameters=parameters, code_version="test", seed=seed)
        else:
            # What the sweeper does with the run of a worker that died.
            Run.objects.filter(pk=run.pk).update(state="waiting", token=None, lease_until=None)
        found = claim(run_id=run.pk, worker="test")
        assert found is not None
        return found

    return hold


@pytest.fixture
def opener() -> Callable[..., Any]:
    """Stubs by name, each opened as often as a run asks: `opener(StubBackend(...)).opened` counts."""

    class Opener:
        def __init__(self, *backends: StubBackend) -> None:
            self.backends = {backend.model: backend for backend in backends}
            self.opened: list[str] = []

        def __call__(self, name: str) -> StubBackend:
            self.opened.append(name)
            return self.backends[name]

    return Opener
