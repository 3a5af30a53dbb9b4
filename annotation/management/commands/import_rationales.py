"""manage.py import_rationales FILE --project SLUG: what annotators elsewhere wrote about texts, or marked in them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation import importing
from annotation.access import project_of
from annotation.importing.commanding import ImportCommand
from annotation.importing.reporting import Report


class Command(ImportCommand):
    help = (
        "Import rationales and their spans, for pairs that are in the project. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )
    thing = "rationale"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--judge",
            action="append",
            default=[],
            metavar="ID",
            help="this annotator is a model; repeatable",
        )

    def do(self, options: dict[str, Any]) -> Report:
        return importing.import_rationales(
            project=project_of(options["project"]),
            path=options["file"],
            on_error=options["on_error"],
            judges=set(options["judge"]),
            progress=self.progress(options),
        )
