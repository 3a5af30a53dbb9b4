"""manage.py mark_gold FILE --project SLUG: say of pairs what is right, and what they are used for."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation import marking_gold
from annotation.access import project_of
from annotation.errors import Refused


class Command(BaseCommand):
    help = (
        "Mark pairs as gold, by a JSONL file: id (of the file they came with) or pair (the number here), verdict "
        "(first, second, tie), use (check, example, or none for one that is gold no longer), why. All lines or none; "
        "running it twice changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="JSONL, one pair a line")
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's address")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # Not read_text, which would take line ends within the lines for its own.
            text = options["file"].read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read as UTF-8: {error}") from error
        try:
            project = project_of(options["project"])
            gold = marking_gold.read_gold(text)
            number = marking_gold.mark_gold(project=project, gold=gold, command="mark_gold")
        except Refused as error:
            raise CommandError(str(error)) from error
        ended = sum(one.use == marking_gold.NOT_GOLD for one in gold)
        self.stdout.write(_told(number - ended, "gold"))
        if ended:
            self.stdout.write(_told(ended, "gold no longer"))


def _told(number: int, what: str) -> str:
    return f"{number:,} pair{' is' if number == 1 else 's are'} {what}."
