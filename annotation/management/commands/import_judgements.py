"""manage.py import_judgements FILE --project SLUG: what annotators elsewhere said of a project's pairs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation import importing
from annotation.access import project_of
from annotation.importing import judgements
from annotation.importing.commanding import ImportCommand
from annotation.importing.reporting import Report


class Command(ImportCommand):
    help = (
        "Import judgements of pairs that are in the project. Annotators become annotators without an account. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )
    thing = "judgement"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--layout", default="auto", help=f"one of auto, {', '.join(judgements.LAYOUTS)}; default: auto"
        )
        parser.add_argument(
            "--judge",
            action="append",
            default=[],
            metavar="ID",
            help="this annotator of the file is a model; repeatable",
        )

    def do(self, options: dict[str, Any]) -> Report:
        return importing.import_judgements(
            project=project_of(options["project"]),
            path=options["file"],
            layout=options["layout"],
            on_error=options["on_error"],
            judges=set(options["judge"]),
            progress=self.progress(options),
        )
