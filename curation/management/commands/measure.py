"""manage.py measure NAME --project SLUG: measure, store, and say what was found."""

from __future__ import annotations

import importlib.util
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access import project_of
from annotation.awaiting import wait_for
from annotation.errors import Refused
from annotation.models import Project, Run
from config.celery import do_here
from curation import measuring
from curation.criteria import parse_all
from curation.measuring.preferred import ModelRequest
from curation.measuring.request import Request
from curation.voices import Voices


def _settings() -> str:
    lines = []
    for name, one in measuring.MEASURES.items():
        each = [
            f"{key} ({field.metadata['help']}; default {field.default!r})"
            for key, field in one.request.settings().items()
        ]
        lines.append(f"{name}: " + "; ".join(each))
    # The parser fills in what a percent sign announces.
    return ". ".join(lines).replace("%", "%%")


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
            action="extend",
            nargs="+",
            default=[],
            metavar="PREFIX",
            help="only annotators whose name begins so; several, or repeated",
        )
        parser.add_argument(
            "--where", action="append", default=[], metavar="CRITERION", help="only pairs that meet it; repeatable"
        )
        parser.add_argument(
            "--set",
            action="extend",
            nargs="+",
            default=[],
            metavar="KEY=VALUE",
            help=f"a setting; several, or repeated. {_settings()}",
        )
        # The two settings that were here first keep their own names.
        parser.add_argument("--bootstrap", metavar="N", help="as --set bootstrap=N")
        parser.add_argument("--least-common", metavar="N", help="as --set least_common=N")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--here", action="store_true", help="for measures that load a model: in this process, not by a worker"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        request = measuring.MEASURES[options["name"]].request
        typed = list(options["set"])
        typed += [f"{key}={options[key]}" for key in ("bootstrap", "least_common") if options[key] is not None]
        try:
            project = project_of(options["project"])
            asked = request(
                voices=Voices(kind=options["kind"] or request().voices.kind, prefixes=tuple(options["annotators"])),
                where=tuple(parse_all(options["where"])),
                **measuring.parse_settings(request, typed),
            )
            run = self._run(project, asked, options)
        except Refused as error:
            raise CommandError(str(error)) from error
        found = measuring.report(run)
        self.stdout.write(measuring.as_json(found) if options["json"] else measuring.as_text(found))

    def _run(self, project: Project, asked: Request, options: dict[str, Any]) -> Run:
        """Measure now; or, where a model must be loaded, let a worker do it and wait, saying how far it is.

        Raises:
            Refused: an option is out of range.
            CommandError: the run did not end well, or there is no torch here.
        """
        if not isinstance(asked, ModelRequest):
            return measuring.measure(project=project, asked=asked, seed=options["seed"])
        if options["here"] and importlib.util.find_spec("torch") is None:
            raise CommandError("torch is not installed here. Leave --here out, and let a worker measure.")
        run = measuring.request_measurement(project=project, asked=asked, command="measure", seed=options["seed"])
        if options["here"]:
            do_here(run.pk)
        else:
            self.stderr.write(f"Run {run.pk} is for a worker of the queue gpu.")
        if not wait_for(run, self.stderr):
            raise CommandError(run.error or f"{run} was cancelled.")
        return run
