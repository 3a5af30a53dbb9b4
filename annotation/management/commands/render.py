"""manage.py render --project SLUG: set the texts that annotators see, along the queue."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation import typesetting
from annotation.access import project_of
from annotation.errors import Refused


class Command(BaseCommand):
    help = "Set every text of a project that is not set, or set by an older renderer. Running it twice changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's address")
        parser.add_argument("--limit", type=int, help="at most so many pairs")

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError("--limit must be at least 1.")
        try:
            project = project_of(options["project"])
        except Refused as error:
            raise CommandError(str(error)) from error
        began = time.monotonic()
        texts = typesetting.typeset(project=project, limit=limit)
        self.stdout.write(f"{texts:,} texts set in {time.monotonic() - began:.1f} s.")
