"""manage.py declare FILE --project SLUG: what annotators declared of themselves, for measuring representativeness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access import project_of
from annotation.errors import Refused
from curation import declaring


class Command(BaseCommand):
    help = f"Replace what the people of a project declared of themselves by a JSON file: {declaring.SHAPE}."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_of(options["project"])
            count = declaring.declare(project=project, path=options["file"])
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} people have declared something.")
