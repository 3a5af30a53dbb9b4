"""manage.py push_release DIR OWNER/NAME: upload a release to the hub as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import Refused
from curation.pushing import push


class Command(BaseCommand):
    help = "Upload a release to the hub: its own parquet and card, in one commit. The token is PLUMBLINE_HUB_TOKEN."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("repo", metavar="OWNER/NAME")
        parser.add_argument("--public", action="store_true", help="a data set that is made now is open to everybody")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            where = push(
                folder=options["folder"], repo=options["repo"], private=not options["public"], command="push_release"
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Pushed: {where}")
