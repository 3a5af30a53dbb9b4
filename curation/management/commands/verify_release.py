"""manage.py verify_release DIR: is every byte as released, and does every row follow from the judgements?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import Refused
from curation.verifying import verify

MOST_SHOWN = 20


class Command(BaseCommand):
    help = "Check a release's files against its manifest, and derive again from the judgements which rows it holds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            problems = verify(options["folder"])
        except Refused as error:
            raise CommandError(str(error)) from error
        if problems:
            rest = len(problems) - MOST_SHOWN
            raise CommandError("\n".join([*problems[:MOST_SHOWN], *([f"And {rest} more."] if rest > 0 else [])]))
        self.stdout.write("Every byte is as released, and every row follows from the judgements.")
