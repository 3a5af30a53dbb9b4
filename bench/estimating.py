"""Do estimates hold? Real runs that generate and judge, each held against what was expected before it and early in it.

    python -m bench.estimating [--quick] [--rounds N] [--seed N]

A small random model, made for it, and the product's own way: an estimate from the runs before, then the run, by turns a
generation and a judging of random size. The first of each kind has nothing to be estimated from, and is not counted.
The figure is the share of runs that took what the estimate after 50 units said, give or take 30 %.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from bench.generating import WORDS, make_model
from bench.harness import report, set_up, throw_away_database

NAME = "tiny"
ROUNDS, QUICK = 10, 2
GATE = 0.9


def register(folder: Path) -> None:
    from django.utils import timezone

    from annotation.models import LanguageModel

    make_model(folder, "tiny", device="cpu")
    now = timezone.now()
    LanguageModel.objects.create(
        name=NAME,
        backend="transformers_local",
        location=os.fspath(folder),
        is_sound=True,
        checked_at=now,
        check_said="Made a moment ago.",
        allowed_at=now,
    )


def text(words: int, dice: random.Random) -> str:
    return " ".join(dice.choice(WORDS) for _ in range(words))


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def make_prompts(project: Any, tag: str, number: int, dice: random.Random) -> list[Any]:
    from annotation.models import Prompt

    return Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": text(dice.randint(8, 24), dice)}],
            digest=digest(tag, n),
            tags=[tag],
        )
        for n in range(number)
    )


def make_pairs(project: Any, tag: str, number: int, dice: random.Random) -> None:
    from annotation.models import Candidate, Pair

    prompts = make_prompts(project, tag, number, dice)
    answers = Candidate.objects.bulk_create(
        Candidate(
            prompt=prompt,
            messages=[{"role": "assistant", "content": text(dice.randint(10, 40), dice)}],
            digest=digest(tag, n, side),
        )
        for n, prompt in enumerate(prompts)
        for side in range(2)
    )
    Pair.objects.bulk_create(
        Pair(
            project=project, prompt=prompt, first=answers[2 * n], second=answers[2 * n + 1], rank=prompt.pk, tags=[tag]
        )
        for n, prompt in enumerate(prompts)
    )


def one_run(project: Any, kind: str, number: int, dice: random.Random) -> Any:
    """Ask for a run as a page does; it is done when this returns."""
    from annotation import starting
    from annotation.asking import JudgingPlan
    from annotation.generating import GenerationPlan

    tag = f"{kind} {number}"
    plan: starting.Plan
    if kind == "judging":
        make_pairs(project, tag, dice.randint(130, 260), dice)
        plan = JudgingPlan(model=NAME, asks=("overall",), tag=tag)
    else:
        make_prompts(project, tag, dice.randint(80, 160), dice)
        plan = GenerationPlan(models=(NAME,), n=2, max_tokens=dice.randint(6, 16), pairing="none", tag=tag)
    run = starting.start(project=project, plan=plan, seed=number)
    run.refresh_from_db()
    if run.state != "done":
        raise RuntimeError(f"{run} is {run.state}: {run.error}")
    return run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.estimating", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each kind; default: {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLUMBLINE_MODELS"] = folder
        set_up()
        from config.celery import app

        # The bell is answered at once, by this process.
        app.conf.task_always_eager = app.conf.task_eager_propagates = True
        with throw_away_database():
            home = Path(folder) / NAME
            home.mkdir()
            register(home)
            measure(QUICK if asked.quick else asked.rounds, random.Random(asked.seed))
    return 0


def measure(rounds: int, dice: random.Random) -> None:
    from annotation.estimating import within
    from annotation.models import Project, Run

    project = Project.objects.create(slug="bench", name="Bench")
    print(f"{'run':<14}{'expected':>10}{'early':>10}{'took':>10}{'tokens':>12}{'of':>12}")
    for number in range(rounds + 1):
        for kind in ("generation", "judging"):
            run = one_run(project, kind, number, dice)
            told = [run.estimate.get(name) for name in ("seconds", "early_seconds")]
            cells = [f"{one:.1f} s" if one else "–" for one in (*told, run.busy_seconds)]
            counted = [f"{one:,}" if one else "–" for one in (run.estimate["tokens"], run.result["tokens"])]
            print(f"{kind:<14}{cells[0]:>10}{cells[1]:>10}{cells[2]:>10}{counted[0]:>12}{counted[1]:>12}", flush=True)
            if not number:
                run.estimate = {}  # There was nothing to estimate it from.
                run.save(update_fields=["estimate"])
    runs = Run.objects.filter(project=project)
    early, before = (within(runs=runs, early=is_early, last=10_000) for is_early in (True, False))
    report(
        name="estimating",
        figure=round(early[0] / early[1], 3) if early[1] else 0.0,
        unit="share of runs within 30 % of the estimate after 50 units",
        compared_with="the promise of 9 in 10",
        ratio=round(early[0] / early[1] / GATE, 3) if early[1] else None,
        runs=early[1],
        before_the_start=f"{before[0]} of {before[1]}",
    )


if __name__ == "__main__":
    main()
