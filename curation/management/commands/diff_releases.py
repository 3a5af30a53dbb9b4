"""manage.py diff_releases A B: which pairs came, went and changed from one release to another, and why."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import Refused
from curation.diffing import diff

MOST_SHOWN = 10


class Command(BaseCommand):
    help = "Compare two releases of one project, pair by pair: what came, what went, what changed, and by which step."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", type=Path, metavar="A", help="the folder of a release")
        parser.add_argument("new", type=Path, metavar="B", help="the folder of another")
        parser.add_argument("--json", action="store_true", help="print JSON, with every pair")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = diff(options["old"], options["new"])
        except Refused as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
            return
        self.stdout.write(f"{found.same:,} pairs are the same in both.")
        for name, pairs in (("came", found.came), ("went", found.went), ("changed", found.changed)):
            self.stdout.write(f"{len(pairs):,} {name}.")
            for reason, count in Counter(pairs.values()).most_common():
                some = [str(pair) for pair, why in pairs.items() if why == reason]
                more = ", …" if len(some) > MOST_SHOWN else ""
                self.stdout.write(f"  {count:>9,} {reason}: {', '.join(some[:MOST_SHOWN])}{more}")
