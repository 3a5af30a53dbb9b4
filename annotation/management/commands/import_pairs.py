"""manage.py import_pairs FILE --project SLUG: a file of pairs into a project. See docs/importing.md."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation import importing
from annotation.importing.founding_commands import FoundingCommand
from annotation.importing.mapping import parse_mapping
from annotation.importing.reporting import Report


class Command(FoundingCommand):
    help = (
        "Import pairs from JSON lines (also .gz), a JSON array, CSV, Parquet, or a Hugging Face dataset folder. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )
    command = "import_pairs"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        known = ", ".join(["auto", *importing.LAYOUTS, "mapping"])
        parser.add_argument("--layout", default="auto", help=f"one of {known}; default: auto")
        parser.add_argument(
            "--map", action="append", default=[], metavar="FIELD=COLUMN", help="name a column; repeat for each field"
        )
        parser.add_argument("--allow", default="", metavar="KINDS", help="let these in, marked: empty,identical")
        parser.add_argument("--source", default="", help="only rows of this source")
        parser.add_argument("--split", default="", help="only this split of a dataset folder")

    def do(self, options: dict[str, Any]) -> Report:
        return self.into(
            options,
            lambda project: importing.import_pairs(
                project=project,
                path=options["file"],
                layout=options["layout"],
                mapping=parse_mapping(options["map"]) or None,
                on_error=options["on_error"],
                allow={kind.strip() for kind in options["allow"].split(",") if kind.strip()},
                source=options["source"],
                split=options["split"],
                progress=self.progress(options),
            ),
        )
