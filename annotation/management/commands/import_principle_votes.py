"""manage.py import_principle_votes FILE --project SLUG --principles FILE: votes principle by principle."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation import importing
from annotation.access import project_of
from annotation.importing.commanding import ImportCommand
from annotation.importing.reporting import Report


class Command(ImportCommand):
    help = (
        "Import votes of an oracle on principles, for pairs that are in the project. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )
    thing = "row"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--principles", type=Path, required=True, metavar="FILE", help="list, principle_id, text, short"
        )
        parser.add_argument(
            "--judge", action="append", default=[], metavar="ID", help="this oracle of the file is a model; repeatable"
        )

    def do(self, options: dict[str, Any]) -> Report:
        return importing.import_principle_votes(
            project=project_of(options["project"]),
            path=options["file"],
            principles=options["principles"],
            on_error=options["on_error"],
            judges=set(options["judge"]),
            progress=self.progress(options),
        )
