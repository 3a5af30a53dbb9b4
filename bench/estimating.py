"""Do estimates hold? Real runs that generate and judge, each held against what was expected before it and early in it.

    python -m bench.estimating [--quick] [--rounds N] [--seed N]

A small random model, made for it, and the product's own way: an estimate from the runs before, then the run, by turns a
generation and a judging of random size. The first of each kind has nothing to be estimated from, and is not counted.
The figure is the share of runs that took what the early estimate said, give or take 30 %. That one is made when the
first 50 units have come out, which is after the first batch; `after` says how much of the run was there by then,
because an estimate that is made when most is done is worth little.

`--quick` does one small run of each kind after the first: it shows that the benchmark works, and is no measurement.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.generating import WORDS, make_model
from bench.harness import report, set_up, throw_away_database

NAME = "tiny"
ROUNDS = 10
GATE = 0.9


@dataclass(frozen=True)
class Sizes:
    """Between how many prompts, pairs and tokens the dice choose."""

    prompts: tuple[int, int]
    pairs: tuple[int, int]
    tokens: tuple[int, int]


# Several batches each, so that the early estimate comes early.
FULL = Sizes(prompts=(200, 400), pairs=(300, 600), tokens=(6, 16))
QUICK = Sizes(prompts=(80, 100), pairs=(70, 80), tokens=(3, 5))


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


def one_run(project: Any, kind: str, number: int, sizes: Sizes, dice: random.Random) -> Any:
    """Ask for a run as a page does; it is done when this returns."""
    from annotation import starting
    from annotation.asking import JudgingPlan
    from annotation.generating import GenerationPlan

    tag = f"{kind} {number}"
    plan: starting.Plan
    if kind == "judging":
        make_pairs(project, tag, dice.randint(*sizes.pairs), dice)
        plan = JudgingPlan(model=NAME, asks=("overall",), tag=tag)
    else:
        make_prompts(project, tag, dice.randint(*sizes.prompts), dice)
        plan = GenerationPlan(models=(NAME,), n=2, max_tokens=dice.randint(*sizes.tokens), pairing="none", tag=tag)
    run = starting.start(project=project, plan=plan, seed=number)
    run.refresh_from_db()
    if run.state != "done":
        raise RuntimeError(f"{run} is {run.state}: {run.error}")
    return run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.estimating", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each kind; default: {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one round of small runs; ends within 30 s")
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
            rounds, sizes = (1, QUICK) if asked.quick else (asked.rounds, FULL)
            measure(rounds, sizes, random.Random(asked.seed))
    return 0


def measure(rounds: int, sizes: Sizes, dice: random.Random) -> None:
    from annotation.estimating import within
    from annotation.models import Project, Run

    project = Project.objects.create(slug="bench", name="Bench")
    print(line("run", "expected", "early", "after", "took", "tokens", "of"))
    after: list[float] = []
    for number in range(rounds + 1):
        for kind in ("generation", "judging"):
            run = one_run(project, kind, number, sizes, dice)
            told = [run.estimate.get(name) for name in ("seconds", "early_seconds")]
            cells = [f"{one:.1f} s" if one else "–" for one in (*told, run.busy_seconds)]
            counted = [f"{one:,}" if one else "–" for one in (run.estimate["tokens"], run.result["tokens"])]
            at = f"{run.estimate['early_at'] / run.total:.0%}" if told[1] else "–"
            print(line(kind, *cells[:2], at, cells[2], *counted), flush=True)
            if told[1] and number:
                after.append(run.estimate["early_at"] / run.total)
            if not number:
                run.estimate = {}  # There was nothing to estimate it from.
                run.save(update_fields=["estimate"])
    runs = Run.objects.filter(project=project)
    early, before = (within(runs=runs, early=is_early, last=10_000) for is_early in (True, False))
    report(
        name="estimating",
        figure=round(early[0] / early[1], 3) if early[1] else 0.0,
        unit="share of runs within 30 % of the early estimate",
        compared_with="the promise of 9 in 10",
        ratio=round(early[0] / early[1] / GATE, 3) if early[1] else None,
        runs=early[1],
        made_after=f"{statistics.median(after):.0%} of the run, median" if after else "never",
        before_the_start=f"{before[0]} of {before[1]}",
    )


def line(kind: str, *cells: str) -> str:
    widths = (10, 10, 8, 10, 12, 12)
    return f"{kind:<14}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    main()
