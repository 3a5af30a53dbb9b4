"""manage.py gather_facts --project SLUG: build the facts of every pair again, for the board and for criteria."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access import project_of
from annotation.errors import Refused
from curation import gathering


class Command(BaseCommand):
    help = "Gather what is known of every pair into one table: agreement, difficulty, discretion, lengths, and more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--model", default="", help="whose difficulty to show; default: the one measured last")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="gather with so many processes; the facts are the same"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers is at least 1.")
        try:
            project = project_of(options["project"])
            run = gathering.gather_facts(
                project=project, model=options["model"], workers=options["workers"], command="gather_facts"
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        state = project.facts_state
        told = f"difficulty for {state.model}" if state.model else "no difficulty is measured yet"
        self.stdout.write(f"{run.result['pairs']} pairs in {state.seconds:.1f} s, {told} (run {run.pk}).")
