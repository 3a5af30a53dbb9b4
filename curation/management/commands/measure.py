"""manage.py measure NAME --project SLUG: measure, store, and say what was found."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import Refused
from annotation.models import Project
from curation import measuring
from curation.selecting import Voices, parse_all


def _settings() -> str:
    lines = []
    for name, one in measuring.MEASURES.items():
        each = [
            f"{key} ({field.metadata['help']}; default {field.default!r})"
            for key, field in one.request.settings().items()
        ]
        lines.append(f"{name}: " + "; ".join(each))
    return ". ".join(lines)


class Command(BaseCommand):
    help = "Measure a project, with intervals, and store it as a finished run. Measures: " + "; ".join(
        f"{name} ({one.says})" for name, one in measuring.MEASURES.items()
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=tuple(measuring.MEASURES), help="what to measure")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument(
            "--kind", choices=("person", "judge", "all"), help="whose judgements; default: the measure's"
        )
        parser.add_argument(
            "--annotator",
            "--annotators",
            dest="annotators",
            action="append",
            default=[],
            metavar="PREFIX",
            help="only annotators whose name begins so; repeatable",
        )
        parser.add_argument(
            "--where", action="append", default=[], metavar="CRITERION", help="only pairs that meet it; repeatable"
        )
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help=f"a setting; repeatable. {_settings()}"
        )
        # The two settings that were here first keep their own names.
        parser.add_argument("--bootstrap", metavar="N", help="as --set bootstrap=N")
        parser.add_argument("--least-common", metavar="N", help="as --set least_common=N")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        request = measuring.MEASURES[options["name"]].request
        typed = list(options["set"])
        typed += [f"{key}={options[key]}" for key in ("bootstrap", "least_common") if options[key] is not None]
        try:
            asked = request(
                voices=Voices(kind=options["kind"] or request().voices.kind, prefixes=tuple(options["annotators"])),
                where=tuple(parse_all(options["where"])),
                **measuring.parse_settings(request, typed),
            )
            run = measuring.measure(project=project, asked=asked, seed=options["seed"])
        except Refused as error:
            raise CommandError(str(error)) from error
        found = measuring.report(run)
        self.stdout.write(measuring.as_json(found) if options["json"] else measuring.as_text(found))
