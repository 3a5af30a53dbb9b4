"""manage.py runs: list, cancel, retry, pair, wait."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation import running
from annotation.access import project_of
from annotation.awaiting import describe, wait_for
from annotation.errors import Refused
from annotation.models import Run


class Command(BaseCommand):
    help = "List runs, the newest first; or cancel, retry, pair or wait for one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", metavar="SLUG", help="only runs of this project")
        parser.add_argument("--limit", type=int, default=20, help="so many runs; default: 20")
        act = parser.add_mutually_exclusive_group()
        act.add_argument("--cancel", type=int, metavar="RUN", help="stop a run; what is finished is kept")
        act.add_argument(
            "--retry", type=int, metavar="RUN", help="let a run go on that failed, was cancelled or is partly finished"
        )
        act.add_argument("--pair", type=int, metavar="RUN", help="pair what a generation made before it stopped early")
        act.add_argument("--log", type=int, metavar="RUN", help="print the lines that are kept of a run's log")
        parser.add_argument(
            "--wait",
            type=int,
            nargs="?",
            const=0,
            metavar="RUN",
            help="wait for a run, or with --retry or --pair for that one; the exit status is 1 unless it is done",
        )
        parser.add_argument("--json", action="store_true", help="print the list as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._act(options)
        except Refused as error:
            raise CommandError(str(error)) from error

    def _act(self, options: dict[str, Any]) -> None:
        if options["cancel"] is not None:
            run = running.cancel_run(run=_run(options["cancel"]), command="runs")
            self.stdout.write(f"Run {run.pk} is {'cancelled' if run.is_final else 'being stopped'}.")
        elif options["retry"] is not None:
            run = running.retry_run(run=_run(options["retry"]), command="runs")
            self.stdout.write(f"Run {run.pk} is waiting for a worker.")
        elif options["pair"] is not None:
            run = running.retry_run(run=_run(options["pair"]), command="runs", only_pair=True)
            self.stdout.write(f"Run {run.pk} is waiting for a worker.")
        elif options["log"] is not None:
            self.stdout.write(_run(options["log"]).log)
            return
        elif not options["wait"]:
            self._list(options)
            return
        else:
            run = _run(options["wait"])
        if options["wait"] is not None and not wait_for(run, self.stdout):
            sys.exit(1)

    def _list(self, options: dict[str, Any]) -> None:
        runs = Run.objects.defer("log").order_by("-id")
        if options["project"]:
            runs = runs.filter(project=project_of(options["project"]))
        for run in runs[: max(0, options["limit"])]:
            self.stdout.write(json.dumps(_as_json(run), ensure_ascii=False) if options["json"] else describe(run))


def _run(number: int) -> Run:
    run = Run.objects.filter(pk=number).first()
    if run is None:
        raise Refused(f"There is no run {number}. `manage.py runs` lists them.")
    return run


def _as_json(run: Run) -> dict[str, Any]:
    names = ("kind", "state", "progress", "total", "attempt", "retries", "error", "parameters", "estimate", "result")
    told = {name: getattr(run, name) for name in (*names, "is_partial", "busy_seconds")}
    return {"id": run.pk, **told}
