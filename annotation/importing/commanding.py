"""What the import commands have in common: options, and how they say what they did."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import Refused
from annotation.importing.reporting import ON_TERMINAL, Report, check_report_name, write_report


class ImportCommand(BaseCommand):
    """Subclasses add their options and do the work in `do`."""

    # What a report counts: pair, judgement, row of votes.
    thing = "pair"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file, or the folder of a dataset")
        parser.add_argument("--project", required=True, metavar="SLUG", help="the project's address")
        parser.add_argument(
            "--on-error", default="stop", metavar="stop|skip", help="what bad rows do: stop (default) or skip"
        )
        parser.add_argument("--report", type=Path, metavar="FILE", help="write all refused rows to FILE, .csv or .json")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["report"]:
                check_report_name(options["report"])
            report = self.do(options)
            if options["report"]:
                write_report(report, options["report"])
        except Refused as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            refused = [refusal.as_dict for refusal in report.refusals.first(ON_TERMINAL)]
            self.stdout.write(json.dumps(report.as_dict() | {"rows": refused}, ensure_ascii=False))
        else:
            self._say(report, options)
        if not report.stored:
            sys.exit(1)

    def do(self, options: dict[str, Any]) -> Report:
        raise NotImplementedError

    def _say(self, report: Report, options: dict[str, Any]) -> None:
        for refusal in report.refusals.first(ON_TERMINAL):
            item = f" ({refusal.item})" if refusal.item else ""
            excerpt = f"  [{refusal.excerpt}]" if refusal.excerpt else ""
            self.stdout.write(f"{report.unit.capitalize()} {refusal.line:,}{item}: {refusal.sentence}{excerpt}")
        more = len(report.refusals) - ON_TERMINAL
        if more > 0:
            where = f"see {options['report']}" if options["report"] else "say --report FILE.csv to have them all"
            self.stdout.write(f"… and {more:,} more; {where}.")
        for sentence in report.sentences(self.thing):
            self.stdout.write(sentence)

    def progress(self, options: dict[str, Any]) -> Callable[[int], None] | None:
        """A line that counts, on a terminal only."""
        if options["json"] or not sys.stderr.isatty():
            return None

        def tell(read: int) -> None:
            self.stderr.write(f"\r{read:,} rows read", ending="\r")

        return tell
