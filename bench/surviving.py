"""Do runs survive? kill -9 in the middle of a run of 200 prompts x 4, and a broker that loses everything.

    python -m bench.surviving [--rounds N] [--quick] [--brokers filesystem,redis,rabbitmq] [--engine NAME] [--tokens N]

Real workers, real brokers, the product's own lease and sweep. In each round a run is asked for, and at a random moment
between a tenth and two thirds of it one thing happens: the worker is killed with its children and started again, its
child alone is killed, the broker is killed and started again, or the broker is emptied (FLUSHALL, purge, folder
deleted). A round counts only if the run was under way at that moment. At the end every candidate must be there exactly
once, and the run final within 60 seconds of the restart. `made again` counts candidates that were generated twice: they
cost time, and are stored once.

The engine is `stand-in`, which generates without a model and writes down everything that it makes, or `tiny`: the
product's own, with a small random model that is made for it and writes `--tokens` tokens per candidate. The 60 seconds
hold for a run that takes less: what was left of it is in them.

`--quick` kills one worker once, in a run of 60 prompts x 4 on the queue of folders, where nobody waits for a lease. It
shows that the benchmark works; the promise is held against all of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.brokers import Broker, broker, missing
from bench.harness import family, report, set_up, throw_away_database

ROOT = Path(__file__).resolve().parent.parent
PROMPTS, QUICK_PROMPTS, EACH = 200, 60, 4
# Seconds per prompt: a run takes some seconds, so that there is a middle.
PACE = 0.01
# Of each candidate that the tiny model makes, unless --tokens says otherwise.
TOKENS = 32
# The promise, in seconds after the restart.
PROMISE = 60.0
PATIENCE = 180.0
HARMS = ("worker killed", "child killed", "broker killed", "broker emptied")
# These need no lease to run out.
QUICK = ("worker killed",)


@dataclass
class Row:
    """One line of the table: everything that was seen in its rounds."""

    broker: str
    harm: str
    rounds: int = 0
    not_final: int = 0
    missing: int = 0
    twice: int = 0
    made_again: int | None = None
    seconds: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.not_final + self.missing + self.twice + sum(one > PROMISE for one in self.seconds)


class StandIn:
    """Runs that bench/surviving_engine.py does."""

    include = ("--include", "bench.surviving_engine")
    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, folder: Path, tokens: int = TOKENS) -> None:
        self.folder = folder

    def set_up(self) -> None:
        pass

    def parameters(self, name: str) -> dict[str, Any]:
        return {"n": EACH, "pace": PACE, "file": os.fspath(self.folder / name)}

    def made(self, name: str) -> int | None:
        """How many candidates were made, stored or not; None: nobody counted."""
        return len((self.folder / name).read_text().splitlines())


class Tiny:
    """Runs that the product's own engine does, with a small random model."""

    include = ()
    NAME = "tiny"

    def __init__(self, folder: Path, tokens: int = TOKENS) -> None:
        self.folder, self.tokens = folder / "models", tokens
        self.environment = {"PLUMBLINE_MODELS": os.fspath(self.folder)}

    def set_up(self) -> None:
        from django.utils import timezone

        from annotation.models import LanguageModel
        from bench.generating import make_model

        model = self.folder / self.NAME
        if not model.exists():
            model.mkdir(parents=True)
            make_model(model, "tiny", device="cpu")
        now = timezone.now()
        sound = {"is_sound": True, "checked_at": now, "check_said": "Made a moment ago.", "allowed_at": now}
        LanguageModel.objects.update_or_create(
            name=self.NAME, defaults={"backend": "transformers_local", "location": os.fspath(model), **sound}
        )

    def parameters(self, name: str) -> dict[str, Any]:
        from annotation.generating import GenerationPlan

        return GenerationPlan(models=(self.NAME,), n=EACH, max_tokens=self.tokens, pairing="none").as_parameters()

    def made(self, name: str) -> int | None:
        return None


ENGINES: dict[str, type[StandIn] | type[Tiny]] = {"stand-in": StandIn, "tiny": Tiny}


class Worker:
    """A worker process of the product, that takes generation runs."""

    def __init__(self, one: Broker, engine: StandIn | Tiny, database: str, log: Path) -> None:
        self.include = engine.include
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "BENCH_DATABASE": database,
            "BENCH_BROKER": json.dumps({"url": one.url, "options": one.options}),
            **engine.environment,
        }
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--queues", "gpu"]
        command += [*self.include, "--hostname", "gpu@bench", "--concurrency", "1"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def must_live(self) -> None:
        """The benchmark starts it again whenever it kills it: a worker that ended by itself is a finding."""
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"The worker ended by itself:\n{self.log.read_text()[-2000:]}")

    def kill_child(self) -> None:
        assert self.process is not None
        for child in family(self.process.pid)[1:]:
            os.kill(child, signal.SIGKILL)


def fill(number: int, prompts: int) -> Any:
    """A project with the prompts of one round."""
    import hashlib

    from annotation.models import Project, Prompt

    project = Project.objects.create(slug=f"round-{number}", name=f"Round {number}")
    Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"What is {n} plus {n}?"}],
            digest=hashlib.sha256(str(n).encode()).digest(),
        )
        for n in range(prompts)
    )
    return project


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def one_round(row: Row, one: Broker, worker: Worker, engine: StandIn | Tiny, prompts: int, dice: random.Random) -> None:
    from annotation.models import Run
    from annotation.running import request_run

    project = fill(dice.getrandbits(40), prompts)
    name = f"made-{project.pk}"
    run = request_run(project=project, kind=Run.Kind.GENERATION, parameters=engine.parameters(name), actor=None)
    moment = dice.uniform(0.1, 0.66) * prompts * EACH

    def is_there() -> bool:
        worker.must_live()
        run.refresh_from_db()
        return run.is_final or run.progress >= moment

    if not wait_for(is_there) or run.is_final:
        raise RuntimeError(f"The run was not under way when it should be harmed: {run.state}, {run.progress}.")
    do_harm(row.harm, one, worker)
    began = time.monotonic()

    def is_final() -> bool:
        worker.must_live()
        run.refresh_from_db()
        return run.is_final

    wait_for(is_final)
    row.seconds.append(time.monotonic() - began)
    row.rounds += 1
    judge(row, run, engine.made(name))


def do_harm(harm: str, one: Broker, worker: Worker) -> None:
    """Returns once what was killed is started again."""
    if harm == "worker killed":
        worker.kill()
        worker.start()
    elif harm == "child killed":
        worker.kill_child()
    elif harm == "broker killed":
        one.kill()
        one.start()
    else:
        one.empty()


def judge(row: Row, run: Any, made: int | None) -> None:
    """Compare what is stored with what was asked for."""
    from annotation.models import Candidate

    stored = list(Candidate.objects.filter(run=run).values_list("prompt", "index"))
    wanted = {(prompt, index) for prompt in run.project.prompts.values_list("pk", flat=True) for index in range(EACH)}
    row.not_final += run.state != "done"
    row.missing += len(wanted - set(stored))
    row.twice += len(stored) - len(set(stored)) + len(set(stored) - wanted)
    if made is not None:
        row.made_again = (row.made_again or 0) + made - len(stored)


@contextmanager
def ringing_to(one: Broker) -> Iterator[None]:
    """This process rings there, as a page would."""
    from config.celery import app

    was = app.conf.broker_url, app.conf.broker_transport_options
    app.conf.broker_url, app.conf.broker_transport_options = one.url, one.options
    app._pool = app.amqp._producer_pool = None
    yield
    app._pool = app.amqp._producer_pool = None
    app.conf.broker_url, app.conf.broker_transport_options = was


def on_broker(
    name: str,
    harms: tuple[str, ...],
    rounds: int,
    database: str,
    seed: int,
    kind: str = "stand-in",
    tokens: int = TOKENS,
    prompts: int = PROMPTS,
) -> Iterator[Row]:
    """The rows of one broker, each as soon as it is known."""
    dice = random.Random(f"{seed} {name}")
    folder = Path(tempfile.mkdtemp(prefix="surviving-"))
    one = broker(name, folder / "broker")
    engine = ENGINES[kind](folder, tokens)
    worker = Worker(one, engine, database, folder / "worker.log")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(one.stop)
        stack.callback(worker.kill)
        engine.set_up()
        one.start()
        stack.enter_context(ringing_to(one))
        worker.start()
        for harm in harms:
            if harm == "broker killed" and name == "filesystem":
                continue  # Folders have no process.
            row = Row(broker=name, harm=harm)
            for _ in range(rounds):
                one_round(row, one, worker, engine, prompts, dice)
            yield row


def line(*cells: Any) -> str:
    widths = (12, 16, 8, 11, 9, 8, 12, 14, 14)
    return "".join(f"{cell!s:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.surviving", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each kind on each broker; default: 5")
    parser.add_argument("--quick", action="store_true", help="one worker killed once; ends within 30 s")
    parser.add_argument("--brokers", default="filesystem,redis,rabbitmq")
    parser.add_argument("--engine", choices=ENGINES, default="stand-in")
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"per candidate, with --engine tiny; {TOKENS}")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    names = ["filesystem"] if asked.quick else asked.brokers.split(",")
    rounds, harms, prompts = (1, QUICK, QUICK_PROMPTS) if asked.quick else (asked.rounds, HARMS, PROMPTS)
    set_up()
    rows: list[Row] = []
    print(
        line(
            "broker", "what happened", "rounds", "not final", "missing", "twice", "made again", "final, median", "worst"
        )
    )
    with throw_away_database() as database:
        for name in names:
            if missing(name):
                print(missing(name))
                continue
            for row in on_broker(name, harms, rounds, database, asked.seed, asked.engine, asked.tokens, prompts):
                rows.append(row)
                middle = statistics.median(row.seconds)
                again = "–" if row.made_again is None else row.made_again
                figures = (row.rounds, row.not_final, row.missing, row.twice, again)
                print(line(row.broker, row.harm, *figures, f"{middle:.1f} s", f"{max(row.seconds):.1f} s"), flush=True)
    worst = max(one for row in rows for one in row.seconds)
    wrong = sum(row.wrong for row in rows)
    report(
        name="surviving",
        figure=round(worst, 1),
        unit="s until the run is final after the restart, worst",
        compared_with=f"the promise of {PROMISE:.0f} s",
        ratio=round(worst / PROMISE, 3),
        rounds=sum(row.rounds for row in rows),
        candidates=sum(row.rounds for row in rows) * prompts * EACH,
        wrong=wrong,
        made_again=sum(row.made_again or 0 for row in rows),
        engine=asked.engine,
        brokers=sorted({row.broker for row in rows}),
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
