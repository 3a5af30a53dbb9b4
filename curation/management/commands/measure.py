"""manage.py measure agreement --project SLUG: measure, store, and say what was found."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import Refused
from annotation.models import Project
from curation import measuring
from curation.selecting import Voices, parse_all


class Command(BaseCommand):
    help = "Measure how far annotators agree, with intervals, and store it as a finished run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=measuring.MEASURES, help="what to measure")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument(
            "--kind", choices=("person", "judge", "all"), default="person", help="whose judgements; default: people's"
        )
        parser.add_argument(
            "--annotator",
            action="append",
            default=[],
            metavar="PREFIX",
            help="only annotators whose name begins so; repeatable",
        )
        parser.add_argument(
            "--where", action="append", default=[], metavar="CRITERION", help="only pairs that meet it; repeatable"
        )
        parser.add_argument(
            "--bootstrap", type=int, default=1000, metavar="N", help="resamples for the intervals; 0 for none"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--least-common",
            type=int,
            default=measuring.LEAST_COMMON,
            metavar="N",
            help="common pairs that kappa needs",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        try:
            run = measuring.measure_agreement(
                project=project,
                command="measure",
                voices=Voices(kind=options["kind"], prefixes=tuple(options["annotator"])),
                where=parse_all(options["where"]),
                bootstrap=options["bootstrap"],
                seed=options["seed"],
                least_common=options["least_common"],
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        found = measuring.report(run)
        self.stdout.write(measuring.as_json(found) if options["json"] else measuring.as_text(found))
