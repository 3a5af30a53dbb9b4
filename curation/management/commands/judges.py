"""manage.py judges --project SLUG: how far each judge can be trusted, and how well strategies' labels hold."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access import project_of
from annotation.errors import Refused
from curation import scoreboard
from curation.judges import contrast_reports, judge_reports
from curation.metrics.estimates import Estimate


class Command(BaseCommand):
    help = "Report on judges: accuracy and agreement against people, consistency, love of places and length, flips."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--scenarios", action="store_true", help="also by tag, source and language")
        parser.add_argument("--json", action="store_true", help="one line of JSON per judge and per strategy")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_of(options["project"])
        except Refused as error:
            raise CommandError(str(error)) from error
        by_scenario = options["scenarios"] or options["json"]
        judges = judge_reports(project=project, by_scenario=by_scenario)
        strategies = contrast_reports(project=project)
        if options["json"]:
            for told in [*(one.as_json() for one in judges), *(one.as_json() for one in strategies)]:
                self.stdout.write(json.dumps(told, ensure_ascii=False))
            return
        if not judges and not strategies:
            self.stdout.write("No judge has answered, and no strategy has made pairs that people judged.")
        for one in judges:
            self.stdout.write(f"{one.judge.name}: {one.pairs:,} pairs, {one.answers:,} questions in both orders")
            for name, estimate in one.figures.items():
                self.stdout.write(_line(name, estimate))
            for part in one.scenarios:
                self.stdout.write(f" {part.way} {part.name}: {part.pairs:,} pairs")
                self.stdout.write(_line("pairwise", part.pairwise))
                self.stdout.write(_line("best_of_n", part.best_of_n))
                self.stdout.write(_line("order_consistency", part.order_consistency))
        for sentence in scoreboard.warnings(judges):
            self.stdout.write(sentence)
        if strategies:
            self.stdout.write("Contrast accuracy, by strategy")
        for row in strategies:
            self.stdout.write(_line(row.strategy, row.accuracy))


def _line(name: str, estimate: Estimate) -> str:
    if estimate.reason is not None:
        return f"  {name:<24} –  {estimate.reason}"
    ends = f"{estimate.low:.3f} to {estimate.high:.3f}" if estimate.interval else ""
    return f"  {name:<24} {estimate.value:.3f}  {ends:<16} n {estimate.n:,}"
