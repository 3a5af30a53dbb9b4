"""manage.py mark_gold FILE --project SLUG: say of pairs what is right, and what they are used for."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation import calibrating
from annotation.access import project_of
from annotation.errors import Refused


class Command(BaseCommand):
    help = (
        "Mark pairs as gold, by a JSONL file: id (of the file they came with) or pair (the number here), verdict "
        "(first, second, tie), use (check or example), why. All lines or none; running it twice changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="JSONL, one pair a line")
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's address")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lines = options["file"].read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read as UTF-8: {error}") from error
        try:
            project = project_of(options["project"])
            gold = calibrating.read_gold(lines)
            number = calibrating.mark_gold(project=project, gold=gold, command="mark_gold")
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{number:,} pairs are gold.")
