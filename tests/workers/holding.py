"""Runs of the engine, held as a worker holds them, and the stubs that they open."""

from __future__ import annotations

from typing import Any

from tests.workers.stub import StubBackend


def make_prompts(project: Any, number: int, **fields: Any) -> list[Any]:
    """So many prompts of `project`."""
    from annotation.models import Prompt
    from annotation.pairing import as_json, prompt_digest

    made = []
    for n in range(number):
        messages = [{"role": "user", "content": f"What is {n} plus {n}?"}]
        digest = prompt_digest(as_json(messages))
        made.append(Prompt.objects.create(project=project, messages=messages, digest=digest, **fields))
    return made


def held(project: Any, kind: str, parameters: dict[str, Any] | None, *, run: Any = None, seed: int = 5) -> Any:
    """A run with these parameters, claimed: what a handler gets. With `run`, that one is claimed again."""
    from annotation.models import Run
    from annotation.running import claim

    if run is None:
        run = Run.objects.create(project=project, kind=kind, parameters=parameters, code_version="test", seed=seed)
    else:
        # What the sweeper does with the run of a worker that died.
        Run.objects.filter(pk=run.pk).update(state="waiting", token=None, lease_until=None)
    found = claim(run_id=run.pk, worker="test")
    assert found is not None
    return found


class Opener:
    """Opens stubs by their names; `opened` lists what a run asked for."""

    def __init__(self, *backends: StubBackend) -> None:
        self.backends = {backend.model: backend for backend in backends}
        self.opened: list[str] = []

    def __call__(self, name: str) -> StubBackend:
        self.opened.append(name)
        return self.backends[name]
