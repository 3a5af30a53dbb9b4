"""What the commands that start runs have in common: options, an estimate in words, and waiting to the end."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.utils import timezone

from annotation import starting
from annotation.access import project_of
from annotation.errors import Refused
from annotation.models import Project, Run
from annotation.pacing import duration, duration_range, time_left
from annotation.starting import Offer, Plan
from annotation.watching import about, outcome

LOOK_EVERY = 1.0


class StartCommand(BaseCommand):
    """Subclasses add their options and say the plan in `plan`."""

    command = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's address")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--estimate", action="store_true", help="say what it would take, and start nothing")
        parser.add_argument(
            "--wait", action="store_true", help="wait to the end; the exit status is 1 unless it is done"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_of(options["project"])
            plan = self.plan(project, options)
            self.stdout.write(in_words(starting.offer(project=project, plan=plan)))
            if options["estimate"]:
                return
            run = starting.start(project=project, plan=plan, command=self.command, seed=options["seed"])
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Run {run.pk} is waiting for a worker.")
        if options["wait"] and not wait_for(run, self.stdout):
            sys.exit(1)

    def plan(self, project: Project, options: dict[str, Any]) -> Plan:
        raise NotImplementedError


def in_words(offer: Offer) -> str:
    """The offer as one or two sentences."""
    found, takes = offer.expected, "There is no measurement yet of how long that takes."
    if found.time:
        takes = f"It takes about {duration(found.time.likely)} ({duration_range(found.time.early, found.time.late)})."
    tokens = f", {'about' if found.time else 'at most'} {found.tokens:,} tokens" if found.tokens else ""
    return " ".join(filter(None, [f"{offer.sum}{tokens}.", takes, offer.fact]))


def wait_for(run: Run, out: OutputWrapper) -> bool:
    """Say how far a run is whenever that changes, until it has ended. True: it is done."""
    said = ""
    while True:
        run.refresh_from_db()
        line = describe(run)
        if line != said:
            out.write(line)
            said = line
        if run.is_final:
            return run.state == Run.State.DONE
        time.sleep(LOOK_EVERY)


def describe(run: Run) -> str:
    """One line: number, kind, what it is about, state, progress, time left, error or what it left out."""
    parts = [f"{run.pk}", run.get_kind_display(), about(run), run.get_state_display().lower()]
    if run.total:
        parts.append(f"{run.progress:,} of {run.total:,}")
    left = time_left(run, now=timezone.now())
    if left:
        parts.append(f"{duration(left.likely)} left ({duration_range(left.early, left.late)})")
    parts.append(run.error or outcome(run))
    return " · ".join(part for part in parts if part)
