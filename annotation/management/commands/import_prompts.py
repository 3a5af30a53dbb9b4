"""manage.py import_prompts FILE --project SLUG: prompts without answers. See docs/importing.md."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation import importing
from annotation.importing import prompts
from annotation.importing.founding_commands import FoundingCommand
from annotation.importing.mapping import parse_mapping
from annotation.importing.reporting import Report


class Command(FoundingCommand):
    help = (
        "Import prompts without answers, for `generate`, from the same kinds of files as pairs. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )
    thing = "prompt"
    command = "import_prompts"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help=f"name a column; repeat for each field: {', '.join(prompts.FIELDS)}",
        )
        parser.add_argument("--split", default="", help="only this split of a dataset folder")

    def do(self, options: dict[str, Any]) -> Report:
        return self.into(
            options,
            lambda project: importing.import_prompts(
                project=project,
                path=options["file"],
                mapping=parse_mapping(options["map"]),
                on_error=options["on_error"],
                split=options["split"],
                progress=self.progress(options),
            ),
        )
